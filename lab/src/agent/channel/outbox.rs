//! What other threads want to send over the control channel: a bounded queue that its owner is woken for, and the
//! acknowledgements the senders wait for.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::agent::bell::Bell;
use crate::agent_message::AgentMessage;

/// Replies of a few commands and sessions at once; more is refused, and its sender tries again later.
const LONGEST_QUEUE: usize = 64;

/// The queue and the open questions.
#[derive(Debug)]
pub struct Outbox {
    state: Mutex<State>,
    acknowledged: Condvar,
    bell: Bell,
}

#[derive(Debug, Default)]
struct State {
    connected: bool,
    queue: VecDeque<AgentMessage>,
    /// Messages somebody waits to see acknowledged, and whether they are.
    open: HashMap<Uuid, bool>,
}

impl Outbox {
    /// An empty outbox of a channel that is not connected.
    pub fn new() -> io::Result<Self> {
        Ok(Self { state: Mutex::default(), acknowledged: Condvar::new(), bell: Bell::new()? })
    }

    /// Rings when there is something to send.
    #[must_use]
    pub fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Tells whether there is a channel now. What waited for the old one is dropped with it.
    pub fn set_connected(&self, connected: bool) {
        let mut state = self.lock();
        state.connected = connected;
        state.queue.clear();
    }

    /// Queues a message; `false` if there is no channel or too much waits already.
    #[must_use]
    pub fn send(&self, message: AgentMessage) -> bool {
        let mut state = self.lock();
        if !state.connected || state.queue.len() >= LONGEST_QUEUE {
            return false;
        }
        state.queue.push_back(message);
        self.bell.ring();
        true
    }

    /// Queues a message and waits for its acknowledgement; `false` if none came within `limit`.
    #[must_use]
    pub fn send_and_wait(&self, message: AgentMessage, limit: Duration) -> bool {
        let id = message.id;
        self.lock().open.insert(id, false);
        // A message that cannot be sent is waited for as well, so that its sender does not run wild.
        let _ = self.send(message);
        let end = Instant::now() + limit;
        let mut state = self.lock();
        while state.open.get(&id) == Some(&false) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let woken = self.acknowledged.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.open.remove(&id) == Some(true)
    }

    /// Takes note of an acknowledgement; of what nobody waits for it takes none.
    pub fn acknowledge(&self, id: Uuid) {
        if let Some(known) = self.lock().open.get_mut(&id) {
            *known = true;
        }
        self.acknowledged.notify_all();
    }

    /// The next message to send.
    #[must_use]
    pub fn next(&self) -> Option<AgentMessage> {
        let mut state = self.lock();
        let next = state.queue.pop_front();
        if next.is_none() {
            self.bell.hush();
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LONGEST_QUEUE, Outbox};
    use crate::agent_message::AgentMessage;

    fn message() -> AgentMessage {
        AgentMessage::new("agent_job_reply", 0, 0, b"{}".to_vec())
    }

    #[test]
    fn nothing_is_queued_without_a_channel_nor_beyond_the_limit() {
        let outbox = Outbox::new().unwrap();
        assert!(!outbox.send(message()));
        outbox.set_connected(true);
        assert!((0..LONGEST_QUEUE).all(|_| outbox.send(message())));
        assert!(!outbox.send(message()));
        outbox.set_connected(false);
        assert!(outbox.next().is_none() && !outbox.bell().has_rung());
    }

    #[test]
    fn a_sender_learns_whether_its_own_message_was_acknowledged() {
        let outbox = Outbox::new().unwrap();
        outbox.set_connected(true);
        assert!(!outbox.send_and_wait(message(), Duration::ZERO));
        let wanted = message();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| outbox.send_and_wait(wanted.clone(), Duration::from_hours(1)));
            while outbox.next().is_none_or(|sent| sent.id != wanted.id) {
                assert!(outbox.bell().waits(Duration::from_mins(1)));
            }
            outbox.acknowledge(message().id);
            outbox.acknowledge(wanted.id);
            assert!(waiting.join().unwrap());
        });
        assert!(outbox.lock().open.is_empty(), "nothing is remembered for ever");
    }
}
