//! Online, proven: what SSM says of the id that the host's own vault names, with a ping that is newer
//! than what was done. A host that stays offline gets one restart of its agent; then it is told why.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use targets::ServiceManager;
use tokio::time::Instant;

use super::{
    Backend, HostRun, Machine,
    gaps::{Proof, Registered},
};
use crate::{
    actions::{Action, Start, StartReason, Tag, apply},
    events::{Event, Step},
    host::{Command, Output, Script},
    report::Outcome,
    ssm::{ControlPlane, ManagedNodeId, NodeRecord, PingStatus, SsmError, StillOffline, WhyOffline},
};

/// A healthy agent reports every 5 minutes; a ping within this time is as new as one can be without waiting.
const HEARTBEAT: SignedDuration = SignedDuration::from_mins(6);

static DIAGNOSE_SYSTEMD: Script = Script {
    name: "diagnose",
    text: concat!(include_str!("../../actions/service_systemd.sh"), include_str!("diagnose.sh")),
};
static DIAGNOSE_UPSTART: Script = Script {
    name: "diagnose",
    text: concat!(include_str!("../../actions/service_upstart.sh"), include_str!("diagnose.sh")),
};

impl<B: Backend> HostRun<B> {
    pub(super) async fn prove(&mut self, mut registered: Registered<Machine<B>>) -> Result<Outcome, Outcome> {
        if !is_proven(&registered, self.site()?.control_plane.now()) {
            self.enter(Step::Online).await.map_err(|_| Self::stopped_waiting())?;
            self.wait_online(&mut registered).await?;
        }
        if let Some(Action::Tag(tag)) = &registered.tag {
            Box::pin(self.tag(&registered.node, tag)).await?;
        }
        Ok(Outcome::Online { changed: self.progress.borrow().touched })
    }

    async fn wait_online(&mut self, registered: &mut Registered<Machine<B>>) -> Result<NodeRecord, Outcome> {
        let (start, within) = (Instant::now(), self.spec.environment.online_within);
        let newer_than = match registered.proof {
            Proof::NewerThan(last_ping) => last_ping,
            Proof::AnyPing => registered.before.as_ref().and_then(|record| record.last_ping),
        };
        let first = self.wait_until(&registered.node, newer_than, start + within / 2).await?;
        let offline = match first {
            Ok(record) => return Ok(record),
            Err(offline) => offline,
        };
        // That SSM could not be asked says nothing about the agent.
        if !matches!(offline.why, WhyOffline::Trouble(_) | WhyOffline::NotAsked) {
            Box::pin(self.repair(registered, &offline)).await?;
            self.enter(Step::Online).await.map_err(|_| Self::stopped_waiting())?;
        }
        let last_ping = offline.last.as_ref().and_then(|record| record.last_ping).max(newer_than);
        match self.wait_until(&registered.node, last_ping, start + within).await? {
            Ok(record) => Ok(record),
            Err(offline) => Err(Box::pin(self.still_offline(registered, &offline)).await),
        }
    }

    /// Waits until the deadline or until the run is told to stop.
    async fn wait_until(
        &mut self,
        node: &ManagedNodeId,
        newer_than: Option<Timestamp>,
        deadline: Instant,
    ) -> Result<Result<NodeRecord, StillOffline>, Outcome> {
        let mut stopping = self.stopping.clone();
        let site = self.site()?;
        tokio::select! {
            biased;
            answer = site.verifier.wait_online(node, newer_than, deadline) => match answer {
                Err(StillOffline { why: WhyOffline::Trouble(error), .. }) if !error.is_transient() => {
                    Err(Outcome::Registered { why: format!("SSM cannot be asked: {error}"), hint: error.hint() })
                }
                answer => Ok(answer),
            },
            () = stopping.asked() => Err(Self::stopped_waiting()),
        }
    }

    fn stopped_waiting() -> Outcome {
        Outcome::Registered {
            why: "interrupted before SSM said Online".to_owned(),
            hint: "run the same command again: it only waits for Online".to_owned(),
        }
    }

