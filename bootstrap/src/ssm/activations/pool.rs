//! The activation of one environment: single flight, room for the hosts that are left, another one when
//! it is full or about to expire. Creating runs in a task of its own, so that a host that gives up
//! waiting (its limit, Ctrl-C) can't abandon an activation that AWS has already made.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{
    ActivationChange, ActivationError, ActivationPool, ENVIRONMENT_TAG, Handout, Listener, RUN_TAG,
    given::Given, remove_lost,
};
use crate::{
    events::RunId,
    inventory::{ActivationSource, Environment, Tags},
    ssm::{ActivationId, ActivationRequest, ControlPlane, RegistrationLimit, SsmError},
};

/// For how long AWS is asked again. Ten attempts outlast a burst of throttling; where every second call is throttled, one in
/// a thousand fails.
const ASKED_WITHIN: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// So long after a call without an answer AWS may still be at work on it.
const AWS_IS_THROUGH_AFTER: Duration = Duration::from_mins(2);

/// AWS takes 30 days by its own clock, which ours may be ahead of.
const LONGEST_LIFE: Duration = Duration::from_mins((30 * 24 * 60) - 10);

/// AWS's limit for the tags of a node, which come from the activation.
const MAX_TAGS: usize = 50;

#[derive(Debug)]
pub(super) struct Pool<C> {
    pub(super) run: RunId,
    pub(super) environment: Arc<Environment>,
    pub(super) control_plane: Arc<C>,
    source: Source,
    state: Mutex<State>,
    /// Told when the pool is closed.
    closing: Notify,
    listener: Listener,
}

#[derive(Debug)]
enum Source {
    Create { expires_in: Duration, patience: Duration, description: String, tags: Tags },
    Given(Given),
}

#[derive(Debug)]
struct State {
    /// Hosts that neither got a handout nor are known to be registered.
    unserved: usize,
    open: Option<Open>,
    creating: Option<watch::Receiver<Progress>>,
    /// A refusal that asking again would not change: the other thousand hosts needn't.
    refused: Option<SsmError>,
    created: Vec<ActivationId>,
    /// When a creation last failed in a way that leaves open whether AWS carried it out.
    doubted: Option<Instant>,
    closed: bool,
}

/// The activation that has room.
#[derive(Debug)]
struct Open {
    handout: Handout,
    room: u16,
    /// Its last moment for a host that takes its time, by our monotonic clock and by AWS's. Ours stops while the machine is
    /// suspended; and AWS's is computed from our time of day, which may be set back.
    last: (Instant, Timestamp),
}

/// How far a creation is, for those who wait for it.
#[derive(Clone, Debug)]
enum Progress {
    Asking,
    Created,
    Failed(SsmError),
}

/// What a host that asks is told.
enum Turn {
    Take(Handout),
    Wait(watch::Receiver<Progress>),
}

impl<C: ControlPlane> Pool<C> {
    pub(super) fn new(run: &RunId, pool: ActivationPool<C>, listener: Listener) -> Self {
        let ActivationPool { environment, control_plane, hosts, tags, patience } = pool;
        let source = match &environment.activation {
            ActivationSource::Create { expires_in } => Source::Create {
                expires_in: LONGEST_LIFE.min(*expires_in),
                // Whatever hosts may take, each activation serves many of them.
                patience: patience.min(*expires_in / 2),
                description: format!("bootstrap run {run}, environment {}", environment.name)
                    .chars()
                    .take(256)
                    .collect(),
                tags: activation_tags(run, &environment, tags),
            },
            ActivationSource::Given { id, code } => Source::Given(Given::new(id.clone(), code.clone())),
        };
        let state = State {
            unserved: hosts,
            open: None,
            creating: None,
            refused: None,
            created: Vec::new(),
            doubted: None,
            closed: false,
        };
        let (run, state, closing) = (run.clone(), Mutex::new(state), Notify::new());
        Self { run, environment, control_plane, source, state, closing, listener }
    }

    pub(super) async fn acquire(self: &Arc<Self>) -> Result<Handout, ActivationError> {
        if let Source::Given(given) = &self.source {
            if self.state().closed {
                return Err(ActivationError::Closed(self.environment.name.clone()));
            }
            let handout = given.handout().await;
            return handout.map_err(|source| ActivationError::Given {
                environment: self.environment.name.clone(),
                source,
            });
        }
        loop {
            let mut creating = match self.turn()? {
                Turn::Take(handout) => return Ok(handout),
                Turn::Wait(creating) => creating,
            };
            // The task always reports before it ends; if it was killed, the next turn starts another.
            let progress = creating.wait_for(|progress| !matches!(progress, Progress::Asking)).await;
            if let Ok(Progress::Failed(error)) = progress.as_deref() {
                return Err(self.refusal(error.clone()));
            }
        }
    }

    /// What nodes are called until they have a name of their own; all activations of this pool have it.
    pub(super) fn instance_name(&self) -> &str {
        self.environment.name.as_str()
    }

    pub(super) fn known_registered(&self) {
        let mut state = self.state();
        state.unserved = state.unserved.saturating_sub(1);
    }

    pub(super) fn asks_again(&self) {
        self.state().unserved += 1;
    }

    pub(super) fn found_full(&self, id: &str) -> bool {
        self.state().open.take_if(|open| open.handout.id.as_str() == id);
        matches!(self.source, Source::Create { .. })
    }

    pub(super) fn close(&self) {
        self.state().closed = true;
        self.closing.notify_waiters();
    }

    /// Returns when nothing is being created any more.
    pub(super) async fn creation_ended(&self) {
        let creating = self.state().creating.clone();
        if let Some(mut creating) = creating {
            creating.wait_for(|progress| !matches!(progress, Progress::Asking)).await.ok();
        }
    }

