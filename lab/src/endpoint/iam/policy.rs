//! A policy: its statements, and whether one of them speaks of a request. What the lab would not evaluate as IAM does
//! is refused when the policy is read: a Deny that is quietly ignored would be a lie. Reading is in [`super::reading`].

use super::arn::ArnPattern;
use super::condition::Condition;
use super::pattern::Pattern;
use super::{Context, Request};

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It allows.
    Allow,
    /// It denies, whatever else allows.
    Deny,
}

/// `Action` or `NotAction`, `Resource` or `NotResource`: those listed, or all but those.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Selection<T> {
    pub(super) listed: Vec<T>,
    pub(super) inverted: bool,
}

impl<T> Selection<T> {
    fn selects(&self, matches: impl Fn(&T) -> bool) -> bool {
        self.listed.iter().any(matches) != self.inverted
    }
}

/// A statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Its name, if it has one.
    pub sid: Option<String>,
    /// What it does.
    pub effect: Effect,
    pub(super) actions: Selection<Pattern>,
    pub(super) resources: Selection<ArnPattern>,
    pub(super) conditions: Vec<Condition>,
}

impl Statement {
    /// Whether it speaks of the request: action, resource and every condition.
    #[must_use]
    pub fn applies(&self, request: &Request<'_>) -> bool {
        // Actions hold no variables.
        let nothing = Context::new();
        let is_action = |pattern: &Pattern| {
            pattern.fill(&nothing).is_some_and(|glob| glob.matches_in_any_case(request.action))
        };
        self.actions.selects(is_action)
            && self.resources.selects(|pattern| pattern.matches(request.resource, request.context))
            && self.conditions.iter().all(|condition| condition.holds(request.context))
    }
}

/// An identity-based policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub(super) statements: Vec<Statement>,
}

impl Policy {
    /// The policy of an administrator: everything is allowed.
    #[must_use]
    pub fn everything() -> Self {
        let any = Pattern::everything();
        Self {
            statements: vec![Statement {
                sid: None,
                effect: Effect::Allow,
                actions: Selection { listed: vec![any], inverted: false },
                resources: Selection { listed: vec![ArnPattern::Everything], inverted: false },
                conditions: Vec::new(),
            }],
        }
    }

    /// Its statements, in its order.
    #[must_use]
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }
}
