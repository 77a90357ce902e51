//! Closes the gaps that were planned: one exec for everything, one to see whether the gaps are closed. A converged host gets
//! none of them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use targets::agent::Installation;
use tokio::sync::SemaphorePermit;

use super::{Backend, HostRun, Machine, decide::Decision, retry::Setback};
use crate::{
    actions::{
        Action, LAST_LINES,
        apply::{self, ActivationKey, Heard, Transcript},
    },
    events::{Event, Step},
    facts::Facts,
    failure::with_sources,
    fleet::{jitter, progress::Restart},
    host::Output,
    plan::{self, Standing},
    report::Outcome,
    ssm::{ControlPlane, ManagedNodeId, NodeRecord},
};

/// Where a host is when nothing more is to be done on it.
pub(super) enum Prepared<M> {
    /// A dry run ends here.
    Planned,
    /// Registered, with its agent running; to be proven Online.
    Registered(Box<Registered<M>>),
}

/// A host that says it is a managed node.
pub(super) struct Registered<M> {
    pub(super) host: M,
    pub(super) agent: &'static Installation,
    pub(super) node: ManagedNodeId,
    /// What proves it.
    pub(super) proof: Proof,
    /// What SSM knew of the node before.
    pub(super) before: Option<NodeRecord>,
    pub(super) tag: Option<Action>,
}

/// Which ping proves that the agent is alive.
#[derive(Clone, Copy)]
pub(super) enum Proof {
    /// The agent was not restarted: any ping within the heartbeat does.
    AnyPing,
    /// The agent was (re)started: one that is newer than the last one SSM knew before, and than the start; any of a new node.
    NewerThan(Option<Timestamp>),
}

impl<B: Backend> HostRun<B> {
    /// Everything up to a running, registered agent.
    pub(super) async fn prepare(&mut self) -> Result<Prepared<Machine<B>>, Setback> {
        let mut host = self.connect().await?;
        self.enter(Step::Observe).await?;
        let facts = self.observe(&mut host, Step::Observe).await?;
        // In a box, since every host has a room as large as the largest thing that it ever does.
        let decision = Box::pin(self.decide(&facts)).await?;
        if self.run.dry_run {
            let registers = decision.actions.iter().any(|action| matches!(action, Action::Register(_)));
            // One that is given is read here, without AWS.
            if registers && self.spec.environment.activation.is_given() {
                self.activation().await?;
            }
            let planned = decision.actions.iter().map(Action::sentence).collect();
            self.progress.send_modify(|progress| progress.actions = planned);
            return Ok(Prepared::Planned);
        }
        let on_host = decision.actions.iter().any(|action| !matches!(action, Action::Tag(_)));
        let facts = if on_host { self.close_gaps(&mut host, &decision).await? } else { facts };
        let Some(registration) = facts.registration else {
            let why = "the vault names no instance after the registration";
            return Err(
                Self::failed(Step::Check, why, "see /var/log/amazon/ssm/errors.log on the host").into()
            );
        };
        self.claim(&registration.node, Step::Check)?;
        let last_ping = decision.last_ping();
        let before = match decision.standing {
            Standing::Known(record, _) => Some(record),
            _ => None,
        };
        let registers = decision.actions.iter().any(|action| matches!(action, Action::Register(_)));
        // A restart, in an earlier try too, makes older pings worthless; what is only tidied up leaves the agent as it was.
        let proof = match self.progress.borrow().restarted {
            // Of a new node SSM has heard nobody else.
            _ if registers => Proof::NewerThan(None),
            // What SSM has heard since may still be of the agent before.
            Some(Restart { since, heard: false }) => Proof::NewerThan(last_ping.max(Some(since))),
            Some(Restart { since, .. }) => Proof::NewerThan(Some(since)),
            None => Proof::AnyPing,
        };
        Ok(Prepared::Registered(Box::new(Registered {
            host,
            agent: decision.agent,
            node: registration.node,
            proof,
            before,
            tag: decision.actions.into_iter().find(|action| matches!(action, Action::Tag(_))),
        })))
    }

    async fn close_gaps(&mut self, host: &mut Machine<B>, decision: &Decision) -> Result<Facts, Setback> {
        self.apply(host, decision).await?;
        let facts = self.observe(host, Step::Check).await?;
        self.check(&facts, decision)?;
        Ok(facts)
    }

