//! The local SSM endpoint: AWS's control plane for hybrid activations and managed nodes, and the plane its agents
//! talk to, with AWS's shapes, limits and error names.
//!
//! A call goes one way: [`wire`] takes HTTP apart, [`faults`] may spoil it, [`caller`] proves who calls,
//! [`operations`] does the work on the [`estate`], and [`wire`] answers. [`server`] owns the listeners.

pub mod admin;
pub mod caller;
pub mod clock;
pub mod error;
pub mod estate;
pub mod faults;
pub mod lab_user;
pub mod listing;
pub mod operations;
pub mod ready;
pub mod server;
pub mod tags;
pub mod tls;
pub mod validation;
pub mod wire;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clock::Clock;
use estate::Estate;
use faults::Faults;
use lab_user::LabUser;

/// How long role credentials last; AWS's are good for an hour.
pub const ROLE_TOKEN_LIFE: Duration = Duration::from_hours(1);

/// What an endpoint is told at its start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The region callers must sign for.
    pub region: String,
    /// Silence after which a node is `ConnectionLost`.
    pub connection_lost_after: Duration,
}

/// The endpoint's whole state, shared by its listeners.
#[derive(Debug)]
pub struct Endpoint {
    /// What it was told at its start.
    pub settings: Settings,
    /// The one user of the lab's account.
    pub lab_user: LabUser,
    /// The time of the endpoint.
    pub clock: Clock,
    estate: Mutex<Estate>,
    faults: Mutex<Faults>,
    calls: Mutex<BTreeMap<String, u64>>,
}

impl Endpoint {
    /// An endpoint without activations and nodes.
    #[must_use]
    pub fn new(settings: Settings, lab_user: LabUser) -> Self {
        Self {
            settings,
            lab_user,
            clock: Clock::default(),
            estate: Mutex::default(),
            faults: Mutex::default(),
            calls: Mutex::default(),
        }
    }

    /// Activations, nodes and tokens, locked.
    pub fn estate(&self) -> MutexGuard<'_, Estate> {
        lock(&self.estate)
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
