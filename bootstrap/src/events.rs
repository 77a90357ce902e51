//! What happens in a run, as values. Whoever changes something sends an [`Event`]; the journal, the
//! progress display and the log only read them, so that they can never disagree.

use std::{fmt, path::PathBuf, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    inventory::{EnvironmentName, HostName},
    report::{FleetReport, HostReport},
};

/// One run of the program over a fleet: `20261122T103105Z-5f3a`, so that names sort by time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunId(String);

impl RunId {
    /// A new id for a run that starts now.
    pub fn new(now: Timestamp) -> Self {
        let random = uuid::Uuid::new_v4().as_u128() & 0xffff;
        Self(format!("{}-{random:04x}", now.strftime("%Y%m%dT%H%M%SZ")))
    }

    /// An id read back from the journal or from a tag.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a host is going through; every step has a limit.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Waiting for its turn.
    Queue,
    /// Waiting before it is tried again.
    Retry,
    /// TCP, SSH handshake, authentication.
    Connect,
    /// Collecting facts.
    Observe,
    /// Asking SSM about an existing registration, deciding what to do.
    Plan,
    /// Waiting for the package to be on the controller.
    Fetch,
    /// Sending the package.
    Upload,
    /// The host downloads the package.
    Download,
    /// Installing the package.
    Install,
    /// Writing the agent's configuration.
    Configure,
    /// Registering with the activation.
    Register,
    /// Starting and enabling the agent.
    Start,
    /// Collecting facts again: are the gaps closed?
    Check,
    /// Waiting until SSM says Online.
    Online,
    /// Restarting an agent that stays offline.
    Repair,
    /// Setting the managed node's tags and reading them back.
    Tag,
}

impl Step {
    /// The word for it in progress lines and reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Retry => "retry",
            Self::Connect => "connect",
            Self::Observe => "observe",
            Self::Plan => "plan",
            Self::Fetch => "fetch",
            Self::Upload => "upload",
            Self::Download => "download",
            Self::Install => "install",
            Self::Configure => "configure",
            Self::Register => "register",
            Self::Start => "start",
            Self::Check => "check",
            Self::Online => "online",
            Self::Repair => "repair",
            Self::Tag => "tag",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A line about a command that ran on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The controller's time when it came.
    pub at: Timestamp,
    /// Who says it.
    pub source: Source,
    /// The line, without its end; what a host prints may hold control characters.
    pub text: String,
}

/// Who says a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// This program: a command begins or ends.
    Bootstrap,
    /// The command, on stdout.
    Stdout,
    /// The command, on stderr; told at its end.
    Stderr,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// First event of a run.
    RunStarted {
        /// The run.
        run: RunId,
        /// The inventory's file.
        inventory: PathBuf,
        /// Every host of the inventory, in its order.
        hosts: Vec<(HostName, EnvironmentName)>,
        /// Nothing will be changed.
        dry_run: bool,
    },
    /// A host entered a step.
    Step {
        /// The host.
        host: HostName,
        /// The step.
        step: Step,
    },
    /// What is going to be done on a host; empty when it is converged.
    Planned {
        /// The host.
        host: HostName,
        /// One sentence for each action, in order.
        actions: Vec<String>,
    },
    /// An action on a host ended well.
    Done {
        /// The host.
        host: HostName,
        /// The step it was done in.
        step: Step,
        /// The action's sentence.
        action: String,
    },
    /// What commands printed on a host, in order; without secrets, and never lost.
    Output {
        /// The host.
        host: HostName,
        /// At least one.
        lines: Vec<Line>,
    },
    /// AWS is about to be asked for an activation. Until all that was asked for is settled, there may be one whose id nobody
    /// was told.
    ActivationRequested {
        /// The environment it is for.
        environment: EnvironmentName,
    },
    /// It is known what came of every request of the run for this environment.
    ActivationsSettled {
        /// The environment.
        environment: EnvironmentName,
    },
    /// An activation was created; its code is nobody's business here.
    ActivationCreated {
        /// The environment it is for.
        environment: EnvironmentName,
        /// `ActivationId`.
        id: String,
        /// How many registrations it allows.
        limit: u32,
    },
    /// An activation is gone.
    ActivationDeleted {
        /// `ActivationId`.
        id: String,
    },
    /// An activation could not be deleted; it stays in the ledger.
    ActivationLeft {
        /// `ActivationId`.
        id: String,
        /// Why.
        why: String,
    },
    /// A host failed in a way that may heal, and is tried again.
    Retry {
        /// The host.
        host: HostName,
        /// Which retry this will be, from 1.
        number: u32,
        /// How many there may be.
        of: u32,
        /// After which wait.
        after: Duration,
        /// What failed.
        why: String,
    },
    /// Something worth saying, about one host or the whole run.
    Warning {
        /// The host, if it is about one.
        host: Option<HostName>,
        /// One sentence.
        text: String,
    },
    /// The first Ctrl-C: nothing new starts.
    Interrupted,
    /// A host is through.
    HostDone(HostReport),
    /// Last event of a run.
    RunDone(FleetReport),
}

