//! The data channel of one session: one thread waits for the websocket, the terminal and the end at once, and moves
//! what comes from one to the other.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;
use tungstenite::Message;
use uuid::Uuid;

use super::shell::{Output, Shell};
use super::stream::{CHUNK, Incoming, Outgoing, whole_characters};
use crate::agent::bell::{Bell, ready, wait};
use crate::agent::channel::control::chain;
use crate::agent::channel::gateway::{Channel, Gateway, GatewayError};
use crate::agent::channel::wire::{Wire, WireError};
use crate::agent::node::Node;
use crate::agent::role::Role;
use crate::agent::schedule;
use crate::agent::time::Ended;
use crate::agent_message::AgentMessage;

const OUTPUT: u32 = 1;
const SIZE: u32 = 3;
/// Tries after the first one.
const RETRIES: u32 = 5;
/// What the last output may take to be acknowledged.
const SETTLING: Duration = Duration::from_secs(2);
/// Between two looks at a shell whose terminal is silent.
const LOOK: Duration = Duration::from_secs(1);

/// How a relay came to its end.
#[derive(Debug)]
pub enum Finish {
    /// The shell ended by itself.
    ShellEnded,
    /// The session was terminated.
    Terminated,
    /// The channel or the terminal broke.
    Lost(String),
}

#[derive(Debug, Deserialize)]
struct Acknowledged {
    #[serde(rename = "AcknowledgedMessageSequenceNumber")]
    sequence: i64,
}

#[derive(Debug, Deserialize)]
struct TerminalSize {
    cols: u32,
    rows: u32,
}

/// Whether the session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    On,
    Closed,
}

/// The channel of one session.
#[derive(Debug)]
pub struct DataChannel<'a> {
    node: &'a Node,
    gateway: &'a Gateway,
    role: &'a Role<'a>,
    session: &'a str,
    client: String,
    wire: Option<Wire>,
    outgoing: Outgoing,
    incoming: Incoming,
    /// The beginning of a character.
    torn: Vec<u8>,
    paused: bool,
}

impl<'a> DataChannel<'a> {
    /// A channel that is not connected.
    #[must_use]
    pub fn new(node: &'a Node, gateway: &'a Gateway, role: &'a Role<'a>, session: &'a str) -> Self {
        Self {
            node,
            gateway,
            role,
            session,
            client: Uuid::new_v4().to_string(),
            wire: None,
            outgoing: Outgoing::default(),
            incoming: Incoming::default(),
            torn: Vec::new(),
            paused: false,
        }
    }

    /// Connects, or connects again; the streams go on where they were.
    pub fn connect(&mut self) -> Result<Result<(), GatewayError>, Ended> {
        self.wire = None;
        let mut failures = 0;
        loop {
            let credentials = self.role.credentials()?;
            let channel = Channel::Data { session: self.session, node: &self.node.id, client: &self.client };
            match self.gateway.open(channel, &credentials, &self.node.time) {
                Ok(wire) => {
                    self.wire = Some(wire);
                    self.paused = false;
                    return Ok(Ok(()));
                }
                Err(error) if failures >= RETRIES => return Ok(Err(error)),
                Err(_) => {
                    self.node.time.pause(schedule::after_data_channel_failure(failures))?;
                    failures += 1;
                }
            }
        }
    }

    /// Tells the state of the session.
    pub fn tell(&mut self, state: &str) {
        let content = json!({"SchemaVersion": 1, "SessionState": state, "SessionId": self.session});
        // A connection that breaks here is noticed by the next read.
        let _ = self.send("agent_session_state", &content);
    }

    /// Says goodbye.
    pub fn close(&mut self) {
        if let Some(wire) = self.wire.take() {
            wire.close();
        }
    }

    /// Moves input and output until one side ends.
    pub fn relay(&mut self, shell: &mut Shell, ended: &Bell) -> Result<Finish, Ended> {
        loop {
            match self.turn(shell, ended) {
                Ok(Some(finish)) => {
                    self.node.time.check()?;
                    return Ok(finish);
                }
                Ok(None) => self.node.time.check()?,
                Err(error) => {
                    self.node.diary.error(&format!("Session {}: {}", self.session, chain(&error)));
                    if let Err(error) = self.connect()? {
                        return Ok(Finish::Lost(chain(&error)));
                    }
                }
            }
        }
    }

    /// Waits for the acknowledgements of what was sent last.
    pub fn settle(&mut self) -> Result<(), Ended> {
        let end = Instant::now() + SETTLING;
        while !self.outgoing.is_settled() && Instant::now() < end {
            if self.receive(None).is_err() || self.resend().is_err() {
                break;
            }
            let patience = self.patience().min(end.saturating_duration_since(Instant::now()));
            let Some(wire) = &self.wire else { break };
            let _ = wait(&mut [wire.watched(), self.node.time.stop().watched()], patience);
            self.node.time.check()?;
        }
        Ok(())
    }

