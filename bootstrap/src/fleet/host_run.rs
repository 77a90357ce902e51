//! One host from its turn to its report: connect, observe, plan, close the gaps, observe again, prove.
//! An early end is an `Err` with the outcome it leads to; whatever the end, there is one report.

mod decide;
mod gaps;
mod prove;
mod retry;

use std::{borrow::Cow, collections::VecDeque, sync::Arc, time::Duration};

use jiff::Timestamp;
use secrecy::SecretString;
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{Instant, timeout},
};

use self::retry::Setback;
use super::{Backend, Run, Site, claims::Other, phase::Stopping, progress::Progress};
use crate::{
    actions::{Action, apply},
    events::{Event, Step},
    facts::Facts,
    host::{Ascent, Command, Connect, Host, HostError, NoConnection, Output},
    inventory::{Escalation, HostSpec},
    report::{CLONE_HINT, HostReport, Outcome},
    ssm::ManagedNodeId,
};

/// How long a run that is at work on the host is waited for.
const PATIENCE: Duration = Duration::from_mins(1);

/// One host's way through a run.
pub(super) struct HostRun<B: Backend> {
    run: Arc<Run<B>>,
    spec: Arc<HostSpec>,
    stopping: Stopping,
    progress: watch::Sender<Progress>,
    turn: Option<OwnedSemaphorePermit>,
    /// The activations need not have room for it any more: it got a handout, or is registered.
    served: bool,
}

type Machine<B> = <<B as Backend>::Connector as Connect>::Host;

impl<B: Backend> HostRun<B> {
    pub(super) fn new(
        run: Arc<Run<B>>,
        spec: Arc<HostSpec>,
        stopping: Stopping,
        progress: watch::Sender<Progress>,
        turn: OwnedSemaphorePermit,
    ) -> Self {
        Self { run, spec, stopping, progress, turn: Some(turn), served: false }
    }

    /// Goes through with it, and gives its turn back with the report: whoever reads the report decides whether the turn is
    /// anyone's. A host that only waits to be Online has given it back before: slow agents must not hold up others.
    pub(super) async fn run(mut self) -> (HostReport, Option<OwnedSemaphorePermit>) {
        self.progress.send_modify(|progress| progress.started = Some(Instant::now()));
        let outcome = self.work().await.unwrap_or_else(|early| early);
        self.tell_untold().await;
        (self.progress.borrow().report(&self.spec, outcome), self.turn)
    }

    async fn work(&mut self) -> Result<Outcome, Outcome> {
        let limit = self.spec.limits.host;
        let Ok(prepared) = timeout(limit, self.prepare_patiently()).await else {
            let step = self.step();
            return Err(Outcome::Failed {
                step,
                why: format!("the host did not get past `{step}` within its limit of {limit:?}"),
                lines: Vec::new(),
                hint: "see what it is waiting for, or raise `limits.host` in the inventory".to_owned(),
            });
        };
        match prepared? {
            gaps::Prepared::Planned => Ok(Outcome::Planned),
            gaps::Prepared::Registered(registered) => {
                self.turn = None;
                self.prove(*registered).await
            }
        }
    }

    /// Enters a step, unless the run is ending.
    async fn enter(&mut self, step: Step) -> Result<(), Outcome> {
        if self.stopping.is_asked() {
            return Err(self.interrupted(step));
        }
        self.show(step).await;
        Ok(())
    }

    fn step(&self) -> Step {
        self.progress.borrow().step
    }

    async fn show(&self, step: Step) {
        let mut is_new = false;
        self.progress.send_modify(|progress| is_new = progress.enter(step));
        if is_new {
            self.run.events.send(Event::Step { host: self.spec.name.clone(), step }).await;
        }
    }

    /// The outcome of a host on which the run ends before `step`.
    fn interrupted(&self, step: Step) -> Outcome {
        if self.progress.borrow().touched {
            return Outcome::Failed {
                step,
                why: format!("interrupted before `{step}`; what was begun on the host has ended"),
                lines: Vec::new(),
                hint: "run the same command again: it goes on from here".to_owned(),
            };
        }
        Outcome::Skipped { why: format!("interrupted before `{step}`; nothing was changed") }
    }

    async fn connect(&mut self) -> Result<Machine<B>, Setback> {
        self.enter(Step::Connect).await?;
        let connected = match self.run.passwords.refusal(&self.spec.name) {
            Some(refusal) => Err(refusal.clone()),
            None => self.run.connector.connect(&self.spec).await,
        };
        connected.map_err(|error| {
            let NoConnection { unreachable, heals, why, hint, .. } = error;
            let outcome = if unreachable {
                Outcome::Unreachable { why, hint }
            } else {
                Self::failed(Step::Connect, why, hint)
            };
            Setback { outcome, heals }
        })
    }

