//! A service that says what a test wants it to say: HTTP and websockets over TLS, by hand on threads, from the facts
//! about the wire and not from the lab's endpoint.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lab::agent::paths::Paths;
use lab::agent::vault::{Registration, Vault};
use lab::agent_message::AgentMessage;
use lab::node_key::NodeKey;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

pub(crate) const NODE: &str = "mi-0123456789abcdef0";
const PATIENCE: Duration = Duration::from_mins(1);

type Stream = StreamOwned<ServerConnection, TcpStream>;

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(candidate, _)| candidate == name).map_or("", |(_, value)| value)
    }

    /// The operation of a JSON call, or the path of another.
    pub(crate) fn operation(&self) -> &str {
        self.header("x-amz-target").rsplit('.').next().filter(|name| !name.is_empty()).unwrap_or(&self.target)
    }
}

/// An open websocket of the agent's.
pub(crate) struct Socket {
    pub(crate) request: Seen,
    pub(crate) opening: Value,
    stream: WebSocket<Stream>,
}

impl Socket {
    pub(crate) fn send(&mut self, message: &AgentMessage) {
        self.stream.send(Message::binary(message.encode())).unwrap();
    }

    pub(crate) fn send_json(&mut self, message_type: &str, content: &Value) -> AgentMessage {
        let message = AgentMessage::new(message_type, 0, 0, content.to_string().into_bytes());
        self.send(&message);
        message
    }

    /// The next message of one type; others in between are dropped.
    pub(crate) fn next(&mut self, message_type: &str) -> AgentMessage {
        loop {
            let message = self.any();
            if message.message_type == message_type {
                return message;
            }
        }
    }

    pub(crate) fn any(&mut self) -> AgentMessage {
        loop {
            if let Message::Binary(frame) = self.stream.read().unwrap() {
                return AgentMessage::decode(&frame).unwrap();
            }
        }
    }
}

pub(crate) fn content(message: &AgentMessage) -> Value {
    serde_json::from_slice(&message.payload).unwrap()
}

struct Script {
    seen: Mutex<Vec<Seen>>,
    /// What the next `GetMessages` delivers.
    deliveries: Mutex<Vec<Value>>,
    has_gateway: bool,
    sockets: Mutex<Sender<Socket>>,
}

/// The service, and a node's directory with a registration.
pub(crate) struct Service {
    script: Arc<Script>,
    sockets: Receiver<Socket>,
    pub(crate) root: tempfile::TempDir,
}

impl Service {
    pub(crate) fn start(has_gateway: bool) -> Self {
        let root = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate =
            rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
        std::fs::write(root.path().join("ca.pem"), certificate.pem()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from(certificate.der().to_vec())],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let (sender, sockets) = channel();
        let script = Arc::new(Script {
            seen: Mutex::default(),
            deliveries: Mutex::default(),
            has_gateway,
            sockets: Mutex::new(sender),
        });
        let serving = Arc::clone(&script);
        let config = Arc::new(config);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (script, config) = (Arc::clone(&serving), Arc::clone(&config));
                std::thread::spawn(move || script.connection(stream.unwrap(), config));
            }
        });
        let service = Self { script, sockets, root };
        service.register(&url);
        service
    }

    fn register(&self, url: &str) {
        let file = self.root.path().join("etc/amazon/ssm/amazon-ssm-agent.json");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let endpoint = json!({"Endpoint": url});
        std::fs::write(file, json!({"Ssm": endpoint, "Mds": endpoint, "Mgs": endpoint}).to_string()).unwrap();
        let registration = Registration {
            instance_id: NODE.to_owned(),
            region: "eu-central-1".to_owned(),
            private_key: NodeKey::generate().unwrap().to_base64().unwrap(),
            private_key_type: "Rsa".to_owned(),
            ..Registration::default()
        };
        Vault::new(&Paths::new(self.root.path())).store_registration(&registration).unwrap();
    }

    pub(crate) fn agent(&self, factor: &str) -> Child {
        self.command(factor).stdout(Stdio::null()).spawn().unwrap()
    }

    pub(crate) fn command(&self, factor: &str) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_amazon-ssm-agent")));
        command
            .env("SSM_STANDIN_ROOT", self.root.path())
            .env("SSM_STANDIN_TIME_FACTOR", factor)
            .env("SSL_CERT_FILE", self.root.path().join("ca.pem"))
            .env_remove("AWS_CA_BUNDLE")
            .stdin(Stdio::null());
        command
    }

    /// The next websocket the agent opens; its path must start like this.
    pub(crate) fn socket(&self, path: &str) -> Socket {
        let socket = self.sockets.recv_timeout(PATIENCE).expect("the agent opens a websocket");
        assert!(socket.request.target.starts_with(path), "{}", socket.request.target);
        socket
    }

    pub(crate) fn deliver(&self, message: Value) {
        self.script.deliveries.lock().unwrap().push(message);
    }

    pub(crate) fn seen(&self, operation: &str) -> Vec<Seen> {
        let seen = self.script.seen.lock().unwrap();
        seen.iter().filter(|seen| seen.operation() == operation).cloned().collect()
    }
}

