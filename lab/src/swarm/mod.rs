//! A swarm of simulated agents in one process, for load and for fleets larger than a machine can run: every agent has its
//! own identity, connections and rhythm, all of them share one RSA key pair, since making one takes a second.
//!
//! [`run`] starts what a [`Wish`](wish::Wish) asks for. Each node lives by itself over its own [`service`] and
//! [`gateway`]; what becomes of them is in the [`tally`].

pub mod census;
pub mod command;
mod control;
mod end;
pub mod gateway;
mod node;
pub mod operator;
pub mod pace;
mod role;
pub mod service;
pub mod signing;
pub mod tally;
pub mod wish;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::node_key::{KeyError, NodeKey};
use census::Census;
use node::Node;
use operator::{Activation, Operator};
use service::{CallError, Service};
use tally::{Snapshot, Tally};
use wish::{Entry, Wish};

/// The most an activation may register.
const LARGEST_ACTIVATION: u32 = 1000;
/// How long the agents may take to go.
const LEAVING_LIMIT: Duration = Duration::from_secs(10);
/// How long tidying up may take: an endpoint that is gone is not waited for.
const TIDYING_LIMIT: Duration = Duration::from_mins(1);
const CENSUS_LIMIT: Duration = Duration::from_mins(2);
const AT_ONCE: usize = 8;
/// An agent's HTTP connection and its control channel.
const FILES_PER_AGENT: u64 = 2;
const OTHER_FILES: u64 = 100;

/// Why there is no swarm.
#[derive(Debug, Error)]
pub enum SwarmError {
    /// Not enough file descriptors.
    #[error(
        "{count} agents need {needed} open files, and the limit is {limit}; raise it with `ulimit -n {needed}`"
    )]
    Files { count: u32, needed: u64, limit: u64 },
    /// No key pair.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key pair was not finished.
    #[error("the swarm was ended before it began")]
    Ended,
    /// An activation cannot be made, or no client.
    #[error("the swarm cannot start")]
    Call(#[from] CallError),
}

/// The one key pair of all agents.
#[derive(Debug)]
struct SharedKey {
    pair: Arc<NodeKey>,
    public: String,
}

/// What a swarm came to.
#[derive(Debug)]
pub struct Outcome {
    /// The count just before the agents left.
    pub tally: Snapshot,
    /// What the endpoint said then, if it was asked.
    pub census: Option<Result<Census, FarewellError>>,
    /// What of the tidying failed.
    pub untidy: Vec<FarewellError>,
}

/// What may go wrong at the end of a swarm.
#[derive(Debug, Error)]
pub enum FarewellError {
    /// The endpoint refused, or did not answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It took too long.
    #[error("the endpoint took longer than {} s", .0.as_secs())]
    Slow(Duration),
}

/// Runs a swarm until `stop` is done or its time is over. The tally can be watched meanwhile.
pub async fn run(
    wish: Wish,
    tally: Arc<Tally>,
    stop: impl Future<Output = ()>,
) -> Result<Outcome, SwarmError> {
    allow_files(wish.count)?;
    let pair = tokio::task::spawn_blocking(NodeKey::generate).await.map_err(|_| SwarmError::Ended)??;
    let key = Arc::new(SharedKey { public: pair.public_base64()?, pair: Arc::new(pair) });
    let activations = activations(&wish).await?;
    let (ender, end) = end::pending();
    let mut agents = JoinSet::new();
    for number in 0..wish.count {
        let service = Service::new(Arc::clone(&wish.address), wish.habits.pace)?;
        let node = Node::new(number, service, wish.habits, Arc::clone(&tally));
        let turn = usize::try_from(number / LARGEST_ACTIVATION).unwrap_or(usize::MAX);
        // A given activation is the only one, and serves all.
        let Some(activation) = activations.get(turn).or(activations.last()).cloned() else { break };
        let wait = wish.spread.mul_f64(f64::from(number) / f64::from(wish.count));
        let (key, mut end) = (Arc::clone(&key), end.clone());
        agents.spawn(async move {
            tokio::select! {
                () = end.come() => return,
                () = tokio::time::sleep(wait) => {}
            }
            node.live(activation, key, end).await;
        });
    }
    let over = async {
        match wish.run_for {
            Some(life) => tokio::time::sleep(life).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = stop => {}
        () = over => {}
    }
    let census = match &wish.farewell.census {
        Some(operator) => Some(take_census(operator, &tally).await),
        None => None,
    };
    let counted = tally.snapshot();
    ender.end();
    let left = async { while agents.join_next().await.is_some() {} };
    let _ = timeout(LEAVING_LIMIT, left).await;
    agents.shutdown().await;
    let untidy = tidy(&wish, &activations, &tally).await;
    Ok(Outcome { tally: counted, census, untidy })
}

async fn take_census(operator: &Operator, tally: &Tally) -> Result<Census, FarewellError> {
    let nodes = tally.registered();
    let census = timeout(CENSUS_LIMIT, Census::take(operator, &nodes)).await;
    Ok(census.map_err(|_| FarewellError::Slow(CENSUS_LIMIT))??)
}

/// The activations to register by: the one given, or as many as the number of agents needs.
async fn activations(wish: &Wish) -> Result<Vec<Arc<Activation>>, SwarmError> {
    let (operator, iam_role) = match &wish.entry {
        Entry::Activation(activation) => return Ok(vec![Arc::clone(activation)]),
        Entry::Create { operator, iam_role } => (operator, iam_role),
    };
    let mut made = Vec::new();
    let mut missing = wish.count;
    while missing > 0 {
        let limit = missing.min(LARGEST_ACTIVATION);
        made.push(Arc::new(operator.create_activation(iam_role, limit).await?));
        missing -= limit;
    }
    Ok(made)
}

/// Deletes the activations that the swarm made, and its nodes if asked.
async fn tidy(wish: &Wish, activations: &[Arc<Activation>], tally: &Tally) -> Vec<FarewellError> {
    let mut untidy: Vec<FarewellError> = Vec::new();
    let work = async {
        if let Entry::Create { operator, .. } = &wish.entry {
            for activation in activations {
                untidy.extend(operator.delete_activation(&activation.id).await.err().map(Into::into));
            }
        }
        if let Some(operator) = &wish.farewell.deregister {
            untidy.extend(deregister(operator, tally).await.into_iter().map(Into::into));
        }
    };
    if timeout(TIDYING_LIMIT, work).await.is_err() {
        untidy.push(FarewellError::Slow(TIDYING_LIMIT));
    }
    untidy
}

async fn deregister(operator: &Operator, tally: &Tally) -> Vec<CallError> {
    stream::iter(tally.registered())
        .map(|node| async move { operator.deregister(&node).await.err() })
        .buffer_unordered(AT_ONCE)
        .filter_map(async |error| error)
        .collect()
        .await
}

/// Raises the limit of open files as far as the agents need and the system lets.
fn allow_files(count: u32) -> Result<(), SwarmError> {
    let needed = u64::from(count) * FILES_PER_AGENT + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile);
    let reaches = |limit: Option<u64>| limit.is_none_or(|limit| limit >= needed);
    if reaches(limit.current) {
        return Ok(());
    }
    let raised = Rlimit { current: Some(needed), maximum: limit.maximum };
    if reaches(limit.maximum) && setrlimit(Resource::Nofile, raised).is_ok() {
        return Ok(());
    }
    Err(SwarmError::Files { count, needed, limit: limit.current.unwrap_or_default() })
}
