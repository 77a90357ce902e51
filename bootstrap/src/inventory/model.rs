//! What an inventory says once it is parsed, expanded and checked: the only form the rest of the
//! program sees. Nothing here can be built from an inventory with a problem in it.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc, time::Duration};

use serde::Serialize;

use super::{
    network::{Delivery, Proxy},
    wish::PackageWish,
};

/// The name of a host as the operator knows it; unique in an inventory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct HostName(pub(super) String);

/// The name of an environment (`dev`, `prod`); a key of `[environments]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct EnvironmentName(pub(super) String);

/// The name of a group of hosts; a key of `[groups]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct GroupName(pub(super) String);

macro_rules! text_name {
    ($($name:ident),+) => {$(
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    )+};
}
text_name!(HostName, EnvironmentName, GroupName);

impl HostName {
    /// A name that was written by this program; else why it can be none.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        super::addresses::host_name(text).map(|()| Self(text.to_owned())).map_err(|refusal| refusal.what)
    }
}

impl EnvironmentName {
    /// A name that was written by this program; else why it can be none.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        super::aws::environment_name(text).map(|()| Self(text.to_owned())).map_err(|refusal| refusal.what)
    }
}

#[cfg(test)]
impl HostName {
    /// A name for tests; the product's only come out of an inventory.
    pub(crate) fn sample(text: &str) -> Self {
        Self(text.to_owned())
    }
}

#[cfg(test)]
impl EnvironmentName {
    /// A name for tests; the product's only come out of an inventory.
    pub(crate) fn sample(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Key and value tags, as AWS limits them: at most 50, keys up to 128 and values up to 256 characters.
pub type Tags = BTreeMap<String, String>;

/// A checked inventory.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// The file it was read from.
    pub path: PathBuf,
    /// Environments by name; also those that no host uses.
    pub environments: BTreeMap<EnvironmentName, Arc<Environment>>,
    /// Every host that is to become a managed node, expanded, in the order of the file.
    pub hosts: Vec<Arc<HostSpec>>,
    /// Every group, also one without hosts.
    pub groups: Vec<GroupName>,
    /// Hosts that others are reached through and on which nothing is done. Their environments say nothing.
    pub gates: Vec<Arc<HostSpec>>,
    /// `sha256:` and the digest of the file's text, in hex.
    pub digest: String,
    /// How many hosts are worked on at once.
    pub concurrency: usize,
    /// The limit of the whole run; `None` waits for every host's own limit.
    pub run_within: Option<Duration>,
}

/// One host and everything needed to reach it and to know what it should become.
#[derive(Clone, Debug)]
pub struct HostSpec {
    /// Its name.
    pub name: HostName,
    /// Its place among the inventory's hosts, from 1.
    pub position: usize,
    /// How it is reached. Of a local host, the fields about SSH say nothing.
    pub connection: Connection,
    /// DNS name or IP address to connect to; `localhost` for the local host.
    pub address: String,
    /// SSH port, if the inventory says it. What it does not say of SSH, the SSH configuration may.
    pub port: Option<u16>,
    /// Login user, if the inventory says it; for the local host, who runs this program.
    pub user: Option<String>,
    /// Private key files, tried in order, if the inventory names them; they exist and were readable when it was read.
    pub identities: Option<Vec<PathBuf>>,
    /// The hosts on the way to it, if the inventory says so; the first is connected to first, and there may be none.
    pub jump: Option<Vec<JumpHost>>,
    /// Whether the password that the operator is asked for is good for logging in.
    pub password: bool,
    /// How the login user becomes root.
    pub escalation: Escalation,
    /// What the prompt for sudo's password names; hosts that have it in common share the password.
    pub become_prompt: Option<String>,
    /// How the package comes to it.
    pub deliver: Delivery,
    /// The proxy that its agent needs, if any.
    pub proxy: Option<Proxy>,
    /// Its environment.
    pub environment: Arc<Environment>,
    /// The groups it is in.
    pub groups: Vec<GroupName>,
    /// Tags of the managed node: defaults, environment, groups and host, the later ones winning.
    pub tags: Arc<Tags>,
    /// What counts as the right host key, if the inventory says it.
    pub host_key: Option<HostKeyPolicy>,
    /// `known_hosts` files to read, in order, if the inventory names them; an `accept-new` key is appended to the first.
    pub known_hosts: Option<Vec<PathBuf>>,
    /// Time limits.
    pub limits: Limits,
}

/// How a host is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Connection {
    /// By SSH.
    Ssh,
    /// It is the machine that this program runs on.
    Local,
}

/// A host that others are reached through (`jump` in the file).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JumpHost {
    /// Login user, if one is written before it.
    pub user: Option<String>,
    /// The name of a host of the inventory; else what `ssh` would be given.
    pub name: String,
    /// SSH port, if one is written behind it.
    pub port: Option<u16>,
}

impl fmt::Display for JumpHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, name, port } = self;
        if let Some(user) = user {
            write!(f, "{user}@")?;
        }
        match port {
            Some(port) if name.contains(':') => write!(f, "[{name}]:{port}"),
            Some(port) => write!(f, "{name}:{port}"),
            None if name.contains(':') => write!(f, "[{name}]"),
            None => f.write_str(name),
        }
    }
}

