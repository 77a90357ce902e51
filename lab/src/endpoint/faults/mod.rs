//! Faults on order: what shall go wrong, until when, and how often it did. Everything here is undone by clearing: no
//! fault changes what the endpoint holds.

pub mod admin;
mod befall;
mod order;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde::Serialize;
use thiserror::Error;
use tokio::sync::Notify;

pub use befall::{Line, befall};
pub use order::{ActivationState, CallFault, Chance, Effect, Moment, Order, WrongCertificate};

use super::error::ApiError;
use super::service::Service;
use crate::ids::{ActivationId, ManagedNodeId};

/// More are an error of the orderer's loop.
const MOST: usize = 100;
/// Spent faults that are still shown.
const SHOWN_SPENT: usize = 20;

/// Why an order does not hold.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum OrderError {
    /// Too many are active.
    #[error("{MOST} faults are active; clear some first")]
    TooMany,
    /// Its id is taken.
    #[error("a fault with the id {0} is active; clear it first, or choose another id")]
    Taken(String),
}

/// A fault that was ordered.
#[derive(Debug, Clone, Serialize)]
pub struct Fault {
    /// What it is cleared by.
    pub id: String,
    /// What goes wrong.
    #[serde(flatten)]
    pub effect: Effect,
    /// How often.
    #[serde(flatten)]
    pub chance: Chance,
    /// How often it did.
    pub strikes: u64,
    #[serde(skip)]
    dice: StdRng,
}

impl Fault {
    /// Whether it strikes, now that it could; counted if so.
    fn strikes(&mut self) -> bool {
        if self.is_spent() || (self.chance.share < 1.0 && !self.dice.random_bool(self.chance.share)) {
            return false;
        }
        self.strikes += 1;
        self.chance.remaining = self.chance.remaining.map(|left| left.saturating_sub(1));
        true
    }

    fn is_spent(&self) -> bool {
        self.chance.remaining == Some(0)
    }
}

/// A call, as far as faults tell calls apart.
#[derive(Debug, Clone, Copy)]
pub struct Struck<'a> {
    /// Whose operation it is.
    pub service: Service,
    /// The operation.
    pub operation: &'a str,
    /// The node that says it calls, or the access key it calls with.
    pub caller: Option<&'a str>,
}

impl CallFault {
    fn fits(&self, call: &Struck<'_>) -> bool {
        (self.operation == "*" || self.operation == call.operation)
            && self.service.as_deref().is_none_or(|service| service == call.service.name())
            && self.caller.as_deref().is_none_or(|caller| call.caller == Some(caller))
    }
}

/// What the faults do to one call.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Blow {
    /// How long to wait before anything else.
    pub delay: Duration,
    /// How the call ends, if not as it should.
    pub end: Option<End>,
}

/// How a struck call ends.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// In this answer.
    Error(ApiError),
    /// Without an answer.
    Drop(Moment),
    /// Not before the fault of this id is cleared.
    Hang(String),
}

/// The faults that are active, oldest first.
#[derive(Debug, Default)]
pub struct Faults {
    active: Vec<Fault>,
    spent: VecDeque<Fault>,
    ordered: u64,
    cleared: Arc<Notify>,
}

impl Faults {
    /// Adds a fault.
    pub fn order(&mut self, order: Order) -> Result<Fault, OrderError> {
        if self.active.len() >= MOST {
            return Err(OrderError::TooMany);
        }
        let id = match order.id {
            Some(id) if self.is_active(&id) => return Err(OrderError::Taken(id)),
            Some(id) => id,
            None => self.new_id(&order.effect),
        };
        let dice = StdRng::seed_from_u64(order.chance.seed);
        let fault = Fault { id, effect: order.effect, chance: order.chance, strikes: 0, dice };
        self.active.push(fault.clone());
        self.retire();
        Ok(fault)
    }

    fn new_id(&mut self, effect: &Effect) -> String {
        let kind = match effect {
            Effect::Call(_) => "call",
            Effect::Activations(_) => "activations",
            Effect::Fingerprints(_) => "fingerprints",
            Effect::Clock(_) => "clock",
            Effect::Certificate(_) => "certificate",
            Effect::Channels(_) => "channels",
        };
        loop {
            self.ordered += 1;
            let id = format!("{kind}-{}", self.ordered);
            if !self.is_active(&id) {
                return id;
            }
        }
    }

