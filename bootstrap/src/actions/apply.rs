//! One exec for everything that changes a host: the actions become the arguments of one script, and
//! what it prints becomes steps and, if it comes to that, a failure with its last lines.

use std::{collections::VecDeque, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use targets::{ServiceManager, agent::Installation};

use super::Action;
use crate::{
    events::Step,
    host::{Command, Script},
};

// A literal for each service manager, so that no script asks which one there is.
macro_rules! apply_with {
    ($service:literal) => {
        Script {
            name: "apply",
            text: concat!(
                include_str!("../facts/premise.sh"),
                include_str!("upload.sh"),
                include_str!("download.sh"),
                include_str!("proxy.sh"),
                include_str!("apply.sh"),
                include_str!($service),
                include_str!("configure.sh"),
                include_str!("install.sh"),
                include_str!("install_rpm.sh"),
                include_str!("tidy.sh"),
                include_str!("vault.sh"),
                include_str!("register.sh"),
                include_str!("start.sh"),
                include_str!("run_steps.sh"),
            ),
        }
    };
}

static WITH_SYSTEMD: Script = apply_with!("service_systemd.sh");
static WITH_UPSTART: Script = apply_with!("service_upstart.sh");

/// What a host shows of a failed command.
pub const LAST_LINES: usize = 20;

/// Id and code of an activation.
#[derive(Debug)]
pub struct ActivationKey {
    /// `ActivationId`.
    pub id: String,
    /// `ActivationCode`.
    pub code: SecretString,
}

/// The command for all of `actions` that happen on the host, in order; `None` if none does. An upload or a download comes
/// first; the bytes of the one are the command's payload, the URL of the other is its secret `package_url`.
///
/// `holder` is what the lock on the host says while it runs. Nothing is done where `premise`, that of the facts that were
/// planned for, is no longer the host's.
pub fn command(
    actions: &[Action],
    agent: &Installation,
    holder: &str,
    premise: Option<&str>,
    key: Option<&ActivationKey>,
    limit: Duration,
) -> Option<Command> {
    debug_assert!(
        !actions.iter().skip(1).any(|action| matches!(action, Action::Upload(_) | Action::Download(_)))
    );
    let steps: Vec<String> = actions.iter().filter_map(Action::shell_arguments).flatten().collect();
    if steps.is_empty() {
        return None;
    }
    let script = match agent.manager {
        ServiceManager::Upstart => &WITH_UPSTART,
        // The plan has refused the others.
        _ => &WITH_SYSTEMD,
    };
    let who_and_why = [agent.unit, agent.binary, holder, premise.unwrap_or_default()];
    let arguments = who_and_why.into_iter().map(str::to_owned).chain(steps).collect();
    let mut command = Command::new(script, arguments, limit);
    for (variable, value) in actions.iter().flat_map(Action::shell_variables) {
        command = command.with_secret(variable, value);
    }
    if let Some(key) = key {
        command = command
            .with_secret("activation_id", key.id.clone().into())
            .with_secret("activation_code", key.code.clone());
    }
    Some(command)
}

/// What the script has said so far.
#[derive(Debug, Default)]
pub struct Transcript {
    redacted: Option<SecretString>,
    current: Option<Step>,
    failed: Option<Step>,
    held_by: Option<String>,
    stale: bool,
    done: usize,
    tail: VecDeque<String>,
}

impl Transcript {
    /// A transcript from which `code` is kept out, should a program on the host print it.
    pub fn without(code: Option<&SecretString>) -> Self {
        Self { redacted: code.cloned(), ..Self::default() }
    }

    /// Takes the next line; tells what it means.
    pub fn line(&mut self, line: &str) -> Heard {
        if let Some((step, after)) = line.strip_prefix(":begin ").and_then(begun) {
            self.current = Some(step);
            self.tail.clear();
            return Heard::Began(step, after);
        }
        if let Some(text) = line.strip_prefix(":note ") {
            let text = self.clean(text);
            self.keep(text.clone());
            return Heard::Note(text);
        }
        if let Some(holder) = line.strip_prefix(":held ") {
            self.held_by = Some(holder.to_owned());
            return Heard::Nothing;
        }
        if line == ":stale" {
            self.stale = true;
            return Heard::Nothing;
        }
        if line.starts_with(":done ") {
            self.done += 1;
            return Heard::Done;
        }
        if let Some(step) = line.strip_prefix(":failed ").and_then(|rest| step_of(rest.split(' ').next()?)) {
            self.failed = Some(step);
            return Heard::Nothing;
        }
        if !line.trim().is_empty() {
            self.keep(self.clean(line));
        }
        Heard::Nothing
    }

    fn keep(&mut self, line: String) {
        if self.tail.len() == LAST_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }

    /// The step that failed or, if the script never said, the one it was in.
    pub fn failed_step(&self) -> Option<Step> {
        self.failed.or(self.current)
    }

    /// Who is at work on the host, if that is why nothing was done.
    pub fn held_by(&self) -> Option<&str> {
        self.held_by.as_deref()
    }

    /// Whether nothing was done because the host is no longer what was planned for.
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// How many actions ended well.
    pub fn done(&self) -> usize {
        self.done
    }

    /// The last lines of the step that was last begun.
    pub fn last_lines(&self) -> Vec<String> {
        self.tail.iter().cloned().collect()
    }

    /// A line as it may be shown.
    pub fn clean(&self, line: &str) -> String {
        match &self.redacted {
            Some(secret) if !secret.expose_secret().is_empty() => {
                line.replace(secret.expose_secret(), "[code]")
            }
            _ => line.to_owned(),
        }
    }
}

/// What a line means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A step began, so long after the script, at least.
    Began(Step, Duration),
    /// An action ended well.
    Done,
    /// Something that the operator should know while it goes on.
    Note(String),
    /// Output.
    Nothing,
}

