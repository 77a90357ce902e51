//! Hands out an activation for each environment of a run, and takes back what it created. A run has
//! many hosts that ask at once and may end at any moment; this is where neither leaks an activation.

mod given;
mod leftovers;
mod pool;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use jiff::Timestamp;
use secrecy::SecretString;
use tokio::{task::JoinSet, time::Instant};

use self::pool::Pool;
pub use self::{
    given::GivenError,
    leftovers::{Collected, Leftover, collect, gc, leftovers},
};
use super::{ActivationId, ControlPlane, RegistrationLimit, SsmError};
use crate::{
    events::RunId,
    inventory::{Environment, EnvironmentName, Tags},
};

/// The activation tag that names the run; what `activations gc` looks for.
pub const RUN_TAG: &str = "bootstrap:run";

/// The activation tag that names the environment.
pub const ENVIRONMENT_TAG: &str = "bootstrap:environment";

/// Longer than a pool asks, together with its last look for what was lost and its last call.
const CREATION_WITHIN: Duration = Duration::from_secs(70);
const DELETION_WITHIN: Duration = Duration::from_secs(20);
const DELETION_TRIES: u32 = 3;

/// The hosts of one environment that may need an activation in this run.
#[derive(Debug)]
pub struct ActivationPool<C> {
    /// The environment.
    pub environment: Arc<Environment>,
    /// Its SSM.
    pub control_plane: Arc<C>,
    /// How many hosts of it are in the run.
    pub hosts: usize,
    /// The environment's own tags.
    pub tags: Tags,
    /// How long a host may take from its handout to its registration: the package is sent in between.
    pub patience: Duration,
}

/// What a host registers with.
#[derive(Clone, Debug)]
pub struct Handout {
    /// The activation.
    pub id: ActivationId,
    /// Its code.
    pub code: SecretString,
}

/// Why there is no activation for a host.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ActivationError {
    /// SSM refuses to create one.
    #[error("no activation for environment {environment}")]
    Create {
        /// The environment.
        environment: EnvironmentName,
        /// Why.
        source: Box<SsmError>,
    },
    /// The operator's own cannot be read.
    #[error("no activation for environment {environment}")]
    Given {
        /// The environment.
        environment: EnvironmentName,
        /// Why.
        source: GivenError,
    },
    /// The run is ending.
    #[error("no activation for environment {0}: the run is ending")]
    Closed(EnvironmentName),
    /// The run has no hosts of this environment.
    #[error("no activation for environment {0}: it is not part of this run")]
    Unknown(EnvironmentName),
}

impl ActivationError {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Create { source, .. } => source.hint(),
            Self::Given { source, .. } => source.hint(),
            Self::Closed(_) => "run again; hosts that are done are left as they are".to_owned(),
            Self::Unknown(_) => "this is a fault of bootstrap; report it".to_owned(),
        }
    }
}

/// What became of an activation, for the journal's ledger. Never with a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActivationChange {
    /// AWS is about to be asked for one. Should the run die now, the next one has to look for it.
    Requested {
        /// For which environment.
        environment: EnvironmentName,
    },
    /// What came of every request for this environment is known.
    Settled {
        /// Which environment.
        environment: EnvironmentName,
    },
    /// It exists now and counts.
    Created {
        /// For which environment.
        environment: EnvironmentName,
        /// Its id.
        id: ActivationId,
        /// How many hosts may register with it.
        limit: RegistrationLimit,
        /// Until when.
        expires: Timestamp,
    },
    /// It is gone.
    Deleted {
        /// Its id.
        id: ActivationId,
    },
    /// It is still there.
    DeleteFailed {
        /// Its id.
        id: ActivationId,
        /// Why.
        why: SsmError,
    },
    /// AWS was asked to create one and had not answered when the run ended; `activations gc` finds it by its tag.
    InDoubt {
        /// For which environment.
        environment: EnvironmentName,
    },
}

type Told = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Who is told of changes, before anyone can use what changed.
#[derive(Clone)]
struct Listener(Arc<dyn Fn(ActivationChange) -> Told + Send + Sync>);

