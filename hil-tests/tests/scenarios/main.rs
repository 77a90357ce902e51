//! The product on real guests: built binaries, a kernel, systemd, OpenSSH, dpkg and rpm. One lab for all scenarios,
//! its two guests put back to their first minute before each. Run by `make test`, one at a time.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a scenario that cannot go on fails right there"
)]

mod main_job;
mod mistakes;
mod rehearsal;
mod rig;
mod secrets;
mod trouble;
