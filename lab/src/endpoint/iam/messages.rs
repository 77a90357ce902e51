//! AWS's wording of a denial, which operators search for and tools cut apart.

use super::principal::Principal;
use super::{Decision, Request};

/// What AWS says of a decision that is a denial; nothing of one that is none.
#[must_use]
pub fn denial(principal: &Principal, request: &Request<'_>, decision: Decision) -> Option<String> {
    let Request { action, resource, .. } = request;
    let because = match decision {
        Decision::Allow => return None,
        Decision::ImplicitDeny => format!("because no identity-based policy allows the {action} action"),
        Decision::ExplicitDeny => "with an explicit deny in an identity-based policy".to_owned(),
    };
    let who = principal.arn();
    Some(format!("User: {who} is not authorized to perform: {action} on resource: {resource} {because}"))
}
