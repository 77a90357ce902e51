//! Three layers folded into one login: what the inventory says wins over the SSH configuration, which wins over habit. A jump
//! host that the SSH configuration says little of also takes over what the inventory says of the host behind it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{KeyWish, Login, Method, NoLogin, Origin, Pace, Trust};
use crate::{
    inventory::{HostKeyPolicy, HostSpec},
    ssh::{
        config::{AddressFamily, HostKeyChecking, HostOptions, IdentityAgent, Local},
        error::Peer,
    },
};

const PORT: u16 = 22;
const CONNECT: Duration = Duration::from_secs(15);
/// A silent connection is asked for a sign of life this often; home routers forget one after minutes.
const ALIVE: Duration = Duration::from_secs(15);
/// As many as `ssh` allows.
const MISSING: usize = 3;
/// As `ssh` tries them, those apart that need a hardware token.
const HABIT: [&str; 3] = ["id_rsa", "id_ecdsa", "id_ed25519"];
const METHODS: [(&str, Method); 3] = [
    ("publickey", Method::PublicKey),
    ("keyboard-interactive", Method::KeyboardInteractive),
    ("password", Method::Password),
];

/// What the inventory says of a login.
#[derive(Clone, Debug, Default)]
pub(super) struct Said<'a> {
    user: Option<&'a str>,
    port: Option<u16>,
    identities: Option<&'a [PathBuf]>,
    policy: Option<&'a HostKeyPolicy>,
    known_hosts: Option<&'a [PathBuf]>,
    connect: Option<Duration>,
    password: bool,
}

impl<'a> Said<'a> {
    /// What it says of a host.
    pub(super) fn of(host: &'a HostSpec) -> Self {
        Self {
            user: host.user.as_deref(),
            port: host.port,
            identities: host.identities.as_deref(),
            policy: host.host_key.as_ref(),
            known_hosts: host.known_hosts.as_deref(),
            connect: host.limits.connect,
            password: host.password,
        }
    }

    /// What of that is good for a jump host too: never a login of its own, a password or the key of one host.
    pub(super) fn for_jump(&self) -> Self {
        let policy = self.policy.filter(|policy| !matches!(policy, HostKeyPolicy::Pinned(_)));
        Self { user: None, port: None, password: false, policy, ..self.clone() }
    }
}

/// A login: `said` wins over `options`, and these over `inherited`.
pub(super) fn login(
    said: &Said<'_>,
    options: &HostOptions,
    inherited: &Said<'_>,
    local: &Local,
    via: Option<Arc<Login>>,
) -> Result<Login, NoLogin> {
    let port = said.port.or(options.port).unwrap_or(PORT);
    let peer = Peer { address: options.host_name.clone(), port };
    let user = said.user.or(options.user.as_deref()).or(local.user.as_deref());
    let nobody = || NoLogin::Nobody { alias: options.alias.clone(), uid: local.uid };
    let user = user.ok_or_else(nobody)?.to_owned();
    let configured = options.connect_timeout.filter(|limit| !limit.is_zero());
    let alive = options.server_alive_interval.unwrap_or(ALIVE);
    Ok(Login {
        alias: options.alias.clone(),
        user,
        keys: keys(said, options, inherited, local),
        methods: methods(options),
        password: said.password,
        trust: trust(said, options, inherited, local, &peer),
        pace: Pace {
            connect: said.connect.or(configured).or(inherited.connect).unwrap_or(CONNECT),
            attempts: options.connection_attempts.unwrap_or(1).max(1),
            alive: Some(alive).filter(|alive| !alive.is_zero()),
            missing: options
                .server_alive_count_max
                .map_or(MISSING, |most| usize::try_from(most).unwrap_or(usize::MAX)),
        },
        family: options.address_family.unwrap_or(AddressFamily::Any),
        compression: options.compression.unwrap_or(false),
        via,
        peer,
    })
}

fn keys(said: &Said<'_>, options: &HostOptions, inherited: &Said<'_>, local: &Local) -> KeyWish {
    let habit = || {
        let home = local.home.as_deref().map(|home| home.join(".ssh"));
        home.map(|home| HABIT.iter().map(|name| home.join(name)).collect()).unwrap_or_default()
    };
    let (files, origin) = match (said.identities, &options.identity_files, inherited.identities) {
        (Some(files), ..) | (None, None, Some(files)) => (files.to_vec(), Origin::Inventory),
        (None, Some(files), _) => (files.clone(), Origin::Configuration),
        (None, None, None) => (habit(), Origin::Habit),
    };
    let agent = match &options.identity_agent {
        Some(IdentityAgent::Socket(socket)) => Some(socket.clone()),
        Some(IdentityAgent::None) => None,
        None => local.variable("SSH_AUTH_SOCK").filter(|socket| !socket.is_empty()).map(PathBuf::from),
    };
    KeyWish {
        files,
        origin,
        only: options.identities_only.unwrap_or(false),
        agent,
        certificates: options.certificate_files.clone(),
    }
}

fn methods(options: &HostOptions) -> Vec<Method> {
    let allowed = |method: Method| {
        let said = match method {
            Method::PublicKey => options.public_key,
            Method::KeyboardInteractive => options.keyboard_interactive,
            Method::Password => options.password,
        };
        said.unwrap_or(true)
    };
    let known = |name: &str| METHODS.iter().find(|(known, _)| *known == name).map(|(_, method)| *method);
    let mut order = Vec::new();
    let wanted: Vec<Method> = match &options.preferred_authentications {
        Some(names) => names.iter().filter_map(|name| known(name)).collect(),
        None => METHODS.iter().map(|(_, method)| *method).collect(),
    };
    for method in wanted {
        if allowed(method) && !order.contains(&method) {
            order.push(method);
        }
    }
    order
}

fn trust(said: &Said<'_>, options: &HostOptions, inherited: &Said<'_>, local: &Local, peer: &Peer) -> Trust {
    let configured = options.host_key_checking.map(|checking| match checking {
        // Nobody can be asked.
        HostKeyChecking::Yes | HostKeyChecking::Ask => HostKeyPolicy::Strict,
        // A changed key is never taken; that this is not what `no` says is told.
        HostKeyChecking::AcceptNew | HostKeyChecking::No => HostKeyPolicy::AcceptNew,
    });
    let own = local.home.iter().map(|home| home.join(".ssh/known_hosts")).collect::<Vec<_>>();
    let machine = vec![Path::new("/etc/ssh/ssh_known_hosts").to_owned()];
    let (user, global) = (&options.user_known_hosts, &options.global_known_hosts);
    let (files, record) = match (said.known_hosts, inherited.known_hosts) {
        (None, Some(files)) if user.is_none() && global.is_none() => (files.to_vec(), files.first().cloned()),
        (Some(files), _) => (files.to_vec(), files.first().cloned()),
        _ => {
            let user = user.clone().unwrap_or(own);
            let record = user.first().cloned();
            (user.into_iter().chain(global.clone().unwrap_or(machine)).collect(), record)
        }
    };
    Trust {
        policy: said
            .policy
            .cloned()
            .or(configured)
            .or_else(|| inherited.policy.cloned())
            .unwrap_or(HostKeyPolicy::Strict),
        // As OpenSSH has it, an alias has no port.
        name: match &options.host_key_alias {
            Some(alias) => Peer { address: alias.clone(), port: PORT },
            None => peer.clone(),
        },
        files,
        record,
    }
}
