//! Waits until SSM says Online, for all hosts of an environment at once. One task asks for everyone,
//! 50 nodes a request; a thousand hosts that asked for themselves would be throttled by AWS.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep_until, timeout_at},
};

use super::{ControlPlane, ManagedNodeId, NODES_PER_REQUEST, NodeRecord, PingStatus, SsmError};

/// An agent is Online about a second after its start, so the first look is soon.
const FIRST_LOOK: Duration = Duration::from_secs(1);
const SHORTEST_GAP: Duration = Duration::from_secs(2);
const LONGEST_GAP: Duration = Duration::from_secs(5);
/// When AWS is in trouble; on top of the retries of the SDK.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
const QUEUE: usize = 256;

/// A host that is not Online within its limit.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{id} is not Online: {why}")]
pub struct StillOffline {
    /// The managed node.
    pub id: ManagedNodeId,
    /// What SSM last said of it; none if it never knew it.
    pub last: Option<NodeRecord>,
    /// Why it does not count as Online.
    pub why: WhyOffline,
}

/// Why a node does not count as Online.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhyOffline {
    /// There was no time to ask.
    #[error("its time was up before SSM could be asked")]
    NotAsked,
    /// SSM has never heard of it, or no longer knows it.
    #[error("SSM does not know it")]
    Unknown,
    /// SSM does not hear from its agent.
    #[error("SSM says {ping}{}", last_ping.map(|at| format!(", last heard at {at:.0}")).unwrap_or_default())]
    Silent {
        /// SSM's word.
        ping: PingStatus,
        /// When it last did.
        last_ping: Option<Timestamp>,
    },
    /// Online by an old ping, which proves nothing about the agent that was just started.
    #[error("SSM says Online, but has not heard from it since {}", last_ping.map_or_else(|| "ever".to_owned(), |at| format!("{at:.0}")))]
    Stale {
        /// When it last did.
        last_ping: Option<Timestamp>,
    },
    /// SSM could not be asked.
    #[error("SSM cannot be asked ({0})")]
    Trouble(SsmError),
}

impl StillOffline {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match &self.why {
            WhyOffline::Trouble(error) => error.hint(),
            WhyOffline::NotAsked => "give the host more time: `online_within` of its environment".to_owned(),
            WhyOffline::Unknown => "look into /var/log/amazon/ssm/amazon-ssm-agent.log on the host: the agent has not \
                                    reported to SSM, or it was deregistered"
                .to_owned(),
            WhyOffline::Silent { .. } | WhyOffline::Stale { .. } => {
                "look into /var/log/amazon/ssm/errors.log on the host, and check that it reaches SSM and that its clock is right"
                    .to_owned()
            }
        }
    }
}

/// Asks SSM on behalf of all hosts of one environment. Its task ends when it is dropped.
#[derive(Debug)]
pub struct Verifier {
    waits: mpsc::Sender<(ManagedNodeId, Wait)>,
    task: JoinHandle<()>,
}

/// One host's wish, with the line on which it hears of its node.
#[derive(Debug)]
struct Wait {
    newer_than: Option<Timestamp>,
    said: watch::Sender<Said>,
}

/// What is known of a node.
#[derive(Clone, Debug, Default)]
struct Said {
    last: Option<NodeRecord>,
    why: Option<WhyOffline>,
    /// Nothing more will be said.
    settled: bool,
}

impl Verifier {
    /// Starts the task; it asks nothing until someone waits.
    pub fn start<C: ControlPlane>(control_plane: Arc<C>) -> Self {
        let (waits, queue) = mpsc::channel(QUEUE);
        let task =
            tokio::spawn(Poller { control_plane, queue, waits: BTreeMap::new(), pace: Pace::new() }.run());
        Self { waits, task }
    }

