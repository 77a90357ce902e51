//! The message channels that are open right now. What they carry is decided elsewhere; here is who can be reached.
//! [`control`] and [`data`] serve the websockets, behind an [`entrance`] that asks for [`tokens`].

mod control;
mod data;
mod entrance;
pub mod tokens;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::routing::post;

use thiserror::Error;
use tokio::sync::{Notify, mpsc};

use super::Endpoint;
use super::faults::Faults;
use crate::agent_message::AgentMessage;
use crate::ids::ManagedNodeId;
use tokens::Tokens;

/// Frames that wait for a slow agent; more than these are refused, so that none fills the memory.
const WAITING: usize = 64;

/// The operations of the service `ssmmessages`.
pub const OPERATIONS: [&str; 4] = [control::CREATE, control::OPEN, data::CREATE, data::OPEN];

/// The paths of the service `ssmmessages`.
pub fn routes() -> Router<Arc<Endpoint>> {
    Router::new()
        .route("/v1/control-channel/{node}", post(control::create).get(control::open))
        .route("/v1/data-channel/{session}", post(data::create).get(data::open))
}

/// The control channels, one per node, and a bell for agents that poll instead.
#[derive(Debug, Default)]
pub struct Channels {
    controls: Mutex<HashMap<ManagedNodeId, Control>>,
    opened: Mutex<u64>,
    faults: Arc<Mutex<Faults>>,
    /// What opens channels.
    pub tokens: Tokens,
    /// Rings when a message was put where `GetMessages` finds it.
    pub posted: Notify,
}

#[derive(Debug)]
struct Control {
    number: u64,
    frames: mpsc::Sender<AgentMessage>,
}

/// A node whose control channel is closed, or that does not take its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the node's control channel is not open, or does not take its messages")]
pub struct NotReached;

/// An open control channel, for whoever serves it.
#[derive(Debug)]
pub struct Opened {
    /// What is to be sent to the agent. It ends when a newer channel of the same node takes this one's place.
    pub frames: mpsc::Receiver<AgentMessage>,
    number: u64,
}

impl Channels {
    /// Channels that faults may end.
    pub(super) fn under(faults: Arc<Mutex<Faults>>) -> Self {
        Self { faults, ..Self::default() }
    }

    /// Opens the control channel of a node; an older one of the same node ends.
    pub fn open(&self, node: &ManagedNodeId) -> Opened {
        let (sender, frames) = mpsc::channel(WAITING);
        let number = {
            let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            *opened += 1;
            *opened
        };
        self.lock().insert(node.clone(), Control { number, frames: sender });
        self.end_if_struck(node);
        Opened { frames, number }
    }

    /// Closes a control channel, unless a newer one has taken its place.
    pub fn close(&self, node: &ManagedNodeId, opened: &Opened) {
        let mut controls = self.lock();
        if controls.get(node).is_some_and(|control| control.number == opened.number) {
            controls.remove(node);
        }
    }

    /// Ends the control channel of a node, whoever serves it.
    pub fn end(&self, node: &ManagedNodeId) {
        self.lock().remove(node);
    }

    /// Ends every control channel.
    pub fn end_all(&self) {
        self.lock().clear();
    }

    /// Ends the control channels that a fault strikes, and says how many they were.
    pub(super) fn end_struck(&self) -> u64 {
        let nodes: Vec<ManagedNodeId> = self.lock().keys().cloned().collect();
        nodes.iter().map(|node| u64::from(self.end_if_struck(node))).sum()
    }

    fn end_if_struck(&self, node: &ManagedNodeId) -> bool {
        let struck = self.faults.lock().unwrap_or_else(PoisonError::into_inner).channel(node);
        if struck {
            self.end(node);
        }
        struck
    }

    /// Whether a node's control channel is open.
    #[must_use]
    pub fn is_connected(&self, node: &ManagedNodeId) -> bool {
        self.lock().contains_key(node)
    }

    /// Sends a frame to a node.
    pub fn send(&self, node: &ManagedNodeId, message: AgentMessage) -> Result<(), NotReached> {
        let controls = self.lock();
        let control = controls.get(node).ok_or(NotReached)?;
        control.frames.try_send(message).map_err(|_| NotReached)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ManagedNodeId, Control>> {
        self.controls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Channels, NotReached};
    use crate::agent_message::AgentMessage;
    use crate::ids::ManagedNodeId;

    #[test]
    fn a_newer_channel_takes_the_place_of_an_older_one() {
        let (channels, node) = (Channels::default(), ManagedNodeId::random());
        let message = AgentMessage::new("agent_job", 0, 0, Vec::new());
        assert_eq!(channels.send(&node, message.clone()), Err(NotReached));
        let mut old = channels.open(&node);
        let mut new = channels.open(&node);
        channels.send(&node, message.clone()).unwrap();
        assert_eq!(new.frames.try_recv(), Ok(message));
        assert!(old.frames.try_recv().is_err());
        channels.close(&node, &old);
        assert!(channels.is_connected(&node), "the older one may not close the newer");
        channels.close(&node, &new);
        assert!(!channels.is_connected(&node));
    }

    #[test]
    fn an_agent_that_takes_nothing_is_not_waited_for() {
        let (channels, node) = (Channels::default(), ManagedNodeId::random());
        let _opened = channels.open(&node);
        let sent = (0..1000)
            .take_while(|_| channels.send(&node, AgentMessage::new("agent_job", 0, 0, Vec::new())).is_ok())
            .count();
        assert_eq!(sent, 64);
    }
}
