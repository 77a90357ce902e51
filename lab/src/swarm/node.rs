//! One simulated agent: it registers, reports, beats, and keeps its control channel open, each as the real agent does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::Rng as _;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use uuid::Uuid;

use super::end::End;
use super::gateway;
use super::operator::Activation;
use super::role::Role;
use super::service::{CallError, Service};
use super::signing::Proof;
use super::tally::{Share, Tally};
use super::wish::Habits;
use super::{SharedKey, control};
use crate::agent::{AGENT_VERSION, schedule};
use crate::ids::ManagedNodeId;
use crate::node_key::NodeKey;

const LONGEST_REGISTRATION_PAUSE: Duration = Duration::from_mins(1);

/// Who an agent is once it is registered.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) id: ManagedNodeId,
    pub(super) fingerprint: String,
    pub(super) key: Arc<NodeKey>,
}

/// One agent.
#[derive(Debug)]
pub(super) struct Node {
    number: u32,
    service: Service,
    habits: Habits,
    tally: Arc<Tally>,
    role: Role,
    is_connected: AtomicBool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Registered {
    instance_id: ManagedNodeId,
}

impl Node {
    pub(super) fn new(number: u32, service: Service, habits: Habits, tally: Arc<Tally>) -> Self {
        Self { number, service, habits, tally, role: Role::default(), is_connected: AtomicBool::new(false) }
    }

    /// Lives from the registration until the swarm ends, or until the endpoint does not want this agent.
    pub(super) async fn live(self, activation: Arc<Activation>, key: Arc<SharedKey>, mut end: End) {
        let mut ended = end.clone();
        let registered = tokio::select! {
            () = ended.come() => return,
            registered = self.register(&activation, &key) => registered,
        };
        let identity = match registered {
            Ok(identity) => identity,
            Err(error) => {
                self.tally.complain(&error);
                Tally::count(&self.tally.failed);
                return;
            }
        };
        self.tally.register(identity.id.clone());
        let work = async {
            let mut online = Share::of(&self.tally.online);
            self.start(&identity, &mut online).await;
            let beats = self.beat(&identity, &mut online);
            tokio::select! {
                () = beats => {}
                () = self.stay_connected(&identity, &mut end) => {}
            }
        };
        tokio::select! {
            // The channel is closed before the agent goes.
            biased;
            () = work => {}
            () = async { ended.come().await; tokio::time::sleep(LAST_WORDS).await; } => {}
        }
    }

    /// An endpoint that is away, or has too much to do, is asked again until it answers.
    async fn register(&self, activation: &Activation, key: &SharedKey) -> Result<Identity, CallError> {
        let fingerprint = Uuid::new_v4().to_string();
        let mut pause = Duration::from_secs(5);
        loop {
            let body = json!({
                "ActivationCode": activation.code.expose_secret(),
                "ActivationId": activation.id,
                "Fingerprint": fingerprint,
                "PublicKey": key.public,
                "PublicKeyType": "Rsa",
            });
            match self.service.call::<Registered>("RegisterManagedInstance", &body, Proof::Nobody).await {
                Ok(Registered { instance_id }) => {
                    return Ok(Identity { id: instance_id, fingerprint, key: Arc::clone(&key.pair) });
                }
                Err(error) if error.is_passing() => self.tally.complain(&error),
                Err(error) => return Err(error),
            }
            self.habits.pace.pause(jittered(pause)).await;
            pause = (pause * 2).min(LONGEST_REGISTRATION_PAUSE);
        }
    }

    /// The two reports of a start. Until the first one is taken, the real agent hibernates.
    async fn start(&self, identity: &Identity, online: &mut Share<'_>) {
        self.role.keys(&self.service, identity, &self.habits, &self.tally).await;
        self.habits.pace.pause(schedule::BEFORE_FIRST_REPORT).await;
        let empty = json!({
            "AgentName": "amazon-ssm-agent",
            "AgentVersion": AGENT_VERSION,
            "InstanceId": identity.id,
            "PlatformType": "Linux",
        });
        let mut failures = 0;
        while !self.report(identity, &empty, online).await {
            self.habits.pace.pause(schedule::hibernation(failures)).await;
            failures += 1;
        }
        self.habits.pace.pause(schedule::BEFORE_FULL_REPORT).await;
        self.report(identity, &self.full_report(identity, ""), online).await;
    }

    async fn beat(&self, identity: &Identity, online: &mut Share<'_>) {
        self.habits.pace.pause(schedule::first_beat()).await;
        loop {
            let channel =
                if self.is_connected.load(Ordering::Relaxed) { "ssmmessages" } else { "ec2messages" };
            self.report(identity, &self.full_report(identity, channel), online).await;
            self.habits.pace.pause(schedule::BEAT).await;
        }
    }

    async fn report(&self, identity: &Identity, report: &Value, online: &mut Share<'_>) -> bool {
        let keys = self.role.keys(&self.service, identity, &self.habits, &self.tally).await;
        let call = self.service.call::<IgnoredAny>("UpdateInstanceInformation", report, Proof::Keys(&keys));
        let taken = call.await.inspect_err(|error| self.tally.complain(error)).is_ok();
        Tally::count(if taken { &self.tally.beats } else { &self.tally.missed_beats });
        online.set(taken);
        taken
    }

    fn full_report(&self, identity: &Identity, channel: &str) -> Value {
        // 198.18.0.0/15 is set aside for benchmarks.
        let [_, _, high, low] = self.number.to_be_bytes();
        json!({
            "AgentName": "amazon-ssm-agent",
            "AgentStatus": "Active",
            "AgentVersion": AGENT_VERSION,
            "AvailabilityZone": "",
            "AvailabilityZoneId": "",
            "ComputerName": format!("swarm-{:04}", self.number),
            "IPAddress": format!("198.18.{high}.{low}"),
            "InstanceId": identity.id,
            "PlatformName": "Debian GNU/Linux",
            "PlatformType": "Linux",
            "PlatformVersion": "12",
            "SSMConnectionChannel": channel,
        })
    }

    /// Opens the control channel whenever it is not open, until the swarm ends.
    async fn stay_connected(&self, identity: &Identity, end: &mut End) {
        let mut connected = Share::of(&self.tally.connected);
        let mut was_connected = false;
        loop {
            let mut ended = end.clone();
            let mut socket = tokio::select! {
                () = ended.come() => return,
                socket = self.connect(identity) => socket,
            };
            if was_connected {
                Tally::count(&self.tally.reconnects);
            }
            was_connected = true;
            connected.set(true);
            self.is_connected.store(true, Ordering::Relaxed);
            let served = control::serve(&mut socket, &self.habits, &self.tally, end).await;
            connected.set(false);
            self.is_connected.store(false, Ordering::Relaxed);
            match served {
                Ok(()) => return,
                Err(lost) => self.tally.complain(&lost),
            }
        }
    }

    async fn connect(&self, identity: &Identity) -> gateway::Socket {
        let first = schedule::first_channel_pause();
        let mut failures = 0;
        loop {
            let keys = self.role.keys(&self.service, identity, &self.habits, &self.tally).await;
            match gateway::open(&self.service, &identity.id, &keys).await {
                Ok(socket) => return socket,
                Err(error) => self.tally.complain(&error),
            }
            self.habits.pace.pause(schedule::after_channel_failure(first, failures)).await;
            failures += 1;
        }
    }
}

/// Enough for a close frame on every channel.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Up to half as much on top, so that a fleet does not come back as one.
fn jittered(pause: Duration) -> Duration {
    pause + rand::rng().random_range(Duration::ZERO..=pause / 2)
}
