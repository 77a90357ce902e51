//! Reads the probe's answer. It comes from a machine that may be broken or hostile: every line is
//! optional, unknown ones are ignored, and only what must be there is missed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use targets::{
    Arch, OsRelease, ServiceManager,
    outputs::{PackageState, ServiceState, dpkg, rpm, snap, systemd, upstart},
};

use super::{Agent, Facts, FreeSpace, Memory, Registration, Root, SavedVault};

/// As much of what a host says instead of facts as tells what it is.
const LONGEST_QUOTE: usize = 200;

/// An answer that is no set of facts.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FactsError {
    /// The last line is missing.
    #[error("the answer was cut off after {lines} lines")]
    CutOff {
        /// How many came.
        lines: usize,
    },
    /// It does not say what it says first: what came was not the probe's.
    #[error("the answer is not the probe's{}", said.as_ref().map(|said| format!("; the host says `{said}`")).unwrap_or_default())]
    NotTheProbes {
        /// The first line that is not the probe's either.
        said: Option<String>,
    },
    /// A value that cannot be.
    #[error("`{key}` is `{value}`")]
    Value {
        /// The probe's key.
        key: &'static str,
        /// What came.
        value: String,
    },
}

impl FactsError {
    /// What the operator can do.
    pub fn hint(&self) -> String {
        match self {
            Self::CutOff { .. } | Self::NotTheProbes { .. } => {
                "does the login shell start `sh`? A forced command or a restricted shell cannot be used"
                    .to_owned()
            }
            Self::Value { key, .. } => {
                format!("the host says something for `{key}` that cannot be; look at it there")
            }
        }
    }
}

/// Single values by key; the lines of files and of what programs printed, by name; and what is said repeatedly.
struct Answer<'a> {
    values: BTreeMap<&'a str, &'a str>,
    texts: BTreeMap<&'a str, String>,
    staged: Vec<String>,
    tools: Vec<&'a str>,
}

impl<'a> Answer<'a> {
    fn read(text: &'a str) -> Self {
        let mut answer =
            Self { values: BTreeMap::new(), texts: BTreeMap::new(), staged: Vec::new(), tools: Vec::new() };
        for line in text.lines() {
            // A file's line comes first: it may hold any `=`, while no key holds a `|`.
            let (key, rest) = line.split_at(line.find(['|', '=']).unwrap_or(line.len()));
            match (key, rest.get(..1), rest.get(1..)) {
                (name, Some("|"), Some(content)) => {
                    let text = answer.texts.entry(name).or_default();
                    text.push_str(content);
                    text.push('\n');
                }
                ("staged", Some("="), Some(name)) => answer.staged.push(name.to_owned()),
                ("tool", Some("="), Some(name)) => answer.tools.push(name),
                (key, Some("="), Some(value)) => {
                    answer.values.insert(key, value.trim());
                }
                _ => {}
            }
        }
        answer
    }

    /// The lines of a file or a program; none is no text.
    fn text(&self, name: &str) -> &str {
        self.texts.get(name).map_or("", String::as_str)
    }

    /// A value that is there and not empty.
    fn get(&self, key: &str) -> Option<&'a str> {
        self.values.get(key).copied().filter(|value| !value.is_empty())
    }

    fn number<T: std::str::FromStr>(&self, key: &'static str) -> Result<Option<T>, FactsError> {
        let read =
            |value: &str| value.parse().map_err(|_| FactsError::Value { key, value: value.to_owned() });
        self.get(key).map(read).transpose()
    }

    fn registration(&self, node: &'static str, region: &str) -> Result<Option<Registration>, FactsError> {
        let Some(text) = self.get(node) else { return Ok(None) };
        let wrong = |_| FactsError::Value { key: node, value: text.to_owned() };
        let region = self.get(region).unwrap_or_default().to_owned();
        Ok(Some(Registration { node: text.parse().map_err(wrong)?, region }))
    }
}

