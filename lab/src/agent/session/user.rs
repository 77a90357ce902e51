//! The users sessions run as: `ssm-user` is made when it is first needed, with its right to sudo, and the thread that
//! starts a shell takes its user's identity.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::Command;

use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use thiserror::Error;

use super::task::RunAs;
use crate::agent::children::output;
use crate::agent::node::Node;

/// The user of every session that names none.
pub const DEFAULT_USER: &str = "ssm-user";
const SUDOERS: &str = "/etc/sudoers.d/ssm-agent-users";

/// Why there is no such user.
#[derive(Debug, Error)]
pub enum UserError {
    /// No such user.
    #[error("failed to start pty since RunAs user {0} does not exist")]
    Unknown(String),
    /// Only root can become another user.
    #[error("the agent must run as root to use RunAs")]
    NotRoot,
    /// `ssm-user` cannot be made.
    #[error("cannot create the user ssm-user: {0}")]
    Create(String),
    /// The identity cannot be taken.
    #[error("cannot become the user {0}")]
    Become(String, #[source] io::Error),
}

/// Who a shell runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Whoever the agent runs as.
    Own,
    /// Root, as the agent itself.
    Root,
    /// Another user.
    User {
        /// Its name.
        name: String,
        /// Its user id.
        uid: u32,
        /// Its first group.
        gid: u32,
        /// All its groups.
        groups: Vec<u32>,
    },
}

impl Identity {
    /// Finds the user, or makes it if it is the default one.
    pub fn find(node: &Node, wanted: &RunAs) -> Result<Self, UserError> {
        let may_switch = rustix::process::geteuid().is_root() && node.paths.root() == "/";
        match wanted {
            _ if !may_switch => {
                if matches!(wanted, RunAs::Named(_)) {
                    return Err(UserError::NotRoot);
                }
                let why =
                    "The session runs as the agent's own user: the agent is not root on a host of its own";
                node.diary.info(why);
                Ok(Self::Own)
            }
            RunAs::Elevated => Ok(Self::Root),
            RunAs::Named(name) => known(name).ok_or_else(|| UserError::Unknown(name.clone())),
            RunAs::Default => match known(DEFAULT_USER) {
                Some(user) => Ok(user),
                None => make_default(node),
            },
        }
    }

    /// The home directory to tell the shell of.
    #[must_use]
    pub fn home(&self) -> Option<String> {
        match self {
            Self::Own => None,
            Self::Root => Some("/root".to_owned()),
            Self::User { name, .. } => Some(format!("/home/{name}")),
        }
    }

    /// Makes the calling thread, and what it starts, this user. On Linux identities belong to threads; this one must
    /// end soon after.
    pub fn take(&self) -> Result<(), UserError> {
        let Self::User { name, uid, gid, groups } = self else { return Ok(()) };
        let groups: Vec<Gid> = groups.iter().map(|group| Gid::from_raw(*group)).collect();
        let (uid, gid) = (Uid::from_raw(*uid), Gid::from_raw(*gid));
        set_thread_groups(&groups)
            .and_then(|()| set_thread_res_gid(gid, gid, gid))
            .and_then(|()| set_thread_res_uid(uid, uid, uid))
            .map_err(|error| UserError::Become(name.clone(), error.into()))
    }
}

/// Asks `id`, which knows of users this program's own files do not name.
fn known(name: &str) -> Option<Identity> {
    if name.starts_with('-') {
        return None;
    }
    let ask = |flag: &str| -> Option<Vec<u32>> {
        let told = output(Command::new("id").args([flag, name])).ok()?;
        let text = String::from_utf8(told.stdout).ok().filter(|_| told.status.success())?;
        text.split_whitespace().map(|number| number.parse().ok()).collect()
    };
    let one = |flag| ask(flag)?.first().copied();
    // The real agent refuses to switch to root this way.
    let (uid, gid) = (one("-u").filter(|uid| *uid > 0)?, one("-g").filter(|gid| *gid > 0)?);
    Some(Identity::User { name: name.to_owned(), uid, gid, groups: ask("-G")? })
}

fn make_default(node: &Node) -> Result<Identity, UserError> {
    // The second is BusyBox's.
    let ways: [&[&str]; 2] = [&["useradd", "-m", DEFAULT_USER], &["adduser", "-D", DEFAULT_USER]];
    let mut complaint = String::new();
    for way in ways {
        let [program, arguments @ ..] = way else { continue };
        match output(Command::new(program).args(arguments)) {
            Ok(told) if told.status.success() => break,
            Ok(told) => complaint = String::from_utf8_lossy(&told.stderr).into_owned(),
            Err(error) => complaint = format!("{program}: {error}"),
        }
    }
    let user = known(DEFAULT_USER).ok_or_else(|| UserError::Create(complaint.trim().to_owned()))?;
    node.diary.info("Successfully created ssm-user");
    if let Err(error) = allow_sudo() {
        node.diary.error(&format!("Failed to add ssm-user to sudoers file: {error}"));
    }
    Ok(user)
}

/// A file that is there is left as it is. Without sudo there is no such directory, and nothing to allow.
fn allow_sudo() -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o440).open(SUDOERS) {
        Ok(mut file) => file.write_all(
            format!("# User rules for {DEFAULT_USER}\n{DEFAULT_USER} ALL=(ALL) NOPASSWD:ALL\n").as_bytes(),
        ),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{Identity, known};

    #[test]
    fn users_are_known_by_id_and_options_are_no_users() {
        assert_eq!(known("--help"), None);
        assert_eq!(known("no-such-user-here"), None);
        assert_eq!(known("root"), None, "nobody becomes root by name");
        let Some(Identity::User { uid, groups, gid, .. }) = known("daemon") else {
            panic!("every Linux has one")
        };
        assert!(uid > 0 && groups.contains(&gid));
    }

    #[test]
    fn a_home_follows_from_the_identity() {
        assert_eq!(Identity::Own.home(), None);
        assert_eq!(Identity::Root.home().as_deref(), Some("/root"));
    }
}
