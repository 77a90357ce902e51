//! Whether a proven caller may do what it asks: the policies of users and roles, over every resource a call touches.

use serde_json::Value;

use super::Endpoint;
use super::caller::Caller;
use super::error::ApiError;
use super::iam::Policy;
use super::iam::Principal;
use super::iam::{Context, Request, decide, messages};
use super::operations::{Admits, Call, Operation};
use super::tags::Tags;

/// Something a call touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its ARN, or `*` where IAM knows no resource.
    pub arn: String,
    /// Its tags, if it has any.
    pub tags: Tags,
    /// The condition key by which policies ask whether access to it is checked at all: a session's document has
    /// `ssm:SessionDocumentAccessCheck`.
    pub check: Option<&'static str>,
    /// Whether it counts only where policies ask for its check: the document of a session that names none.
    pub only_if_asked: bool,
}

impl Resource {
    /// Whatever there is.
    #[must_use]
    pub fn any() -> Self {
        Self::named("*")
    }

    /// A resource without tags.
    #[must_use]
    pub fn named(arn: impl Into<String>) -> Self {
        Self { arn: arn.into(), tags: Tags::new(), check: None, only_if_asked: false }
    }
}

/// Refuses a call that the caller's policies do not allow on each resource.
pub fn authorize(operation: &Operation, call: &Call<'_>, resources: &[Resource]) -> Result<(), ApiError> {
    let action = operation.action();
    let unfit = || ApiError::access_denied(format!("{} is not authorized to perform: {action}", call.caller));
    match (operation.admits, call.caller) {
        (Admits::Anyone, _) | (Admits::NodeKey, Caller::Node(_)) => return Ok(()),
        // It needs no permission, and cannot be denied.
        (Admits::Policy, Caller::User(_) | Caller::Role(_)) if operation.name == "GetCallerIdentity" => {
            return Ok(());
        }
        _ => {}
    }
    let Some(principal) = call.principal().filter(|_| operation.admits == Admits::Policy) else {
        return Err(unfit());
    };
    let context = context(&principal, call);
    let question = Question { principal: &principal, policies: call.policies(), action: &action, context };
    let key = resources.iter().find_map(|resource| resource.check);
    let always = || resources.iter().filter(|resource| !resource.only_if_asked);
    // Policies that ask for the check do not allow a call which says that there is none.
    let unchecked = key.map(|key| (key, "false"));
    let asked = always().any(|resource| question.decide(resource, unchecked).is_err());
    let checked = key.map(|key| (key, "true"));
    resources
        .iter()
        .filter(|resource| asked || !resource.only_if_asked)
        .try_for_each(|resource| question.decide(resource, checked))
}

/// Refuses an action that knows no resource, outside of any operation: those of the message channels.
pub fn authorize_action(endpoint: &Endpoint, caller: &Caller, action: &str) -> Result<(), ApiError> {
    endpoint.read(|estate| {
        let principal = endpoint.principal(caller, estate);
        let principal = principal.ok_or_else(|| ApiError::access_denied(action))?;
        let policies = endpoint.policies(caller, estate);
        let context = principal.context();
        Question { principal: &principal, policies, action, context }.decide(&Resource::any(), None)
    })
}

/// What policies may ask of a call, whatever it touches: who, from where, when, and the tags it brings or takes away.
fn context(principal: &Principal, call: &Call<'_>) -> Context {
    let members = |list: &str| call.input.get(list).and_then(Value::as_array).into_iter().flatten();
    let text = |tag: &'_ Value, member: &str| tag.get(member).and_then(Value::as_str).map(str::to_owned);
    let tags: Vec<(String, String)> =
        members("Tags").filter_map(|tag| Some((text(tag, "Key")?, text(tag, "Value")?))).collect();
    let context = call.origin.known_to_policies(principal.context());
    let context = context
        .with("aws:CurrentTime", call.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        .with("aws:EpochTime", call.now.as_second().to_string())
        .with_request_tags(tags.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let removed = members("TagKeys").filter_map(Value::as_str);
    removed.fold(context, |context, key| context.with("aws:TagKeys", key))
}

struct Question<'a> {
    principal: &'a Principal,
    policies: &'a [Policy],
    action: &'a str,
    context: Context,
}

impl Question<'_> {
    fn decide(&self, resource: &Resource, set: Option<(&str, &str)>) -> Result<(), ApiError> {
        let tags = resource.tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let mut context = self.context.clone().with_resource_tags(tags);
        if let Some((key, value)) = set {
            context = context.with(key, value);
        }
        let request = Request { action: self.action, resource: &resource.arn, context: &context };
        let denial = messages::denial(self.principal, &request, decide(self.policies, &request));
        denial.map_or(Ok(()), |denial| Err(ApiError::access_denied(denial)))
    }
}
