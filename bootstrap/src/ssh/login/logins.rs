//! The logins of a fleet, found before anything is done: so that a passphrase is asked for once, and so that jump hosts that
//! are the same to many hosts are one.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    Login,
    fold::{self, Said},
};
use crate::{
    inventory::{Connection, HostName, HostSpec, JumpHost},
    ssh::config::{ConfigError, Given, HostOptions, Place, Route, SshConfig, Unsupported},
};

/// Why there is no way to log in to a host.
#[derive(Debug, thiserror::Error)]
pub enum NoLogin {
    /// The SSH configuration makes no sense for it.
    #[error("the SSH configuration cannot be followed")]
    Configuration(#[source] ConfigError),
    /// The way to it is a program.
    #[error("{place}: `ProxyCommand` is the way to `{alias}`, and is not supported")]
    Command {
        /// The host.
        alias: String,
        /// The line that says so.
        place: Place,
    },
    /// Neither the inventory nor the SSH configuration nor this machine names a user.
    #[error(
        "no user is named to log in to `{alias}` as, and user number {uid} of this machine has no name either"
    )]
    Nobody {
        /// The host.
        alias: String,
        /// Who we are.
        uid: u32,
    },
    /// The way to it leads through itself.
    #[error("jump hosts of the inventory go round in circles: {}", chain.join(" -> "))]
    Loop {
        /// From the host to itself.
        chain: Vec<String>,
    },
}

impl NoLogin {
    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Configuration(source) => source.hint(),
            Self::Command { .. } => {
                "a jump host is written `ProxyJump`: `ProxyCommand ssh -W %h:%p gate` is `ProxyJump gate`; \
                                     or set `jump` in the inventory, \"none\" for a straight way"
                    .to_owned()
            }
            Self::Nobody { .. } => {
                "set `user` in the inventory, `User` in the SSH configuration, or USER in the environment"
                    .to_owned()
            }
            Self::Loop { chain } => {
                let first = chain.first().map_or("the jump host", String::as_str);
                format!("give `{first}` a way of its own: `jump = \"none\"`")
            }
        }
    }
}

/// How to log in to each host of a fleet.
#[derive(Debug)]
pub struct Logins {
    /// In the order of their names: what is asked and said on their behalf has one.
    hosts: BTreeMap<HostName, Result<Arc<Login>, Arc<NoLogin>>>,
    unsupported: Vec<Unsupported>,
}

impl Logins {
    /// Finds those of the `chosen` hosts; any of `all` may be a jump host.
    #[must_use]
    pub fn find(config: &SshConfig, chosen: &[Arc<HostSpec>], all: &[Arc<HostSpec>]) -> Self {
        let by_ssh = |host: &&Arc<HostSpec>| host.connection == Connection::Ssh;
        let inventory = all.iter().filter(by_ssh).map(|host| (host.name.as_str(), host.as_ref())).collect();
        let mut search = Search { config, inventory, jumps: HashMap::new(), unsupported: Vec::new() };
        let mut hosts = BTreeMap::new();
        for host in chosen.iter().filter(by_ssh) {
            let found = search.host(host, &mut Vec::new()).map(Arc::new).map_err(Arc::new);
            hosts.insert(host.name.clone(), found);
        }
        Self { hosts, unsupported: Unsupported::once_per_file(search.unsupported) }
    }

    /// What in the SSH configuration is not followed, to be said once.
    #[must_use]
    pub fn unsupported(&self) -> &[Unsupported] {
        &self.unsupported
    }

    /// Whom a host is logged in to as.
    #[must_use]
    pub fn user(&self, host: &HostName) -> Option<&str> {
        self.hosts.get(host)?.as_ref().ok().map(|login| login.user.as_str())
    }

    /// Whether a password is good for any of them.
    #[must_use]
    pub fn want_password(&self) -> bool {
        self.each().any(|login| login.password)
    }

    /// How to log in to a host; `None` for one that was not among the chosen.
    pub(in crate::ssh) fn of(&self, host: &HostName) -> Option<&Result<Arc<Login>, Arc<NoLogin>>> {
        self.hosts.get(host)
    }

    /// All logins and those on their ways; some more than once.
    pub(in crate::ssh) fn each(&self) -> impl Iterator<Item = &Login> {
        self.hosts.values().filter_map(|found| found.as_ref().ok()).flat_map(|login| login.way())
    }
}

