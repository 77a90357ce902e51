//! Who calls: the `Authorization` header verified against a user's key, an issued role token, or the public
//! key of a managed node.

use axum::http::request::Parts;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};

use super::Endpoint;
use super::error::ApiError;
use super::estate::Estate;
use super::service::Service;
use crate::ids::ManagedNodeId;
use crate::node_key::NodePublicKey;
use crate::sigv4::{
    Authorization, SignedRequest, amz_date, parse_amz_date, same_signature, signature, string_to_sign,
};

/// How far a signature's time may be from the endpoint's; AWS's limit.
const WINDOW: SignedDuration = SignedDuration::from_mins(5);

/// A caller whose proof holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Nobody in particular; only a registration may come so.
    Anonymous,
    /// A user of the lab's account, by name.
    User(String),
    /// A node with role credentials.
    Role(ManagedNodeId),
    /// A node that signs with its own key.
    Node(ManagedNodeId),
}

impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::User(name) => f.write_str(name),
            Self::Role(node) => write!(f, "role/{node}"),
            Self::Node(node) => write!(f, "node/{node}"),
        }
    }
}

enum Proof {
    Secret(Caller, SecretString),
    Key(Caller, NodePublicKey),
}

/// Proves who sent a request.
pub fn identify(
    endpoint: &Endpoint,
    service: Service,
    parts: &Parts,
    body: &[u8],
) -> Result<Caller, ApiError> {
    let header = header(parts, "authorization").ok_or_else(|| {
        ApiError::client("MissingAuthenticationTokenException", "Missing Authentication Token")
    })?;
    let authorization = Authorization::parse(header)
        .map_err(|error| ApiError::client("IncompleteSignatureException", error.to_string()))?;
    let sent = header_date(parts)?;
    check_signed_headers(&authorization, parts)?;
    let proof = find_proof(endpoint, parts, &authorization.access_key_id)?;
    check_scope(endpoint, service, &authorization, sent)?;
    check_window(sent, endpoint.clock.now())?;

    let headers: Vec<(String, String)> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let text = string_to_sign(
        &SignedRequest {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            headers: &headers,
            signed_headers: &authorization.signed_headers,
            body,
        },
        &amz_date(sent),
        &authorization.scope,
    );
    let (caller, holds) = match proof {
        Proof::Secret(caller, secret) => {
            let expected = signature(secret.expose_secret(), &authorization.scope, &text);
            (caller, same_signature(&expected, &authorization.signature))
        }
        Proof::Key(caller, key) => (caller, key.verifies(&text, &authorization.signature)),
    };
    if holds { Ok(caller) } else { Err(ApiError::invalid_signature(MISMATCH)) }
}

const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your \
                        AWS Secret Access Key and signing method. Consult the service documentation for details.";

fn header<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name)?.to_str().ok()
}

fn header_date(parts: &Parts) -> Result<Timestamp, ApiError> {
    header(parts, "x-amz-date").and_then(parse_amz_date).ok_or_else(|| {
        ApiError::client(
            "IncompleteSignatureException",
            "Date must be in ISO-8601 'basic format' in the X-Amz-Date header, e.g. 20150830T123600Z",
        )
    })
}

fn check_signed_headers(authorization: &Authorization, parts: &Parts) -> Result<(), ApiError> {
    let needed = ["host", "x-amz-date", "x-amz-target", "x-amz-security-token"];
    for name in needed.into_iter().filter(|name| parts.headers.contains_key(*name)) {
        if !authorization.signed_headers.iter().any(|signed| signed == name) {
            return Err(ApiError::invalid_signature(format!("'{name}' must be a 'SignedHeader'")));
        }
    }
    Ok(())
}

fn find_proof(endpoint: &Endpoint, parts: &Parts, key_id: &str) -> Result<Proof, ApiError> {
    if let Some(user) = endpoint.directory.user_by_key(key_id) {
        // A user's own key comes without a session.
        if parts.headers.contains_key("x-amz-security-token") {
            return Err(unrecognized());
        }
        return Ok(Proof::Secret(Caller::User(user.name.clone()), user.secret_access_key.clone()));
    }
    endpoint.read(|estate| find_node_proof(estate, endpoint.clock.now(), parts, key_id))
}

fn unrecognized() -> ApiError {
    ApiError::client("UnrecognizedClientException", "The security token included in the request is invalid.")
}

fn find_node_proof(estate: &Estate, now: Timestamp, parts: &Parts, key_id: &str) -> Result<Proof, ApiError> {
    if key_id.starts_with("mi-") {
        let id = ManagedNodeId::parse(key_id).map_err(|error| ApiError::access_denied(error.to_string()))?;
        let node = estate
            .node(&id)
            .ok_or_else(|| ApiError::access_denied(format!("{id} is not a registered managed instance")))?;
        return Ok(Proof::Key(Caller::Node(id), node.public_key.clone()));
    }
    let token = estate.tokens.get(&key_id.to_owned()).ok_or_else(unrecognized)?;
    if header(parts, "x-amz-security-token") != Some(token.session_token.expose_secret()) {
        return Err(unrecognized());
    }
    if now >= token.expires {
        return Err(ApiError::client(
            "ExpiredTokenException",
            "The security token included in the request is expired",
        ));
    }
    if estate.node(&token.node).is_none() {
        return Err(unrecognized());
    }
    Ok(Proof::Secret(Caller::Role(token.node.clone()), token.secret_access_key.clone()))
}

fn check_scope(
    endpoint: &Endpoint,
    service: Service,
    authorization: &Authorization,
    sent: Timestamp,
) -> Result<(), ApiError> {
    let scope = &authorization.scope;
    let complaint = if scope.region != endpoint.settings.region {
        format!("Credential should be scoped to a valid region, not '{}'.", scope.region)
    } else if scope.service != service.name() {
        format!("Credential should be scoped to correct service: '{}'.", service.name())
    } else if !amz_date(sent).starts_with(&scope.date) {
        format!("Date in Credential scope does not match the X-Amz-Date header: '{}'.", scope.date)
    } else {
        return Ok(());
    };
    Err(ApiError::invalid_signature(complaint))
}

fn check_window(sent: Timestamp, now: Timestamp) -> Result<(), ApiError> {
    let (sent_text, now_text) = (amz_date(sent), amz_date(now));
    let age = now.duration_since(sent);
    if age > WINDOW {
        return Err(ApiError::invalid_signature(format!(
            "Signature expired: {sent_text} is now earlier than {} ({now_text} - 5 min.)",
            amz_date(now.saturating_sub(WINDOW).unwrap_or(now))
        )));
    }
    if age < -WINDOW {
        return Err(ApiError::invalid_signature(format!(
            "Signature not yet current: {sent_text} is still later than {} ({now_text} + 5 min.)",
            amz_date(now.saturating_add(WINDOW).unwrap_or(now))
        )));
    }
    Ok(())
}
