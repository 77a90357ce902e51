//! Tests against OpenSSH itself, and of what `ssh -G` does not show.
