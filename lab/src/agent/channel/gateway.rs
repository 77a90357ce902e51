//! The message gateway's two calls per channel: a token over HTTP, then a websocket that opens with the token.

use std::sync::Arc;

use rustls::ClientConfig;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use thiserror::Error;
use tungstenite::Message;
use uuid::Uuid;

use super::wire::{Wire, WireError};
use crate::agent::AGENT_VERSION;
use crate::agent::config::Config;
use crate::agent::proof::{Proof, RoleCredentials, Unsigned};
use crate::agent::service::http_client;
use crate::agent::time::Time;
use crate::agent::tls::{Bundle, TlsError, socket_config};
use crate::node_key::KeyError;
use crate::sigv4::amz_date;

const SCHEMA: &str = "1.0";
const LARGEST_ANSWER: u64 = 64 * 1024;
/// Enough of an answer to recognise it in a log.
const QUOTED: usize = 300;

/// Why there is no channel.
#[derive(Debug, Error)]
pub enum GatewayError {
    /// The gateway did not answer.
    #[error("the message gateway did not answer")]
    Transport(#[from] ureq::Error),
    /// The gateway answered with another status than 201.
    #[error("unexpected response from the service {0}")]
    Refused(String),
    /// No token in the answer.
    #[error("the message gateway's answer holds no token")]
    Token,
    /// The websocket did not open.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// No TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The role does not sign.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl GatewayError {
    /// Whether the role may not open channels; only then the agent goes back to the other service.
    #[must_use]
    pub fn is_access_denied(&self) -> bool {
        matches!(self, Self::Refused(answer) if answer.contains("<AccessDeniedException>"))
    }
}

/// The two kinds of channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel<'a> {
    /// The node's own, by its id.
    Control(&'a str),
    /// A session's, with the node that serves it and the name of this end of it.
    Data {
        /// The session.
        session: &'a str,
        /// The node.
        node: &'a str,
        /// This end.
        client: &'a str,
    },
}

impl Channel<'_> {
    fn path(self) -> String {
        match self {
            Self::Control(node) => format!("/v1/control-channel/{node}"),
            Self::Data { session, .. } => format!("/v1/data-channel/{session}"),
        }
    }

    fn query(self) -> &'static str {
        match self {
            Self::Control(_) => "role=subscribe&stream=input",
            Self::Data { .. } => "role=publish_subscribe",
        }
    }

    fn creation(self) -> Value {
        let mut body = json!({"MessageSchemaVersion": SCHEMA, "RequestId": Uuid::new_v4()});
        if let (Self::Data { client, .. }, Some(body)) = (self, body.as_object_mut()) {
            body.insert("ClientId".to_owned(), json!(client));
        }
        body
    }

    fn opening(self, token: &SecretString) -> Value {
        let token = token.expose_secret();
        match self {
            Self::Control(_) => json!({
                "Cookie": null, "MessageSchemaVersion": SCHEMA, "RequestId": Uuid::new_v4(), "TokenValue": token,
                "AgentVersion": AGENT_VERSION, "PlatformType": "linux",
            }),
            Self::Data { node, client, .. } => json!({
                "MessageSchemaVersion": SCHEMA, "RequestId": Uuid::new_v4(), "TokenValue": token,
                "ClientInstanceId": node, "ClientId": client,
            }),
        }
    }
}

/// The message gateway of one region.
#[derive(Debug)]
pub struct Gateway {
    authority: String,
    region: String,
    client: ureq::Agent,
    tls: Arc<ClientConfig>,
}

impl Gateway {
    /// The gateway as configured.
    pub fn new(config: &Config, region: &str) -> Result<Self, GatewayError> {
        let region = config.mgs_region(region).to_owned();
        let authority = config.mgs_authority(&region);
        let client = http_client(&authority, Bundle::Ignored).map_err(TlsError::from)?;
        Ok(Self { authority, region, client, tls: socket_config()? })
    }

