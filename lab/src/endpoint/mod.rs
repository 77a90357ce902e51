//! The local SSM endpoint: AWS's control plane for hybrid activations and managed nodes, and the plane its agents
//! talk to, with AWS's shapes, limits and error names.
//!
//! A call goes one way: [`wire`] takes HTTP apart, [`faults`] may spoil it, [`caller`] proves who calls, [`model`] checks
//! what is asked, [`authorize`] whether the caller may, [`operations`] does the work on the [`estate`], and [`wire`]
//! answers. [`audit`] keeps an event of it. [`server`] owns the listeners.

pub mod admin;
pub mod audit;
pub mod authorize;
mod body;
pub mod caller;
pub mod channels;
pub mod clock;
pub mod commands;
pub mod connection;
pub mod database;
pub mod documents;
pub mod error;
pub mod estate;
pub mod faults;
pub mod iam;
mod intake;
pub mod inventory;
pub mod listing;
pub mod model;
pub mod operations;
pub mod origin;
mod query;
pub mod ready;
pub mod server;
pub mod service;
pub mod sessions;
pub mod table;
pub mod tags;
pub mod tls;
pub mod wire;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use audit::Trail;
use audit::event::Event;
use caller::Caller;
use channels::Channels;
use clock::Clock;
use database::DatabaseError;
use error::ApiError;
use estate::Estate;
use faults::Faults;
use iam::{Directory, Policy, Principal};
use sessions::live::Sessions;

/// How long role credentials last; AWS's are good for an hour.
pub const ROLE_TOKEN_LIFE: Duration = Duration::from_hours(1);

/// What an endpoint is told at its start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The region callers must sign for.
    pub region: String,
    /// The account's twelve digits.
    pub account: String,
    /// Silence after which a node is `ConnectionLost`.
    pub connection_lost_after: Duration,
}

/// The endpoint's whole state, shared by its listeners.
#[derive(Debug)]
pub struct Endpoint {
    /// What it was told at its start.
    pub settings: Settings,
    /// The users and roles of the lab's account.
    pub directory: Directory,
    /// The time of the endpoint.
    pub clock: Clock,
    /// The message channels that are open.
    pub channels: Channels,
    /// The sessions that live.
    pub sessions: Sessions,
    trail: Trail,
    state: Mutex<State>,
    faults: Arc<Mutex<Faults>>,
    calls: Mutex<BTreeMap<String, u64>>,
}

/// What outlives the process, if its database does.
#[derive(Debug)]
pub struct State {
    /// Activations, nodes and whatever else is described.
    pub estate: Estate,
    /// Where it is kept.
    pub database: Connection,
}

impl Endpoint {
    /// An endpoint with the state that `database` holds.
    pub fn new(
        settings: Settings,
        directory: Directory,
        database: Connection,
    ) -> Result<Self, DatabaseError> {
        let mut estate = Estate::load(&database)?;
        sessions::transcript::prepare(&database)?;
        let clock = Clock::default();
        sessions::close_leftovers(&mut estate, clock.now());
        let faults: Arc<Mutex<Faults>> = Arc::default();
        Ok(Self {
            settings,
            directory,
            clock,
            channels: Channels::under(Arc::clone(&faults)),
            sessions: Sessions::default(),
            trail: Trail::open(&database)?,
            state: Mutex::new(State { estate, database }),
            faults,
            calls: Mutex::default(),
        })
    }

    /// An endpoint that ends with the test.
    #[cfg(test)]
    fn in_memory() -> Self {
        let keys = tempfile::tempdir().unwrap();
        let settings = Settings {
            region: "eu-central-1".to_owned(),
            account: "123456789012".to_owned(),
            connection_lost_after: Duration::from_mins(15),
        };
        let directory = Directory::load(None, keys.path()).unwrap();
        Self::new(settings, directory, database::in_memory().unwrap()).unwrap()
    }

    /// Looks at the state.
    pub fn read<T>(&self, look: impl FnOnce(&Estate) -> T) -> T {
        look(&lock(&self.state).estate)
    }

    /// Changes the state; what `change` did is in the database when this returns.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> Result<T, ApiError>) -> Result<T, ApiError> {
        let mut state = lock(&self.state);
        let result = change(&mut state);
        let State { estate, database } = &mut *state;
        match estate.save(database) {
            Ok(()) => result,
            Err(error) => Err(ApiError::internal(format!("the state cannot be saved: {error}"))),
        }
    }

    /// A caller as IAM sees it; someone who signs with a node's key, or not at all, is nobody there.
    #[must_use]
    pub fn principal(&self, caller: &Caller, estate: &Estate) -> Option<Principal> {
        let account = self.settings.account.clone();
        match caller {
            Caller::User(name) => Some(Principal::User { name: name.clone(), account }),
            Caller::Role(id) => {
                let role = estate.nodes.get(id)?.iam_role.clone();
                Some(Principal::AssumedRole { role, session: id.to_string(), account })
            }
            Caller::Node(_) | Caller::Anonymous => None,
        }
    }

    /// What a caller's policies are.
    #[must_use]
    pub fn policies(&self, caller: &Caller, estate: &Estate) -> &[Policy] {
        match caller {
            Caller::User(name) => {
                self.directory.users().find(|user| user.name == *name).map_or(&[], |user| &user.policies)
            }
            Caller::Role(id) => {
                estate.node(id).map_or(&[], |node| self.directory.role_policies(&node.iam_role))
            }
            Caller::Node(_) | Caller::Anonymous => &[],
        }
    }

    /// Writes down what came of a call.
    pub fn record(&self, event: &Event) {
        self.trail.record(&mut lock(&self.state).database, event);
    }

    /// The faults on order, locked.
    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    /// How often each operation was called, whatever came of it, locked.
    pub fn calls(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        lock(&self.calls)
    }
}

/// Every change under these locks is one assignment or insertion, so what a panicked holder leaves is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