    fn turn(&mut self, shell: &mut Shell, ended: &Bell) -> Result<Option<Finish>, WireError> {
        if self.receive(Some(shell))? == Turn::Closed {
            return Ok(Some(Finish::Terminated));
        }
        self.resend()?;
        let wants_output = self.wants_output();
        let over = wants_output && shell.has_ended();
        let patience = if over { Duration::ZERO } else { self.patience() };
        let Some(wire) = &self.wire else { return Err(WireError::Closed) };
        let (is_over, speaks) = {
            // Without wishes the terminal is left out: its hang-up would be reported at once, again and again.
            let mut fds = vec![wire.watched(), self.node.time.stop().watched(), ended.watched()];
            if wants_output || shell.has_waiting_input() {
                fds.push(shell.watched(wants_output));
            }
            wait(&mut fds, patience)?;
            (ready(&fds, 1) || ready(&fds, 2), ready(&fds, 3))
        };
        if is_over {
            return Ok(Some(Finish::Terminated));
        }
        shell.feed();
        if !wants_output || !(speaks || over) {
            return Ok(None);
        }
        let mut buffer = [0; CHUNK];
        match shell.read(&mut buffer) {
            Ok(Output::Bytes(length)) => {
                self.output(buffer.get(..length).unwrap_or_default())?;
                Ok(None)
            }
            Ok(Output::Nothing) if !over => Ok(None),
            Ok(Output::Nothing | Output::End) => {
                self.last_output()?;
                Ok(Some(Finish::ShellEnded))
            }
            Err(error) => Ok(Some(Finish::Lost(format!("cannot read the terminal: {error}")))),
        }
    }

    fn wants_output(&self) -> bool {
        !self.paused
            && self.outgoing.has_room()
            && self.wire.as_ref().is_some_and(|wire| !wire.is_backed_up())
    }

    fn patience(&self) -> Duration {
        let resend = self.outgoing.patience(Instant::now()).filter(|_| !self.paused);
        let wire = self.wire.as_ref().map(Wire::patience);
        [resend, wire].into_iter().flatten().min().unwrap_or(LOOK).min(LOOK)
    }

    fn output(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        self.torn.extend_from_slice(bytes);
        let whole = whole_characters(&self.torn);
        let rest = self.torn.split_off(whole);
        let payload = std::mem::replace(&mut self.torn, rest);
        self.push(payload)
    }

    fn last_output(&mut self) -> Result<(), WireError> {
        let payload = std::mem::take(&mut self.torn);
        self.push(payload)
    }

    fn push(&mut self, payload: Vec<u8>) -> Result<(), WireError> {
        if payload.is_empty() {
            return Ok(());
        }
        let frame = self.outgoing.push(OUTPUT, payload, Instant::now());
        self.send_frame(frame)
    }

    fn resend(&mut self) -> Result<(), WireError> {
        let free = self.wire.as_ref().is_some_and(|wire| !wire.is_backed_up());
        if !self.paused
            && free
            && let Some(frame) = self.outgoing.due(Instant::now())
        {
            self.send_frame(frame)?;
        }
        self.wire.as_mut().map_or(Err(WireError::Closed), Wire::turn)
    }

    /// Takes all messages that have come.
    fn receive(&mut self, mut shell: Option<&mut Shell>) -> Result<Turn, WireError> {
        loop {
            // A peer that never stops must not keep the agent from ending.
            if self.node.time.check().is_err() {
                return Ok(Turn::Closed);
            }
            let Some(wire) = &mut self.wire else { return Err(WireError::Closed) };
            let Some(message) = wire.receive()? else { return Ok(Turn::On) };
            let Message::Binary(frame) = message else { continue };
            match AgentMessage::decode(&frame) {
                Ok(message) => {
                    if self.take(message, shell.as_deref_mut())? == Turn::Closed {
                        return Ok(Turn::Closed);
                    }
                }
                Err(error) => self.node.diary.error(&format!("Cannot deserialize raw message, err: {error}")),
            }
        }
    }

    fn take(&mut self, message: AgentMessage, shell: Option<&mut Shell>) -> Result<Turn, WireError> {
        match message.message_type.as_str() {
            "acknowledge" => {
                self.paused = false;
                if let Ok(acknowledged) = serde_json::from_slice::<Acknowledged>(&message.payload) {
                    self.outgoing.acknowledged(acknowledged.sequence, Instant::now());
                }
            }
            "input_stream_data" => {
                self.paused = false;
                self.input(message, shell)?;
            }
            "channel_closed" => return Ok(Turn::Closed),
            "pause_publication" => self.paused = true,
            "start_publication" => self.paused = false,
            other => self.node.diary.info(&format!("Invalid message type received: {other}")),
        }
        Ok(Turn::On)
    }

    fn input(&mut self, message: AgentMessage, shell: Option<&mut Shell>) -> Result<(), WireError> {
        let acknowledgement = json!({
            "AcknowledgedMessageType": message.message_type,
            "AcknowledgedMessageId": message.id,
            "AcknowledgedMessageSequenceNumber": message.sequence,
            "IsSequentialMessage": true,
        });
        // What comes after the shell has ended is acknowledged and lost, as it would be in a closed terminal.
        let takes_input = shell.as_ref().is_none_or(|shell| shell.takes_input());
        let Some(usable) = self.incoming.take(message, takes_input) else { return Ok(()) };
        if let Some(shell) = shell {
            for message in usable {
                match message.payload_type {
                    OUTPUT => shell.write(&message.payload),
                    SIZE => {
                        if let Ok(size) = serde_json::from_slice::<TerminalSize>(&message.payload) {
                            shell.resize(size.cols, size.rows);
                        }
                    }
                    // Handshakes and flags belong to session types the stand-in has not.
                    _ => {}
                }
            }
        }
        self.send("acknowledge", &acknowledgement)
    }

    fn send(&mut self, message_type: &str, content: &serde_json::Value) -> Result<(), WireError> {
        let message = AgentMessage::new(message_type, 0, 0, content.to_string().into_bytes());
        self.send_frame(message.encode())
    }

    fn send_frame(&mut self, frame: Vec<u8>) -> Result<(), WireError> {
        self.wire.as_mut().map_or(Err(WireError::Closed), |wire| wire.send(Message::binary(frame)))
    }
}
