//! What became of the agents, counted while they live: gauges of what is, counters of what happened, and why things failed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ids::ManagedNodeId;

/// Different complaints that are told apart; they quote the endpoint, so their number is not ours to trust.
const MOST_COMPLAINTS: usize = 32;
const LONGEST_COMPLAINT: usize = 160;

/// The running count, shared by all agents.
#[derive(Debug, Default)]
pub struct Tally {
    pub(super) online: AtomicU64,
    pub(super) connected: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) beats: AtomicU64,
    pub(super) missed_beats: AtomicU64,
    pub(super) reconnects: AtomicU64,
    pub(super) jobs: AtomicU64,
    registered: Mutex<Vec<ManagedNodeId>>,
    complaints: Mutex<BTreeMap<String, u64>>,
}

/// The count at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Agents that have an id.
    pub registered: usize,
    /// Agents whose last report was taken.
    pub online: u64,
    /// Agents whose control channel is open.
    pub connected: u64,
    /// Agents that gave up, since the endpoint does not want them.
    pub failed: u64,
    /// Reports that were taken.
    pub beats: u64,
    /// Reports that were not, after all attempts.
    pub missed_beats: u64,
    /// Control channels opened again after one was lost.
    pub reconnects: u64,
    /// Commands that came in.
    pub jobs: u64,
    /// What went wrong, and how often.
    pub complaints: BTreeMap<String, u64>,
}

impl Tally {
    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn register(&self, id: ManagedNodeId) {
        lock(&self.registered).push(id);
    }

    pub(super) fn registered(&self) -> Vec<ManagedNodeId> {
        lock(&self.registered).clone()
    }

    /// Counts a complaint: an error with its causes on one line.
    pub(super) fn complain(&self, error: &dyn std::error::Error) {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        let text: String = text.chars().filter(|c| !c.is_control()).take(LONGEST_COMPLAINT).collect();
        let mut complaints = lock(&self.complaints);
        if complaints.len() < MOST_COMPLAINTS || complaints.contains_key(&text) {
            *complaints.entry(text).or_default() += 1;
        }
    }

    /// The count now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            registered: lock(&self.registered).len(),
            online: read(&self.online),
            connected: read(&self.connected),
            failed: read(&self.failed),
            beats: read(&self.beats),
            missed_beats: read(&self.missed_beats),
            reconnects: read(&self.reconnects),
            jobs: read(&self.jobs),
            complaints: lock(&self.complaints).clone(),
        }
    }
}

/// One agent's share of a gauge; given back when the agent ends, however it ends.
#[derive(Debug)]
pub(super) struct Share<'a> {
    gauge: &'a AtomicU64,
    held: bool,
}

impl<'a> Share<'a> {
    pub(super) fn of(gauge: &'a AtomicU64) -> Self {
        Self { gauge, held: false }
    }

    pub(super) fn set(&mut self, held: bool) {
        if held && !self.held {
            self.gauge.fetch_add(1, Ordering::Relaxed);
        } else if !held && self.held {
            self.gauge.fetch_sub(1, Ordering::Relaxed);
        }
        self.held = held;
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.set(false);
    }
}

/// Every change under these locks is one insertion, so what a panicked holder leaves is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{Share, Tally};

    #[test]
    fn an_agent_counts_once_and_only_while_it_is_there() {
        let tally = Tally::default();
        let mut share = Share::of(&tally.online);
        for held in [true, true, false, true] {
            share.set(held);
            assert_eq!(tally.snapshot().online, u64::from(held));
        }
        drop(share);
        assert_eq!(tally.snapshot().online, 0);
    }

    #[test]
    fn complaints_are_counted_by_their_text_and_bounded() {
        let tally = Tally::default();
        for number in 0..100 {
            tally.complain(&io::Error::other(format!("reason {number}\n{}", "x".repeat(1000))));
            tally.complain(&io::Error::other("reason 0"));
        }
        let complaints = tally.snapshot().complaints;
        assert_eq!(complaints.len(), 32);
        assert_eq!(complaints["reason 0"], 100);
        assert!(complaints.keys().all(|text| text.len() <= 160 && !text.contains('\n')));
    }
}
