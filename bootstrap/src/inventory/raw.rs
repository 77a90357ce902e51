//! The shape of `hosts.toml`: what serde reads and what the JSON schema is generated from. The doc comments
//! are the schema's descriptions. Meaning is given to these types elsewhere; nothing outside sees them.
//!
//! Keys that the schema requires are still `Option`s here: a file that lacks one is searched for its other
//! problems all the same.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, de::IgnoredAny};

use super::{
    model::{Connection, Escalation, LoginPassword},
    network::Delivery,
    spans::{At, Strings, Table},
    wish::VerifyWish,
};

/// A fleet of hosts and the AWS environments that they belong to.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "hosts.toml", rename = "Inventory")]
pub(super) struct RawInventory {
    /// What holds for every host, unless its groups or the host itself say otherwise; and how runs go.
    pub(super) defaults: RawDefaults,
    /// The agent's package; an environment may override each key.
    pub(super) package: RawPackage,
    /// Where managed nodes belong in AWS, by name (lower-case letters, digits and hyphens).
    pub(super) environments: Table<RawEnvironment>,
    /// Hosts with something in common, by name.
    pub(super) groups: Table<RawGroup>,
    /// The hosts, one by one or as ranges.
    pub(super) hosts: Vec<RawHost>,
}

// The keys that `[defaults]`, groups and hosts share. A macro, because `#[serde(flatten)]` loses spans.
macro_rules! with_settings {
    ($(#[$outer:meta])* struct $name:ident { $($(#[$inner:meta])* $field:ident: $type:ty,)* }) => {
        #[derive(Debug, Default, Deserialize, JsonSchema)]
        $(#[$outer])*
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            $($(#[$inner])* pub(super) $field: $type,)*
            /// How a host is reached: "ssh" (the default), or "local" for the machine that bootstrap itself runs on; at
            /// most one host is local, and what is said of SSH is not for it.
            pub(super) connection: Option<At<Connection>>,
            /// Whether it becomes a managed node; true if nothing says otherwise. With false others are reached through it
            /// (`jump`), and nothing is done on it.
            pub(super) enrol: Option<At<bool>>,
            /// Login user. If nothing says otherwise, `User` of the SSH configuration, else who runs bootstrap.
            pub(super) user: Option<At<String>>,
            /// SSH port. If nothing says otherwise, `Port` of the SSH configuration, else 22.
            #[schemars(range(min = 1, max = 65535))]
            pub(super) port: Option<At<u16>>,
            /// Private key file, or a list of them in the order to try. `~` is the home directory; relative paths
            /// start at the inventory's directory. If nothing says otherwise, `IdentityFile` of the SSH configuration, else
            /// `~/.ssh/id_rsa`, `id_ecdsa` and `id_ed25519`; keys of an SSH agent are tried too.
            pub(super) identity: Option<Strings>,
            /// Host on the way, or a list of them, the first connected to first: the name of a host of this inventory, or
            /// `user@host:port` as `ssh -J` takes it; "none" for a straight way. If nothing says otherwise, `ProxyJump` of
            /// the SSH configuration.
            pub(super) jump: Option<Strings>,
            /// "ask": where keys do not do, a password does that you are asked for once, before anything is done. "none"
            /// (the default): keys only.
            pub(super) ssh_password: Option<At<LoginPassword>>,
            /// How the login user becomes root; "sudo" if nothing says otherwise. "doas" works without a password only.
            pub(super) r#become: Option<At<Escalation>>,
            /// Whose password sudo asks for, in words for the prompt: hosts with the same words share one, and are asked for
            /// together. Never the password itself.
            #[schemars(length(min = 1, max = 64))]
            pub(super) become_prompt: Option<At<String>>,
            /// How the package comes to the host: "push" (the default) over the SSH connection; "pull" lets the host download it
            /// from the package's source, with its own curl or wget.
            pub(super) deliver: Option<At<Delivery>>,
            /// URL of the HTTP proxy by which the host's agent reaches AWS, such as `http://proxy.example:3128`, without user and
            /// password; "none" (the default) for a straight way.
            pub(super) proxy: Option<At<String>>,
            /// What the host reaches without `proxy`: an address, a network, a host or a domain (".lan"), or a list of them. The
            /// metadata service (169.254.169.254) is always among them.
            pub(super) no_proxy: Option<Strings>,
            /// Name of an environment. May be left out if there is exactly one.
            pub(super) environment: Option<At<String>>,
            /// Which host key is right: "strict" (only one in `known_hosts`; the default), "accept-new" (a host without
            /// an entry is trusted once and recorded), or "SHA256:..." as `ssh-keygen -l` prints it. If nothing says
            /// otherwise, `StrictHostKeyChecking` of the SSH configuration.
            pub(super) host_key: Option<At<String>>,
            /// `known_hosts` file, or a list of them; "accept-new" writes to the first. If nothing says otherwise,
            /// `UserKnownHostsFile` and `GlobalKnownHostsFile` of the SSH configuration, else
            /// `["~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts"]`.
            pub(super) known_hosts: Option<Strings>,
            /// Tags of the managed node: at most 47, keys up to 128 and values up to 256 characters. `Name`, `aws:*` and
            /// `bootstrap:*` are reserved.
            #[serde(default)]
            pub(super) tags: Table<At<String>>,
            /// Limits of time, such as "90s", "5m" or "1h30m", and of retries.
            #[serde(default)]
            pub(super) limits: RawLimits,
        }

        impl $name {
            pub(super) fn settings(&self) -> RawSettings<'_> {
                RawSettings {
                    connection: self.connection.as_ref(),
                    enrol: self.enrol.as_ref(),
                    user: self.user.as_ref(),
                    port: self.port.as_ref(),
                    identity: self.identity.as_ref(),
                    jump: self.jump.as_ref(),
                    ssh_password: self.ssh_password.as_ref(),
                    r#become: self.r#become.as_ref(),
                    become_prompt: self.become_prompt.as_ref(),
                    deliver: self.deliver.as_ref(),
                    proxy: self.proxy.as_ref(),
                    no_proxy: self.no_proxy.as_ref(),
                    environment: self.environment.as_ref(),
                    host_key: self.host_key.as_ref(),
                    known_hosts: self.known_hosts.as_ref(),
                    tags: &self.tags,
                    limits: &self.limits,
                }
            }
        }
    };
}

with_settings! {
    /// What holds for every host, unless its groups or the host itself say otherwise; and how runs go.
    #[schemars(rename = "Defaults")]
    struct RawDefaults {
        /// How many hosts are worked on at once; 50 if left out.
        #[schemars(range(min = 1, max = 10000))]
        concurrency: Option<At<u32>>,
        /// Limit of the whole run, such as "2h". Without it every host has its own limits only.
        run_within: Option<At<String>>,
    }
}

with_settings! {
    /// Hosts with something in common.
    #[schemars(rename = "Group")]
    struct RawGroup {
        /// Names of hosts, or ranges of them (`rack1-[01:20]`). A name that no `[[hosts]]` entry defines becomes a
        /// host whose address is its name.
        #[serde(default)]
        hosts: Vec<At<String>>,
    }
}

with_settings! {
    /// A host, or a range of hosts.
    #[schemars(rename = "Host")]
    struct RawHost {
        /// Its name, or a range of names (`rack1-[01:20]`).
        #[schemars(required)]
        name: Option<At<String>>,
        /// DNS name or IP address; or a range of as many as there are names. The name if left out.
        address: Option<At<String>>,
        /// Groups that it is in, besides those that list it.
        #[serde(default)]
        groups: Vec<At<String>>,
    }
}

/// The settings of one layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawSettings<'a> {
    pub(super) connection: Option<&'a At<Connection>>,
    pub(super) enrol: Option<&'a At<bool>>,
    pub(super) user: Option<&'a At<String>>,
    pub(super) port: Option<&'a At<u16>>,
    pub(super) identity: Option<&'a Strings>,
    pub(super) jump: Option<&'a Strings>,
    pub(super) ssh_password: Option<&'a At<LoginPassword>>,
    pub(super) r#become: Option<&'a At<Escalation>>,
    pub(super) become_prompt: Option<&'a At<String>>,
    pub(super) deliver: Option<&'a At<Delivery>>,
    pub(super) proxy: Option<&'a At<String>>,
    pub(super) no_proxy: Option<&'a Strings>,
    pub(super) environment: Option<&'a At<String>>,
    pub(super) host_key: Option<&'a At<String>>,
    pub(super) known_hosts: Option<&'a Strings>,
    pub(super) tags: &'a Table<At<String>>,
    pub(super) limits: &'a RawLimits,
}

/// Limits of time, such as "90s", "5m" or "1h30m", and of retries.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Limits")]
pub(super) struct RawLimits {
    /// TCP connect, SSH handshake and authentication, each; "15s" if left out.
    pub(super) connect: Option<At<String>>,
    /// One command on the host; "10m" if left out.
    pub(super) command: Option<At<String>>,
    /// Everything on one host, the wait for Online apart; "30m" if left out.
    pub(super) host: Option<At<String>>,
    /// How often a host is tried again after a failure that may heal, such as a connection that is refused or lost; 2 if
    /// left out.
    #[schemars(range(min = 0, max = 10))]
    pub(super) retries: Option<At<u32>>,
}

/// The agent's package.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Package")]
pub(super) struct RawPackage {
    /// A file, a directory, or an http(s) URL laid out like AWS's bucket; or AWS's bucket of the environment's Region:
    /// "aws" (the default), "aws:stable", "aws:3.3.987.0".
    pub(super) source: Option<At<String>>,
    /// Whether an OpenPGP signature must be there; "required" for URLs and "if-present" for files if left out.
    pub(super) verify: Option<At<VerifyWish>>,
    /// Files with armored OpenPGP public keys that are trusted besides AWS's.
    pub(super) keys: Option<Strings>,
    /// SHA-256 of the package, 64 hex digits. It goes with `source`: an environment with a `source` of its own does
    /// not take it over.
    pub(super) sha256: Option<At<String>>,
}

/// Where managed nodes belong in AWS, and how they come to be.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Environment")]
pub(super) struct RawEnvironment {
    /// AWS Region, such as "eu-central-1".
    #[schemars(required)]
    pub(super) region: Option<At<String>>,
    /// IAM service role of the managed nodes: its name, or path and name ("service-role/NAME"); no ARN.
    #[schemars(required)]
    pub(super) role: Option<At<String>>,
    /// AWS profile for the controller's own credentials; the usual chain of the AWS SDKs if left out.
    pub(super) profile: Option<At<String>>,
    /// The managed node's `Name`, with `{host}`, `{address}` and `{environment}` filled in; "{host}" if left out.
    pub(super) instance_name: Option<At<String>>,
    /// Tags of this environment's managed nodes; groups and hosts may override them.
    #[serde(default)]
    pub(super) tags: Table<At<String>>,
    /// URL of the SSM endpoint; AWS's own if left out.
    pub(super) endpoint: Option<At<String>>,
    /// URL of the SSM endpoint as the hosts reach it; `endpoint` if left out.
    pub(super) agent_endpoint: Option<At<String>>,
    /// File of PEM certificates that the controller trusts for `endpoint` and the package's `source`, besides the system's.
    pub(super) ca_bundle: Option<At<String>>,
    /// How long an agent may take until it is Online; "5m" if left out.
    pub(super) online_within: Option<At<String>>,
    /// Where the hybrid activation comes from: made by the run (`expires_in`), or given (an id and a code).
    pub(super) activation: Option<At<RawActivation>>,
    /// The agent's package in this environment.
    #[serde(default)]
    pub(super) package: RawPackage,
}

/// Where the hybrid activation comes from.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Activation")]
pub(super) struct RawActivation {
    /// The run makes an activation that lives this long at most, "1h" to "30d"; "4h" if left out.
    pub(super) expires_in: Option<At<String>>,
    /// Id of an activation of yours.
    pub(super) id: Option<At<String>>,
    /// File whose first line is the id.
    pub(super) id_file: Option<At<String>>,
    /// Environment variable that holds the id.
    pub(super) id_env: Option<At<String>>,
    /// File whose first line is the code.
    pub(super) code_file: Option<At<String>>,
    /// Environment variable that holds the code.
    pub(super) code_env: Option<At<String>>,
    /// Never written here: it is a secret, and inventories are committed and mailed. Put the code into a file and name
    /// that with `code_file`, or into an environment variable and name that with `code_env`.
    #[schemars(schema_with = "refused")]
    pub(super) code: Option<IgnoredAny>,
}

fn refused(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({ "not": {} })
}