/// Whether a line is the script's own, and says which step begins, is done or failed.
pub fn is_mark(line: &str) -> bool {
    let named = |mark: &&str| line.strip_prefix(*mark).and_then(|rest| step_of(rest.split(' ').next()?));
    [":begin ", ":done ", ":failed "].iter().any(|mark| named(mark).is_some())
}

/// A step that begins, and how long after the script began, at least.
fn begun(rest: &str) -> Option<(Step, Duration)> {
    let (step, seconds) = rest.split_once(' ').unwrap_or((rest, ""));
    // The difference of two whole seconds may be up to one too much.
    let after = seconds.parse::<u64>().unwrap_or(0).saturating_sub(1);
    Some((step_of(step)?, Duration::from_secs(after)))
}

fn step_of(word: &str) -> Option<Step> {
    match word {
        "upload" => Some(Step::Upload),
        "download" => Some(Step::Download),
        "configure" | "proxy" => Some(Step::Configure),
        "install" | "tidy" => Some(Step::Install),
        "settle-vault" | "register" => Some(Step::Register),
        "start" => Some(Step::Start),
        _ => None,
    }
}

const UNKNOWN_SIGNER: &str =
    "the host's package manager does not trust the packager's key; import it there with `rpm --import`";

/// A host that takes no SHA-1 takes no package that has nothing else.
const UNVERIFIED: &str = "the host's rpm takes no package with such digests or signatures, as in FIPS mode and on RHEL 9: choose a newer agent (`source`), or look at `update-crypto-policies --show` there";

/// What SSM says where an activation has no room left.
const FULL: &str = "RegistrationLimitExceeded";

/// Whether a step failed since its activation has no room left, from what the host printed.
pub fn is_full(lines: &[String]) -> bool {
    lines.iter().any(|line| line.contains(FULL))
}

