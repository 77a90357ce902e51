//! The two numbered streams of a data channel: output that is sent again until it is acknowledged, and input that is
//! put in order. No sockets here, and every buffer has its limit.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::agent_message::AgentMessage;

/// What one output message carries at most.
pub const CHUNK: usize = 1024;
/// Unacknowledged output; with more the shell has to wait.
const LARGEST_WINDOW: usize = 1000;
/// Input that came too early.
const MOST_EARLY: usize = 1000;
const MOST_EARLY_BYTES: usize = 1 << 20;

const FIRST_TIMEOUT: Duration = Duration::from_millis(200);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(1);
const CLOCK: Duration = Duration::from_millis(10);

/// The output stream.
#[derive(Debug)]
pub struct Outgoing {
    next: i64,
    open: VecDeque<Sent>,
    round_trip: Duration,
    variation: Duration,
    timeout: Duration,
}

#[derive(Debug)]
struct Sent {
    sequence: i64,
    frame: Vec<u8>,
    at: Instant,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self {
            next: 0,
            open: VecDeque::new(),
            round_trip: Duration::from_millis(100),
            variation: Duration::ZERO,
            timeout: FIRST_TIMEOUT,
        }
    }
}

impl Outgoing {
    /// Whether more may be sent before something is acknowledged.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.open.len() < LARGEST_WINDOW
    }

    /// Whether all was acknowledged.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    /// The frame for a piece of output; it is kept until it is acknowledged.
    pub fn push(&mut self, payload_type: u32, payload: Vec<u8>, now: Instant) -> Vec<u8> {
        let mut message = AgentMessage::new("output_stream_data", self.next, payload_type, payload);
        // The first message opens the stream.
        message.flags = u64::from(self.next == 0);
        let frame = message.encode();
        self.open.push_back(Sent { sequence: self.next, frame: frame.clone(), at: now });
        self.next = self.next.saturating_add(1);
        frame
    }

    /// Takes note of an acknowledgement, and learns from it how long one takes.
    pub fn acknowledged(&mut self, sequence: i64, now: Instant) {
        let Some(place) = self.open.iter().position(|sent| sent.sequence == sequence) else { return };
        let Some(sent) = self.open.remove(place) else { return };
        let measured = now.saturating_duration_since(sent.at);
        self.variation = self.variation * 3 / 4 + self.round_trip.abs_diff(measured) / 4;
        self.round_trip = self.round_trip * 7 / 8 + measured / 8;
        self.timeout = (self.round_trip + CLOCK.max(self.variation * 4)).min(LONGEST_TIMEOUT);
    }

    /// The oldest frame, if it has waited too long for its acknowledgement.
    pub fn due(&mut self, now: Instant) -> Option<Vec<u8>> {
        let timeout = self.timeout;
        let oldest = self.open.front_mut()?;
        if now.saturating_duration_since(oldest.at) <= timeout {
            return None;
        }
        oldest.at = now;
        Some(oldest.frame.clone())
    }

    /// How long until something may be due.
    #[must_use]
    pub fn patience(&self, now: Instant) -> Option<Duration> {
        let oldest = self.open.front()?;
        let waited = now.saturating_duration_since(oldest.at);
        Some(self.timeout.saturating_sub(waited) + Duration::from_millis(1))
    }
}

/// The input stream.
#[derive(Debug, Default)]
pub struct Incoming {
    expected: i64,
    early: BTreeMap<i64, AgentMessage>,
    early_bytes: usize,
}

impl Incoming {
    /// Takes a message: what can be used now, in order, or nothing if it must not be acknowledged, so that it comes
    /// again. What was used before and what comes too early is acknowledged and yields an empty list.
    pub fn take(&mut self, message: AgentMessage, ready: bool) -> Option<Vec<AgentMessage>> {
        if message.sequence < self.expected || self.early.contains_key(&message.sequence) {
            return Some(Vec::new());
        }
        if message.sequence > self.expected {
            let bytes = self.early_bytes + message.payload.len();
            if self.early.len() >= MOST_EARLY || bytes > MOST_EARLY_BYTES {
                return None;
            }
            self.early_bytes = bytes;
            self.early.insert(message.sequence, message);
            return Some(Vec::new());
        }
        if !ready {
            return None;
        }
        let mut usable = vec![message];
        self.expected = self.expected.saturating_add(1);
        while let Some(next) = self.early.remove(&self.expected) {
            self.early_bytes -= next.payload.len();
            self.expected = self.expected.saturating_add(1);
            usable.push(next);
        }
        Some(usable)
    }
}

