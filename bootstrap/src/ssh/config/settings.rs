//! What applies to one host, gathered in the order of the files: of each keyword the first value stays, and files of
//! keys and certificates are all kept.

use std::{collections::HashMap, time::Duration};

use super::{
    error::{CHECKS_NOTHING, Place, Unsupported},
    jump::Jump,
    statement::Setting,
    values::{AddressFamily, HostKeyChecking},
};

/// A value and where it comes from.
#[derive(Clone, Debug)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

impl<T> Placed<T> {
    fn new(value: T, place: &Place) -> Self {
        Self { value, place: place.clone() }
    }
}

/// The values, tokens and variables in them not yet filled in.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) address_family: Option<AddressFamily>,
    pub(super) certificate_files: Vec<Placed<String>>,
    pub(super) compression: Option<bool>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) connection_attempts: Option<u32>,
    pub(super) global_known_hosts: Option<Placed<Vec<String>>>,
    pub(super) host_key_alias: Option<String>,
    pub(super) host_name: Option<Placed<String>>,
    pub(super) identities_only: Option<bool>,
    pub(super) identity_agent: Option<Placed<String>>,
    pub(super) identity_files: Vec<Placed<String>>,
    pub(super) ignore_unknown: Option<String>,
    pub(super) keyboard_interactive: Option<bool>,
    pub(super) password: Option<bool>,
    pub(super) port: Option<u16>,
    pub(super) preferred_authentications: Option<String>,
    pub(super) proxy_command: Option<Placed<bool>>,
    pub(super) proxy_jump: Option<Placed<Option<Vec<Jump>>>>,
    pub(super) public_key: Option<bool>,
    pub(super) server_alive_count_max: Option<u32>,
    pub(super) server_alive_interval: Option<Duration>,
    pub(super) strict_host_key_checking: Option<HostKeyChecking>,
    pub(super) tag: Option<String>,
    pub(super) user: Option<Placed<String>>,
    pub(super) user_known_hosts: Option<Placed<Vec<String>>>,
    unsupported: HashMap<&'static str, Option<Place>>,
}

impl Settings {
    /// The settings of a host whose port may already be said.
    pub(super) fn with_port(port: Option<u16>) -> Self {
        Self { port, ..Self::default() }
    }

    /// Takes a setting that applies.
    pub(super) fn take(&mut self, setting: &Setting, place: &Place) {
        match setting {
            Setting::AddressFamily(value) => keep(&mut self.address_family, value),
            Setting::CertificateFile(file) => add(&mut self.certificate_files, file, place),
            Setting::Compression(value) => keep(&mut self.compression, value),
            Setting::ConnectTimeout(value) => self.connect_timeout = self.connect_timeout.or(*value),
            Setting::ConnectionAttempts(value) => keep(&mut self.connection_attempts, value),
            Setting::GlobalKnownHostsFile(files) => keep_from(&mut self.global_known_hosts, files, place),
            // OpenSSH has it in lower case wherever it is used, in `%k` too.
            Setting::HostKeyAlias(value) => keep(&mut self.host_key_alias, &value.to_ascii_lowercase()),
            Setting::HostName(value) => keep_from(&mut self.host_name, value, place),
            Setting::IdentitiesOnly(value) => keep(&mut self.identities_only, value),
            Setting::IdentityAgent(value) => keep_from(&mut self.identity_agent, value, place),
            Setting::IdentityFile(file) => add(&mut self.identity_files, file, place),
            Setting::IgnoreUnknown(value) => keep(&mut self.ignore_unknown, value),
            Setting::KbdInteractiveAuthentication(value) => keep(&mut self.keyboard_interactive, value),
            Setting::PasswordAuthentication(value) => keep(&mut self.password, value),
            Setting::Port(value) => keep(&mut self.port, value),
            Setting::PreferredAuthentications(value) => keep(&mut self.preferred_authentications, value),
            Setting::ProxyCommand(value) => keep_from(&mut self.proxy_command, value, place),
            Setting::ProxyJump(jumps) => self.take_jumps(jumps.as_ref(), place),
            Setting::PubkeyAuthentication(value) => keep(&mut self.public_key, value),
            // It ends the matter before it gets here.
            Setting::RefuseConnection(_) => {}
            Setting::ServerAliveCountMax(value) => keep(&mut self.server_alive_count_max, value),
            Setting::ServerAliveInterval(value) => {
                self.server_alive_interval = self.server_alive_interval.or(*value);
            }
            Setting::StrictHostKeyChecking(value) => {
                if self.strict_host_key_checking.is_none() && *value == HostKeyChecking::No {
                    self.note(CHECKS_NOTHING, place);
                }
                keep(&mut self.strict_host_key_checking, value);
            }
            Setting::Tag(value) => keep(&mut self.tag, value),
            Setting::User(value) => keep_from(&mut self.user, value, place),
            Setting::UserKnownHostsFile(files) => keep_from(&mut self.user_known_hosts, files, place),
            Setting::Unsupported(name, matters) => {
                self.unsupported.entry(name).or_insert_with(|| matters.then(|| place.clone()));
            }
        }
    }

    /// Of jump hosts and a command, what comes first is the way; `ProxyJump none` leaves it open to a command.
    fn take_jumps(&mut self, jumps: Option<&Vec<Jump>>, place: &Place) {
        if self.proxy_jump.is_some() || (jumps.is_some() && self.proxy_command.is_some()) {
            return;
        }
        self.proxy_jump = Some(Placed::new(jumps.cloned(), place));
        if jumps.is_some() {
            self.proxy_command = Some(Placed::new(false, place));
        }
    }

    /// Notes what `ssh` would follow here and we do not.
    pub(super) fn note(&mut self, keyword: &'static str, place: &Place) {
        self.unsupported.entry(keyword).or_insert_with(|| Some(place.clone()));
    }

    /// All that is not followed, in the order of the files.
    pub(super) fn unsupported(&self) -> Vec<Unsupported> {
        let noted = self.unsupported.iter().filter_map(|(keyword, place)| {
            Some(Unsupported { place: place.clone()?, keyword: (*keyword).to_owned() })
        });
        let mut noted: Vec<_> = noted.collect();
        noted.sort();
        noted
    }
}

fn keep<T: Clone>(slot: &mut Option<T>, value: &T) {
    if slot.is_none() {
        *slot = Some(value.clone());
    }
}

fn keep_from<T: Clone>(slot: &mut Option<Placed<T>>, value: &T, place: &Place) {
    if slot.is_none() {
        *slot = Some(Placed::new(value.clone(), place));
    }
}

fn add(files: &mut Vec<Placed<String>>, file: &String, place: &Place) {
    if !files.iter().any(|known| known.value == *file) {
        files.push(Placed::new(file.clone(), place));
    }
}
