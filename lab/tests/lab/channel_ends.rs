//! Both ends of the message channels, played by a test: an agent that signs with its role, and a client that has only
//! what `StartSession` answered.

use std::net::TcpStream;
use std::time::Duration;

use lab::agent_message::AgentMessage;
use lab::node_key::NodeKey;
use lab::sigv4::{Authorization, Scope, SignedRequest, amz_date, signature, string_to_sign};
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Message, WebSocket};

use crate::endpoint::{register, role};
use crate::support::{Client, Lab, REGION};

/// Longer than anything here takes; what does not come by then does not come.
const PATIENCE: Duration = Duration::from_mins(1);

/// An open channel.
pub(crate) struct Channel(WebSocket<TcpStream>);

impl Channel {
    /// Opens the websocket of a path and sends the first frame.
    pub(crate) fn open(address: &str, path: &str, headers: &[(String, String)], token: &str) -> Self {
        let mut channel = Self::connect(address, path, headers).unwrap();
        channel
            .text(&json!({"MessageSchemaVersion": "1.0", "RequestId": "r", "TokenValue": token}).to_string());
        channel
    }

    /// Opens the websocket; fails with the status of the refusal.
    pub(crate) fn connect(address: &str, path: &str, headers: &[(String, String)]) -> Result<Self, u16> {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        for (name, value) in headers {
            let name: tungstenite::http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        match tungstenite::client::client(request, stream) {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
                Err(response.status().as_u16())
            }
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.0.send(Message::text(text)).unwrap();
    }

    pub(crate) fn bytes(&mut self, bytes: Vec<u8>) {
        self.0.send(Message::binary(bytes)).unwrap();
    }

    pub(crate) fn send(&mut self, message: &AgentMessage) {
        self.bytes(message.encode());
    }

    /// Sends what a person types or a shell shows.
    pub(crate) fn stream(&mut self, kind: &str, sequence: i64, text: &str) {
        self.send(&AgentMessage::new(kind, sequence, 1, text.as_bytes().to_vec()));
    }

    /// The next frame; `None` when the other side closed.
    pub(crate) fn next(&mut self) -> Option<AgentMessage> {
        loop {
            match self.0.read() {
                Ok(Message::Binary(frame)) => return Some(AgentMessage::decode(&frame).unwrap()),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Err(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("nothing came")
                }
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(other) => panic!("{other:?}"),
            }
        }
    }

    /// The next frame, which must be of this type.
    pub(crate) fn expect(&mut self, kind: &str) -> AgentMessage {
        let message = self.next().unwrap_or_else(|| panic!("closed where {kind} was expected"));
        assert_eq!(message.message_type, kind, "{}", String::from_utf8_lossy(&message.payload));
        message
    }

    /// The next frame's payload as JSON, which must be of this type.
    pub(crate) fn expect_json(&mut self, kind: &str) -> Value {
        serde_json::from_slice(&self.expect(kind).payload).unwrap()
    }

    /// The next frame of a stream: its text, which must have this place.
    pub(crate) fn expect_text(&mut self, kind: &str, sequence: i64) -> String {
        let message = self.expect(kind);
        assert_eq!(message.sequence, sequence);
        String::from_utf8(message.payload).unwrap()
    }
}

/// A registered node whose agent is the test.
pub(crate) struct Agent {
    pub(crate) id: String,
    address: String,
    credentials: Client,
}

impl Agent {
    pub(crate) fn new(lab: &Lab) -> Self {
        let key = NodeKey::generate().unwrap();
        let (_, answer) =
            register(lab, &lab.activation(1), &json!({"PublicKey": key.public_base64().unwrap()}));
        let id = answer["InstanceId"].as_str().unwrap().to_owned();
        let token = role(lab, &id, &key, "a-fingerprint");
        let text = |name: &str| token[name].as_str().unwrap().to_owned();
        let credentials = Client {
            key: text("AccessKeyId"),
            secret: text("SecretAccessKey"),
            token: Some(text("SessionToken")),
            ..lab.user()
        };
        Self { id, address: address(lab), credentials }
    }

    pub(crate) fn credentials(&self) -> &Client {
        &self.credentials
    }

    /// Signs a request to `ssmmessages`, as Go's signer does: query and all.
    pub(crate) fn headers(&self, method: &str, path: &str, query: &str, body: &str) -> Vec<(String, String)> {
        let client = &self.credentials;
        let date = amz_date(jiff::Timestamp::now() + jiff::SignedDuration::from_secs(client.skew_seconds));
        let mut headers = vec![
            ("host".to_owned(), self.address.clone()),
            ("x-amz-date".to_owned(), date.clone()),
            ("x-amz-security-token".to_owned(), client.token.clone().unwrap()),
        ];
        let scope = Scope { date: date[..8].into(), region: REGION.into(), service: "ssmmessages".into() };
        let signed_headers: Vec<String> = headers.iter().map(|(name, _)| name.clone()).collect();
        let request = SignedRequest {
            method,
            path,
            query,
            headers: &headers,
            signed_headers: &signed_headers,
            body: body.as_bytes(),
        };
        let signature = signature(&client.secret, &scope, &string_to_sign(&request, &date, &scope));
        let authorization =
            Authorization { access_key_id: client.key.clone(), scope, signed_headers, signature };
        headers.push(("authorization".to_owned(), authorization.to_header()));
        headers
    }

    /// Asks for the token of a channel: status and body.
    pub(crate) fn create(&self, path: &str) -> (u16, String) {
        let body = json!({"MessageSchemaVersion": "1.0", "RequestId": "r"}).to_string();
        let agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().new_agent();
        let mut request = agent.post(format!("http://{}{path}", self.address));
        for (name, value) in self.headers("POST", path, "", &body).iter().filter(|(name, _)| name != "host") {
            request = request.header(name, value);
        }
        let mut response = request.send(&body).unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    fn open(&self, path: &str, query: &str) -> Channel {
        let (status, xml) = self.create(path);
        assert_eq!(status, 201, "{xml}");
        let (_, rest) = xml.split_once("<TokenValue>").unwrap();
        let (token, _) = rest.split_once("</TokenValue>").unwrap();
        let headers = self.headers("GET", path, query, "");
        Channel::open(&self.address, &format!("{path}?{query}"), &headers, token)
    }

    pub(crate) fn control_channel(&self) -> Channel {
        self.open(&format!("/v1/control-channel/{}", self.id), "role=subscribe&stream=input")
    }

    pub(crate) fn data_channel(&self, session: &Value) -> Channel {
        let session = session["SessionId"].as_str().unwrap();
        self.open(&format!("/v1/data-channel/{session}"), "role=publish_subscribe")
    }
}

/// Where the plain endpoint listens.
pub(crate) fn address(lab: &Lab) -> String {
    lab.text("endpoint").trim_start_matches("http://").to_owned()
}

/// Goes to where `StartSession` or `ResumeSession` said, with the token it gave.
pub(crate) fn client(lab: &Lab, session: &Value) -> Channel {
    client_with(lab, session, session["TokenValue"].as_str().unwrap())
}

pub(crate) fn client_with(lab: &Lab, session: &Value, token: &str) -> Channel {
    let address = address(lab);
    let url = session["StreamUrl"].as_str().unwrap();
    let path = url.strip_prefix(&format!("ws://{address}")).unwrap_or_else(|| panic!("{url}"));
    Channel::open(&address, path, &[], token)
}