/// Someone who is told of every event, in order.
pub trait Reader: Send {
    /// Takes note of an event. `at` is the controller's time when it was sent.
    fn read(&mut self, at: Timestamp, event: &Event);

    /// Called now and then between events, so that a display can move.
    fn tick(&mut self) {}
}

/// The sending end; cheap to clone.
#[derive(Clone, Debug)]
pub struct Events(mpsc::Sender<Sent>);

/// An event on its way to the readers.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) at: Timestamp,
    pub(crate) event: Event,
    /// Dropped when every reader has read it.
    read: Option<oneshot::Sender<()>>,
}

impl Sent {
    fn now(event: Event) -> Self {
        Self { at: Timestamp::now(), event, read: None }
    }
}

/// Enough for some hundred hosts to go through a step at once without waiting for the journal.
const QUEUE: usize = 1024;
/// How often displays move.
pub(crate) const TICK: Duration = Duration::from_millis(120);

impl Events {
    /// Starts the task that hands events to the readers; it ends when every sender is gone.
    pub fn start(mut readers: Vec<Box<dyn Reader>>) -> (Self, JoinHandle<()>) {
        let (sender, mut inbox) = mpsc::channel::<Sent>(QUEUE);
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(TICK);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    biased;
                    received = inbox.recv() => {
                        let Some(Sent { at, event, read }) = received else { break };
                        for reader in &mut readers {
                            reader.read(at, &event);
                        }
                        drop(read);
                    }
                    _ = ticks.tick() => for reader in &mut readers {
                        reader.tick();
                    },
                }
            }
        });
        (Self(sender), task)
    }

    /// Sends an event that may be lost when the readers are behind: a step that is over in a moment.
    pub fn try_send(&self, event: Event) {
        self.0.try_send(Sent::now(event)).ok();
    }

    /// Makes and sends an event if there is room for one; until then nothing is made, and so nothing is lost.
    pub(crate) fn try_send_with(&self, make: impl FnOnce() -> Option<Event>) {
        if let Ok(place) = self.0.try_reserve()
            && let Some(event) = make()
        {
            place.send(Sent::now(event));
        }
    }

    /// A sender to a channel of a test.
    #[cfg(test)]
    pub(crate) fn to(sender: mpsc::Sender<Sent>) -> Self {
        Self(sender)
    }

    /// Sends an event. Readers never fail a run, so an event nobody reads any more is dropped.
    pub async fn send(&self, event: Event) {
        self.0.send(Sent::now(event)).await.ok();
    }

    /// Sends an event and waits until every reader has read it: what comes next must not happen before the journal has it.
    pub async fn send_read(&self, event: Event) {
        let (read, was_read) = oneshot::channel();
        if self.0.send(Sent { read: Some(read), ..Sent::now(event) }).await.is_ok() {
            // The sender is only ever dropped.
            was_read.await.ok();
        }
    }
}
