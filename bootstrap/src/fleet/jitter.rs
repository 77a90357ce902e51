//! Delays that are drawn, so that what failed or begins together does not come back together.

use std::time::Duration;

/// The wait before the first retry is up to this; each further one up to four times the one before.
const FIRST_WAIT: Duration = Duration::from_secs(4);
/// A host that restarts is back within minutes.
const LONGEST_WAIT: Duration = Duration::from_mins(2);
/// AWS publishes no rate for registrations; 20 a second is what a spread fleet comes to.
const BETWEEN_REGISTRATIONS: Duration = Duration::from_millis(50);
const LONGEST_SPREAD: Duration = Duration::from_secs(10);

/// A random part of it.
fn part_of(whole: Duration) -> Duration {
    // Every bit of a version 4 UUID is random, but for six in its middle.
    let dice = u32::try_from(uuid::Uuid::new_v4().as_u128() & 0xffff_ffff).unwrap_or(u32::MAX);
    whole.mul_f64(f64::from(dice) / f64::from(u32::MAX))
}

/// The wait before a retry, counted from 1: half of it is sure, half is drawn.
pub(super) fn back_off(retry: u32) -> Duration {
    let half = longest_wait(retry) / 2;
    half + part_of(half)
}

fn longest_wait(retry: u32) -> Duration {
    FIRST_WAIT.saturating_mul(4_u32.saturating_pow(retry.saturating_sub(1))).min(LONGEST_WAIT)
}

/// The wait before a registration, where so many hosts may come to theirs together.
pub(super) fn spread(hosts: usize) -> Duration {
    part_of(widest_spread(hosts))
}

fn widest_spread(hosts: usize) -> Duration {
    let others = u32::try_from(hosts.saturating_sub(1)).unwrap_or(u32::MAX);
    BETWEEN_REGISTRATIONS.saturating_mul(others).min(LONGEST_SPREAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_within_bounds_whatever_is_drawn() {
        let longest: Vec<_> = [1, 2, 3, 4, u32::MAX].map(|retry| longest_wait(retry).as_secs()).into();
        assert_eq!(longest, [4, 16, 64, 120, 120]);
        for _ in 0..1000 {
            let wait = back_off(2);
            assert!(wait >= Duration::from_secs(8) && wait <= Duration::from_secs(16), "{wait:?}");
        }
    }

    #[test]
    fn two_waits_are_hardly_ever_the_same() {
        let waits: std::collections::BTreeSet<_> = (0..100).map(|_| back_off(1)).collect();
        assert!(waits.len() > 90, "{waits:?}");
    }

    #[test]
    fn one_host_registers_at_once_and_many_within_seconds() {
        let widest: Vec<_> = [0, 1, 3, 50, 10_000].map(|hosts| widest_spread(hosts).as_millis()).into();
        assert_eq!(widest, [0, 0, 100, 2450, 10_000]);
    }
}
