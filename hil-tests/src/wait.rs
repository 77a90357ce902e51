//! The one place that sleeps: everything that waits for a machine or a process does it here, with a limit.

use std::time::{Duration, Instant};

/// How long something may take; asked between two looks at it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    begin: Instant,
    limit: Duration,
}

impl Deadline {
    /// From now on.
    #[must_use]
    pub(crate) fn after(limit: Duration) -> Self {
        Self { begin: Instant::now(), limit }
    }

    /// Sleeps for `pause`, or until the end if that is nearer. False if the time is over already.
    pub(crate) async fn pause(&self, pause: Duration) -> bool {
        let left = self.limit.saturating_sub(self.begin.elapsed());
        if left.is_zero() {
            return false;
        }
        tokio::time::sleep(pause.min(left)).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_deadline_that_is_over_never_sleeps() {
        assert!(!Deadline::after(Duration::ZERO).pause(Duration::from_hours(1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_pause_ends_with_the_deadline() {
        let deadline = Deadline::after(Duration::from_mins(1));
        let before = tokio::time::Instant::now();
        assert!(deadline.pause(Duration::from_hours(1)).await);
        assert!(before.elapsed() <= Duration::from_mins(1));
    }
}
