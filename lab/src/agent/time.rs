//! The agent's time: waits of minutes and hours go through here, so that tests can live them in no time.

use std::time::Duration;

use jiff::Timestamp;

/// The end of the agent's life, met while waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended;

/// A clock one can wait on.
pub trait Time {
    /// The present.
    fn now(&self) -> Timestamp;
    /// Waits.
    fn pause(&self, duration: Duration) -> Result<(), Ended>;
}

/// The system's clock; it never ends, the process does.
#[derive(Debug, Clone, Copy)]
pub struct SystemTime;

impl Time for SystemTime {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "the agent is threads only; there is no async worker to block"
    )]
    fn pause(&self, duration: Duration) -> Result<(), Ended> {
        std::thread::sleep(duration);
        Ok(())
    }
}
