//! Sessions that live right now: two ends that come and go, and the frames that wait between them. The queues are
//! bounded, so a slow end slows the other; nothing is lost when an end is away, and nothing grows.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use jiff::Timestamp;
use tokio::sync::{Mutex as Turnstile, mpsc, watch};

use super::SessionId;
use super::recorder::Recorder;
use crate::ids::ManagedNodeId;

/// Frames that wait for an end. With the largest frame of a data channel that is 2 MiB each way.
const WAITING: usize = 32;
/// Sessions at the same time; AWS has no such limit, this process has.
const MOST: usize = 1000;

/// The sessions that live.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<SessionId, Arc<Live>>>);

impl Sessions {
    /// Opens a session. `false` if there are too many.
    pub fn open(&self, id: SessionId, live: Live) -> bool {
        let mut sessions = self.lock();
        if sessions.len() >= MOST {
            return false;
        }
        sessions.insert(id, Arc::new(live));
        true
    }

    /// The session, if it lives.
    #[must_use]
    pub fn get(&self, id: &SessionId) -> Option<Arc<Live>> {
        self.lock().get(id).cloned()
    }

    /// Takes a session out, which whoever serves its ends may still hold.
    pub fn remove(&self, id: &SessionId) -> Option<Arc<Live>> {
        self.lock().remove(id)
    }

    /// All that live.
    #[must_use]
    pub fn all(&self) -> Vec<(SessionId, Arc<Live>)> {
        self.lock().iter().map(|(id, live)| (id.clone(), Arc::clone(live))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Live>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of a session's two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// On the node.
    Agent,
    /// At the operator.
    Client,
}

impl Side {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Agent => Self::Client,
            Self::Client => Self::Agent,
        }
    }
}

/// How a session was ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Whether the agent itself said that it is over; then what it sent last is still brought to the client.
    pub by_agent: bool,
    /// What the client is told, empty when there is nothing to say.
    pub output: String,
    /// When.
    pub at: Timestamp,
}

/// A session that lives.
#[derive(Debug)]
pub struct Live {
    /// The node it is on.
    pub node: ManagedNodeId,
    agent: End,
    client: End,
    over: watch::Sender<Option<Ending>>,
    recorder: Mutex<Recorder>,
    /// When something was last typed or shown, in milliseconds since the epoch.
    stirred: AtomicI64,
}

/// An end, whether somebody is there or not.
#[derive(Debug)]
struct End {
    queue: mpsc::Sender<Bytes>,
    /// Held by who serves the end.
    waiting: Turnstile<mpsc::Receiver<Bytes>>,
    seat: watch::Sender<Seat>,
}

/// Who serves an end: each newcomer takes the place of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seat {
    /// How many have come.
    pub comings: u64,
    /// Whether the last one is still there.
    pub taken: bool,
    /// Since when nobody is, if somebody was.
    pub left: Option<Timestamp>,
}

impl Default for End {
    fn default() -> Self {
        let (queue, waiting) = mpsc::channel(WAITING);
        Self { queue, waiting: Turnstile::new(waiting), seat: watch::Sender::default() }
    }
}

impl Live {
    /// A session to which nobody has come yet.
    #[must_use]
    pub fn new(node: ManagedNodeId, now: Timestamp) -> Self {
        Self {
            node,
            agent: End::default(),
            client: End::default(),
            over: watch::Sender::default(),
            recorder: Mutex::default(),
            stirred: AtomicI64::new(now.as_millisecond()),
        }
    }

    fn end(&self, side: Side) -> &End {
        match side {
            Side::Agent => &self.agent,
            Side::Client => &self.client,
        }
    }

    /// Takes the seat of an end; the number tells whether it still has it.
    pub fn sit(&self, side: Side) -> u64 {
        let mut number = 0;
        self.end(side).seat.send_modify(|seat| {
            seat.comings += 1;
            seat.taken = true;
            seat.left = None;
            number = seat.comings;
        });
        number
    }

    /// Leaves the seat, unless a newcomer has it. `true` if the end is empty now.
    pub fn leave(&self, side: Side, number: u64, now: Timestamp) -> bool {
        self.end(side).seat.send_if_modified(|seat| {
            if seat.comings != number {
                return false;
            }
            seat.taken = false;
            seat.left = Some(now);
            true
        })
    }

    /// How an end is served.
    #[must_use]
    pub fn seat(&self, side: Side) -> Seat {
        *self.end(side).seat.borrow()
    }

    /// Tells of each change of an end's seat.
    #[must_use]
    pub fn seats(&self, side: Side) -> watch::Receiver<Seat> {
        self.end(side).seat.subscribe()
    }

    /// The frames for an end. Whoever had them before must have let go, so this may wait.
    pub async fn frames_for(&self, side: Side) -> tokio::sync::MutexGuard<'_, mpsc::Receiver<Bytes>> {
        self.end(side).waiting.lock().await
    }

    /// Sends a frame to an end, once there is room. What waits is never lost while the session lives.
    pub async fn send(&self, side: Side, frame: Bytes) {
        // The receiver is a part of this session, so the queue cannot be closed.
        let _ = self.end(side).queue.send(frame).await;
    }

    /// Sends a frame of the endpoint's own, for which an end without room does not wait.
    pub fn hint(&self, side: Side, frame: Bytes) {
        let _ = self.end(side).queue.try_send(frame);
    }

    /// Says that the session is over; the first to say so is heard. `true` if it was.
    pub fn finish(&self, ending: Ending) -> bool {
        self.over.send_if_modified(|over| {
            let first = over.is_none();
            if first {
                *over = Some(ending);
            }
            first
        })
    }

    /// Tells when the session is over, and how.
    #[must_use]
    pub fn over(&self) -> watch::Receiver<Option<Ending>> {
        self.over.subscribe()
    }

    /// Notes that something was typed or shown.
    pub fn stir(&self, now: Timestamp) {
        self.stirred.store(now.as_millisecond(), Ordering::Relaxed);
    }

    /// When something was last typed or shown.
    #[must_use]
    pub fn stirred(&self) -> Timestamp {
        Timestamp::from_millisecond(self.stirred.load(Ordering::Relaxed)).unwrap_or_default()
    }

    /// Records what was typed or shown; `true` if it is time to write the transcript down.
    pub fn record(&self, side: Side, sequence: i64, content: &[u8], now: Timestamp) -> bool {
        self.recorder().record(side, sequence, content, now)
    }

    /// What is recorded of it and not yet written down.
    pub(super) fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
