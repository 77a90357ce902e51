//! One host's way through the files, from the first line to the last, once or twice: which lines apply, and what they
//! add up to.

use std::net::IpAddr;

use super::{
    condition::{self, Condition, Subject, Verdict},
    error::{ConfigError, Fault},
    expand,
    local::Local,
    options::{Found, Given},
    pattern,
    read::{Entry, Says, ignores, unknown},
    settings::Settings,
    statement::{Setting, Statement},
};

/// Gathers what the files say of one host.
pub(super) fn walk<'a>(
    files: &[Vec<Entry>],
    local: &'a Local,
    alias: &'a str,
    given: Given<'a>,
) -> Result<Found<'a>, ConfigError> {
    let settings = Settings::with_port(given.port);
    let mut walk = Walk {
        local,
        alias,
        given,
        host: alias.to_owned(),
        final_pass: false,
        wants_final_pass: false,
        settings,
    };
    walk.files(files)?;
    // From here on, patterns of `Host` are compared with where we really go.
    walk.host = normal(walk.host_name()?);
    if walk.wants_final_pass {
        walk.final_pass = true;
        walk.files(files)?;
    }
    Ok(Found { alias, given, local, host: walk.host, settings: walk.settings })
}

struct Walk<'a> {
    local: &'a Local,
    alias: &'a str,
    given: Given<'a>,
    /// What `Host` is compared with.
    host: String,
    final_pass: bool,
    wants_final_pass: bool,
    settings: Settings,
}

impl Walk<'_> {
    fn files(&mut self, files: &[Vec<Entry>]) -> Result<(), ConfigError> {
        files.iter().try_for_each(|entries| self.entries(entries, true))
    }

    /// Follows the lines of a file; `applies` is whether the place that includes it applies.
    fn entries(&mut self, entries: &[Entry], applies: bool) -> Result<(), ConfigError> {
        let mut active = applies;
        for Entry { place, says } in entries {
            match says {
                Says::Included(files) => {
                    // A file that is included where nothing applies is read all the same: it may ask for a final pass.
                    files.iter().try_for_each(|entries| self.entries(entries, active))?;
                }
                Says::NotIncluded if active => self.settings.note("Include", place),
                Says::Statement(Statement::Host(patterns)) => {
                    active = applies && pattern::any(patterns.iter().map(String::as_str), &self.host);
                }
                Says::Statement(Statement::Match(conditions)) => {
                    let verdict = self.judge(conditions)?;
                    active = applies && verdict == Verdict::Yes;
                    if let (true, Verdict::Undecided(criterion)) = (applies, verdict) {
                        self.settings.note(criterion, place);
                    }
                }
                Says::Statement(Statement::Set(Setting::RefuseConnection(why))) if active => {
                    let what = format!("connecting to `{}` is refused: {why}", self.alias);
                    return Err(Fault::new(what, "take the host out, or the line").at(place));
                }
                Says::Statement(Statement::Set(setting)) if active => self.settings.take(setting, place),
                Says::Statement(Statement::Unknown(keyword)) => {
                    let excused =
                        self.settings.ignore_unknown.as_deref().is_some_and(|known| ignores(known, keyword));
                    if !excused {
                        return Err(unknown(keyword).at(place));
                    }
                }
                Says::NotIncluded | Says::Statement(Statement::Set(_) | Statement::Include(_)) => {}
            }
        }
        Ok(())
    }

    fn judge(&mut self, conditions: &[Condition]) -> Result<Verdict, ConfigError> {
        self.wants_final_pass |= condition::wants_final_pass(conditions);
        let host = if self.final_pass { self.host.clone() } else { self.host_name()? };
        let user = self.given.user.or(self.settings.user.as_ref().map(|user| user.value.as_str()));
        let local_user = self.local.user.as_deref().unwrap_or_default();
        let subject = Subject {
            host: &host,
            original_host: self.alias,
            user: user.unwrap_or(local_user),
            local_user,
            tag: self.settings.tag.as_deref().unwrap_or_default(),
            final_pass: self.final_pass,
        };
        Ok(condition::judge(conditions, &subject))
    }

    /// Where we go, as far as it is known.
    fn host_name(&self) -> Result<String, ConfigError> {
        match (self.given.host_name, &self.settings.host_name) {
            (Some(given), _) => Ok(given.to_owned()),
            (None, Some(set)) => {
                let name = expand::tokens(&set.value, &[('h', self.alias)]);
                name.map_err(|fault| fault.at(&set.place))
            }
            (None, None) => Ok(self.alias.to_owned()),
        }
    }
}

/// Names in lower case, addresses in their one spelling.
fn normal(host: String) -> String {
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        // An IPv6 address with an interface, whose name is as it is.
        Err(_) if host.contains('%') => host,
        Err(_) => host.to_ascii_lowercase(),
    }
}
