//! Who runs the tools that make files of other users. Apart from the build, because nothing else of it knows whether
//! it is root.

use std::path::Path;
use std::process::Command;

/// Who may own files of all users: root itself, or anybody in a user namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Privilege {
    Root,
    UserNamespace,
}

impl Privilege {
    pub(super) fn of_this_process() -> Self {
        if rustix::process::geteuid().is_root() { Self::Root } else { Self::UserNamespace }
    }

    pub(super) fn tools(self) -> &'static [&'static str] {
        match self {
            Self::Root => &["mmdebstrap", "depmod", "lz4", "mke2fs", "qemu-img", "cpio", "tar", "truncate"],
            Self::UserNamespace => &[
                "mmdebstrap",
                "depmod",
                "lz4",
                "mke2fs",
                "qemu-img",
                "cpio",
                "tar",
                "truncate",
                "unshare",
                "newuidmap",
            ],
        }
    }

    /// mmdebstrap's word for it.
    pub(super) fn mode(self) -> &'static str {
        match self {
            Self::Root => "--mode=root",
            Self::UserNamespace => "--mode=unshare",
        }
    }

    pub(super) fn command(self, program: &Path) -> Command {
        match self {
            Self::Root => Command::new(program),
            Self::UserNamespace => {
                let mut command = Command::new("unshare");
                command.args(["--map-auto", "--map-root-user", "--"]).arg(program);
                command
            }
        }
    }
}
