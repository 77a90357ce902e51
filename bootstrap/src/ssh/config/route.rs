//! The way to a host: straight, or through others, each of which is itself a host of the configuration.
//!
//! As with `ssh`, the hosts of one `ProxyJump` follow each other as they are written, so only the first of them is asked
//! how it is itself reached.

use super::{
    SshConfig,
    error::{ConfigError, Place, Unsupported},
    jump::Jump,
    options::{Found, Given, HostOptions},
};

/// Longer ways are mistakes.
const MOST_JUMPS: usize = 16;
const PORT: u16 = 22;

/// How a host is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// By connecting to it.
    Direct,
    /// Through these, the first of which is connected to first.
    Jumps(Vec<HostOptions>),
    /// By a program (`ProxyCommand`), which is not supported: there is no other way that we know.
    Command(Place),
}

/// A host's options and the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The host itself.
    pub options: HostOptions,
    /// The way.
    pub route: Route,
    /// What of all this is not followed, for the host and those on its way.
    pub unsupported: Vec<Unsupported>,
}

/// A host on the way, with its tokens filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stop {
    alias: String,
    user: Option<String>,
    port: Option<u16>,
}

enum Proxy {
    None,
    Jumps(Stop, Vec<Stop>),
    Command(Place),
}

impl SshConfig {
    /// What the configuration says of a host, asked for by a name as one would give it to `ssh`.
    pub fn resolve(&self, alias: &str, given: Given<'_>) -> Result<Resolved, ConfigError> {
        let found = self.find(alias, given)?;
        let options = found.options()?;
        let mut trail = Trail {
            stops: vec![Stop {
                alias: alias.to_owned(),
                user: given.user.map(str::to_owned),
                port: given.port,
            }],
            unsupported: found.settings.unsupported(),
        };
        let route = self.route(&found, &options, &mut trail)?;
        if let Route::Jumps(jumps) = &route
            && let Some(same) = jumps.iter().find(|jump| is_same_place(jump, &options))
        {
            return Err(ConfigError::JumpLoop { chain: vec![alias.to_owned(), same.alias.clone()] });
        }
        trail.unsupported.sort();
        trail.unsupported.dedup();
        Ok(Resolved { options, route, unsupported: trail.unsupported })
    }

    fn route(
        &self,
        found: &Found<'_>,
        options: &HostOptions,
        trail: &mut Trail,
    ) -> Result<Route, ConfigError> {
        let (first, others) = match proxy(found, options)? {
            Proxy::None => return Ok(Route::Direct),
            Proxy::Command(place) => {
                trail
                    .unsupported
                    .push(Unsupported { place: place.clone(), keyword: "ProxyCommand".to_owned() });
                return Ok(Route::Command(place));
            }
            Proxy::Jumps(first, others) => (first, others),
        };
        trail.enter(&first)?;
        let at_first = self.find(&first.alias, first.given())?;
        let options = at_first.options()?;
        trail.unsupported.extend(at_first.settings.unsupported());
        let mut way = match self.route(&at_first, &options, trail)? {
            Route::Direct => Vec::new(),
            Route::Jumps(jumps) => jumps,
            command @ Route::Command(_) => return Ok(command),
        };
        way.push(options);
        for stop in &others {
            let found = self.find(&stop.alias, stop.given())?;
            trail.unsupported.extend(found.settings.unsupported());
            way.push(found.options()?);
        }
        if way.len() > MOST_JUMPS { Err(trail.too_long()) } else { Ok(Route::Jumps(way)) }
    }
}

/// Where one has been on the search for the beginning of a way.
struct Trail {
    stops: Vec<Stop>,
    unsupported: Vec<Unsupported>,
}

impl Trail {
    fn enter(&mut self, stop: &Stop) -> Result<(), ConfigError> {
        let was_here = self.stops.contains(stop);
        self.stops.push(stop.clone());
        if was_here {
            let chain = self.stops.iter().map(|stop| stop.alias.clone()).collect();
            return Err(ConfigError::JumpLoop { chain });
        }
        // Tokens can make a name of which each way begins with a longer one.
        if self.stops.len() > MOST_JUMPS { Err(self.too_long()) } else { Ok(()) }
    }

    fn too_long(&self) -> ConfigError {
        let target = self.stops.first().map(|stop| stop.alias.clone());
        ConfigError::TooManyJumps { alias: target.unwrap_or_default(), limit: MOST_JUMPS }
    }
}

impl Stop {
    fn given(&self) -> Given<'_> {
        Given { user: self.user.as_deref(), port: self.port, host_name: None }
    }
}

fn proxy(found: &Found<'_>, options: &HostOptions) -> Result<Proxy, ConfigError> {
    let settings = &found.settings;
    if let Some(jumps) = &settings.proxy_jump
        && let Some(chain) = &jumps.value
    {
        let fill = |text: &str| {
            let filled = found.on_the_way(text, options.user.as_deref());
            filled.map_err(|fault| fault.at(&jumps.place))
        };
        let stop = |jump: &Jump| {
            let user = jump.user.as_deref().map(fill).transpose()?;
            Ok(Stop { alias: fill(&jump.host)?, user, port: jump.port })
        };
        if let Some((first, others)) = chain.split_first() {
            let others = others.iter().map(stop).collect::<Result<_, _>>()?;
            return Ok(Proxy::Jumps(stop(first)?, others));
        }
    }
    Ok(match &settings.proxy_command {
        Some(command) if command.value => Proxy::Command(command.place.clone()),
        _ => Proxy::None,
    })
}

fn is_same_place(one: &HostOptions, other: &HostOptions) -> bool {
    let place = |host: &HostOptions| (host.host_name.clone(), host.port.unwrap_or(PORT), host.user.clone());
    place(one) == place(other)
}
