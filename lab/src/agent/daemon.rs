//! The running agent: role credentials, the empty report, the full one, then a heartbeat every five minutes beside
//! the threads that carry messages; and what it does when a report fails.

use std::thread;

use serde_json::{Value, json};

use super::AGENT_VERSION;
use super::associations;
use super::channel::gateway::{Gateway, GatewayError};
use super::channel::link::Link;
use super::channel::outbox::Outbox;
use super::channel::{control, messages};
use super::command::replies::Replies;
use super::command::{Commands, WORKERS};
use super::config::Config;
use super::diary::Diary;
use super::fingerprint::FingerprintError;
use super::host::HostInformation;
use super::node::Node;
use super::paths::Paths;
use super::proof::Proof;
use super::role::Role;
use super::schedule;
use super::service::{Service, ServiceError};
use super::session::Sessions;
use super::time::{Ended, Time};
use super::vault::{Vault, VaultError};
use crate::node_key::KeyError;

/// Why a daemon cannot run at all; the real one logs it and exits with 0.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The vault holds no registration, or hybrid identities are switched off.
    #[error("failed to find agent identity")]
    NoIdentity,
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The key in the vault is damaged.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No fingerprint.
    #[error(transparent)]
    Fingerprint(#[from] FingerprintError),
    /// No way to call SSM.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// No way to reach the message gateway.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// The system has no descriptors left.
    #[error("cannot make an event descriptor")]
    Descriptor(#[from] std::io::Error),
}

/// Runs the agent until its time ends.
pub fn run(paths: &Paths, config: &Config, diary: &Diary, time: &Time) -> Result<(), DaemonError> {
    let done = live(paths, config, diary, time);
    if let Err(error) = &done {
        diary.error(&error.to_string());
        let _ = time.pause(schedule::WITHOUT_IDENTITY);
    }
    done
}

fn live(paths: &Paths, config: &Config, diary: &Diary, time: &Time) -> Result<(), DaemonError> {
    let vault = Vault::new(paths);
    let registration =
        vault.registered()?.filter(|_| config.uses_on_prem_identity()).ok_or(DaemonError::NoIdentity)?;
    diary.info(&format!("Agent {AGENT_VERSION} starts as {}", registration.instance_id));
    let node = Node {
        paths: paths.clone(),
        config: config.clone(),
        diary: diary.clone(),
        time: time.clone(),
        id: registration.instance_id.clone(),
        region: config.region(&registration.region).to_owned(),
    };
    let ssm = Service::ssm(config, &node.region)?;
    let for_role = Service::role(config, &node.region)?;
    let role = Role::new(&node, &for_role, vault, registration)?;
    let heart = Heart { node: &node, ssm: &ssm, role: &role, link: Link::new(time) };
    if heart.start().is_err() {
        return Ok(());
    }
    let delivery = messages::Delivery::new(&node, &role)?;
    let gateway = Gateway::new(config, &node.region)?;
    let outbox = Outbox::new()?;
    let replies = Replies::new(&node, &outbox, &delivery, &heart.link);
    let commands = Commands::new(&node, &replies)?;
    let sessions = Sessions::new(&node, &gateway, &role, &outbox);
    let control = control::Control {
        node: &node,
        gateway: &gateway,
        role: &role,
        link: &heart.link,
        outbox: &outbox,
        commands: &commands,
        sessions: &sessions,
        replies: &replies,
    };
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| commands.work());
        }
        scope.spawn(|| control.live(scope));
        scope.spawn(|| messages::live(&delivery, &heart.link, &commands, &replies));
        scope.spawn(|| replies.live());
        scope.spawn(|| associations::live(&node, &ssm, &role));
        let Err(Ended) = heart.beat();
    });
    Ok(())
}

/// What never returns but by the end of the agent.
#[derive(Debug)]
pub enum Never {}

struct Heart<'a> {
    node: &'a Node,
    ssm: &'a Service,
    role: &'a Role<'a>,
    link: Link,
}

impl Heart<'_> {
    /// To the first full report; only then the other threads start.
    fn start(&self) -> Result<(), Ended> {
        let Node { diary, time, .. } = self.node;
        self.role.credentials()?;
        time.pause(schedule::BEFORE_FIRST_REPORT)?;
        let mut failures = 0;
        while let Err(error) = self.report(&self.empty_report())? {
            diary.hibernation(&format!("Entering SSM Agent hibernate - {}", error.line()));
            time.pause(schedule::hibernation(failures))?;
            failures = failures.saturating_add(1);
        }
        time.pause(schedule::BEFORE_FULL_REPORT)?;
        self.tell()
    }

    fn beat(&self) -> Result<Never, Ended> {
        self.node.time.pause(schedule::first_beat())?;
        loop {
            self.tell()?;
            self.node.time.pause(schedule::BEAT)?;
        }
    }

    fn tell(&self) -> Result<(), Ended> {
        let diary = &self.node.diary;
        match self.report(&self.full_report())? {
            Ok(()) => diary.info("Reported to SSM"),
            Err(error) => diary.error(&format!("Failed to report to SSM: {}", error.line())),
        }
        Ok(())
    }

    fn report(&self, report: &Value) -> Result<Result<(), ServiceError>, Ended> {
        let credentials = self.role.credentials()?;
        let proof = Proof::Role(&credentials);
        Ok(self.ssm.call(&self.node.time, "UpdateInstanceInformation", report, proof).map(|_| ()))
    }

    fn empty_report(&self) -> Value {
        json!({
            "AgentName": "amazon-ssm-agent",
            "AgentVersion": AGENT_VERSION,
            "InstanceId": self.node.id,
            "PlatformType": "Linux",
        })
    }

    fn full_report(&self) -> Value {
        let host = HostInformation::observe(&self.node.paths);
        json!({
            "AgentName": "amazon-ssm-agent",
            "AgentStatus": "Active",
            "AgentVersion": AGENT_VERSION,
            "AvailabilityZone": "",
            "AvailabilityZoneId": "",
            "ComputerName": host.computer_name,
            "IPAddress": host.ip_address,
            "InstanceId": self.node.id,
            "PlatformName": host.platform_name,
            "PlatformType": "Linux",
            "PlatformVersion": host.platform_version,
            "SSMConnectionChannel": self.link.reported(),
        })
    }
}