    async fn repair(
        &mut self,
        registered: &mut Registered<Machine<B>>,
        offline: &StillOffline,
    ) -> Result<(), Outcome> {
        self.enter(Step::Repair).await.map_err(|_| Self::stopped_waiting())?;
        let text = format!("{}; its agent is restarted once", offline.why);
        self.run.events.send(Event::Warning { host: Some(self.spec.name.clone()), text }).await;
        let restart = Action::Start(Start { reason: StartReason::Offline });
        let Some(command) = apply::command(
            std::slice::from_ref(&restart),
            registered.agent,
            &self.run.holder(),
            None,
            None,
            self.spec.limits.command,
        ) else {
            return Ok(());
        };
        let command = self.as_root(command);
        let output = self.exec_after_a_wait(registered, &command, Step::Repair).await?;
        if output.code == Some(0) {
            self.done(&restart).await;
        }
        Ok(())
    }

    /// Runs a command on a host that has been left alone for a while: its connection may have been lost meanwhile.
    async fn exec_after_a_wait(
        &mut self,
        registered: &mut Registered<Machine<B>>,
        command: &Command,
        step: Step,
    ) -> Result<Output, Outcome> {
        let lost = match self.exec(&mut registered.host, command, step, &mut |_| {}).await {
            Err(setback) if setback.heals && self.spec.limits.retries > 0 => setback.outcome,
            ended => return ended.map_err(|setback| setback.outcome),
        };
        self.tell_retry(1, 1, Duration::ZERO, "the connection was lost").await;
        // That it can't be reached now does not make it a host that was never reached.
        registered.host = self.connect().await.map_err(|_| lost)?;
        self.show(step).await;
        self.exec(&mut registered.host, command, step, &mut |_| {}).await.map_err(|setback| setback.outcome)
    }

    /// The end of a host that registered and never came Online: what SSM says, and what its agent says.
    async fn still_offline(
        &mut self,
        registered: &mut Registered<Machine<B>>,
        offline: &StillOffline,
    ) -> Outcome {
        let diagnose = match registered.agent.manager {
            ServiceManager::Upstart => &DIAGNOSE_UPSTART,
            _ => &DIAGNOSE_SYSTEMD,
        };
        let unit = registered.agent.unit.to_owned();
        let command = Command::new(diagnose, vec![unit], self.spec.limits.command);
        let command = self.as_root(command);
        let said = self.exec_after_a_wait(registered, &command, Step::Online).await;
        let said = said.map(|output| excerpt(&output.stdout)).unwrap_or_default();
        let agent = if said.is_empty() { String::new() } else { format!("; the host says: {said}") };
        Outcome::Registered { why: format!("{}{agent}", offline.why), hint: offline.hint() }
    }

    /// Sets the tags and reads them back: a denied or ignored tag would be missed only much later.
    async fn tag(&mut self, node: &ManagedNodeId, tag: &Tag) -> Result<(), Outcome> {
        let tagging = self.site()?.tagging.clone();
        let mut stopping = self.stopping.clone();
        // Never closed, so a place comes, unless the run ends.
        let _place = tokio::select! {
            place = tagging.acquire_owned() => place.ok(),
            () = stopping.asked() => None,
        };
        self.enter(Step::Tag).await?;
        let failed = |error: SsmError| Self::failed(Step::Tag, error.to_string(), error.hint());
        let control_plane = &self.site()?.control_plane;
        control_plane.set_tags(node, &tag.tags).await.map_err(failed)?;
        let current = control_plane.tags(node).await.map_err(failed)?;
        if let Some(missing) = Tag::wanted(&current, &tag.tags) {
            let keys: Vec<_> = missing.tags.into_keys().collect();
            let why = format!("tags were set, but read back without them: {}", keys.join(", "));
            return Err(Self::failed(
                Step::Tag,
                why,
                "does a policy or another tool of the account change tags?",
            ));
        }
        self.done(&Action::Tag(tag.clone())).await;
        Ok(())
    }
}

/// An agent that was not touched and that SSM has heard within its heartbeat; `now` is AWS's.
fn is_proven<M>(registered: &Registered<M>, now: Timestamp) -> bool {
    let (Proof::AnyPing, Some(record)) = (registered.proof, &registered.before) else { return false };
    let recent = |ping: Timestamp| now.duration_since(ping) < HEARTBEAT;
    record.ping == PingStatus::Online && record.last_ping.is_some_and(recent)
}

/// A few lines of a host as part of one sentence.
fn excerpt(text: &str) -> String {
    const CHARACTERS: usize = 1000;
    text.trim().replace('\n', " | ").chars().take(CHARACTERS).collect()
}