    async fn apply(&mut self, host: &mut Machine<B>, decision: &Decision) -> Result<(), Setback> {
        let on_host = || decision.actions.iter().filter(|action| !matches!(action, Action::Tag(_)));
        let registers = on_host().any(|action| matches!(action, Action::Register(_)));
        let sends = on_host().any(|action| matches!(action, Action::Upload(_)));
        if registers {
            self.keep_apart().await;
        }
        // Never closed, so a turn always comes. The activation after it: turns may take longer than it lives.
        let run = self.run.clone();
        let mut stopping = self.stopping.clone();
        let turn = tokio::select! {
            turn = run.uploads.acquire(), if sends => turn.ok(),
            () = stopping.asked(), if sends => None,
            else => None,
        };
        let key = if registers { Some(self.activation().await?) } else { None };
        let limit = self.limit_of(&decision.actions);
        let Some(mut command) = apply::command(
            &decision.actions,
            decision.agent,
            &self.run.holder(),
            decision.premise.as_deref(),
            key.as_ref(),
            limit,
        ) else {
            return Ok(());
        };
        if sends {
            command = command.with_payload(decision.package.content.clone());
        }
        if let Some(url) = &decision.package.url
            && on_host().any(|action| matches!(action, Action::Download(_)))
        {
            command = command.with_secret("package_url", url.to_string().into());
        }
        self.enter(on_host().next().map_or(Step::Start, Action::step)).await?;
        let command = self.as_root(command);
        let mut transcript = Transcript::without(key.as_ref().map(|key| &key.code));
        let (entered, before) = (self.step(), self.progress.borrow().clone());
        // From here on, not from a loss: whichever command after it is lost, the host may have registered.
        self.progress.send_modify(|progress| {
            progress.touched = true;
            progress.in_doubt = before.in_doubt.or(Some(entered));
        });
        // Of the agent that is about to start SSM has heard nothing yet. The host says how long it takes until then: what is
        // heard of that comes late, and an agent's first ping is new.
        let control_plane = self.site()?.control_plane.clone();
        let (asked, last_ping) = (control_plane.now_at_the_earliest(), decision.last_ping());
        let starts = move |after: Duration, heard: bool| {
            let began = SignedDuration::try_from(after).ok().and_then(|after| asked.checked_add(after).ok());
            let since = began.unwrap_or(asked).min(control_plane.now_at_the_earliest());
            Restart { since: last_ping.map_or(since, |last_ping| last_ping.max(since)), heard }
        };
        if on_host().any(|action| matches!(action, Action::Start(_))) {
            // A new node is known to nobody before.
            self.progress
                .send_modify(|progress| progress.restarted = Some(starts(Duration::ZERO, registers)));
        }
        let ended = {
            let actions = on_host().map(|action| (action.step(), action.sentence())).collect();
            let mut on_line = self.listener(&mut transcript, actions, turn, starts);
            self.exec(host, &command, entered, &mut on_line).await
        };
        self.tell_untold().await;
        let step = transcript.failed_step().unwrap_or(entered);
        // A connection that was lost, or a limit that was passed, belongs to the step it happened in.
        let output = ended.map_err(|Setback { outcome, heals }| {
            self.progress.send_modify(|progress| progress.in_doubt = before.in_doubt.or(Some(step)));
            let outcome = match outcome {
                Outcome::Failed { why, hint, .. } => {
                    Outcome::Failed { step, why, lines: transcript.last_lines(), hint }
                }
                other => other,
            };
            Setback { outcome, heals }
        })?;
        if output.code == Some(0) {
            return Ok(());
        }
        let held = transcript.held_by().map(|holder| plan::Refusal::Held(holder.to_owned()));
        if let Some(refusal) = held.or(transcript.is_stale().then_some(plan::Refusal::Stale)) {
            self.progress.send_modify(|progress| {
                progress.touched = before.touched || transcript.done() > 0;
                progress.in_doubt = before.in_doubt;
                progress.restarted = before.restarted;
            });
            return Err(Setback::that_heals(Self::failed(entered, refusal.to_string(), refusal.hint())));
        }
        let mut lines = transcript.last_lines();
        lines.extend(last_lines(&output).iter().map(|line| transcript.clean(&command.censored(line))));
        // An agent that asked twice, since the first answer was lost, has taken the room of another host.
        let another = |key: &ActivationKey| {
            self.run.activations.found_full(&self.spec.environment.name, key.id.as_str())
        };
        let heals = apply::is_full(&lines) && key.as_ref().is_some_and(another);
        Err(Setback { outcome: command_failed(step, &output, lines), heals })
    }