    /// Opens a channel: asks for its token, connects, and shows the token.
    pub fn open(
        &self,
        channel: Channel<'_>,
        role: &RoleCredentials,
        time: &Time,
    ) -> Result<Wire, GatewayError> {
        let token = self.create(channel, role, time)?;
        let (path, query) = (channel.path(), channel.query());
        let headers = self.sign("GET", &path, query, b"", Vec::new(), role, time)?;
        let target = format!("{path}?{query}");
        let mut wire = Wire::open(&self.authority, &target, &headers, Arc::clone(&self.tls), time)?;
        wire.send(Message::text(channel.opening(&token).to_string()))?;
        Ok(wire)
    }

    fn create(
        &self,
        channel: Channel<'_>,
        role: &RoleCredentials,
        time: &Time,
    ) -> Result<SecretString, GatewayError> {
        let (path, body) = (channel.path(), channel.creation().to_string());
        let kind = vec![("content-type".to_owned(), "application/json".to_owned())];
        let headers = self.sign("POST", &path, "", body.as_bytes(), kind, role, time)?;
        let mut request = self.client.post(format!("https://{}{path}", self.authority));
        for (name, value) in headers.iter().filter(|(name, _)| name != "host") {
            request = request.header(name, value);
        }
        let mut response = request.send(body.as_bytes())?;
        let status = response.status().as_u16();
        let answer = response.body_mut().with_config().limit(LARGEST_ANSWER).read_to_vec()?;
        let answer = String::from_utf8_lossy(&answer);
        if status != 201 {
            return Err(GatewayError::Refused(answer.chars().take(QUOTED).collect()));
        }
        token(&answer).ok_or(GatewayError::Token)
    }

    #[allow(clippy::too_many_arguments, reason = "they are the parts of one request")]
    fn sign(
        &self,
        method: &str,
        path: &str,
        query: &str,
        body: &[u8],
        mut headers: Vec<(String, String)>,
        role: &RoleCredentials,
        time: &Time,
    ) -> Result<Vec<(String, String)>, GatewayError> {
        headers.push(("host".to_owned(), self.authority.clone()));
        headers.push(("x-amz-date".to_owned(), amz_date(time.now())));
        let request =
            Unsigned { method, path, query, headers, body, region: &self.region, service: "ssmmessages" };
        Ok(request.sign(Proof::Role(role))?)
    }
}

/// The one element of the XML answer that matters, whatever the document around it is called.
fn token(answer: &str) -> Option<SecretString> {
    let (_, rest) = answer.split_once("<TokenValue>")?;
    let (text, _) = rest.split_once("</TokenValue>")?;
    let text = text.trim();
    let plain = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")]
        .into_iter()
        .fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character));
    (!plain.is_empty()).then(|| plain.into())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::{Channel, GatewayError, token};

    #[test]
    fn the_token_is_found_in_the_answer_of_the_facts() {
        let answer = "<CreateControlChannelResponse><MessageSchemaVersion>1.0</MessageSchemaVersion>\
                      <TokenValue>AAE&lt;&amp;lt;=</TokenValue></CreateControlChannelResponse>";
        assert_eq!(token(answer).unwrap().expose_secret(), "AAE<&lt;=");
        for bad in ["", "<TokenValue>", "<TokenValue></TokenValue>", "{}"] {
            assert!(token(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn only_the_xml_element_means_that_access_is_denied() {
        let refused = |answer: &str| GatewayError::Refused(answer.to_owned()).is_access_denied();
        assert!(refused("<AccessDeniedException><Message>no</Message></AccessDeniedException>"));
        assert!(!refused(r#"{"__type":"AccessDeniedException"}"#));
    }

    #[test]
    fn the_first_frame_has_the_members_of_the_facts() {
        let token = "secret".to_owned().into();
        let control = Channel::Control("mi-1").opening(&token);
        let names: Vec<_> = control.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            names,
            ["Cookie", "MessageSchemaVersion", "RequestId", "TokenValue", "AgentVersion", "PlatformType"]
        );
        assert!(control["Cookie"].is_null());
        let data = Channel::Data { session: "s-1", node: "mi-1", client: "c" };
        assert_eq!(data.opening(&token)["ClientInstanceId"], "mi-1");
        assert_eq!(data.creation()["ClientId"], "c");
        assert_eq!(data.path(), "/v1/data-channel/s-1");
    }
}
