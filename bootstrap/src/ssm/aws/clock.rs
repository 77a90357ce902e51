//! AWS's clock, read off its answers. What AWS gives a life ends by that clock, and ours may be wrong.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use aws_sdk_ssm::config::{
    ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeDeserializationInterceptorContextRef,
};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};

/// AWS's clock; clones are the same one. Ours until AWS has answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock {
    ahead_seconds: Arc<AtomicI64>,
}

impl Clock {
    pub(super) fn now(&self) -> Timestamp {
        let (now, ahead) = (Timestamp::now(), self.ahead_seconds.load(Ordering::Relaxed));
        now.checked_add(SignedDuration::from_secs(ahead)).unwrap_or(now)
    }

    /// The time that an answer was given at, as its header `Date` says it.
    fn heard(&self, date: &str, now: Timestamp) {
        if let Ok(theirs) = rfc2822::parse(date) {
            let ahead = theirs.timestamp().duration_since(now).as_secs();
            self.ahead_seconds.store(ahead, Ordering::Relaxed);
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
}
