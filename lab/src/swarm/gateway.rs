//! The way to a control channel: its token over HTTP, then a websocket over TLS that opens with the token.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::http::Request;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use uuid::Uuid;

use super::service::{CallError, Service};
use super::signing::{AccessKeys, Proof, SignError, Unsigned};
use crate::agent::AGENT_VERSION;
use crate::agent_message::LARGEST_PAYLOAD;
use crate::ids::ManagedNodeId;

const SCHEMA: &str = "1.0";
const QUERY: &str = "role=subscribe&stream=input";
/// From the first packet to the token's frame.
const OPENING_LIMIT: Duration = Duration::from_secs(30);
/// The library's own would be a quarter of a gigabyte for a thousand sockets.
const BUFFER: usize = 4 << 10;
const LARGEST_FRAME: usize = LARGEST_PAYLOAD + 128;

/// An open control channel.
pub(super) type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Why there is no control channel.
#[derive(Debug, Error)]
pub enum GatewayError {
    /// The token was not to be had.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The gateway said no.
    #[error("CreateControlChannel: HTTP {0}")]
    Refused(u16),
    /// No token in the answer.
    #[error("the answer to CreateControlChannel holds no token")]
    Token,
    /// No connection.
    #[error("cannot connect for the control channel")]
    Connect(#[source] io::Error),
    /// No websocket.
    #[error("cannot open the websocket of the control channel")]
    Socket(#[source] Box<SocketError>),
    /// It takes too long.
    #[error("the control channel did not open within {} s", OPENING_LIMIT.as_secs())]
    Slow,
    /// No signature.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl From<SocketError> for GatewayError {
    fn from(error: SocketError) -> Self {
        Self::Socket(Box::new(error))
    }
}

/// Opens the control channel of a node.
pub(super) async fn open(
    service: &Service,
    node: &ManagedNodeId,
    keys: &AccessKeys,
) -> Result<Socket, GatewayError> {
    let token = create(service, node, keys).await?;
    timeout(OPENING_LIMIT, connect(service, node, keys, &token)).await.map_err(|_| GatewayError::Slow)?
}

async fn create(
    service: &Service,
    node: &ManagedNodeId,
    keys: &AccessKeys,
) -> Result<SecretString, GatewayError> {
    let path = path(node);
    let body = json!({"MessageSchemaVersion": SCHEMA, "RequestId": Uuid::new_v4()}).to_string();
    let kind = ("content-type".to_owned(), "application/json".to_owned());
    let headers = sign(service, "POST", &path, "", vec![kind], body.as_bytes(), keys).await?;
    let answer = service.post(&path, &headers, Bytes::from(body), false).await?;
    if answer.status != 201 {
        return Err(GatewayError::Refused(answer.status));
    }
    token(&String::from_utf8_lossy(&answer.body)).ok_or(GatewayError::Token)
}

async fn connect(
    service: &Service,
    node: &ManagedNodeId,
    keys: &AccessKeys,
    token: &SecretString,
) -> Result<Socket, GatewayError> {
    let address = &service.address;
    let (host, port) = &address.socket;
    let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(GatewayError::Connect)?;
    stream.set_nodelay(true).map_err(GatewayError::Connect)?;
    let connector = TlsConnector::from(std::sync::Arc::clone(&address.tls));
    let stream = connector.connect(address.name.clone(), stream).await.map_err(GatewayError::Connect)?;

    let path = path(node);
    let headers = sign(service, "GET", &path, QUERY, Vec::new(), b"", keys).await?;
    let mut request = Request::get(format!("wss://{}{path}?{QUERY}", address.authority))
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", generate_key());
    for (name, value) in &headers {
        request = request.header(name, value);
    }
    let request = request.body(()).map_err(SocketError::from)?;
    let limits = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(4 * LARGEST_FRAME)
        .max_message_size(Some(LARGEST_FRAME))
        .max_frame_size(Some(LARGEST_FRAME));
    let (mut socket, _) = client_async_with_config(request, stream, Some(limits)).await?;
    let opening = json!({
        "Cookie": null,
        "MessageSchemaVersion": SCHEMA,
        "RequestId": Uuid::new_v4(),
        "TokenValue": token.expose_secret(),
        "AgentVersion": AGENT_VERSION,
        "PlatformType": "linux",
    });
    futures_util::SinkExt::send(&mut socket, Message::text(opening.to_string())).await?;
    Ok(socket)
}

fn path(node: &ManagedNodeId) -> String {
    format!("/v1/control-channel/{node}")
}

async fn sign(
    service: &Service,
    method: &str,
    path: &str,
    query: &str,
    mut headers: Vec<(String, String)>,
    body: &[u8],
    keys: &AccessKeys,
) -> Result<Vec<(String, String)>, SignError> {
    headers.push(("host".to_owned(), service.address.authority.clone()));
    let region = &service.address.region;
    let request = Unsigned { method, path, query, headers, body, region, service: "ssmmessages" };
    request.sign(Proof::Keys(keys), Timestamp::now()).await
}

/// The one element of the XML answer that matters, whatever the document around it is called.
fn token(answer: &str) -> Option<SecretString> {
    let (_, rest) = answer.split_once("<TokenValue>")?;
    let (text, _) = rest.split_once("</TokenValue>")?;
    let plain = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")]
        .into_iter()
        .fold(text.trim().to_owned(), |text, (entity, character)| text.replace(entity, character));
    (!plain.is_empty()).then(|| plain.into())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::token;

    #[test]
    fn the_token_is_found_in_the_answer_of_the_facts() {
        let answer = "<CreateControlChannelResponse><MessageSchemaVersion>1.0</MessageSchemaVersion>\
                      <TokenValue>AAE&lt;&amp;lt;=</TokenValue></CreateControlChannelResponse>";
        assert_eq!(token(answer).unwrap().expose_secret(), "AAE<&lt;=");
        for bad in ["", "<TokenValue>", "<TokenValue></TokenValue>", "{}"] {
            assert!(token(bad).is_none(), "{bad}");
        }
    }
}