/// How many of the bytes are whole characters. Bytes that can never become one count as whole: the client shows them
/// as it likes.
#[must_use]
pub fn whole_characters(bytes: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(3);
    for start in (from..bytes.len()).rev() {
        let Some(tail) = bytes.get(start..) else { break };
        if let Err(error) = std::str::from_utf8(tail)
            && error.valid_up_to() == 0
            && error.error_len().is_none()
        {
            return start;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::{AgentMessage, Incoming, LARGEST_WINDOW, Outgoing, whole_characters};

    fn input(sequence: i64) -> AgentMessage {
        AgentMessage::new("input_stream_data", sequence, 1, sequence.to_string().into_bytes())
    }

    fn used(incoming: &mut Incoming, sequence: i64) -> Vec<i64> {
        incoming.take(input(sequence), true).unwrap().iter().map(|message| message.sequence).collect()
    }

    #[test]
    fn input_is_used_in_order_and_once() {
        let mut incoming = Incoming::default();
        assert_eq!(used(&mut incoming, 0), [0]);
        assert_eq!(used(&mut incoming, 2), [0_i64; 0]);
        assert_eq!(used(&mut incoming, 2), [0_i64; 0], "a duplicate of an early one");
        assert_eq!(used(&mut incoming, 0), [0_i64; 0], "a duplicate of a used one");
        assert_eq!(used(&mut incoming, 1), [1, 2]);
        assert_eq!(used(&mut incoming, -7), [0_i64; 0]);
    }

    #[test]
    fn what_cannot_be_used_now_is_not_acknowledged() {
        let mut incoming = Incoming::default();
        assert!(incoming.take(input(0), false).is_none());
        assert_eq!(used(&mut incoming, 0), [0]);
    }

    #[test]
    fn early_input_is_bounded_in_number_and_bytes() {
        let mut incoming = Incoming::default();
        let taken = (1..2000).filter(|sequence| incoming.take(input(*sequence), true).is_some()).count();
        assert_eq!(taken, 1000);
        let mut incoming = Incoming::default();
        let large = |sequence| AgentMessage::new("input_stream_data", sequence, 1, vec![0; 400_000]);
        let taken = (1..10).filter(|sequence| incoming.take(large(*sequence), true).is_some()).count();
        assert_eq!(taken, 2);
        assert_eq!(incoming.take(large(0), true).unwrap().len(), 3);
        assert!(incoming.take(large(4), true).is_some(), "there is room again");
    }

    #[test]
    fn output_is_sent_again_until_it_is_acknowledged() {
        let start = Instant::now();
        let later = |ms| start + Duration::from_millis(ms);
        let mut outgoing = Outgoing::default();
        let first = outgoing.push(1, b"a".to_vec(), start);
        let second = outgoing.push(1, b"b".to_vec(), start);
        assert_eq!(AgentMessage::decode(&first).unwrap().flags, 1, "the stream is opened");
        let decoded = AgentMessage::decode(&second).unwrap();
        assert_eq!((decoded.sequence, decoded.flags, decoded.payload_type), (1, 0, 1));
        assert_eq!(decoded.message_type, "output_stream_data");
        assert!(outgoing.due(later(200)).is_none());
        assert_eq!(outgoing.due(later(201)).as_ref(), Some(&first));
        assert!(outgoing.due(later(202)).is_none(), "not at once again");
        outgoing.acknowledged(0, later(203));
        assert_eq!(outgoing.due(later(1500)).as_ref(), Some(&second));
        outgoing.acknowledged(7, later(1500));
        outgoing.acknowledged(1, later(1500));
        assert!(outgoing.is_settled() && outgoing.due(later(9000)).is_none());
    }

    #[test]
    fn the_timeout_follows_the_round_trips_up_to_a_second() {
        let start = Instant::now();
        let mut outgoing = Outgoing::default();
        for sequence in 0..50 {
            outgoing.push(1, vec![0], start);
            outgoing.acknowledged(sequence, start + Duration::from_secs(30));
        }
        assert_eq!(outgoing.timeout, Duration::from_secs(1));
        for sequence in 50..150 {
            outgoing.push(1, vec![0], start);
            outgoing.acknowledged(sequence, start + Duration::from_millis(2));
        }
        assert!(outgoing.timeout < Duration::from_millis(200), "{:?}", outgoing.timeout);
    }

    #[test]
    fn a_client_that_acknowledges_nothing_stops_the_output() {
        let mut outgoing = Outgoing::default();
        let now = Instant::now();
        while outgoing.has_room() {
            outgoing.push(1, vec![0], now);
        }
        assert_eq!(outgoing.open.len(), LARGEST_WINDOW);
        outgoing.acknowledged(0, now);
        assert!(outgoing.has_room());
    }

    #[test]
    fn a_character_is_not_torn_apart() {
        let euro = "€".as_bytes();
        assert_eq!(whole_characters(b"abc"), 3);
        assert_eq!(whole_characters(&[b"a", &euro[..2]].concat()), 1);
        assert_eq!(whole_characters(&[b"a", euro].concat()), 4);
        assert_eq!(whole_characters(&"🦀".as_bytes()[..3]), 0);
        assert_eq!(whole_characters(&[b'a', 0xff]), 2, "what is no character is passed on");
        assert_eq!(whole_characters(&[]), 0);
    }

    proptest! {
        #[test]
        fn any_order_of_input_comes_out_in_order(order in Just((0..40_i64).collect::<Vec<_>>()).prop_shuffle()) {
            let mut incoming = Incoming::default();
            let got: Vec<i64> = order.iter().flat_map(|sequence| used(&mut incoming, *sequence)).collect();
            prop_assert_eq!(got, (0..40).collect::<Vec<_>>());
        }

        #[test]
        fn pieces_of_a_text_are_texts(text in "\\PC{0,60}", size in 1..9_usize) {
            let mut held = Vec::new();
            let mut done = String::new();
            for piece in text.as_bytes().chunks(size) {
                held.extend_from_slice(piece);
                let whole = whole_characters(&held);
                done.push_str(std::str::from_utf8(&held[..whole]).unwrap());
                held.drain(..whole);
            }
            prop_assert!(held.is_empty());
            prop_assert_eq!(done, text);
        }
    }
}
