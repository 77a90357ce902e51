//! Reads the probe's answer. It comes from a machine that may be broken or hostile: every line is
//! optional, unknown ones are ignored, and only what must be there is missed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use targets::{
    Arch, OsRelease, ServiceManager,
    outputs::{PackageState, ServiceState, dpkg, rpm, snap, systemd, upstart},
};

use super::{Agent, Facts, FreeSpace, Registration, Root, SavedVault};
use crate::ssm::ManagedNodeId;

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
        saved_vault: match answer.get("vault.saved") {
            Some(_) => SavedVault::Left(answer.registration("vault.saved.instance", "vault.saved.region")?),
            None => SavedVault::None,
        },
        credentials_of: credentials_of(&answer, now),
        premise: answer.get("premise").map(str::to_owned),
        machine_id: answer.get("machine-id").map(str::to_owned),
        config: answer.get("config").map(|_| answer.text("config").to_owned()),
        environment: Some(answer.text("environment").to_owned()).filter(|text| !text.is_empty()),
        free: FreeSpace {
            // df(1) has words of its own for file systems without a size.
            state_kib: answer.number("free.state").unwrap_or_default(),
            system_kib: answer.number("free.system").unwrap_or_default(),
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
    Some(line.chars().filter(|c| !c.is_control()).take(LONGEST_QUOTE).collect())
}

/// Versions before the lock had words left its file empty.
fn holder_of(words: &str) -> String {
    if words.is_empty() { "a run without a name".to_owned() } else { words.to_owned() }
}

