//! What the configuration says of one host, with everything filled in. What it says nothing of is `None`: defaults are
//! the caller's.

use std::{path::PathBuf, time::Duration};

use super::{
    error::{ConfigError, Fault},
    expand::{self, Tokens},
    local::Local,
    settings::{Placed, Settings},
    values::{AddressFamily, HostKeyChecking},
};

/// The port where nothing is said.
const PORT: u16 = 22;

/// One host as the configuration has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostOptions {
    /// The name it was asked for by.
    pub alias: String,
    /// DNS name, in lower case, or IP address to connect to.
    pub host_name: String,
    /// Login user.
    pub user: Option<String>,
    /// SSH port.
    pub port: Option<u16>,
    /// Private keys in the order to try; they need not be there. `Some` and empty: none (`IdentityFile none`).
    pub identity_files: Option<Vec<PathBuf>>,
    /// Whether an agent's other keys are left alone.
    pub identities_only: Option<bool>,
    /// Which agent is asked.
    pub identity_agent: Option<IdentityAgent>,
    /// Certificates to show with the keys that they are for; they need not be there.
    pub certificate_files: Vec<PathBuf>,
    /// Whether keys are used.
    pub public_key: Option<bool>,
    /// Whether passwords are used.
    pub password: Option<bool>,
    /// Whether questions by the server are answered.
    pub keyboard_interactive: Option<bool>,
    /// Names of methods (`publickey`, `password`, ...) in the order to try.
    pub preferred_authentications: Option<Vec<String>>,
    /// `known_hosts` files of the user's, a new key going to the first. `Some` and empty: none.
    pub user_known_hosts: Option<Vec<PathBuf>>,
    /// `known_hosts` files of the machine's, only to be read. `Some` and empty: none.
    pub global_known_hosts: Option<Vec<PathBuf>>,
    /// What an unknown host key leads to.
    pub host_key_checking: Option<HostKeyChecking>,
    /// The name to look for in `known_hosts`, without a port, in lower case.
    pub host_key_alias: Option<String>,
    /// The limit for connecting; zero is none.
    pub connect_timeout: Option<Duration>,
    /// How often connecting is tried; at least 1.
    pub connection_attempts: Option<u32>,
    /// How often a silent server is asked for a sign of life; zero is never.
    pub server_alive_interval: Option<Duration>,
    /// How many signs of life may be missing.
    pub server_alive_count_max: Option<u32>,
    /// Which addresses are connected to.
    pub address_family: Option<AddressFamily>,
    /// Whether data is compressed.
    pub compression: Option<bool>,
}

/// What is said of a host outside of the configuration; it wins, and conditions of the configuration see it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given<'a> {
    /// Login user.
    pub user: Option<&'a str>,
    /// SSH port.
    pub port: Option<u16>,
    /// DNS name or address to connect to, instead of the alias.
    pub host_name: Option<&'a str>,
}

/// Which agent is asked for keys (`IdentityAgent`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityAgent {
    /// None.
    None,
    /// The one behind this socket.
    Socket(PathBuf),
}

/// What is known of a host before its options can be filled in.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) alias: &'a str,
    pub(super) given: Given<'a>,
    pub(super) local: &'a Local,
    /// The name or address to connect to.
    pub(super) host: String,
    pub(super) settings: Settings,
}