impl Listener {
    async fn tell(&self, change: ActivationChange) {
        (self.0)(change).await;
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

/// The activations of one run.
#[derive(Debug)]
pub struct Activations<C> {
    pools: BTreeMap<EnvironmentName, Arc<Pool<C>>>,
    listener: Listener,
}

impl<C: ControlPlane> Activations<C> {
    /// For a run over these environments. Nothing is created until a host asks. `on_change` is awaited.
    pub fn new<F, T>(run: &RunId, pools: impl IntoIterator<Item = ActivationPool<C>>, on_change: F) -> Self
    where
        F: Fn(ActivationChange) -> T + Send + Sync + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let listener = Listener(Arc::new(move |change| Box::pin(on_change(change))));
        let pools = pools.into_iter().map(|pool| {
            let name = pool.environment.name.clone();
            (name, Arc::new(Pool::new(run, pool, listener.clone())))
        });
        Self { pools: pools.collect(), listener }
    }

    /// An activation with room for one more host. The first to ask has it created, and whoever asks
    /// meanwhile waits for the same one; giving up the wait does not give up the activation.
    pub async fn acquire(&self, environment: &EnvironmentName) -> Result<Handout, ActivationError> {
        match self.pools.get(environment) {
            Some(pool) => pool.acquire().await,
            None => Err(ActivationError::Unknown(environment.clone())),
        }
    }

    /// One more host of this environment turned out to be registered already, so the next activation
    /// need have no room for it.
    pub fn known_registered(&self, environment: &EnvironmentName) {
        if let Some(pool) = self.pools.get(environment) {
            pool.known_registered();
        }
    }

    /// A host that got a handout, or was known to be registered, is going to ask once more.
    pub fn asks_again(&self, environment: &EnvironmentName) {
        if let Some(pool) = self.pools.get(environment) {
            pool.asks_again();
        }
    }

    /// A host found the activation full, so it is handed out no more. Tells whether the next one to ask gets another.
    pub fn found_full(&self, environment: &EnvironmentName, id: &str) -> bool {
        self.pools.get(environment).is_some_and(|pool| pool.found_full(id))
    }

    /// Hands out no more and deletes all that were created, waiting for one that is being created right now. What
    /// could not be deleted is tried again if this is called again.
    pub async fn close(&self) -> Vec<(ActivationId, Result<(), SsmError>)> {
        for pool in self.pools.values() {
            pool.close();
        }
        let mut closing = JoinSet::new();
        for pool in self.pools.values().cloned() {
            let listener = self.listener.clone();
            closing.spawn(async move {
                let deadline = Instant::now() + CREATION_WITHIN;
                if tokio::time::timeout_at(deadline, pool.creation_ended()).await.is_err() {
                    let environment = pool.environment.name.clone();
                    listener.tell(ActivationChange::InDoubt { environment }).await;
                }
                let mut results = Vec::new();
                if pool.is_in_doubt() {
                    results = sweep(&pool, &listener).await;
                }
                for id in pool.created() {
                    let result = delete(pool.control_plane.as_ref(), &id).await;
                    listener.tell(change_of(&id, &result)).await;
                    if result.is_ok() {
                        pool.forget(&id);
                    }
                    results.push((id, result));
                }
                results
            });
        }
        closing.join_all().await.into_iter().flatten().collect()
    }
}

/// Deletes activations of this run that AWS created without our hearing of it, and says whether that is the end of it.
async fn sweep<C: ControlPlane>(
    pool: &Pool<C>,
    listener: &Listener,
) -> Vec<(ActivationId, Result<(), SsmError>)> {
    let environment = pool.environment.name.clone();
    let Ok(results) = remove_lost(pool, listener).await else {
        listener.tell(ActivationChange::InDoubt { environment }).await;
        return Vec::new();
    };
    if pool.aws_is_through() && results.iter().all(|(_, outcome)| outcome.is_ok()) {
        listener.tell(ActivationChange::Settled { environment }).await;
    }
    results
}

/// Deletes activations of this run and environment whose id was never told, found by their tags; their codes are lost. The error is of the
/// look for them.
async fn remove_lost<C: ControlPlane>(
    pool: &Pool<C>,
    listener: &Listener,
) -> Result<Vec<(ActivationId, Result<(), SsmError>)>, SsmError> {
    let known = pool.created();
    let keep = |run: &RunId| *run != pool.run;
    // By name: an account may have thousands, and AWS keeps those that have expired.
    let name = pool.instance_name();
    let found = tokio::time::timeout(DELETION_WITHIN, pool.control_plane.activations_named(name)).await;
    let found = found.unwrap_or_else(|_| Err(SsmError::no_answer("DescribeActivations", DELETION_WITHIN)))?;
    let found = leftovers::left_of(found, &keep);
    // Other environments of this run may have theirs in the same account, and at work.
    let own = pool.environment.name.as_str();
    let is_lost = |leftover: &Leftover| {
        leftover.environment.as_deref().is_none_or(|of| of == own) && !known.contains(&leftover.record.id)
    };
    let lost = found.into_iter().filter(is_lost).collect();
    let mut results = Vec::new();
    for Collected { leftover, outcome } in collect(pool.control_plane.as_ref(), lost).await {
        listener.tell(change_of(&leftover.record.id, &outcome)).await;
        results.push((leftover.record.id, outcome));
    }
    Ok(results)
}

fn change_of(id: &ActivationId, result: &Result<(), SsmError>) -> ActivationChange {
    let id = id.clone();
    match result {
        Ok(()) => ActivationChange::Deleted { id },
        Err(why) => ActivationChange::DeleteFailed { id, why: why.clone() },
    }
}

/// Deletes with a limit for each try. An activation that stays is an open door, so even a refusal that
/// looks final is tried again.
async fn delete<C: ControlPlane>(control_plane: &C, id: &ActivationId) -> Result<(), SsmError> {
    let mut pause = Duration::from_secs(1);
    let mut tries = 1;
    loop {
        let result = tokio::time::timeout(DELETION_WITHIN, control_plane.delete_activation(id)).await;
        let result = result.unwrap_or_else(|_| Err(SsmError::no_answer("DeleteActivation", DELETION_WITHIN)));
        if result.is_ok() || tries == DELETION_TRIES {
            return result;
        }
        tries += 1;
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}