    /// Whether there may be an activation of this run whose id was never told.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.state().doubted.is_some()
    }

    /// Whether a look that finds no such activation now is the last one that is needed.
    pub(super) fn aws_is_through(&self) -> bool {
        self.state().doubted.is_none_or(|at| at.elapsed() >= AWS_IS_THROUGH_AFTER)
    }

    pub(super) fn created(&self) -> Vec<ActivationId> {
        self.state().created.clone()
    }

    pub(super) fn forget(&self, id: &ActivationId) {
        self.state().created.retain(|created| created != id);
    }

    fn turn(self: &Arc<Self>) -> Result<Turn, ActivationError> {
        let mut state = self.state();
        if state.closed {
            return Err(ActivationError::Closed(self.environment.name.clone()));
        }
        if let Some(handout) = state.take(self.control_plane.now()) {
            return Ok(Turn::Take(handout));
        }
        if let Some(error) = state.refused.clone() {
            return Err(self.refusal(error));
        }
        let under_way = state.creating.clone().filter(|creating| creating.has_changed().is_ok());
        let creating = under_way.unwrap_or_else(|| self.start_creating(&mut state));
        Ok(Turn::Wait(creating))
    }

    fn start_creating(self: &Arc<Self>, state: &mut State) -> watch::Receiver<Progress> {
        let (progress, creating) = watch::channel(Progress::Asking);
        state.creating = Some(creating.clone());
        let pool = Arc::clone(self);
        let limit = RegistrationLimit::for_hosts(state.unserved);
        tokio::spawn(async move {
            let outcome = pool.create(limit).await;
            progress.send_replace(outcome);
        });
        creating
    }

    /// Asks until AWS has created one, refuses, or has had its time.
    async fn create(&self, limit: RegistrationLimit) -> Progress {
        let began = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let Err(error) = self.ask(limit).await else { return Progress::Created };
            let again = error.is_transient() && began.elapsed() + pause < ASKED_WITHIN;
            if !again || !self.rest(pause).await {
                let mut state = self.state();
                state.creating = None;
                state.refused = Some(error.clone()).filter(|error| !error.is_transient());
                return Progress::Failed(error);
            }
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    /// Waits; whether the pool is still open then.
    async fn rest(&self, pause: Duration) -> bool {
        let closing = self.closing.notified();
        if self.state().closed {
            return false;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            () = closing => false,
        }
    }

    async fn ask(&self, limit: RegistrationLimit) -> Result<(), SsmError> {
        let Source::Create { expires_in, patience, description, tags } = &self.source else {
            return Ok(());
        };
        let environment = self.environment.name.clone();
        self.listener.tell(ActivationChange::Requested { environment: environment.clone() }).await;
        if self.is_in_doubt() {
            // Whoever may not look leaves it to `activations gc`.
            remove_lost(self, &self.listener)
                .await
                .map(drop)
                .or_else(|error| if error.is_transient() { Err(error) } else { Ok(()) })?;
        }
        let asked_at = Instant::now();
        let request = ActivationRequest {
            role: self.environment.role.clone(),
            limit,
            expires_in: *expires_in,
            default_instance_name: Some(self.instance_name().to_owned()),
            description: description.clone(),
            tags: tags.clone(),
        };
        let activation = match self.control_plane.create_activation(&request).await {
            Ok(activation) => activation,
            Err(error) => {
                self.settle(error.leaves_in_doubt()).await;
                return Err(error);
            }
        };
        let (id, expires) = (activation.id.clone(), activation.expires);
        let created = ActivationChange::Created { environment, id: id.clone(), limit, expires };
        self.listener.tell(created).await;
        self.settle(false).await;
        let patience_signed = SignedDuration::try_from(*patience).unwrap_or_default();
        let mut state = self.state();
        state.created.push(id.clone());
        state.creating = None;
        state.open = Some(Open {
            handout: Handout { id, code: activation.code },
            room: limit.get(),
            last: (
                asked_at + expires_in.saturating_sub(*patience),
                expires.checked_sub(patience_signed).unwrap_or(expires),
            ),
        });
        Ok(())
    }

    /// Tells whether it is known what came of all requests, this last one included.
    async fn settle(&self, in_doubt: bool) {
        if in_doubt {
            self.state().doubted = Some(Instant::now());
        }
        if !self.is_in_doubt() {
            self.listener
                .tell(ActivationChange::Settled { environment: self.environment.name.clone() })
                .await;
        }
    }

    fn refusal(&self, source: SsmError) -> ActivationError {
        ActivationError::Create { environment: self.environment.name.clone(), source: Box::new(source) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Room in the open activation, if there is any.
    fn take(&mut self, aws_now: Timestamp) -> Option<Handout> {
        let fresh = |open: &&mut Open| Instant::now() < open.last.0 && aws_now < open.last.1;
        let open = self.open.as_mut().filter(fresh)?;
        open.room = open.room.checked_sub(1)?;
        self.unserved = self.unserved.saturating_sub(1);
        Some(open.handout.clone())
    }
}

/// Ours come first: should there be too many, the environment's are set on the nodes later anyway.
fn activation_tags(run: &RunId, environment: &Environment, tags: Tags) -> Tags {
    let ours = [(RUN_TAG, run.as_str()), (ENVIRONMENT_TAG, environment.name.as_str())];
    let ours = ours.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let theirs = tags.into_iter().filter(|(key, _)| key != RUN_TAG && key != ENVIRONMENT_TAG);
    ours.into_iter().chain(theirs).take(MAX_TAGS).collect()
}