    /// Shows the steps of the script as they begin, and which of these actions are done; whoever sends a package gives its
    /// turn back when it is there.
    fn listener<'t, F: Fn(Duration, bool) -> Restart + Send>(
        &self,
        transcript: &'t mut Transcript,
        actions: Vec<(Step, String)>,
        mut turn: Option<SemaphorePermit<'t>>,
        starts: F,
    ) -> impl FnMut(&str) + Send + use<'t, B, F> {
        let (progress, events, host) =
            (self.progress.clone(), self.run.events.clone(), self.spec.name.clone());
        let mut actions = actions.into_iter();
        move |line: &str| match transcript.line(line) {
            Heard::Began(step, after) => {
                if step == Step::Start {
                    progress.send_modify(|progress| progress.restarted = Some(starts(after, true)));
                }
                let mut is_new = false;
                progress.send_modify(|progress| is_new = progress.enter(step));
                // The first one is shown before the command runs.
                if !is_new {
                    return;
                }
                progress.borrow().said.try_tell(&host, &events);
                events.try_send(Event::Step { host: host.clone(), step });
            }
            Heard::Note(text) => events.try_send(Event::Warning { host: Some(host.clone()), text }),
            Heard::Done => {
                drop(turn.take());
                progress.send_modify(|progress| {
                    let done = actions.next();
                    progress.actions.extend(done.iter().map(|(_, sentence)| sentence.clone()));
                    progress.untold.extend(done);
                });
                events.try_send_with(|| {
                    let mut first = None;
                    progress.send_modify(|progress| first = progress.untold.pop_front());
                    first.map(|(step, action)| Event::Done { host: host.clone(), step, action })
                });
            }
            Heard::Nothing => {}
        }
    }

    /// Each action may take as long as one command.
    fn limit_of(&self, actions: &[Action]) -> Duration {
        self.spec.limits.command * u32::try_from(actions.len()).unwrap_or(1).max(1)
    }

    /// Waits a little: a whole fleet that comes to its registration at once would be throttled.
    async fn keep_apart(&self) {
        let mut stopping = self.stopping.clone();
        let crowd = self.run.concurrency.min(self.run.hosts.len());
        tokio::select! {
            () = tokio::time::sleep(jitter::spread(crowd)) => {}
            () = stopping.asked() => {}
        }
    }

    async fn activation(&mut self) -> Result<ActivationKey, Outcome> {
        if self.stopping.is_asked() {
            return Err(self.interrupted(Step::Register));
        }
        let environment = &self.spec.environment.name;
        if std::mem::replace(&mut self.served, true) {
            self.run.activations.asks_again(environment);
        }
        match self.run.activations.acquire(environment).await {
            Ok(_) if self.stopping.is_asked() => Err(self.interrupted(Step::Register)),
            Ok(handout) => Ok(ActivationKey { id: handout.id.to_string(), code: handout.code }),
            Err(error) => Err(Self::failed(Step::Register, with_sources(&error), error.hint())),
        }
    }

    /// The same plan over the new facts must find nothing left to do on the host.
    fn check(&self, facts: &Facts, decision: &Decision) -> Result<(), Outcome> {
        let Some(registration) = facts.standing_registration() else { return Ok(()) };
        let standing = Standing::Fresh(registration.node.clone());
        let refused = |refusal: plan::Refusal| Self::failed(Step::Check, refusal.to_string(), refusal.hint());
        let mut left = plan::plan(facts, &self.spec, &decision.file, &standing).map_err(refused)?;
        // What another run has sent meanwhile is no gap of this one.
        left.retain(|action| !matches!(action, Action::Tidy(_)));
        if left.is_empty() {
            return Ok(());
        }
        let left: Vec<_> = left.iter().map(Action::sentence).collect();
        Err(Self::failed(
            Step::Check,
            format!("every command ended well, yet this is still to do: {}", left.join("; ")),
            "something on the host undoes it (a configuration manager, a package's script); see `journalctl -u amazon-ssm-agent`",
        ))
    }
}

fn command_failed(step: Step, output: &Output, lines: Vec<String>) -> Outcome {
    let end = output
        .code
        .map_or_else(|| "was ended by a signal".to_owned(), |code| format!("ended with exit code {code}"));
    let why = format!("`{step}` {end}");
    let skip = lines.len().saturating_sub(LAST_LINES);
    let lines: Vec<_> = lines.into_iter().skip(skip).collect();
    let hint = apply::hint(step, &lines);
    Outcome::Failed { step, why, lines, hint }
}

fn last_lines(output: &Output) -> Vec<String> {
    output.stderr.lines().map(str::to_owned).collect()
}
