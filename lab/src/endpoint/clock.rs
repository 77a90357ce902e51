//! The endpoint's time: the system's, and off by whatever a test asked for.

use jiff::{SignedDuration, Timestamp};
use std::sync::atomic::{AtomicI64, Ordering};

/// The system clock plus an offset.
#[derive(Debug, Default)]
pub struct Clock {
    offset_seconds: AtomicI64,
}

impl Clock {
    /// The endpoint's present.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let offset = SignedDuration::from_secs(self.offset_seconds.load(Ordering::Relaxed));
        let limit = if offset.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
        Timestamp::now().saturating_add(offset).unwrap_or(limit)
    }

    /// Moves it on.
    #[cfg(test)]
    pub(super) fn advance(&self, by: std::time::Duration) {
        let seconds = i64::try_from(by.as_secs()).unwrap();
        self.set_offset(self.offset() + seconds);
    }

    /// How far it is ahead of the system's, in seconds; negative when it is behind.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.offset_seconds.load(Ordering::Relaxed)
    }

    /// Sets how far it is ahead. Faults of the clock do, so that each is seen and can be cleared.
    pub(super) fn set_offset(&self, seconds: i64) {
        self.offset_seconds.store(seconds, Ordering::Relaxed);
    }
}

/// A time as AWS's JSON protocol writes it: seconds since the epoch with a fraction.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "milliseconds of this era fit in 53 bits")]
pub fn epoch_seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}

/// Reads a time as AWS's JSON protocol writes it; `None` when it is out of range.
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "a float beyond i64 saturates and is then out of range")]
pub fn from_epoch_seconds(seconds: f64) -> Option<Timestamp> {
    Timestamp::from_millisecond((seconds * 1000.0) as i64).ok()
}

#[cfg(test)]
mod tests {
    use super::{Clock, epoch_seconds, from_epoch_seconds};

    #[test]
    fn epoch_seconds_carry_their_fraction_both_ways() {
        let time = "2015-08-30T12:36:00.250Z".parse().unwrap();
        assert!((epoch_seconds(time) - 1_440_938_160.25).abs() < f64::EPSILON);
        assert_eq!(from_epoch_seconds(1_440_938_160.25), Some(time));
        assert_eq!(from_epoch_seconds(f64::MAX), None);
    }

    #[test]
    fn an_offset_puts_the_clock_ahead_or_behind() {
        let clock = Clock::default();
        let before = clock.now();
        clock.set_offset(600);
        assert!(clock.now().duration_since(before).as_secs() >= 600);
        clock.set_offset(-86_400);
        assert!(clock.now() < before);
        clock.set_offset(0);
        assert!(clock.now() >= before);
    }
}
