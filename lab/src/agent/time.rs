//! The agent's time: every wait of seconds, minutes and hours goes through here, so that it ends when the agent
//! does and so that tests can shorten it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;

use super::bell::Bell;

/// Names the factor all of the agent's own waits are multiplied by. The real agent has no such thing.
pub const FACTOR_VARIABLE: &str = "SSM_STANDIN_TIME_FACTOR";
const LARGEST_FACTOR: f64 = 1000.0;

/// The end of the agent's life, met while waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended;

/// A factor that is none.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "{FACTOR_VARIABLE} is `{0}`, which is no number above 0 and up to {LARGEST_FACTOR}; unset it to wait as long as the \
     real agent does"
)]
pub struct BadFactor(String);

/// What the agent's own waits are multiplied by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Factor(f64);

impl Default for Factor {
    fn default() -> Self {
        Self(1.0)
    }
}

impl Factor {
    /// Reads `SSM_STANDIN_TIME_FACTOR`; unset means 1.
    pub fn from_environment() -> Result<Self, BadFactor> {
        match std::env::var_os(FACTOR_VARIABLE) {
            None => Ok(Self::default()),
            Some(text) => Self::parse(&text.to_string_lossy()),
        }
    }

    /// Reads a decimal number above 0, up to 1000.
    pub fn parse(text: &str) -> Result<Self, BadFactor> {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        match text.parse() {
            Ok(factor) if plain && factor > 0.0 && factor <= LARGEST_FACTOR => Ok(Self(factor)),
            _ => Err(BadFactor(text.to_owned())),
        }
    }
}

/// The system's clock, with waits that are scaled and that end with the agent.
#[derive(Debug, Clone)]
pub struct Time {
    factor: Factor,
    stop: Arc<Bell>,
}

impl Time {
    /// A life that lasts until [`Time::end`].
    pub fn new(factor: Factor) -> io::Result<Self> {
        Ok(Self { factor, stop: Arc::new(Bell::new()?) })
    }

    /// The present.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// How long a wait of the real agent takes here.
    #[must_use]
    pub fn scaled(&self, duration: Duration) -> Duration {
        Duration::try_from_secs_f64(duration.as_secs_f64() * self.factor.0).unwrap_or(Duration::MAX)
    }

    /// Waits as long as the real agent would, scaled.
    pub fn pause(&self, duration: Duration) -> Result<(), Ended> {
        if self.stop.waits(self.scaled(duration)) { Err(Ended) } else { Ok(()) }
    }

    /// Ends the agent's life: every wait, now and later, returns at once.
    pub fn end(&self) {
        self.stop.ring();
    }

    /// Nothing, or the end.
    pub fn check(&self) -> Result<(), Ended> {
        if self.stop.has_rung() { Err(Ended) } else { Ok(()) }
    }

    /// Rings once the agent's life has ended, and is never hushed.
    #[must_use]
    pub fn stop(&self) -> &Bell {
        &self.stop
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Ended, Factor, Time};

    #[test]
    fn a_factor_is_a_plain_number_above_zero() {
        for good in ["1", "0.01", "2.5", "1000"] {
            assert!(Factor::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "0", "-1", "1e-3", "inf", "NaN", "1001", "1 ", "0,5", "fast"] {
            let error = Factor::parse(bad).unwrap_err();
            assert!(error.to_string().starts_with("SSM_STANDIN_TIME_FACTOR is `"), "{bad}");
            assert!(error.to_string().contains(&format!("`{bad}`")), "{bad}");
        }
    }

    #[test]
    fn waits_are_scaled() {
        let scaled = |factor: &str, seconds| {
            Time::new(Factor::parse(factor).unwrap()).unwrap().scaled(Duration::from_secs(seconds))
        };
        assert_eq!(scaled("0.01", 300), Duration::from_secs(3));
        assert_eq!(scaled("1", 54), Duration::from_secs(54));
        assert_eq!(scaled("2.5", 4), Duration::from_secs(10));
    }

    #[test]
    fn an_ended_life_waits_for_nothing() {
        let time = Time::new(Factor::default()).unwrap();
        assert_eq!(time.check(), Ok(()));
        time.clone().end();
        assert_eq!(time.pause(Duration::from_hours(10)), Err(Ended));
        assert_eq!(time.check(), Err(Ended));
    }
}