    /// Withdraws the faults that `which` picks, spent ones too, and says how many they were; calls that hang by them
    /// go on.
    pub fn clear(&mut self, which: impl Fn(&Fault) -> bool) -> usize {
        let before = self.active.len() + self.spent.len();
        self.active.retain(|fault| !which(fault));
        self.spent.retain(|fault| !which(fault));
        self.cleared.notify_waiters();
        before - self.active.len() - self.spent.len()
    }

    /// Whether calls still hang by a fault that struck them.
    fn hangs(&self, id: &str) -> bool {
        self.active.iter().chain(&self.spent).any(|fault| fault.id == id)
    }

    /// Those that are active, oldest first.
    #[must_use]
    pub fn active(&self) -> &[Fault] {
        &self.active
    }

    /// The last of those that have struck as often as they should, oldest first.
    pub fn spent(&self) -> impl Iterator<Item = &Fault> {
        self.spent.iter()
    }

    fn is_active(&self, id: &str) -> bool {
        self.active.iter().any(|fault| fault.id == id)
    }

    /// How far the clock is off.
    #[must_use]
    pub fn clock_offset(&self) -> i64 {
        let offsets = self.active.iter().filter_map(|fault| match &fault.effect {
            Effect::Clock(clock) => Some(clock.offset_seconds),
            _ => None,
        });
        offsets.fold(0, i64::saturating_add)
    }

    /// What happens to a call. Delays add up; the first fault that ends the call is the last that strikes it.
    pub fn call(&mut self, call: &Struck<'_>) -> Blow {
        let mut blow = Blow::default();
        for fault in &mut self.active {
            let Effect::Call(effect) = &fault.effect else {
                if matches!(fault.effect, Effect::Clock(_)) {
                    fault.strikes();
                }
                continue;
            };
            if blow.end.is_some() || !effect.fits(call) {
                continue;
            }
            let effect = effect.clone();
            if !fault.strikes() {
                continue;
            }
            let jitter = fault.dice.random_range(0..=effect.jitter_ms);
            blow.delay += Duration::from_millis(effect.delay_ms.saturating_add(jitter));
            blow.end = effect.end(&fault.id);
        }
        self.retire();
        blow
    }

    /// What a registration is to be told of its activation.
    pub fn activation(&mut self, id: &ActivationId) -> Option<ActivationState> {
        self.first(|effect| match effect {
            Effect::Activations(fault) if fault.activation.as_ref().is_none_or(|one| one == id) => {
                Some(fault.state)
            }
            _ => None,
        })
    }

    /// Whether a node's fingerprint is to be refused.
    pub fn fingerprint(&mut self, node: &ManagedNodeId) -> bool {
        let fits = |effect: &Effect| match effect {
            Effect::Fingerprints(fault) => fault.caller.as_ref().is_none_or(|one| one == node).then_some(()),
            _ => None,
        };
        self.first(fits).is_some()
    }

    /// The wrong certificate that a handshake is to get.
    pub fn certificate(&mut self) -> Option<WrongCertificate> {
        self.first(|effect| match effect {
            Effect::Certificate(fault) => Some(fault.certificate),
            _ => None,
        })
    }

    /// Whether the control channel of a node is to end.
    pub fn channel(&mut self, node: &ManagedNodeId) -> bool {
        let fits = |effect: &Effect| match effect {
            Effect::Channels(fault) => fault.caller.as_ref().is_none_or(|one| one == node).then_some(()),
            _ => None,
        };
        self.first(fits).is_some()
    }

    /// The oldest fault that fits and strikes.
    fn first<T>(&mut self, fits: impl Fn(&Effect) -> Option<T>) -> Option<T> {
        let found = self.active.iter_mut().find_map(|fault| fits(&fault.effect).filter(|_| fault.strikes()));
        self.retire();
        found
    }

    /// Ends a fault that has done what it should.
    pub fn spend(&mut self, id: &str) {
        if let Some(fault) = self.active.iter_mut().find(|fault| fault.id == id) {
            fault.chance.remaining = Some(0);
        }
        self.retire();
    }

    fn retire(&mut self) {
        for fault in self.active.extract_if(.., |fault| fault.is_spent()) {
            if self.spent.len() == SHOWN_SPENT {
                self.spent.pop_front();
            }
            self.spent.push_back(fault);
        }
    }
}

impl CallFault {
    fn end(self, id: &str) -> Option<End> {
        if let Some(code) = self.error {
            return Some(End::Error(ApiError {
                status: self.status,
                message: format!("{code} was ordered for this call"),
                code: Cow::Owned(code),
            }));
        }
        self.drop.map(End::Drop).or_else(|| self.hang.then(|| End::Hang(id.to_owned())))
    }
}

#[cfg(test)]
mod tests;
