//! A machine for tests: stateful, as a host is, and unforgiving: it panics on a command it was never taught.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use secrecy::ExposeSecret;
use tokio::time::Instant;

use super::fault::Fault;
use crate::{
    host::{Command, Connect, Host, HostError, NoConnection, Output, Privilege},
    inventory::HostSpec,
    ssm::{ManagedNodeId, fake::FakeControlPlane},
};

/// What a machine is, as far as it matters to the steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// Debian, with dpkg and systemd.
    #[default]
    Debian,
    /// Ubuntu's own image: the agent is a snap of this version.
    Snap(&'static str),
    /// Amazon Linux 1: yum and upstart.
    Upstart,
    /// Rocky: dnf and systemd.
    Rocky,
}

impl Kind {
    /// The unit and the binary that the steps must be told, as the distributions have them.
    fn agent(self) -> [&'static str; 2] {
        match self {
            Self::Debian | Self::Rocky => ["amazon-ssm-agent.service", "/usr/bin/amazon-ssm-agent"],
            Self::Upstart => ["amazon-ssm-agent", "/usr/bin/amazon-ssm-agent"],
            Self::Snap(_) => [
                "snap.amazon-ssm-agent.amazon-ssm-agent.service",
                "/snap/amazon-ssm-agent/current/amazon-ssm-agent",
            ],
        }
    }

    fn tool(self) -> &'static str {
        match self {
            Self::Debian | Self::Snap(_) => "dpkg",
            Self::Upstart => "yum",
            Self::Rocky => "dnf",
        }
    }

    /// What the probe says of it, apart from the agent.
    fn probe(self) -> &'static str {
        match self {
            Self::Debian => "os|ID=debian\ndpkg.arch=amd64\ntool=dpkg\nservice=systemd\n",
            Self::Snap(_) => {
                "os|ID=ubuntu\nos|ID_LIKE=debian\ndpkg.arch=amd64\ntool=dpkg\nservice=systemd\nsnap=yes\n"
            }
            Self::Upstart => {
                "os|ID=\"amzn\"\nos|VERSION_ID=\"2018.03\"\nrpm.arch=x86_64\ntool=yum\ntool=rpm\nservice=upstart\n"
            }
            Self::Rocky => {
                "os|ID=\"rocky\"\nos|VERSION_ID=\"9.4\"\nrpm.arch=x86_64\ntool=dnf\ntool=yum\ntool=rpm\nservice=systemd\n"
            }
        }
    }
}

/// What a machine has become.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) kind: Kind,
    pub(super) agent: Option<String>,
    pub(super) active: bool,
    pub(super) enabled: bool,
    pub(super) node: Option<ManagedNodeId>,
    pub(super) region: String,
    pub(super) registered: Option<Instant>,
    pub(super) machine_id: String,
    pub(super) config: Option<String>,
    pub(super) environment: Option<String>,
    /// The proxy that the last registration went by.
    pub(super) registered_by: String,
    pub(super) staged: Vec<String>,
    /// From where packages were fetched.
    pub(super) downloads: Vec<String>,
    /// Another run holds the lock, in these words.
    pub(super) held_by: Option<String>,
    /// What sudo asks for.
    pub(super) password: Option<&'static str>,
    /// Passwords that sudo refused.
    pub(super) refused: u32,
    /// Logins that were tried.
    pub(super) logins: u32,
    /// The agent starts and never reports.
    pub(super) mute: bool,
    /// The agent reports only after this many starts.
    pub(super) reports_after_starts: u32,
    pub(super) starts: u32,
    pub(super) execs: Vec<String>,
    pub(super) faults: VecDeque<Fault>,
}

impl State {
    /// What a plan rests on.
    fn premise(&self) -> String {
        format!("{:?} {:?} {:?} {:?}", self.node, self.agent, self.config, self.environment)
            .replace('\n', " ")
    }

