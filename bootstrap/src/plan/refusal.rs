//! Why a host is left as it is: what was found, and what its operator can do.

use targets::{AgentVersion, Arch, PackageFormat, PackageTool, ServiceManager};

use crate::{
    actions::{ConfigureError, NotOurs},
    facts::Root,
    inventory::Escalation,
    ssm::ManagedNodeId,
};

/// Why nothing is done on a host.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// Another run is at work on it, or an earlier one still is; in the words of its lock.
    #[error("another run is at work on it: {0}")]
    Held(String),
    /// It is no longer what it was when it was planned for.
    #[error("it was changed after it was looked at, by another run or by hand")]
    Stale,
    /// No root rights; the login user, and by what they should have got them.
    #[error("{}", root_text(.0, .1, *.2))]
    Root(Root, String, Escalation),
    /// The agent does not support the distribution.
    #[error(transparent)]
    Distribution(#[from] targets::Unsupported),
    /// The agent's package brings no service for what starts services here.
    #[error("{1}")]
    ServiceManager(ServiceManager, &'static str),
    /// The agent is part of an image that nothing is installed on, and older than the inventory wants it.
    #[error("the agent is part of the system's image, in version {found}, the inventory wants {wanted}")]
    OlderInImage {
        /// The one in the image.
        found: AgentVersion,
        /// The one of the package.
        wanted: AgentVersion,
    },
    /// The agent is there as a snap, and older than the inventory wants it.
    #[error("the agent is installed as a snap{}, the inventory wants {wanted}", .found.map(|found| format!(" of version {found}")).unwrap_or_default())]
    OlderSnap {
        /// The snap's version, if it is known.
        found: Option<AgentVersion>,
        /// The package's.
        wanted: AgentVersion,
    },
    /// The agent's package is on hold, and not as the inventory wants it.
    #[error("amazon-ssm-agent is on hold{}, {wanted} cannot be installed", .found.map(|found| format!(" at {found}")).unwrap_or_default())]
    PackageHeld {
        /// Whose hold it is.
        by: PackageTool,
        /// What is installed, if it is whole.
        found: Option<AgentVersion>,
        /// The package's version.
        wanted: AgentVersion,
    },
    /// The package manager did not say an architecture we know.
    #[error("the architecture of its userland is not known ({} package manager, kernel {machine})", .format.extension())]
    Architecture {
        /// Whose word was asked for.
        format: PackageFormat,
        /// `uname -m`.
        machine: String,
    },
    /// AWS publishes no such package.
    #[error("there is no {} package of the agent for {arch}", .format.extension())]
    NoPackage {
        /// The userland's architecture.
        arch: Arch,
        /// The distribution's package format.
        format: PackageFormat,
    },
    /// The clock is too far off.
    #[error("its clock is {} s {} the controller's", .ahead_seconds.unsigned_abs(), if *.ahead_seconds > 0 { "ahead of" } else { "behind" })]
    Clock {
        /// Seconds ahead of the controller.
        ahead_seconds: i64,
    },
    /// Not enough room.
    #[error("{path} has {free_kib} KiB free, {needed_kib} KiB are needed")]
    DiskFull {
        /// Where.
        path: &'static str,
        /// What is free.
        free_kib: u64,
        /// What is needed.
        needed_kib: u64,
    },
    /// The agent's configuration cannot be merged.
    #[error(transparent)]
    Configuration(#[from] ConfigureError),
    /// Where the proxy is told is somebody else's file.
    #[error(transparent)]
    Environment(#[from] NotOurs),
    /// Registered in another Region.
    #[error("it is registered as {node} in {found}, its environment is in {wanted}")]
    OtherRegion {
        /// The node.
        node: ManagedNodeId,
        /// Where it is.
        found: String,
        /// Where it should be.
        wanted: String,
    },
    /// Registered in another environment.
    #[error("it is registered as {node} in environment {found}, not {wanted}")]
    OtherEnvironment {
        /// The node.
        node: ManagedNodeId,
        /// Where it is.
        found: String,
        /// Where it should be.
        wanted: String,
    },
    /// SSM serves it already, as an EC2 instance or what else is no managed node.
    #[error("SSM serves its agent as {0}, with credentials that are still good")]
    ServedAs(String),
    /// Known to SSM, but not to the one we ask.
    #[error("SSM does not know {node}, yet its agent has credentials that are still good")]
    OtherAccount {
        /// The node.
        node: ManagedNodeId,
    },
    /// Registered with another IAM role.
    #[error("it is registered as {node} with role {found}, not {wanted}")]
    OtherRole {
        /// The node.
        node: ManagedNodeId,
        /// The role it has.
        found: String,
        /// The role of its environment.
        wanted: String,
    },
}

fn root_text(root: &Root, user: &str, by: Escalation) -> String {
    let program = by.program().unwrap_or("sudo");
    match root {
        Root::Yes => format!("{user} is root"),
        Root::NotRoot => format!("{user} is not root, and `become` is \"none\""),
        Root::Missing { .. } => format!("{user} is not root, and the host has no {program}"),
        Root::Refused(words) => format!("{user} may not use {program}: {words}"),
        Root::NeedsPassword(_) => {
            format!("{user} needs a password for {program}, and none is known that is right")
        }
        Root::WrongPassword(_) => format!("the password that was given for {program} is not {user}'s"),
    }
}

fn root_hint(root: &Root, user: &str, by: Escalation) -> String {
    let free = match by {
        Escalation::Doas => format!("the line `permit nopass {user} as root` in /etc/doas.conf"),
        _ => format!("a file in /etc/sudoers.d with the line `{user} ALL=(root) NOPASSWD: ALL`"),
    };
    match root {
        Root::NotRoot => "set `become = \"sudo\"`, or log in as root".to_owned(),
        Root::Missing { other: Some(other) } => format!("the host has {other}: set `become = \"{other}\"`"),
        Root::Refused(words) if words.contains("tty") => {
            format!("add the line `Defaults:{user} !requiretty` to a file in /etc/sudoers.d")
        }
        Root::NeedsPassword(_) if by == Escalation::Doas => {
            format!(
                "doas takes a password from a terminal only; allow it without one by {free}, or set `become = \"sudo\"`"
            )
        }
        Root::NeedsPassword(_) => format!(
            "run at a terminal, which is asked for it, or give it by `--become-password-fd N`; or allow it without one by {free}"
        ),
        Root::WrongPassword(_) => {
            "it was tried once; give hosts that have a password of their own a `become_prompt`, and run again"
                .to_owned()
        }
        _ => format!("allow it by {free}, or log in as root with `user = \"root\"`"),
    }
}

impl Refusal {
    /// What to do.
    pub fn hint(&self) -> String {
        match self {
            Self::Held(_) => "wait until that run has ended, then run the same command again; the lock goes with the last process of its command on the host".to_owned(),
            Self::Stale => "run the same command again: it looks at what is there now".to_owned(),
            Self::Root(root, user, by) => root_hint(root, user, *by),
            Self::ServiceManager(ServiceManager::None, _) => {
                "let systemd run as process 1 there, which it does not in most containers, or take the host out of the inventory".to_owned()
            }
            Self::Distribution(_) | Self::ServiceManager(..) => {
                "take the host out of the inventory, or move it to a distribution that AWS supports for the agent".to_owned()
            }
            Self::OlderInImage { .. } => {
                "build the system's image with the newer agent; or choose no package for the host in the inventory, then the older one is good enough".to_owned()
            }
            Self::OlderSnap { .. } => {
                "run `snap refresh amazon-ssm-agent` on the host; or `snap remove amazon-ssm-agent` there, and run again: then the package is installed".to_owned()
            }
            Self::PackageHeld { by, .. } => format!(
                "end the hold on the host (`{}`) and run the same command again; or, if it shall stay, choose no other package for it in the inventory",
                by.release_command().unwrap_or("rpm")
            ),
            Self::Architecture { .. } | Self::NoPackage { .. } => {
                "take the host out of the inventory; AWS publishes packages for x86_64, i386, arm64 and, as deb only, 32-bit arm".to_owned()
            }
            Self::Clock { .. } => {
                "set its clock (`timedatectl set-ntp true`), since AWS refuses signatures that are 5 minutes off; if other hosts are told the same, this machine's clock is the wrong one".to_owned()
            }
            Self::DiskFull { .. } => "free some space on the host and run the same command again".to_owned(),
            Self::Configuration(_) => "mend that file on the host, or move it away; it is left as it is".to_owned(),
            Self::Environment(_) => {
                "move that file away on the host, then the inventory's `proxy` takes its place; or leave `proxy` out, and the file stays".to_owned()
            }
            Self::ServedAs(_) => {
                "leave it out of the inventory, since SSM has it already; or, if it shall be a hybrid node all the same, detach its instance profile (or end Default Host Management for it), stop the agent there, remove /var/lib/amazon/ssm/runtimeconfig/identity_config.json and run again".to_owned()
            }
            Self::OtherAccount { .. } => {
                "it belongs to another AWS account: check the environment's `profile` and credentials; if it was deregistered a moment ago, run again when its credentials have expired (1 h at most), or run `amazon-ssm-agent -register -clear` on the host".to_owned()
            }
            Self::OtherRegion { node, .. } | Self::OtherEnvironment { node, .. } | Self::OtherRole { node, .. } => format!(
                "move the host to that environment in the inventory; or, if it shall change over, deregister {node} there and run `amazon-ssm-agent -register -clear` on the host"
            ),
        }
    }
}
