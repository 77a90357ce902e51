//! What a session's transcript will get: frames that were not seen before, joined to entries, until they are written
//! down. A frame that an end sends again, because its acknowledgement was late, is recorded once.

use jiff::{SignedDuration, Timestamp};

use super::live::Side;
use super::transcript::Entry;

/// Pending bytes from which on they are to be written down at once.
const PLENTY: usize = 64 << 10;
/// What follows this soon is one entry.
const TOGETHER: SignedDuration = SignedDuration::from_secs(1);

/// The entries of one session that wait.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    entries: Vec<Entry>,
    bytes: usize,
    next_of_agent: i64,
    next_of_client: i64,
}

impl Recorder {
    /// Records the content of a stream's frame; `true` if it is time to write down.
    pub(super) fn record(&mut self, side: Side, sequence: i64, content: &[u8], now: Timestamp) -> bool {
        let next = match side {
            Side::Agent => &mut self.next_of_agent,
            Side::Client => &mut self.next_of_client,
        };
        if sequence < *next {
            return false;
        }
        *next = sequence.saturating_add(1);
        self.bytes += content.len();
        match self.entries.last_mut() {
            Some(last) if last.side == side && now.duration_since(last.at) < TOGETHER => {
                last.content.extend_from_slice(content);
            }
            _ => self.entries.push(Entry { at: now, side, content: content.to_vec() }),
        }
        self.bytes >= PLENTY
    }

    /// Takes entries back that could not be written down, before what came since; what does not fit is lost.
    pub(super) fn give_back(&mut self, mut entries: Vec<Entry>) {
        const MOST: usize = 1 << 20;
        let returned: usize = entries.iter().map(|entry| entry.content.len()).sum();
        if self.bytes + returned <= MOST {
            self.bytes += returned;
            entries.append(&mut self.entries);
            self.entries = entries;
        }
    }

    /// The entries, to be written down.
    pub(super) fn take(&mut self) -> Vec<Entry> {
        self.bytes = 0;
        std::mem::take(&mut self.entries)
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::{Recorder, Side};

    #[test]
    fn frames_that_come_again_are_recorded_once() {
        let (mut recorder, now) = (Recorder::default(), Timestamp::now());
        for (side, sequence, content) in [
            (Side::Client, 0, "l"),
            (Side::Client, 1, "s"),
            (Side::Client, 1, "s"),
            (Side::Client, 0, "l"),
            (Side::Agent, 0, "ls\r\n"),
        ] {
            recorder.record(side, sequence, content.as_bytes(), now);
        }
        recorder.record(Side::Agent, 1, b"later", now + SignedDuration::from_secs(2));
        let contents: Vec<Vec<u8>> = recorder.take().into_iter().map(|entry| entry.content).collect();
        assert_eq!(contents, [b"ls".to_vec(), b"ls\r\n".to_vec(), b"later".to_vec()]);
        assert!(recorder.take().is_empty());
    }

    #[test]
    fn much_output_is_not_kept_waiting() {
        let (mut recorder, now) = (Recorder::default(), Timestamp::now());
        let due = (0..1000).take_while(|n| !recorder.record(Side::Agent, *n, &[b'x'; 1024], now)).count();
        assert_eq!(due, 63);
    }
}
