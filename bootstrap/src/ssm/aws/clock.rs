//! AWS's clock, read off its answers. What AWS gives a life ends by that clock, and ours may be wrong.

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use aws_sdk_ssm::config::{
    ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeDeserializationInterceptorContextRef,
};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};

/// AWS's clock; clones are the same one. Ours until AWS has answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock {
    last: Arc<Mutex<Option<Answer>>>,
}

/// What AWS's clock showed, and what ours.
#[derive(Clone, Copy, Debug)]
struct Answer {
    theirs: Timestamp,
    ours: Timestamp,
    at: Instant,
}

impl Clock {
    /// By our time of day, which goes on while this machine is suspended.
    pub(super) fn now(&self) -> Timestamp {
        self.since(|answer| Timestamp::now().duration_since(answer.ours))
    }

    /// No later than now, also where our time of day was set since.
    pub(super) fn now_at_the_earliest(&self) -> Timestamp {
        let by_instants = |answer: Answer| answer.at.elapsed().try_into().unwrap_or(SignedDuration::ZERO);
        self.since(by_instants).min(self.now())
    }

    fn since(&self, passed: impl FnOnce(Answer) -> SignedDuration) -> Timestamp {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = last.map(|answer| answer.theirs.checked_add(passed(answer)).unwrap_or(answer.theirs));
        now.unwrap_or_else(Timestamp::now)
    }

    /// The time that an answer was given at, as its header `Date` says it.
    fn heard(&self, date: &str, ours: Timestamp) {
        if let Ok(theirs) = rfc2822::parse(date) {
            let answer = Answer { theirs: theirs.timestamp(), ours, at: Instant::now() };
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        }
    }
}

impl Intercept for Clock {
    fn name(&self) -> &'static str {
        "Clock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        if let Some(date) = context.response().headers().get("date") {
            self.heard(date, Timestamp::now());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_with_what_the_last_answer_said_and_by_nonsense_not_at_all() {
        let (clock, ours) = (Clock::default(), "2026-11-22T10:31:05Z".parse().unwrap());
        let ahead = || clock.now().duration_since(Timestamp::now()).as_secs();
        assert_eq!(ahead(), 0);
        clock.heard("Sun, 22 Nov 2026 11:31:15 GMT", ours);
        clock.heard("soon", ours);
        assert!((3605..=3610).contains(&ahead()), "{}", ahead());
        clock.heard("Sun, 22 Nov 2026 10:31:00 GMT", ours);
        assert!((-10..=-5).contains(&ahead()), "{}", ahead());
    }

    #[test]
    fn a_time_of_day_that_is_set_meanwhile_makes_nothing_of_the_future() {
        let clock = Clock::default();
        let behind = Timestamp::now() - SignedDuration::from_hours(24);
        clock.heard("Sun, 22 Nov 2026 11:31:15 GMT", behind);
        let passed = |now: Timestamp| now.duration_since("2026-11-22T11:31:15Z".parse().unwrap());
        assert!(passed(clock.now()) >= SignedDuration::from_hours(24), "as after a suspension");
        assert!(passed(clock.now_at_the_earliest()) < SignedDuration::from_mins(1));
    }
}