impl Found<'_> {
    /// Fills in all options.
    pub(super) fn options(&self) -> Result<HostOptions, ConfigError> {
        let settings = &self.settings;
        let user = self.user()?;
        let port = settings.port.unwrap_or(PORT).to_string();
        let uid = self.local.uid.to_string();
        let mut tokens = self.tokens(&port, &uid);
        tokens.extend(user.as_deref().or(self.local.user.as_deref()).map(|user| ('r', user)));
        let path = |text: &str| expand::path(text, &tokens, self.local);
        let plain = |text: &str| expand::plain_path(text, self.local);
        let identity_files = each(settings.identity_files.iter().filter(|file| !is_none(&file.value)), path)?;
        Ok(HostOptions {
            alias: self.alias.to_owned(),
            host_name: self.host.clone(),
            user: user.clone(),
            port: settings.port,
            identity_files: (!settings.identity_files.is_empty()).then_some(identity_files),
            identities_only: settings.identities_only,
            identity_agent: self.agent(&tokens)?,
            certificate_files: each(
                settings.certificate_files.iter().filter(|file| !is_none(&file.value)),
                path,
            )?,
            public_key: settings.public_key,
            password: settings.password,
            keyboard_interactive: settings.keyboard_interactive,
            preferred_authentications: settings.preferred_authentications.as_deref().map(names),
            user_known_hosts: known_hosts(settings.user_known_hosts.as_ref(), path)?,
            global_known_hosts: known_hosts(settings.global_known_hosts.as_ref(), plain)?,
            host_key_checking: settings.strict_host_key_checking,
            host_key_alias: settings.host_key_alias.clone(),
            connect_timeout: settings.connect_timeout,
            connection_attempts: settings.connection_attempts,
            server_alive_interval: settings.server_alive_interval,
            server_alive_count_max: settings.server_alive_count_max,
            address_family: settings.address_family,
            compression: settings.compression,
        })
    }

    /// Fills in a text that takes the tokens of a way to the host: `ProxyJump`.
    pub(super) fn on_the_way(&self, text: &str, user: Option<&str>) -> Result<String, Fault> {
        let port = self.settings.port.unwrap_or(PORT).to_string();
        let mut tokens = vec![('h', self.host.as_str()), ('n', self.alias), ('p', &port)];
        tokens.extend(user.or(self.local.user.as_deref()).map(|user| ('r', user)));
        expand::tokens(text, &tokens)
    }

    fn user(&self) -> Result<Option<String>, ConfigError> {
        // What the caller gave means itself.
        if let Some(given) = self.given.user {
            return Ok(Some(given.to_owned()));
        }
        let Some(Placed { value, place }) = &self.settings.user else { return Ok(None) };
        let port = self.settings.port.unwrap_or(PORT).to_string();
        let uid = self.local.uid.to_string();
        let user = expand::all(value, &self.tokens(&port, &uid), self.local);
        user.map(Some).map_err(|fault| fault.at(place))
    }

    /// What tokens stand for, all but `%r`; of `%u`, nobody may know.
    fn tokens<'t>(&'t self, port: &'t str, uid: &'t str) -> Vec<(char, &'t str)> {
        let local = self.local;
        let key_alias = self.settings.host_key_alias.as_deref().unwrap_or(self.alias);
        let home = local.home.as_deref().and_then(|home| home.to_str()).unwrap_or("~");
        let mut tokens = vec![
            ('d', home),
            ('h', self.host.as_str()),
            ('i', uid),
            ('k', key_alias),
            ('L', local.short_host()),
            ('l', &local.host),
            ('n', self.alias),
            ('p', port),
        ];
        tokens.extend(local.user.as_deref().map(|user| ('u', user)));
        tokens
    }

    fn agent(&self, tokens: &Tokens<'_>) -> Result<Option<IdentityAgent>, ConfigError> {
        let Some(Placed { value, place }) = &self.settings.identity_agent else { return Ok(None) };
        let of_variable = |name: &str| match self.local.variable(name) {
            Some(socket) => IdentityAgent::Socket(PathBuf::from(socket)),
            None => IdentityAgent::None,
        };
        if is_none(value) {
            return Ok(Some(IdentityAgent::None));
        }
        if value == "SSH_AUTH_SOCK" {
            return Ok(Some(of_variable(value)));
        }
        // An older way to name a variable.
        if let Some(name) = value.strip_prefix('$').filter(|name| !name.starts_with('{')) {
            return Ok(Some(of_variable(name)));
        }
        let socket = expand::path(value, tokens, self.local).map_err(|fault| fault.at(place))?;
        Ok(Some(IdentityAgent::Socket(socket)))
    }
}

fn is_none(text: &str) -> bool {
    text.eq_ignore_ascii_case("none")
}

fn names(list: &str) -> Vec<String> {
    list.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn each<'s>(
    files: impl Iterator<Item = &'s Placed<String>>,
    path: impl Fn(&str) -> Result<PathBuf, Fault>,
) -> Result<Vec<PathBuf>, ConfigError> {
    files.map(|file| path(&file.value).map_err(|fault| fault.at(&file.place))).collect()
}

fn known_hosts(
    files: Option<&Placed<Vec<String>>>,
    path: impl Fn(&str) -> Result<PathBuf, Fault>,
) -> Result<Option<Vec<PathBuf>>, ConfigError> {
    let Some(Placed { value, place }) = files else { return Ok(None) };
    let files = value.iter().filter(|file| !is_none(file));
    let files: Result<_, _> = files.map(|file| path(file)).collect();
    files.map(Some).map_err(|fault| fault.at(place))
}
