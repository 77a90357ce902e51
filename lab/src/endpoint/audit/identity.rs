//! Who called, as `userIdentity` has it.

use serde_json::{Value, json};

use crate::endpoint::Endpoint;
use crate::endpoint::caller::Caller;
use crate::ids::ManagedNodeId;

/// The caller of an event.
#[derive(Debug)]
pub(super) struct Identity {
    /// What `Username` is looked up by: the user's name, or the session's, which is the node's id.
    pub(super) user_name: Option<String>,
    /// `userIdentity`.
    pub(super) json: Value,
}

impl Identity {
    /// `proven` tells an operation that anyone may call from one whose caller failed to prove itself.
    pub(super) fn of(
        endpoint: &Endpoint,
        caller: &Caller,
        access_key_id: Option<&str>,
        proven: bool,
    ) -> Self {
        let account = &endpoint.settings.account;
        let principal = endpoint.read(|estate| endpoint.principal(caller, estate));
        let (id, arn) = principal.map(|principal| (principal.user_id(), principal.arn())).unwrap_or_default();
        let mut json = match caller {
            Caller::User(name) => json!({
                "type": "IAMUser",
                "principalId": id,
                "arn": arn,
                "accountId": account,
                "userName": name,
            }),
            Caller::Role(node) => json!({
                "type": "AssumedRole",
                "principalId": id,
                "arn": arn,
                "accountId": account,
                "sessionContext": {"sessionIssuer": session_issuer(endpoint, node)},
            }),
            // AWS shows no record of a call that is signed by a node's key; a type of its own would surprise readers.
            Caller::Node(node) => json!({
                "type": "Unknown",
                "principalId": node,
                "arn": arn_start(endpoint) + ":managed-instance/" + node.as_str(),
                "accountId": account,
            }),
            Caller::Anonymous if proven => {
                json!({"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"})
            }
            Caller::Anonymous => json!({"type": "Unknown"}),
        };
        if let (Some(members), Some(key)) = (json.as_object_mut(), access_key_id) {
            members.insert("accessKeyId".to_owned(), key.into());
        }
        Self { user_name: user_name(caller), json }
    }
}

fn user_name(caller: &Caller) -> Option<String> {
    match caller {
        Caller::User(name) => Some(name.clone()),
        Caller::Role(node) | Caller::Node(node) => Some(node.to_string()),
        Caller::Anonymous => None,
    }
}

fn session_issuer(endpoint: &Endpoint, node: &ManagedNodeId) -> Value {
    let account = &endpoint.settings.account;
    let role = endpoint.read(|estate| estate.nodes.get(node).map(|node| node.iam_role.clone()));
    role.map_or(json!({}), |role| {
        let name = role.rsplit('/').next().unwrap_or_default();
        json!({
            "type": "Role",
            "arn": format!("arn:aws:iam::{account}:role/{role}"),
            "accountId": account,
            "userName": name,
        })
    })
}

/// How the ARNs of this account's and region's SSM resources start.
pub(super) fn arn_start(endpoint: &Endpoint) -> String {
    format!("arn:aws:ssm:{}:{}", endpoint.settings.region, endpoint.settings.account)
}
