//! The agent reads its configuration and its vault only when it starts, ends by itself without a
//! registration, and sleeps up to an hour after errors: a restart is the cure for all of them.

/// Enables the agent's unit and (re)starts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Why.
    pub reason: StartReason,
}

/// Why the agent is (re)started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartReason {
    /// Something before this changed what it reads.
    Changed,
    /// It does not run, or would not at the next boot.
    Down,
    /// It runs, but SSM does not hear from it.
    Offline,
}

impl Start {
    pub(super) fn sentence(&self) -> String {
        match self.reason {
            StartReason::Changed => "enable and start the agent",
            StartReason::Down => "enable and start the agent, which does not run",
            StartReason::Offline => "restart the agent, which SSM does not hear from",
        }
        .to_owned()
    }

    pub(super) fn shell_arguments() -> Vec<String> {
        vec!["start".to_owned()]
    }
}
