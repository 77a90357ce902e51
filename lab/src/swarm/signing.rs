//! What proves a simulated agent, or the operator behind it, to the endpoint: SigV4 by access keys or by the node's RSA key.

use std::sync::Arc;

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;

use crate::ids::ManagedNodeId;
use crate::node_key::{KeyError, NodeKey};
use crate::sigv4::{Authorization, Scope, SignedRequest, amz_date, signature, string_to_sign};

/// Access keys of a user, or of a role with its session token.
#[derive(Debug, Clone)]
pub struct AccessKeys {
    /// The id, not secret.
    pub id: String,
    /// The secret.
    pub secret: SecretString,
    /// The session's token, which temporary keys have.
    pub session_token: Option<SecretString>,
}

/// Who calls.
#[derive(Debug, Clone, Copy)]
pub(super) enum Proof<'a> {
    /// Nobody: a registration.
    Nobody,
    /// The node, by its own key.
    Node(&'a ManagedNodeId, &'a Arc<NodeKey>),
    /// A user or a role.
    Keys(&'a AccessKeys),
}

/// A request that could not be signed.
#[derive(Debug, Error)]
pub enum SignError {
    /// The node key does not sign.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The runtime ends.
    #[error("the signature was not finished, since the swarm ends")]
    Ended,
}

/// A request that waits for its signature.
#[derive(Debug)]
pub(super) struct Unsigned<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    /// What is signed besides the date and the session's token: lower case, `host` among them.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: &'a [u8],
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

impl Unsigned<'_> {
    /// All headers of the request, the signature among them.
    pub(super) async fn sign(
        mut self,
        proof: Proof<'_>,
        now: Timestamp,
    ) -> Result<Vec<(String, String)>, SignError> {
        let date = amz_date(now);
        self.headers.push(("x-amz-date".to_owned(), date.clone()));
        if let Proof::Keys(AccessKeys { session_token: Some(token), .. }) = proof {
            self.headers.push(("x-amz-security-token".to_owned(), token.expose_secret().to_owned()));
        }
        // The names of signed headers stand in alphabetical order.
        self.headers.sort();
        let scope = Scope {
            date: date.chars().take(8).collect(),
            region: self.region.to_owned(),
            service: self.service.to_owned(),
        };
        let signed_headers: Vec<String> = self.headers.iter().map(|(name, _)| name.clone()).collect();
        let request = SignedRequest {
            method: self.method,
            path: self.path,
            query: self.query,
            headers: &self.headers,
            signed_headers: &signed_headers,
            body: self.body,
        };
        let text = string_to_sign(&request, &date, &scope);
        let (access_key_id, signature) = match proof {
            Proof::Nobody => return Ok(self.headers),
            Proof::Keys(keys) => (keys.id.clone(), signature(keys.secret.expose_secret(), &scope, &text)),
            Proof::Node(id, key) => {
                let key = Arc::clone(key);
                // Some milliseconds of arithmetic, for every agent when a swarm starts.
                let signed = tokio::task::spawn_blocking(move || key.sign(&text)).await;
                (id.to_string(), signed.map_err(|_| SignError::Ended)??)
            }
        };
        let authorization = Authorization { access_key_id, scope, signed_headers, signature };
        self.headers.push(("authorization".to_owned(), authorization.to_header()));
        Ok(self.headers)
    }
}

#[cfg(test)]
mod tests {
    use super::{AccessKeys, Proof, Unsigned};
    use crate::sigv4::parse_amz_date;

    /// "post-x-www-form-urlencoded" of AWS's SigV4 test suite, which signs content-type, host and x-amz-date.
    #[tokio::test]
    async fn a_request_is_signed_as_in_awss_test_suite() {
        let keys = AccessKeys {
            id: "AKIDEXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned().into(),
            session_token: None,
        };
        let request = Unsigned {
            method: "POST",
            path: "/",
            query: "",
            headers: vec![
                ("host".to_owned(), "example.amazonaws.com".to_owned()),
                ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
            ],
            body: b"Param1=value1",
            region: "us-east-1",
            service: "service",
        };
        let now = parse_amz_date("20150830T123600Z").unwrap();
        let headers = request.sign(Proof::Keys(&keys), now).await.unwrap();
        let (_, authorization) = headers.iter().find(|(name, _)| name == "authorization").unwrap();
        assert_eq!(
            authorization,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
        );
    }
}
