//! How long the agent waits for what. The numbers were measured on the real one.

use std::time::Duration;

use rand::Rng as _;

/// From the role token to the first, empty report.
pub const BEFORE_FIRST_REPORT: Duration = Duration::from_millis(1100);
/// From the empty report to the full one.
pub const BEFORE_FULL_REPORT: Duration = Duration::from_millis(50);
/// Between two heartbeats.
pub const BEAT: Duration = Duration::from_mins(5);
/// Before a daemon without an identity gives up.
pub const WITHOUT_IDENTITY: Duration = Duration::from_secs(1);

const LONGEST_FAILURE_PAUSE: Duration = Duration::from_mins(30);
const LONGEST_CHANNEL_PAUSE: Duration = Duration::from_mins(40);
const LONGEST_DATA_CHANNEL_PAUSE: Duration = Duration::from_secs(5);
const FIRST_HIBERNATION: Duration = Duration::from_mins(5);
const LONGEST_HIBERNATION: Duration = Duration::from_hours(1);

/// From the full report to the first heartbeat: anywhere within one beat, so that a fleet spreads out.
#[must_use]
pub fn first_beat() -> Duration {
    Duration::from_secs(rand::rng().random_range(0..=BEAT.as_secs()))
}

/// After a role token was refused: half an hour if SSM does not know this machine, else growing from seconds.
#[must_use]
pub fn after_token_failure(code: Option<&str>, failures: u32) -> Duration {
    if matches!(code, Some("AccessDeniedException" | "MachineFingerprintDoesNotMatch")) {
        return Duration::from_secs(rand::rng().random_range(25 * 60..=30 * 60));
    }
    let growing = 2_u64.saturating_pow(failures);
    let pause = Duration::from_secs(growing.saturating_add(rand::rng().random_range(10..=20)));
    pause.min(LONGEST_FAILURE_PAUSE)
}

/// Before the control channel is tried again: 5 to 10 seconds, doubled each time, up to 40 minutes, and up to half as
/// much on top.
#[must_use]
pub fn after_channel_failure(first: Duration, failures: u32) -> Duration {
    let pause = first.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_CHANNEL_PAUSE);
    pause + rand::rng().random_range(Duration::ZERO..=pause / 2)
}

/// The first pause of one series of tries for a control channel.
#[must_use]
pub fn first_channel_pause() -> Duration {
    Duration::from_millis(rand::rng().random_range(5_000..10_000))
}

/// Before a session's channel is tried again: a tenth of a second or two, doubled each time, up to 5 seconds.
#[must_use]
pub fn after_data_channel_failure(failures: u32) -> Duration {
    let first = Duration::from_millis(rand::rng().random_range(100..200));
    first.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_DATA_CHANNEL_PAUSE)
}

/// Between two polls for messages when the first one was answered at once.
#[must_use]
pub fn between_polls() -> Duration {
    Duration::from_millis(rand::rng().random_range(2_000..2_500))
}

/// The hibernation before the next try: 5 minutes, doubled each time, up to an hour.
#[must_use]
pub fn hibernation(failures: u32) -> Duration {
    FIRST_HIBERNATION.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_HIBERNATION)
}

#[cfg(test)]
mod tests {
    use super::{Duration, after_token_failure, first_beat, hibernation};

    #[test]
    fn a_machine_that_ssm_does_not_know_waits_half_an_hour() {
        for code in ["AccessDeniedException", "MachineFingerprintDoesNotMatch"] {
            let pause = after_token_failure(Some(code), 0);
            assert!((Duration::from_mins(25)..=Duration::from_mins(30)).contains(&pause), "{pause:?}");
        }
    }

    #[test]
    fn other_failures_wait_longer_each_time_up_to_half_an_hour() {
        let first = after_token_failure(None, 1);
        assert!((Duration::from_secs(12)..=Duration::from_secs(22)).contains(&first), "{first:?}");
        assert_eq!(after_token_failure(Some("InternalServerError"), 40), Duration::from_mins(30));
        assert_eq!(after_token_failure(None, u32::MAX), Duration::from_mins(30));
    }

    #[test]
    fn a_channel_is_tried_again_after_seconds_then_minutes() {
        let first = super::first_channel_pause();
        assert!((Duration::from_secs(5)..Duration::from_secs(10)).contains(&first), "{first:?}");
        let second = super::after_channel_failure(Duration::from_secs(6), 1);
        assert!((Duration::from_secs(12)..=Duration::from_secs(18)).contains(&second), "{second:?}");
        let late = super::after_channel_failure(first, u32::MAX);
        assert!((Duration::from_mins(40)..=Duration::from_hours(1)).contains(&late), "{late:?}");
        assert_eq!(super::after_data_channel_failure(u32::MAX), Duration::from_secs(5));
        assert!(super::after_data_channel_failure(0) < Duration::from_millis(200));
    }

    #[test]
    fn hibernation_grows_from_five_minutes_to_an_hour() {
        assert_eq!(hibernation(0), Duration::from_mins(5));
        assert_eq!(hibernation(1), Duration::from_mins(10));
        assert_eq!(hibernation(4), Duration::from_hours(1));
        assert_eq!(hibernation(u32::MAX), Duration::from_hours(1));
    }

    #[test]
    fn the_first_beat_is_within_one_beat() {
        assert!((0..100).all(|_| first_beat() <= Duration::from_mins(5)));
    }
}
