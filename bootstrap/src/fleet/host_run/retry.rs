//! What can heal is tried again: a network that fails, a host that another run has just let go of, an activation that was
//! full, a node that another host of the run may have given up. A try begins anew, with a connection and a probe, as the next
//! run would: it goes on from what is there. What cannot heal (a host key, a login, any other refusal) is never tried twice.

use tokio::time::sleep;

use super::{Backend, HostRun, Machine, gaps::Prepared};
use crate::{
    events::{Event, Step},
    fleet::jitter,
    report::Outcome,
};

/// The end of a try.
pub(super) struct Setback {
    /// The host's outcome, if nothing more is tried.
    pub(super) outcome: Outcome,
    /// Another try may go well.
    pub(super) heals: bool,
}

impl From<Outcome> for Setback {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, heals: false }
    }
}

impl Setback {
    /// One that may heal.
    pub(super) fn that_heals(outcome: Outcome) -> Self {
        Self { outcome, heals: true }
    }

    fn why(&self) -> &str {
        match &self.outcome {
            Outcome::Failed { why, .. }
            | Outcome::Unreachable { why, .. }
            | Outcome::Registered { why, .. }
            | Outcome::Skipped { why } => why,
            Outcome::Online { .. } | Outcome::Planned => "",
        }
    }

    /// The outcome after so many tries.
    fn after(self, tries: u32) -> Outcome {
        let remark = |why: String| if tries > 1 { format!("{why} (tried {tries} times)") } else { why };
        match self.outcome {
            Outcome::Failed { step, why, lines, hint } => {
                Outcome::Failed { step, why: remark(why), lines, hint }
            }
            Outcome::Unreachable { why, hint } => Outcome::Unreachable { why: remark(why), hint },
            other => other,
        }
    }
}

impl<B: Backend> HostRun<B> {
    /// Everything up to a running, registered agent, as often as it takes and the inventory allows.
    pub(super) async fn prepare_patiently(&mut self) -> Result<Prepared<Machine<B>>, Outcome> {
        let mut tries = 1;
        loop {
            let setback = match self.prepare().await {
                Ok(prepared) => return Ok(prepared),
                Err(setback) => setback,
            };
            let again = setback.heals && tries <= self.spec.limits.retries;
            if !again || !self.wait_for_retry(tries, setback.why()).await {
                return Err(setback.after(tries));
            }
            tries += 1;
        }
    }

    /// Waits, without keeping others from their turn; tells whether there shall be a retry.
    async fn wait_for_retry(&mut self, number: u32, why: &str) -> bool {
        if self.stopping.is_asked() {
            return false;
        }
        let after = jitter::back_off(number);
        self.tell_retry(number, self.spec.limits.retries, after, why).await;
        self.show(Step::Retry).await;
        let turns = self.turn.take().map(|turn| turn.semaphore().clone());
        let mut stopping = self.stopping.clone();
        let turn = async {
            sleep(after).await;
            match turns {
                Some(turns) => turns.acquire_owned().await.ok(),
                None => None,
            }
        };
        tokio::select! {
            turn = turn => {
                self.turn = turn;
                true
            }
            () = stopping.asked() => false,
        }
    }

    pub(super) async fn tell_retry(&self, number: u32, of: u32, after: std::time::Duration, why: &str) {
        let (host, why) = (self.spec.name.clone(), why.to_owned());
        self.run.events.send(Event::Retry { host, number, of, after, why }).await;
    }
}