/// Where the password for logging in comes from (`ssh_password` in the file); it is never written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LoginPassword {
    /// The operator is asked once, before anything is done.
    Ask,
    /// Nowhere: keys only.
    None,
}

/// How the login user becomes root (`become` in the file).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Escalation {
    /// By sudo, unless the user is already root.
    Sudo,
    /// By doas without a password, unless the user is already root.
    Doas,
    /// The login user is root.
    None,
}

impl Escalation {
    /// The program that does it.
    pub fn program(self) -> Option<&'static str> {
        match self {
            Self::Sudo => Some("sudo"),
            Self::Doas => Some("doas"),
            Self::None => None,
        }
    }
}

/// What counts as the right host key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostKeyPolicy {
    /// Only a key in `known_hosts`.
    Strict,
    /// A host without an entry in `known_hosts` is trusted once and recorded; a changed key is refused.
    AcceptNew,
    /// Exactly this key: `SHA256:` and 43 characters of unpadded base64, as `ssh-keygen -l` prints it.
    Pinned(String),
}

/// Time limits of one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// TCP connect, SSH handshake and authentication, each; if the inventory says it.
    pub connect: Option<Duration>,
    /// One action on the host (an install, a registration, an upload).
    pub command: Duration,
    /// Everything on the host, the wait for Online apart.
    pub host: Duration,
    /// How often it is tried again after a failure that may heal.
    pub retries: u32,
}

/// Where managed nodes of one kind belong in AWS, and how they come to be.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Its name.
    pub name: EnvironmentName,
    /// AWS Region.
    pub region: String,
    /// Name (not ARN) of the IAM service role for the managed nodes.
    pub role: String,
    /// AWS profile for the controller's own credentials; the SDK's default chain without one.
    pub profile: Option<String>,
    /// Its own tags, without those of its hosts.
    pub tags: Tags,
    /// Template of the node's `Name` tag.
    pub instance_name: NameTemplate,
    /// SSM endpoint for the controller; AWS's own without one.
    pub endpoint: Option<String>,
    /// SSM endpoint as the hosts reach it; `endpoint` or AWS's own without one.
    pub agent_endpoint: Option<String>,
    /// More trusted certificate authorities (PEM) for the controller's calls to `endpoint` and for its downloads.
    pub ca_bundle: Option<PathBuf>,
    /// Where activations come from.
    pub activation: ActivationSource,
    /// How long a host may take from its agent's start until it is Online.
    pub online_within: Duration,
    /// The agent's package.
    pub package: PackageWish,
}

/// Text with `{environment}`, `{host}`, `{address}` in it; at most 256 characters once filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameTemplate(pub(super) String);

impl NameTemplate {
    /// The `Name` of one host.
    #[must_use]
    pub fn render(&self, host: &HostSpec) -> String {
        self.0
            .replace("{environment}", host.environment.name.as_str())
            .replace("{host}", host.name.as_str())
            .replace("{address}", &host.address)
    }
}

/// Where an environment's activation comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActivationSource {
    /// Created by the run and deleted at its end; valid for this long at most.
    Create {
        /// Life of an activation, 1 hour to 30 days.
        expires_in: Duration,
    },
    /// Given by the operator; never deleted by us.
    Given {
        /// Where its id is.
        id: TextSource,
        /// Where its code is.
        code: TextSource,
    },
}

impl ActivationSource {
    /// Whether the operator made it.
    #[must_use]
    pub fn is_given(&self) -> bool {
        matches!(self, Self::Given { .. })
    }
}

/// A text kept outside the inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextSource {
    /// The text itself; never used for a secret.
    Plain(String),
    /// The first line of a file.
    File(PathBuf),
    /// An environment variable of the controller.
    Variable(String),
}

#[cfg(test)]
impl HostSpec {
    /// A host of 127.0.0.1 that can be reached without files; tests change what they are about.
    pub(crate) fn for_test(name: &str, environment: &str) -> Self {
        let package = PackageWish { source: None, verify: None, keys: Vec::new(), sha256: None };
        let environment = Environment {
            name: EnvironmentName(environment.to_owned()),
            region: "eu-central-1".to_owned(),
            role: "nodes".to_owned(),
            profile: None,
            tags: Tags::new(),
            instance_name: NameTemplate("{host}".to_owned()),
            endpoint: None,
            agent_endpoint: None,
            ca_bundle: None,
            activation: ActivationSource::Create { expires_in: Duration::from_hours(4) },
            online_within: Duration::from_mins(5),
            package,
        };
        Self {
            name: HostName(name.to_owned()),
            position: 1,
            connection: Connection::Ssh,
            address: "127.0.0.1".to_owned(),
            port: None,
            user: Some("admin".to_owned()),
            identities: None,
            jump: None,
            password: false,
            escalation: Escalation::Sudo,
            become_prompt: None,
            deliver: Delivery::Push,
            proxy: None,
            environment: Arc::new(environment),
            groups: Vec::new(),
            tags: Arc::default(),
            host_key: None,
            known_hosts: None,
            limits: Limits {
                connect: None,
                command: Duration::from_mins(10),
                host: Duration::from_mins(30),
                retries: 0,
            },
        }
    }
}