/// An id or a time that cannot be read is no evidence of anything.
fn credentials_of(answer: &Answer<'_>, now: Timestamp) -> Option<ManagedNodeId> {
    let expire: Timestamp = answer.get("credentials.expire")?.parse().ok()?;
    (expire > now).then_some(answer.get("credentials.instance")?.parse().ok()?)
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FRESH: &str = "root=yes\nuser=root\nkernel.machine=aarch64\nuserland.bits=32\nos|ID=debian\nos|VERSION_ID=\"12\"\n\
        clock=1700000007\ndpkg.arch=armhf\ndpkg.agent=\nservice=systemd\nservice.state|ActiveState=inactive\n\
        service.state|UnitFileState=\nfree.state=1000\nfree.system=2000\nvault.instance=\nvault.region=\nend=yes\n";

    fn parsed(text: &str) -> Result<Facts, FactsError> {
        Facts::parse(text, Timestamp::from_second(1_700_000_000).unwrap())
    }

    #[test]
    fn a_64_bit_kernel_with_a_32_bit_userland_is_the_userlands_architecture() {
        let facts = parsed(FRESH).unwrap();
        assert_eq!(facts.arch(targets::PackageFormat::Deb), Some(targets::Arch::Armv7));
        assert_eq!(facts.kernel_machine, "aarch64");
    }

    #[test]
    fn a_fresh_host_has_no_agent_no_unit_and_no_registration() {
        let facts = parsed(FRESH).unwrap();
        assert_eq!((facts.agent, facts.unit), (Agent::Absent, ServiceState::default()));
        assert_eq!((facts.registration, facts.saved_vault, facts.config), (None, SavedVault::None, None));
        assert_eq!(facts.clock_ahead_seconds, 7);
    }

    #[test]
    fn an_answer_without_its_last_line_is_cut_off() {
        let cut = FRESH.replace("end=yes\n", "");
        assert_eq!(parsed(&cut), Err(FactsError::CutOff { lines: 16 }));
    }

    #[test]
    fn an_answer_that_does_not_say_whether_it_is_roots_is_not_the_probes() {
        let swallowed = FRESH.replace("root=yes\n", "Welcome to lab-7!root=yes\n");
        let said = Some("Welcome to lab-7!root=yes".to_owned());
        assert_eq!(parsed(&swallowed), Err(FactsError::NotTheProbes { said }));
        let refused = parsed("This account is currently not available.\n");
        let said = Some("This account is currently not available.".to_owned());
        assert_eq!(refused, Err(FactsError::NotTheProbes { said }));
        assert_eq!(parsed(""), Err(FactsError::CutOff { lines: 0 }));
        let silent = FRESH.replace("root=yes\n", "");
        assert_eq!(parsed(&silent), Err(FactsError::NotTheProbes { said: None }));
        let other = parsed(&FRESH.replace("root=yes", "root=maybe"));
        assert_eq!(other, Err(FactsError::Value { key: "root", value: "maybe".to_owned() }));
        assert_eq!(parsed(&FRESH.replace("root=yes", "root=no")).unwrap().root, Root::NotRoot);
    }

    #[test]
    fn what_a_start_up_file_printed_without_a_line_end_swallows_nothing() {
        let program = format!("printf noise\nset -- none a b c 0\n{}", super::super::PROBE.text);
        let output = std::process::Command::new("sh").args(["-c", &program]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.starts_with("noise\nroot="), "{}", text.lines().next().unwrap_or_default());
        Facts::parse(&text, Timestamp::now()).unwrap();
    }

    #[test]
    fn a_registered_host_tells_its_node_and_region() {
        let text = FRESH.replace(
            "vault.instance=\nvault.region=\n",
            "vault.instance=mi-0123456789abcdef0\nvault.region=eu-west-1\n",
        );
        let registration = parsed(&text).unwrap().registration.unwrap();
        assert_eq!(
            (registration.node.as_str(), registration.region.as_str()),
            ("mi-0123456789abcdef0", "eu-west-1")
        );
    }

    #[test]
    fn a_saved_vault_counts_where_the_vault_names_nothing() {
        let saved = "vault.saved=yes\nvault.saved.instance=mi-0123456789abcdef0\nvault.saved.region=eu-west-1\nend=yes\n";
        let facts = parsed(&FRESH.replace("end=yes\n", saved)).unwrap();
        assert_eq!(facts.registration, None);
        assert_eq!(facts.standing_registration().unwrap().node.as_str(), "mi-0123456789abcdef0");
    }

    #[test]
    fn the_config_keeps_its_lines_and_its_equal_signs() {
        let text =
            FRESH.replace("end=yes", "config=yes\nconfig|{\nconfig| \"a\": \"b=c|d\"\nconfig|}\nend=yes");
        assert_eq!(parsed(&text).unwrap().config.as_deref(), Some("{\n \"a\": \"b=c|d\"\n}\n"));
    }

    #[test]
    fn the_services_environment_is_the_files_lines_or_nothing() {
        assert_eq!(parsed(FRESH).unwrap().environment, None);
        let text =
            FRESH.replace("end=yes", "environment|[Service]\nenvironment|Environment=\"a=b|c\"\n\nend=yes");
        let environment = parsed(&text).unwrap().environment;
        assert_eq!(environment.as_deref(), Some("[Service]\nEnvironment=\"a=b|c\"\n"));
    }

    #[test]
    fn package_states_of_dpkg_and_rpm_are_told_apart() {
        let agent = |line: &str| parsed(&FRESH.replace("dpkg.agent=", line)).unwrap().agent;
        let installed = Agent::Installed("3.3.987.0".parse().unwrap());
        assert_eq!(agent("dpkg.agent=installed 3.3.987.0-1"), installed);
        assert_eq!(agent("dpkg.agent=half-configured 3.3.987.0-1"), Agent::Broken);
        assert_eq!(agent("dpkg.agent=config-files 3.3.987.0-1"), Agent::Absent);
        assert_eq!(agent("rpm.agent|3.3.987.0"), installed);
        assert_eq!(agent("rpm.agent|3.3.987.0\npackage.files=damaged"), Agent::Broken);
        assert_eq!(agent("rpm.agent|package amazon-ssm-agent is not installed"), Agent::Absent);
    }

    #[test]
    fn a_snap_counts_before_a_package_and_names_its_version_itself_if_snap_does_not() {
        let facts = |lines: &str| {
            parsed(
                &FRESH.replace("dpkg.agent=", &format!("dpkg.agent=installed 3.3.1.0-1\nsnap=yes\n{lines}")),
            )
            .unwrap()
        };
        let version = Some("3.3.987.0".parse().unwrap());
        let listed =
            facts("snap.list|Name  Version\nsnap.list|amazon-ssm-agent  3.3.987.0  9881  latest/stable");
        assert_eq!(listed.agent, Agent::Snap(version));
        assert_eq!(listed.installation().unit, "snap.amazon-ssm-agent.amazon-ssm-agent.service");
        assert_eq!(facts("snap.meta|name: x\nsnap.meta|version: 3.3.987.0").agent, Agent::Snap(version));
        assert_eq!(facts("").agent, Agent::Snap(None));
    }

    #[test]
    fn a_job_of_upstart_is_read_as_upstart_prints_it() {
        let text = FRESH.replace("service=systemd", "service=upstart").replace(
            "service.state|ActiveState=inactive",
            "service.state|amazon-ssm-agent start/running, process 7",
        );
        let facts = parsed(&text).unwrap();
        assert_eq!(facts.unit, ServiceState { active: true, enabled: true });
        assert_eq!(facts.installation().unit, "amazon-ssm-agent");
    }

    #[test]
    fn the_package_tool_is_the_distributions_own_if_it_is_there() {
        let tool = |lines: &str| {
            parsed(&FRESH.replace("os|ID=debian\nos|VERSION_ID=\"12\"", lines))
                .unwrap()
                .package_tool()
                .unwrap()
        };
        let rocky = "os|ID=rocky\nos|VERSION_ID=9.4\ntool=rpm";
        assert_eq!(tool(&format!("{rocky}\ntool=yum\ntool=dnf")), targets::PackageTool::Dnf);
        assert_eq!(tool(rocky), targets::PackageTool::Rpm);
    }

    #[test]
    fn sudo_says_in_its_own_words_why_it_refuses() {
        let text = FRESH.replace("root=yes", "root=refused\nroot.refusal=sudo: a password is required");
        assert_eq!(parsed(&text).unwrap().root, Root::Refused("sudo: a password is required".into()));
    }

    #[test]
    fn credentials_count_only_until_they_expire() {
        let with = |expire: &str| {
            let lines =
                format!("credentials.instance=mi-0123456789abcdef0\ncredentials.expire={expire}\nend=yes");
            parsed(&FRESH.replace("end=yes", &lines)).unwrap().credentials_of
        };
        // The controller's clock shows 2023-11-14T22:13:20Z.
        assert!(with("2023-11-14T22:30:00Z").is_some());
        assert_eq!(with("2023-11-14T22:00:00Z"), None);
        assert_eq!(with("soon"), None);
    }

    #[test]
    fn the_last_line_of_a_file_without_a_line_end_swallows_nothing() {
        let show = super::super::PROBE.text.lines().find(|line| line.starts_with("show()")).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config");
        std::fs::write(&file, "{}").unwrap();
        let script = format!("{show}\nshow config {}\necho end=yes", file.display());
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "config|{}\nend=yes\n");
    }

    proptest! {
        #[test]
        fn any_text_is_facts_or_an_error(text in ".*", lines in proptest::collection::vec("[a-z.]{0,12}[=|].{0,20}", 0..30)) {
            parsed(&text).ok();
            parsed(&format!("{}\nend=yes", lines.join("\n"))).ok();
        }
    }

    #[test]
    fn the_probe_runs_on_this_machine_and_is_understood() {
        let program =
            format!("set -- none agent.service snap.agent.service agent 0\n{}", super::super::PROBE.text);
        let output = std::process::Command::new("sh").args(["-c", &program]).output().unwrap();
        let facts = Facts::parse(&String::from_utf8_lossy(&output.stdout), Timestamp::now()).unwrap();
        let uname = std::process::Command::new("uname").arg("-m").output().unwrap();
        assert_eq!(facts.kernel_machine, String::from_utf8_lossy(&uname.stdout).trim());
        assert!(facts.clock_ahead_seconds.abs() < 60);
        assert!(!facts.os.id.is_empty());
    }
}