impl Script {
    fn connection(&self, stream: TcpStream, config: Arc<ServerConfig>) {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
        // A connection that is opened and closed again is none of a test's business.
        let Some(request) = read_request(&mut stream) else { return };
        self.seen.lock().unwrap().push(request.clone());
        if request.header("upgrade") == "websocket" {
            let accept = derive_accept_key(request.header("sec-websocket-key").as_bytes());
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).unwrap();
            stream.flush().unwrap();
            let mut socket = WebSocket::from_raw_socket(stream, Role::Server, None);
            let Message::Text(opening) = socket.read().unwrap() else { panic!("the first frame is text") };
            let opening = serde_json::from_str(opening.as_str()).unwrap();
            let _ = self.sockets.lock().unwrap().send(Socket { request, opening, stream: socket });
            return;
        }
        let (status, body) = self.answer(&request);
        let answer =
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
    }

    fn answer(&self, request: &Seen) -> (&'static str, String) {
        if request.target.starts_with("/v1/") {
            if !self.has_gateway {
                return ("404 Not Found", String::new());
            }
            return ("201 Created", "<R><TokenValue>the-token</TokenValue></R>".to_owned());
        }
        let answer = match request.operation() {
            "RequestManagedInstanceRoleToken" => json!({
                "AccessKeyId": "ASIATEST", "SecretAccessKey": "role-secret", "SessionToken": "role-token",
                "TokenExpirationDate": jiff::Timestamp::now().as_second() + 3600, "UpdateKeyPair": false,
            }),
            "GetMessages" => {
                let messages = std::mem::take(&mut *self.deliveries.lock().unwrap());
                json!({"Destination": NODE, "MessagesRequestId": "x", "Messages": messages})
            }
            "ListInstanceAssociations" => json!({"Associations": []}),
            _ => json!({}),
        };
        ("200 OK", answer.to_string())
    }
}

fn read_request(stream: &mut Stream) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(read_byte(stream)?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut seen = Seen { method, target, headers, body: Value::Null };
    let body = if seen.header("transfer-encoding") == "chunked" {
        read_chunks(stream)?
    } else {
        let mut body = vec![0; seen.header("content-length").parse().unwrap_or(0)];
        stream.read_exact(&mut body).ok()?;
        body
    };
    seen.body = serde_json::from_slice(&body).unwrap_or_default();
    Some(seen)
}

fn read_chunks(stream: &mut Stream) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(read_byte(stream)?);
        }
        let length = usize::from_str_radix(String::from_utf8(line).ok()?.trim(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        stream.read_exact(&mut chunk).ok()?;
        body.extend(&chunk[..length]);
        if length == 0 {
            return Some(body);
        }
    }
}

fn read_byte(stream: &mut Stream) -> Option<u8> {
    let mut byte = [0];
    stream.read_exact(&mut byte).ok()?;
    Some(byte[0])
}