    async fn observe(&mut self, host: &mut Machine<B>, step: Step) -> Result<Facts, Setback> {
        self.show(step).await;
        let limit = self.spec.limits.command;
        // What this run itself lost sight of may take as long as any command.
        let lost_sight = step == Step::Observe && self.progress.borrow().in_doubt.is_some();
        let patience = if lost_sight { limit } else { PATIENCE };
        let probe = Facts::probe(self.spec.escalation, self.password(), limit, patience.min(limit * 3 / 4));
        let probe = if self.run.dry_run { probe.being_alone() } else { probe };
        let (events, name) = (self.run.events.clone(), self.spec.name.clone());
        let mut waiting = |line: &str| {
            if let Some(holder) = Facts::waits_for(line) {
                let text = format!("waiting for another run that is at work on it: {holder}");
                events.try_send(Event::Warning { host: Some(name.clone()), text });
            }
        };
        let output = self.exec(host, &probe, step, &mut waiting).await?;
        Facts::parse(&output.stdout, Timestamp::now()).map_err(|error| {
            let why = probe.censored(&format!("the host's facts cannot be read: {error}")).into_owned();
            let lines = output.stderr.lines().map(|line| probe.censored(line).into_owned()).collect();
            Outcome::Failed { step, why, lines, hint: error.hint() }.into()
        })
    }

    fn password(&self) -> Option<&SecretString> {
        self.run.passwords.of(&self.spec.name)
    }

    /// A command with this host's way to root's rights.
    fn as_root(&self, command: Command) -> Command {
        command.by(match (self.spec.escalation, self.password()) {
            (Escalation::Doas, _) => Ascent::Doas,
            (_, Some(password)) => Ascent::SudoWith(password.clone()),
            (_, None) => Ascent::Sudo,
        })
    }

    /// Runs a command; a host that did not let it come to its end is a failure of the step.
    async fn exec(
        &mut self,
        host: &mut Machine<B>,
        command: &Command,
        step: Step,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Output, Setback> {
        self.progress.send_modify(|progress| progress.execs += 1);
        let said = self.progress.borrow().said.clone();
        said.began(command);
        let mut heard = |line: &str| {
            said.line(command, line);
            // A password may be a word of the marks.
            on_line(&if apply::is_mark(line) { Cow::Borrowed(line) } else { command.censored(line) });
        };
        let ended = host.run(command, &mut heard).await;
        said.ended(command, &ended);
        said.tell(&self.spec.name, &self.run.events).await;
        ended.map_err(|error| {
            let hint = match &error {
                HostError::Lost { .. } => {
                    "run the same command again: it looks at what is there and goes on from it"
                }
                HostError::TimedOut { .. } => {
                    "see what hangs on the host, or raise `limits.command` in the inventory"
                }
                HostError::NotRun { .. } => {
                    "see the host's sshd log; the user needs a shell and no forced command"
                }
            };
            Setback {
                outcome: Self::failed(step, error.to_string(), hint),
                heals: matches!(error, HostError::Lost { .. }),
            }
        })
    }

    /// Notes an action that ended well.
    async fn done(&self, action: &Action) {
        let sentence = action.sentence();
        self.progress.send_modify(|progress| {
            progress.touched = true;
            progress.actions.push(sentence.clone());
        });
        let (host, step) = (self.spec.name.clone(), self.step());
        self.run.events.send(Event::Done { host, step, action: sentence }).await;
    }

    /// Tells of actions that were done while there was no room among the events.
    async fn tell_untold(&self) {
        let mut untold = VecDeque::new();
        self.progress.send_modify(|progress| untold = std::mem::take(&mut progress.untold));
        for (step, action) in untold {
            self.run.events.send(Event::Done { host: self.spec.name.clone(), step, action }).await;
        }
    }

    /// Takes the node for this host, unless another host is the same node.
    fn claim(&self, node: &ManagedNodeId, step: Step) -> Result<(), Setback> {
        self.progress.send_modify(|progress| progress.node = Some(node.clone()));
        match self.run.claims.node(node, &self.spec.name) {
            None => Ok(()),
            Some(Other::Now(other)) => Err(Outcome::clone_of(&other, node.as_str(), step).into()),
            Some(Other::Earlier(other)) => {
                let outcome = Self::failed(
                    step,
                    format!("its vault names {node}, as the vault of {other} did when it was last seen"),
                    format!("{CLONE_HINT}; if {other} does not hold it any more, run that host first"),
                );
                // Seen in this run too, that one may turn out to hold another: two that changed places.
                let heals = self.run.hosts.iter().any(|host| host.name == other);
                Err(Setback { outcome, heals })
            }
        }
    }

    fn site(&self) -> Result<&Site<B>, Outcome> {
        let environment = &self.spec.environment.name;
        self.run
            .sites
            .get(environment)
            .ok_or_else(|| Outcome::Skipped { why: format!("environment {environment} could not be set up") })
    }

    fn failed(step: Step, why: impl Into<String>, hint: impl Into<String>) -> Outcome {
        Outcome::Failed { step, why: why.into(), lines: Vec::new(), hint: hint.into() }
    }
}
