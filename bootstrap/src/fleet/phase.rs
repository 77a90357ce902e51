//! How far a run has been told to stop; everyone who waits can watch it.

use tokio::sync::watch;

/// How far a run has been told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Not at all.
    Working,
    /// Nothing new starts; what runs on a host ends.
    Draining,
    /// Everything is dropped.
    Dropping,
}

/// Sets the phase.
#[derive(Debug)]
pub(super) struct Phases(watch::Sender<Phase>);

impl Phases {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Phase::Working))
    }

    pub(super) fn now(&self) -> Phase {
        *self.0.borrow()
    }

    /// One phase further.
    pub(super) fn next(&self) -> Phase {
        let next = match self.now() {
            Phase::Working => Phase::Draining,
            Phase::Draining | Phase::Dropping => Phase::Dropping,
        };
        self.0.send_replace(next);
        next
    }

    pub(super) fn subscribe(&self) -> Stopping {
        Stopping(self.0.subscribe())
    }
}

/// Watches the phase.
#[derive(Clone, Debug)]
pub(super) struct Stopping(watch::Receiver<Phase>);

impl Stopping {
    /// Must nothing new be started?
    pub(super) fn is_asked(&self) -> bool {
        *self.0.borrow() != Phase::Working
    }

    /// Returns when nothing new must be started; never, if the run is not told to stop.
    pub(super) async fn asked(&mut self) {
        if self.0.wait_for(|phase| *phase != Phase::Working).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