pub(super) fn facts(text: &str, now: Timestamp) -> Result<Facts, FactsError> {
    let answer = Answer::read(text);
    let ended = answer.get("end") == Some("yes");
    if answer.get("root").is_none()
        && let said = foreign(text)
        && (ended || said.is_some())
    {
        return Err(FactsError::NotTheProbes { said });
    }
    if !ended {
        return Err(FactsError::CutOff { lines: text.lines().count() });
    }
    let service = service(&answer)?;
    let clock: i64 = answer.number("clock")?.unwrap_or_else(|| now.as_second());
    Ok(Facts {
        root: root(&answer)?,
        held_by: answer.values.get("held").map(|holder| holder_of(holder)),
        os: OsRelease::parse(answer.text("os")),
        kernel_machine: answer.get("kernel.machine").unwrap_or("unknown").to_owned(),
        userland_bits: answer.get("userland.bits").and_then(Arch::long_bit),
        dpkg_arch: answer.get("dpkg.arch").map(str::to_owned),
        rpm_arch: answer.get("rpm.arch").map(str::to_owned),
        unfinished: answer
            .text("unfinished")
            .lines()
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect(),
        package_tools: answer.tools.iter().filter_map(|name| name.parse().ok()).collect(),
        service,
        agent: agent(&answer),
        package_hold: answer.get("package.hold").and_then(|tool| tool.parse().ok()),
        unit: service_state(service, answer.text("service.state")),
        registration: answer.registration("vault.instance", "vault.region")?,
        registered_lately: answer.get("vault.lately").is_some(),
        saved_vault: match answer.get("vault.saved") {
            Some(_) => SavedVault::Left(answer.registration("vault.saved.instance", "vault.saved.region")?),
            None => SavedVault::None,
        },
        credentials_of: live_identity(&answer, now).and_then(|id| id.parse().ok()),
        served_as: live_identity(&answer, now).filter(|id| !id.starts_with("mi-")).map(quoted),
        premise: answer.get("premise").map(str::to_owned),
        machine_id: answer.get("machine-id").map(str::to_owned),
        config: answer.get("config").map(|_| answer.text("config").to_owned()),
        environment: Some(answer.text("environment").to_owned()).filter(|text| !text.is_empty()),
        free: FreeSpace {
            // df(1) has words of its own for file systems without a size.
            state_kib: answer.number("free.state").unwrap_or_default(),
            system_kib: answer.number("free.system").unwrap_or_default(),
        },
        memory: match answer.get("state.memory") {
            Some("overlay") => Some(Memory::Overlay),
            other => other.map(|_| Memory::FileSystem),
        },
        clock_ahead_seconds: clock.saturating_sub(now.as_second()),
        staged: answer.staged,
    })
}

fn root(answer: &Answer<'_>) -> Result<Root, FactsError> {
    let words = || answer.get("root.refusal").unwrap_or("no reason given").to_owned();
    Ok(match answer.get("root") {
        Some("yes") => Root::Yes,
        Some("missing") => Root::Missing { other: answer.get("root.other").map(str::to_owned) },
        Some("refused") => Root::Refused(words()),
        Some("password") => Root::NeedsPassword(words()),
        Some("wrong-password") => Root::WrongPassword(words()),
        Some("no") => Root::NotRoot,
        other => {
            return Err(FactsError::Value { key: "root", value: other.unwrap_or_default().to_owned() });
        }
    })
}

/// The first line that none of the probe's would look like.
fn foreign(text: &str) -> Option<String> {
    let is_key = |c: char| c.is_ascii_lowercase() || matches!(c, '.' | '-' | '_');
    let is_ours = |line: &str| line.trim_start_matches(is_key).starts_with(['=', '|']);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !is_ours(line))?;
    Some(quoted(line))
}

fn quoted(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(LONGEST_QUOTE).collect()
}

/// Versions before the lock had words left its file empty.
fn holder_of(words: &str) -> String {
    if words.is_empty() { "a run without a name".to_owned() } else { words.to_owned() }
}

/// Whom the agent's credentials are for, while they are good. A time that cannot be read is no evidence of anything.
fn live_identity<'a>(answer: &Answer<'a>, now: Timestamp) -> Option<&'a str> {
    let expire: Timestamp = answer.get("credentials.expire")?.parse().ok()?;
    answer.get("credentials.instance").filter(|_| expire > now)
}

fn service(answer: &Answer<'_>) -> Result<ServiceManager, FactsError> {
    let name = answer.get("service").unwrap_or("none");
    name.parse().map_err(|_| FactsError::Value { key: "service", value: name.to_owned() })
}

fn service_state(manager: ServiceManager, text: &str) -> ServiceState {
    match manager {
        ServiceManager::Systemd => systemd::service_state(text),
        ServiceManager::Upstart => upstart::service_state(text),
        ServiceManager::OpenRc | ServiceManager::SysV | ServiceManager::None => ServiceState::default(),
    }
}

/// The snap counts before a package: the package's scripts refuse to be run beside it.
fn agent(answer: &Answer<'_>) -> Agent {
    if answer.get("snap").is_some() {
        let listed = snap::listed_version(answer.text("snap.list"));
        return Agent::Snap(listed.or_else(|| snap::version_in_meta(answer.text("snap.meta"))));
    }
    let state = match dpkg::package_state(answer.get("dpkg.agent").unwrap_or_default()) {
        PackageState::Absent => rpm::package_state(answer.text("rpm.agent")),
        known => known,
    };
    match state {
        PackageState::Absent => Agent::Absent,
        PackageState::Broken => Agent::Broken,
        // An empty program exits with 0, whatever it is told to do; an empty unit is a masked one.
        PackageState::Installed(_) if answer.get("package.files").is_some() => Agent::Broken,
        PackageState::Installed(version) => Agent::Installed(version),
    }
}

#[cfg(test)]
mod tests;
