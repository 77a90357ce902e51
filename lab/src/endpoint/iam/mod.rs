//! IAM of the lab's account: users and their keys, policies, and the decision whether someone may do something. Apart
//! from the operations, which only ask, so that "dev may, prod may not" is decided in one place and by AWS's rules:
//! nothing is allowed unless a statement allows it, and a statement that denies has the last word.
//!
//! [`directory`] knows who there is, [`reading`] makes a [`policy`] of a [`document`], [`decide`] asks its
//! statements, and [`messages`] says the outcome in AWS's words.

pub mod arn;
pub mod condition;
pub mod config;
mod context;
pub mod directory;
#[cfg(test)]
mod directory_tests;
pub mod document;
pub mod keys;
pub mod messages;
pub mod operator;
pub mod pattern;
pub mod policy;
mod principal;
pub mod reading;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod tests;

pub use context::Context;
pub use directory::{Directory, User};
pub use policy::Policy;
pub use principal::Principal;

use policy::Effect;

/// One question: an action on one resource. A call that touches several resources asks once for each.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The action, `ssm:StartSession`.
    pub action: &'a str,
    /// The resource's ARN, or `*` for a call on none in particular.
    pub resource: &'a str,
    /// What else is known: the principal's own context, tags of the resource, keys of the service.
    pub context: &'a Context,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// A statement allows it, and none denies it.
    Allow,
    /// A statement denies it.
    ExplicitDeny,
    /// No statement speaks of it.
    ImplicitDeny,
}

/// Decides by all policies of a principal; their order does not count.
#[must_use]
pub fn decide(policies: &[Policy], request: &Request<'_>) -> Decision {
    let mut decision = Decision::ImplicitDeny;
    for statement in policies.iter().flat_map(Policy::statements) {
        if statement.applies(request) {
            match statement.effect {
                Effect::Deny => return Decision::ExplicitDeny,
                Effect::Allow => decision = Decision::Allow,
            }
        }
    }
    decision
}
