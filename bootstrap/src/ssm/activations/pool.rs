//! The activation of one environment: single flight, room for the hosts that are left, another one when
//! it is full or about to expire. Creating runs in a task of its own, so that a host that gives up
//! waiting (its limit, Ctrl-C) can't abandon an activation that AWS has already made.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use super::{
    ActivationChange, ActivationError, ActivationPool, ENVIRONMENT_TAG, Handout, Listener, RUN_TAG,
    given::Given,
};
use crate::{
    events::RunId,
    inventory::{ActivationSource, Environment, Tags},
    ssm::{ActivationId, ActivationRequest, ControlPlane, FailureKind, RegistrationLimit, SsmError},
};

/// What takes longer was asked more than once, and AWS may have carried out each.
const ONE_ATTEMPT: Duration = Duration::from_secs(15);

/// AWS's limit for the tags of a node, which come from the activation.
const MAX_TAGS: usize = 50;

#[derive(Debug)]
pub(super) struct Pool<C> {
    pub(super) run: RunId,
    pub(super) environment: Arc<Environment>,
    pub(super) control_plane: Arc<C>,
    source: Source,
    state: Mutex<State>,
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
    /// A creation failed in a way that leaves open whether AWS carried it out.
    in_doubt: bool,
    closed: bool,
}

/// The activation that has room.
#[derive(Debug)]
struct Open {
    handout: Handout,
    room: u16,
    stale_at: Instant,
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
                expires_in: *expires_in,
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
            in_doubt: false,
            closed: false,
        };
        Self { run: run.clone(), environment, control_plane, source, state: Mutex::new(state), listener }
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

    pub(super) fn known_registered(&self) {
        let mut state = self.state();
        state.unserved = state.unserved.saturating_sub(1);
    }

    pub(super) fn close(&self) {
        self.state().closed = true;
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
        self.state().in_doubt
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
        if let Some(handout) = state.take() {
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

    async fn create(&self, limit: RegistrationLimit) -> Progress {
        let Source::Create { expires_in, patience, description, tags } = &self.source else {
            return Progress::Created;
        };
        let environment = self.environment.name.clone();
        self.listener.tell(ActivationChange::Requested { environment: environment.clone() }).await;
        let asked_at = Instant::now();
        let request = ActivationRequest {
            role: self.environment.role.clone(),
            limit,
            expires_in: *expires_in,
            default_instance_name: Some(self.environment.name.to_string()),
            description: description.clone(),
            tags: tags.clone(),
        };
        match self.control_plane.create_activation(&request).await {
            Ok(activation) => {
                let id = activation.id.clone();
                let change = ActivationChange::Created {
                    environment,
                    id: id.clone(),
                    limit,
                    expires: activation.expires,
                };
                self.listener.tell(change).await;
                self.settle(asked_at.elapsed() >= ONE_ATTEMPT).await;
                let mut state = self.state();
                state.created.push(id.clone());
                state.creating = None;
                state.open = Some(Open {
                    handout: Handout { id, code: activation.code },
                    room: limit.get(),
                    stale_at: asked_at + expires_in.saturating_sub(*patience),
                });
                Progress::Created
            }
            Err(error) => {
                self.settle(matches!(error.kind, FailureKind::Unreachable | FailureKind::Unavailable)).await;
                let mut state = self.state();
                state.creating = None;
                state.refused = Some(error.clone()).filter(|error| !error.is_transient());
                Progress::Failed(error)
            }
        }
    }

    /// Tells whether it is known what came of all requests, this last one included.
    async fn settle(&self, in_doubt: bool) {
        let unsettled = {
            let mut state = self.state();
            state.in_doubt |= in_doubt;
            state.in_doubt
        };
        if !unsettled {
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
    fn take(&mut self) -> Option<Handout> {
        let open = self.open.as_mut().filter(|open| Instant::now() < open.stale_at)?;
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
