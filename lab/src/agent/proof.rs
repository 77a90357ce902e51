//! Who the agent is to a call, and the signature that proves it: nobody, the node by its key, or the node's role.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::node_key::{KeyError, NodeKey};
use crate::sigv4::{Authorization, Scope, SignedRequest, signature, string_to_sign};

/// Role credentials, as `RequestManagedInstanceRoleToken` answers them.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs, reason = "named as AWS names them")]
pub struct RoleCredentials {
    pub access_key_id: String,
    pub secret_access_key: SecretString,
    pub session_token: SecretString,
    pub token_expiration_date: f64,
    pub update_key_pair: bool,
}

/// Who the agent is to a call.
#[derive(Debug, Clone, Copy)]
pub enum Proof<'a> {
    /// Nobody: a registration.
    None,
    /// The node, by its own key.
    Key(&'a str, &'a NodeKey),
    /// The node, by its role.
    Role(&'a RoleCredentials),
}

/// A request that waits for its signature.
#[derive(Debug)]
pub struct Unsigned<'a> {
    /// The HTTP method.
    pub method: &'a str,
    /// The path on the wire.
    pub path: &'a str,
    /// The query on the wire, without the question mark.
    pub query: &'a str,
    /// What is signed: lower case, `host` and `x-amz-date` among them.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: &'a [u8],
    /// Where it goes.
    pub region: &'a str,
    /// The service's signing name.
    pub service: &'a str,
}

impl Unsigned<'_> {
    /// All headers of the request, the role's token and the signature among them.
    pub fn sign(mut self, proof: Proof<'_>) -> Result<Vec<(String, String)>, KeyError> {
        if let Proof::Role(role) = proof {
            let token = role.session_token.expose_secret().to_owned();
            self.headers.push(("x-amz-security-token".to_owned(), token));
        }
        // The names of signed headers stand in alphabetical order.
        self.headers.sort();
        if let Some(authorization) = self.authorization(proof)? {
            self.headers.push(("authorization".to_owned(), authorization));
        }
        Ok(self.headers)
    }

    fn authorization(&self, proof: Proof<'_>) -> Result<Option<String>, KeyError> {
        let date = self
            .headers
            .iter()
            .find(|(name, _)| name == "x-amz-date")
            .map_or("", |(_, value)| value.as_str());
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
        let text = string_to_sign(&request, date, &scope);
        let (access_key_id, signature) = match proof {
            Proof::None => return Ok(None),
            Proof::Key(id, key) => (id.to_owned(), key.sign(&text)?),
            Proof::Role(role) => {
                (role.access_key_id.clone(), signature(role.secret_access_key.expose_secret(), &scope, &text))
            }
        };
        Ok(Some(Authorization { access_key_id, scope, signed_headers, signature }.to_header()))
    }
}