/// What to do about a failed step, from what the host printed.
pub fn hint(step: Step, lines: &[String]) -> String {
    const KNOWN: &[(&str, &str)] = &[
        ("No space left on device", "free some space on the host and run the same command again"),
        (
            "locked by another process",
            "another package manager runs on the host; run the same command again when it has ended",
        ),
        (
            "InvalidActivation",
            "the activation is gone or wrong; run the same command again, or check the given activation's id and code",
        ),
        (
            "ActivationExpired",
            "run the same command again, which takes a new activation; one that the inventory gives must be replaced there",
        ),
        (
            FULL,
            "run the same command again, which takes a new activation; one that the inventory gives is used up: replace it there, or leave `activation` out",
        ),
        ("is masked", "run `systemctl unmask amazon-ssm-agent` on the host, then the same command again"),
        ("has changed since it was looked at", "run the same command again: it looks at what is there now"),
        (
            "x509:",
            "the host does not trust the endpoint's certificate; add its CA to the host's system store",
        ),
        (
            "proxyconnect",
            "the host cannot reach its proxy; check `proxy` in the inventory, and whether the proxy lets the host in",
        ),
        (
            "dial tcp",
            "the host cannot reach the SSM endpoint; check its route, DNS, proxy and firewall for port 443 outbound",
        ),
        (
            "onnection refused",
            "the host cannot reach the SSM endpoint; check `agent_endpoint` and the host's firewall",
        ),
        ("by snap", "the host has the agent as a snap; remove it with `snap remove amazon-ssm-agent` first"),
        (
            "exclude filtering",
            "the package manager leaves it out: look at its `excludes` and version locks (`dnf versionlock list`)",
        ),
        (
            "transactional-update",
            "the host's system is changed by `transactional-update` only: install the package there by it, reboot, and run the same command again",
        ),
        ("NOKEY", UNKNOWN_SIGNER),
        ("does not verify", UNVERIFIED),
        ("no digest", UNVERIFIED),
        (
            "Read-only file system",
            "the host cannot write there; see `findmnt` and `dmesg` on it for why, then mount it writable",
        ),
        (
            "ailed dependencies",
            "install what the lines above name by the host's own package manager, then run the same command again",
        ),
        (
            "System management is locked",
            "another package manager runs on the host; run the same command again when it has ended",
        ),
        ("neither curl nor wget", "install one of them there, or let `deliver` be \"push\" in the inventory"),
        (
            "nothing provides",
            "a package that the agent needs is missing, in the host's repositories, too; mend those, or install it",
        ),
        (
            "is not signed",
            "the host's package manager insists on a signature it trusts; import the packager's key there with `rpm --import`",
        ),
        ("ublic key", UNKNOWN_SIGNER),
        ("Unknown job", "the package brought no job for upstart; see /etc/init on the host"),
        (
            "snap.amazon-ssm-agent.amazon-ssm-agent.service",
            "is the snap disabled? Run `snap enable amazon-ssm-agent` on the host, then the same command again",
        ),
        ("dependency problems", "run `apt-get -f install` on the host, then the same command again"),
    ];
    // A download asks a web server, which is not the endpoint.
    let fits = |sign: &str| step != Step::Download || sign != "onnection refused";
    let known = KNOWN.iter().find(|(sign, _)| fits(sign) && lines.iter().any(|line| line.contains(sign)));
    match (known, step) {
        (Some((_, hint)), _) => (*hint).to_owned(),
        (None, Step::Install) => {
            "the lines above are the package manager's; mend that and run the same command again".to_owned()
        }
        (None, Step::Register) => {
            "see /var/log/amazon/ssm/errors.log on the host, and whether it reaches the SSM endpoint"
                .to_owned()
        }
        (None, Step::Download) => {
            "see whether the host reaches that address, and by which proxy (`proxy` in the inventory); or let `deliver` be \"push\""
                .to_owned()
        }
        (None, Step::Start) => "see `journalctl -u '*amazon-ssm-agent*'` on the host".to_owned(),
        (None, _) => "mend what the lines above say and run the same command again".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use targets::agent::PACKAGED;

    use super::*;
    use crate::actions::{Reason, Register, SettleVault, Start, StartReason};

    fn key() -> ActivationKey {
        ActivationKey { id: "an-id".into(), code: "a-very-secret-code".to_owned().into() }
    }

    #[test]
    fn the_actions_become_one_command_and_the_code_is_no_argument() {
        let actions = [
            Action::SettleVault(SettleVault { restore: true }),
            Action::Register(Register {
                region: "eu-west-1".into(),
                reason: Reason::Unregistered,
                proxy: None,
            }),
            Action::Start(Start { reason: StartReason::Changed }),
        ];
        let command =
            command(&actions, &PACKAGED, "run 7 of me", Some("42-7"), Some(&key()), Duration::ZERO).unwrap();
        let first = ["amazon-ssm-agent.service", "/usr/bin/amazon-ssm-agent", "run 7 of me", "42-7"];
        assert_eq!(command.arguments()[..4], first);
        assert_eq!(command.arguments()[4..], ["settle-vault", "register", "eu-west-1", "", "", "", "start"]);
        assert_eq!(command.secret("activation_code").unwrap().expose_secret(), "a-very-secret-code");
        assert!(!format!("{command:?} {:?}", key()).contains("a-very-secret-code"));
    }

    #[test]
    fn a_plan_without_actions_on_the_host_needs_no_command() {
        assert!(command(&[], &PACKAGED, "", None, None, Duration::ZERO).is_none());
    }

    #[test]
    fn a_failure_is_known_by_its_step_and_its_last_lines_without_the_code() {
        let mut transcript = Transcript::without(Some(&key().code));
        let lines = [
            ":begin configure",
            "noise",
            ":done configure",
            ":begin register",
            ":note waiting for a-very-secret-code",
            "bad a-very-secret-code",
            ":failed register 1",
        ];
        assert_eq!(transcript.line(":begin start 37"), Heard::Began(Step::Start, Duration::from_secs(36)));
        let heard: Vec<_> = lines.iter().map(|line| transcript.line(line)).collect();
        assert_eq!(heard[0], Heard::Began(Step::Configure, Duration::ZERO));
        assert_eq!(heard[2], Heard::Done);
        assert_eq!(transcript.failed_step(), Some(Step::Register));
        assert_eq!(heard[4], Heard::Note("waiting for [code]".to_owned()));
        assert_eq!(transcript.last_lines(), ["waiting for [code]", "bad [code]"]);
        assert_eq!(transcript.done(), 1);
    }

    #[test]
    fn a_server_that_refuses_a_download_is_not_taken_for_the_endpoint() {
        let lines = ["curl: (7) Failed to connect to mirror.example port 443: Connection refused".to_owned()];
        assert!(hint(Step::Register, &lines).contains("agent_endpoint"));
        assert!(hint(Step::Download, &lines).contains("`deliver`"));
    }

    #[test]
    fn a_host_that_trusts_no_old_digest_and_one_that_is_changed_by_transactions_are_told_apart() {
        // rpm 4.16 in FIPS mode, and zypper of SLE Micro.
        let hint_for = |line: &str| hint(Step::Install, &[line.to_owned()]);
        let fips = "package amazon-ssm-agent-3.1.0.0-1.x86_64 does not verify: no digest";
        assert!(hint_for(fips).contains("FIPS"));
        let key = "package amazon-ssm-agent-3.3.1.0-1.x86_64 does not verify: Header V4 RSA/SHA256 Signature, key ID 1: NOKEY";
        assert!(hint_for(key).contains("rpm --import"));
        let micro =
            "This is a transactional-server, please use transactional-update to update or modify the system.";
        assert!(hint_for(micro).contains("reboot"));
    }

    #[test]
    fn only_marks_of_known_steps_are_marks() {
        for mark in [":begin start", ":begin start 7", ":done settle-vault", ":failed upload 4"] {
            assert!(is_mark(mark), "{mark}");
        }
        for line in
            [":begin hunter2", ":done", ":note start", ":held run 7", ":stale", " :done start", "start"]
        {
            assert!(!is_mark(line), "{line}");
        }
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let mut transcript = Transcript::default();
        (0..100).for_each(|n| {
            transcript.line(&n.to_string());
        });
        assert_eq!(transcript.last_lines().len(), LAST_LINES);
        assert_eq!(transcript.last_lines().last().map(String::as_str), Some("99"));
    }
}