struct Search<'a> {
    config: &'a SshConfig,
    inventory: HashMap<&'a str, &'a HostSpec>,
    /// Found so far, by where they are: one that is the same is the same one.
    jumps: HashMap<(String, u16), Vec<Arc<Login>>>,
    unsupported: Vec<Unsupported>,
}

impl Search<'_> {
    /// The login of a host of the inventory; `trail` is what was asked for on the way here.
    fn host(&mut self, host: &HostSpec, trail: &mut Vec<String>) -> Result<Login, NoLogin> {
        trail.push(host.name.to_string());
        if trail.iter().filter(|name| *name == host.name.as_str()).count() > 1 {
            return Err(NoLogin::Loop { chain: trail.clone() });
        }
        let said = Said::of(host);
        let (options, route) =
            self.ask(&host.address, host.user.as_deref(), host.port, host.jump.is_some())?;
        let via = match (&host.jump, route) {
            (Some(jumps), _) => self.inventory_way(jumps, &said, trail)?,
            (None, route) => self.configured_way(route, &host.address, &said)?,
        };
        trail.pop();
        fold::login(&said, &options, &Said::default(), self.config.local(), via)
    }

    fn ask(
        &mut self,
        alias: &str,
        user: Option<&str>,
        port: Option<u16>,
        has_way: bool,
    ) -> Result<(HostOptions, Route), NoLogin> {
        let given = Given { user, port, host_name: None };
        let found = self.config.resolve(alias, given).map_err(NoLogin::Configuration)?;
        let matters = |one: &Unsupported| !has_way || one.keyword != "ProxyCommand";
        self.unsupported.extend(found.unsupported.into_iter().filter(matters));
        // Thousands of hosts say the same.
        if self.unsupported.len() > 1_000 {
            self.unsupported = Unsupported::once_per_file(std::mem::take(&mut self.unsupported));
        }
        Ok((found.options, found.route))
    }

    fn configured_way(
        &mut self,
        route: Route,
        alias: &str,
        behind: &Said<'_>,
    ) -> Result<Option<Arc<Login>>, NoLogin> {
        match route {
            Route::Direct => Ok(None),
            Route::Command(place) => Err(NoLogin::Command { alias: alias.to_owned(), place }),
            Route::Jumps(jumps) => jumps.iter().try_fold(None, |via, options| {
                let login = self.jump(options, behind, via)?;
                Ok(Some(self.shared(login)))
            }),
        }
    }

    /// As with `ssh -J`, only the first of a chain is asked for a way of its own.
    fn inventory_way(
        &mut self,
        jumps: &[JumpHost],
        behind: &Said<'_>,
        trail: &mut Vec<String>,
    ) -> Result<Option<Arc<Login>>, NoLogin> {
        let mut via = None;
        for (index, jump) in jumps.iter().enumerate() {
            let login = if let Some(host) = self.inventory.get(jump.name.as_str()).copied() {
                let mut host = host.clone();
                host.user = jump.user.clone().or(host.user);
                host.port = jump.port.or(host.port);
                if index > 0 {
                    host.jump = Some(Vec::new());
                }
                let login = self.host(&host, trail)?;
                if index > 0 { Login { via, ..login } } else { login }
            } else {
                let (options, route) = self.ask(&jump.name, jump.user.as_deref(), jump.port, index > 0)?;
                let before = if index > 0 { via } else { self.configured_way(route, &jump.name, behind)? };
                self.jump(&options, behind, before)?
            };
            via = Some(self.shared(login));
        }
        Ok(via)
    }

    fn jump(
        &self,
        options: &HostOptions,
        behind: &Said<'_>,
        via: Option<Arc<Login>>,
    ) -> Result<Login, NoLogin> {
        fold::login(&Said::default(), options, &behind.for_jump(), self.config.local(), via)
    }

    fn shared(&mut self, login: Login) -> Arc<Login> {
        let same_place = self.jumps.entry((login.peer.address.clone(), login.peer.port)).or_default();
        if let Some(known) = same_place.iter().find(|known| ***known == login) {
            return Arc::clone(known);
        }
        let login = Arc::new(login);
        same_place.push(Arc::clone(&login));
        login
    }
}