    /// Waits until SSM says Online, and has heard from the agent after `newer_than` (by AWS's clock) if that is
    /// given. Trouble that may pass is waited out until the deadline; other trouble ends the wait at once.
    pub async fn wait_online(
        &self,
        id: &ManagedNodeId,
        newer_than: Option<Timestamp>,
        deadline: Instant,
    ) -> Result<NodeRecord, StillOffline> {
        let (said, mut hears) = watch::channel(Said::default());
        let wait = (id.clone(), Wait { newer_than, said });
        let settled = async {
            // Either fails only when the task is gone, and it outlives this borrow of the verifier.
            self.waits.send(wait).await.ok();
            hears.wait_for(|said| said.settled).await.ok().map(|said| said.clone())
        };
        let settled = timeout_at(deadline, settled).await.ok().flatten();
        let said = settled.unwrap_or_else(|| hears.borrow().clone());
        match said {
            Said { last: Some(record), why: None, settled: true } => Ok(record),
            Said { last, why, .. } => {
                Err(StillOffline { id: id.clone(), last, why: why.unwrap_or(WhyOffline::NotAsked) })
            }
        }
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// When to ask next. No jitter: there is one of these per environment, so there is no herd to spread.
#[derive(Debug)]
struct Pace {
    gap: Duration,
    backoff: Option<Duration>,
    last: Option<Instant>,
    next: Instant,
}

impl Pace {
    fn new() -> Self {
        Self { gap: SHORTEST_GAP, backoff: None, last: None, next: Instant::now() }
    }

    /// A host began to wait: look soon, but don't let a stream of hosts, or trouble, be answered by more requests.
    fn someone_came(&mut self, first: bool) {
        let soon = Instant::now() + FIRST_LOOK;
        let soon = self.last.map_or(soon, |last| soon.max(last + SHORTEST_GAP));
        if self.backoff.is_some() {
            return;
        }
        self.gap = SHORTEST_GAP;
        self.next = if first { soon } else { self.next.min(soon) };
    }

    fn asked(&mut self, trouble: bool) {
        let now = Instant::now();
        self.last = Some(now);
        if trouble {
            let backoff = self.backoff.map_or(SHORTEST_GAP * 2, |backoff| (backoff * 2).min(LONGEST_BACKOFF));
            self.backoff = Some(backoff);
            self.next = now + backoff;
        } else {
            self.backoff = None;
            self.next = now + self.gap;
            self.gap = (self.gap + Duration::from_secs(1)).min(LONGEST_GAP);
        }
    }
}

struct Poller<C> {
    control_plane: Arc<C>,
    queue: mpsc::Receiver<(ManagedNodeId, Wait)>,
    waits: BTreeMap<ManagedNodeId, Vec<Wait>>,
    pace: Pace,
}

impl<C: ControlPlane> Poller<C> {
    async fn run(mut self) {
        loop {
            tokio::select! {
                biased;
                came = self.queue.recv() => match came {
                    Some((id, wait)) => {
                        self.pace.someone_came(self.waits.is_empty());
                        self.waits.entry(id).or_default().push(wait);
                    }
                    None => return,
                },
                () = sleep_until(self.pace.next), if !self.waits.is_empty() => {
                    let asked = self.ask().await;
                    if let Err(error) = &asked {
                        self.tell_trouble(error);
                    }
                    self.pace.asked(asked.is_err());
                }
            }
            self.waits.retain(|_, waits| {
                waits.retain(|wait| !wait.said.is_closed() && !wait.said.borrow().settled);
                !waits.is_empty()
            });
        }
    }

    /// One round over everyone who waits now. Those who come meanwhile queue up; their deadlines are their own.
    async fn ask(&self) -> Result<(), SsmError> {
        // An unknown id makes AWS refuse the whole request: keep them apart from those it has shown before.
        let (known, new): (Vec<_>, Vec<_>) = self
            .waits
            .iter()
            .partition(|(_, waits)| waits.iter().any(|wait| wait.said.borrow().last.is_some()));
        let ids: Vec<ManagedNodeId> = known.into_iter().chain(new).map(|(id, _)| id.clone()).collect();
        for batch in ids.chunks(NODES_PER_REQUEST) {
            let records = self.control_plane.nodes(batch).await?;
            self.tell(batch, records);
        }
        Ok(())
    }

    fn tell(&self, batch: &[ManagedNodeId], records: Vec<NodeRecord>) {
        let mut records: BTreeMap<_, _> =
            records.into_iter().map(|record| (record.id.clone(), record)).collect();
        for id in batch {
            let record = records.remove(id);
            for wait in self.waits.get(id).into_iter().flatten() {
                let why = why_offline(record.as_ref(), wait.newer_than);
                wait.said.send_modify(|said| {
                    said.settled = why.is_none();
                    said.why = why;
                    said.last = record.clone().or(said.last.take());
                });
            }
        }
    }

    /// Tells everyone whom this round has not settled.
    fn tell_trouble(&self, error: &SsmError) {
        for wait in self.waits.values().flatten().filter(|wait| !wait.said.borrow().settled) {
            wait.said.send_modify(|said| {
                said.settled = !error.is_transient();
                said.why = Some(WhyOffline::Trouble(error.clone()));
            });
        }
    }
}

/// None if this record is the proof that is wanted.
fn why_offline(record: Option<&NodeRecord>, newer_than: Option<Timestamp>) -> Option<WhyOffline> {
    let Some(NodeRecord { ping, last_ping, .. }) = record else { return Some(WhyOffline::Unknown) };
    let (ping, last_ping) = (ping.clone(), *last_ping);
    match ping {
        PingStatus::Online if newer_than.is_none() || last_ping > newer_than => None,
        PingStatus::Online => Some(WhyOffline::Stale { last_ping }),
        ping => Some(WhyOffline::Silent { ping, last_ping }),
    }
}