    /// What the service manager says of the agent.
    fn service(&self) -> String {
        match (self.kind, self.agent.is_some()) {
            (Kind::Upstart, false) => "service.state|initctl: Unknown job: amazon-ssm-agent\n".to_owned(),
            (Kind::Upstart, true) => {
                let state = if self.active { "start/running, process 7" } else { "stop/waiting" };
                format!("service.state|amazon-ssm-agent {state}\n")
            }
            _ => format!(
                "service.state|ActiveState={}\nservice.state|UnitFileState={}\n",
                if self.active { "active" } else { "inactive" },
                if self.enabled { "enabled" } else { "disabled" },
            ),
        }
    }
}

/// A machine; clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    state: Arc<Mutex<State>>,
    cloud: FakeControlPlane,
}

impl Machine {
    pub(super) fn new(cloud: &FakeControlPlane) -> Self {
        Self { state: Arc::default(), cloud: cloud.clone() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn with_fault(self, fault: Fault) -> Self {
        self.state().faults.push_back(fault);
        self
    }

    fn fault(&self, matches: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let mut state = self.state();
        let at = state.faults.iter().position(matches)?;
        state.faults.remove(at)
    }

    fn probe(&self, given: Option<&str>) -> String {
        let mut state = self.state();
        let root = match (state.password, given) {
            (None, _) => "yes",
            (Some(_), None) => "password",
            (Some(right), Some(given)) if right == given => "yes",
            (Some(_), Some(_)) => "wrong-password",
        };
        state.refused += u32::from(root == "wrong-password");
        let mut text =
            format!("root={root}\nkernel.machine=x86_64\n{}{}", state.kind.probe(), state.service());
        if let Some(version) = &state.agent {
            match state.kind {
                Kind::Debian => writeln!(text, "dpkg.agent=installed {version}").unwrap(),
                Kind::Snap(_) => panic!("a package beside a snap"),
                Kind::Upstart | Kind::Rocky => writeln!(text, "rpm.agent|{version}").unwrap(),
            }
        }
        if let Kind::Snap(version) = state.kind {
            writeln!(text, "snap.list|amazon-ssm-agent  {version}  9881  latest/stable  aws  classic")
                .unwrap();
        }
        let mut say = |key: &str, value: &str| writeln!(text, "{key}={value}").unwrap();
        say("vault.instance", state.node.as_ref().map_or("", |node| node.as_str()));
        say("vault.region", &state.region);
        if state.registered.is_some_and(|at| at.elapsed() < Duration::from_mins(5)) {
            say("vault.lately", "yes");
        }
        say("premise", &state.premise());
        say("machine-id", &state.machine_id);
        if let Some(holder) = &state.held_by {
            say("held.now", holder);
            say("held", holder);
        }
        state.staged.iter().for_each(|name| say("staged", name));
        if let Some(config) = &state.config {
            text.push_str("config=yes\n");
            config.lines().for_each(|line| writeln!(text, "config|{line}").unwrap());
        }
        for line in state.environment.iter().flat_map(|content| content.lines()) {
            writeln!(text, "environment|{line}").unwrap();
        }
        text + "end=yes\n"
    }

    /// As the shell functions do, step by step; whether all ended well, unless the connection was lost.
    async fn apply(&self, command: &Command, on_line: &mut (dyn FnMut(&str) + Send)) -> Option<bool> {
        let mut words = command.arguments().iter().map(String::as_str);
        let agent: Vec<_> = words.by_ref().take(2).collect();
        assert_eq!(agent, self.state().kind.agent());
        let holder = words.next().unwrap();
        assert!(holder.starts_with("run 2") && holder.ends_with(" of alice@controller"), "{holder}");
        let premise = words.next().unwrap();
        let (mut checked, begun) = (false, Instant::now());
        while let Some(step) = words.next() {
            if !checked && !matches!(step, "upload" | "download") {
                checked = true;
                if !premise.is_empty() && premise != self.state().premise().trim() {
                    on_line(":stale");
                    return Some(false);
                }
            }
            let arguments: Vec<&str> = match step {
                "install" | "upload" => words.by_ref().take(3).collect(),
                "register" => words.by_ref().take(4).collect(),
                "download" => words.by_ref().take(5).collect(),
                "proxy" => words.by_ref().take(2).collect(),
                "configure" | "start" | "settle-vault" | "tidy" => vec![],
                other => panic!("the machine was never taught the step {other}"),
            };
            on_line(&format!(":begin {step} {}", begun.elapsed().as_secs()));
            if step == "upload" {
                tokio::time::sleep(Duration::from_millis(50)).await;
                if let Some(Fault::RegisteredMeanwhile(node)) =
                    self.fault(|fault| matches!(fault, Fault::RegisteredMeanwhile(_)))
                {
                    let mut state = self.state();
                    (state.node, state.region) = (Some(node), "eu-central-1".to_owned());
                }
            }
            if step == "start"
                && let Some(Fault::SentMeanwhile(file)) =
                    self.fault(|fault| matches!(fault, Fault::SentMeanwhile(_)))
            {
                self.state().staged.push(file.to_owned());
            }
            let named = |fault: &Fault| match fault {
                Fault::StepFails(name, _) | Fault::DoesNotStick(name) => *name == step,
                _ => false,
            };
            let end = match self.fault(named) {
                Some(Fault::StepFails(_, lines)) => Err(lines.to_owned()),
                Some(_) => Ok(()),
                None => self.step(step, &arguments, command),
            };
            if let Err(lines) = end {
                lines.lines().for_each(&mut *on_line);
                on_line(&format!(":failed {step} 1"));
                return Some(false);
            }
            self.fault(|fault| matches!(fault, Fault::CutAfter(name) if *name == step))
                .is_none()
                .then_some(())?;
            on_line(&format!(":done {step}"));
            if self.fault(|fault| matches!(fault, Fault::Hangs(name) if *name == step)).is_some() {
                std::future::pending::<()>().await;
            }
        }
        Some(true)
    }

    fn step(&self, step: &str, arguments: &[&str], command: &Command) -> Result<(), String> {
        let secret = |name: &str| command.secret(name).unwrap().expose_secret().to_owned();
        match (step, arguments) {
            ("upload", [file, _sha256, size]) => {
                assert_eq!(command.payload().unwrap().len().to_string(), *size);
                self.state().staged.push((*file).to_owned());
            }
            ("download", [file, _sha256, _size, _proxy, _except]) => {
                assert!(command.payload().is_none(), "it is sent as well");
                let url = secret("package_url");
                self.state().downloads.push(url);
                self.state().staged.push((*file).to_owned());
            }
            ("configure", []) => self.state().config = Some(secret("config")),
            ("install", [tool, file, _sha256]) => {
                let mut state = self.state();
                assert_eq!(*tool, state.kind.tool());
                assert!(state.staged.contains(&(*file).to_owned()), "{file} was not sent");
                state.staged.clear();
                state.agent = Some(file.split('-').nth(3).unwrap().to_owned());
                state.active = false;
            }
            ("proxy", ["write", _path]) => self.state().environment = Some(secret("environment_file")),
            ("proxy", ["remove", _path]) => self.state().environment = None,
            ("register", [region, seen, proxy, _except]) => {
                assert_eq!(*seen, self.state().node.as_ref().map_or("", |node| node.as_str()));
                let id = secret("activation_id").parse().unwrap();
                self.state().active = false;
                let registered = self.cloud.register(&id, &secret("activation_code"));
                let node =
                    registered.map_err(|code| format!("Registration failed. {code}: ordered by the test"))?;
                let mut state = self.state();
                (state.node, state.region) = (Some(node), (*region).to_owned());
                state.registered = Some(Instant::now());
                state.registered_by = (*proxy).to_owned();
            }
            ("tidy", []) => self.state().staged.clear(),
            ("start", []) => self.start(),
            other => panic!("the machine was never taught {other:?}"),
        }
        Ok(())
    }

    fn start(&self) {
        let mut state = self.state();
        // A restart: whatever agent ran has ended.
        if let Some(node) = &state.node {
            self.cloud.falls_silent(node);
        }
        (state.active, state.enabled) = (true, true);
        state.starts += 1;
        if let Some(node) =
            state.node.clone().filter(|_| !state.mute && state.starts > state.reports_after_starts)
        {
            self.cloud.comes_online_after(&node, Duration::from_secs(2));
        }
    }
}

impl Host for Machine {
    async fn run(
        &mut self,
        command: &Command,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Output, HostError> {
        let name = command.name();
        if let (Privilege::Root, Some(password)) = (command.privilege(), self.state().password) {
            assert!(command.text().expose_secret().starts_with(&format!("{password}\n:bootstrap:\nset -- ")));
        }
        self.state().execs.push(name.to_owned());
        let lost = || HostError::Lost { command: name, cause: "ordered by the test".to_owned() };
        if self.fault(|fault| matches!(fault, Fault::LostBefore(lost) if *lost == name)).is_some() {
            return Err(lost());
        }
        if self.fault(|fault| matches!(fault, Fault::Hangs(hung) if *hung == name)).is_some() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        if name == "apply"
            && let Some(Fault::HeldBy(holder)) = self.fault(|fault| matches!(fault, Fault::HeldBy(_)))
        {
            on_line(&format!(":held {holder}"));
            return Ok(Output { code: Some(75), stdout: String::new(), stderr: String::new() });
        }
        let (stdout, good) = match name {
            "probe" => {
                let given = command.secret("become_password").map(ExposeSecret::expose_secret);
                (self.probe(given), true)
            }
            "apply" if self.fault(|fault| matches!(fault, Fault::Unheard)).is_some() => {
                self.apply(command, &mut |_| {}).await;
                return Err(lost());
            }
            "apply" => (String::new(), self.apply(command, on_line).await.ok_or_else(lost)?),
            "diagnose" => ("amazon-ssm-agent is active".to_owned(), true),
            other => panic!("the machine was never taught the command {other}"),
        };
        if let Some(Fault::Then(_, next)) =
            self.fault(|fault| matches!(fault, Fault::Then(done, _) if *done == name))
        {
            self.state().faults.extend(next);
        }
        if self.fault(|fault| matches!(fault, Fault::LostAfter(lost) if *lost == name)).is_some() {
            return Err(lost());
        }
        Ok(Output { code: Some(u32::from(!good)), stdout, stderr: String::new() })
    }
}

/// Knows the machines of a fleet by name.
#[derive(Debug)]
pub(super) struct Network(pub(super) BTreeMap<String, Machine>);

impl Connect for Network {
    type Host = Machine;

    fn user<'a>(&'a self, host: &'a HostSpec) -> Option<&'a str> {
        host.user.as_deref()
    }

    async fn connect(&self, host: &HostSpec) -> Result<Machine, NoConnection> {
        let machine = self.0.get(host.name.as_str()).cloned().unwrap();
        machine.state().logins += 1;
        match machine
            .fault(|fault| matches!(fault, Fault::Unreachable | Fault::Untrusted | Fault::LoginRefused))
        {
            None => Ok(machine),
            Some(Fault::Untrusted) => Err(NoConnection {
                unreachable: false,
                login_refused: false,
                heals: false,
                why: "the host key has changed".to_owned(),
                hint: "was it reinstalled?".to_owned(),
            }),
            Some(Fault::LoginRefused) => Err(NoConnection {
                unreachable: false,
                login_refused: true,
                heals: false,
                why: "the server does not accept it".to_owned(),
                hint: "is the password right?".to_owned(),
            }),
            Some(_) => Err(NoConnection {
                unreachable: true,
                login_refused: false,
                heals: true,
                why: "connection refused".to_owned(),
                hint: "is it switched on?".to_owned(),
            }),
        }
    }
}
