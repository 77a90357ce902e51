//! One websocket over TLS that never blocks once it is open: its owner waits for it together with other
//! descriptors, and it keeps itself alive with pings.

use std::io;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;
use thiserror::Error;
use tungstenite::handshake::HandshakeError;
use tungstenite::handshake::client::generate_key;
use tungstenite::http::{Request, Uri};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

use crate::agent::bell::wait;
use crate::agent::time::Time;
use crate::agent_message::LARGEST_PAYLOAD;

/// The service drops silent connections after a minute.
const PING: Duration = Duration::from_secs(54);
const PONG: Duration = Duration::from_mins(1);
const CONNECT: Duration = Duration::from_secs(10);
const GOODBYE: Duration = Duration::from_millis(500);
const HANDSHAKE: Duration = Duration::from_secs(20);
const LARGEST_FRAME: usize = LARGEST_PAYLOAD + 128;
const LARGEST_BACKLOG: usize = 4 * LARGEST_FRAME;

/// Why a websocket is no more, or never was.
#[derive(Debug, Error)]
pub enum WireError {
    /// The host has no address.
    #[error("cannot find the address of {0}")]
    Address(String, #[source] io::Error),
    /// Nobody answers there.
    #[error("cannot connect to {0}")]
    Connect(String, #[source] io::Error),
    /// The host is no name a certificate could have.
    #[error("{0} is no host name")]
    Name(String),
    /// The library refuses.
    #[error("cannot start TLS")]
    Tls(#[from] rustls::Error),
    /// The descriptor is broken.
    #[error("the connection is broken")]
    Socket(#[from] io::Error),
    /// The websocket ended or was never opened.
    #[error("the websocket failed")]
    WebSocket(#[from] Box<tungstenite::Error>),
    /// No pong came.
    #[error("nothing answered the last ping")]
    Silent,
    /// The service closed the channel.
    #[error("the service closed the channel")]
    Closed,
}

impl From<tungstenite::Error> for WireError {
    fn from(error: tungstenite::Error) -> Self {
        Self::WebSocket(Box::new(error))
    }
}

/// An open websocket.
pub struct Wire {
    socket: WebSocket<StreamOwned<ClientConnection, TcpStream>>,
    backlog: bool,
    ping_at: Instant,
    dead_at: Instant,
    ping: Duration,
    silence: Duration,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

impl Wire {
    /// Opens `wss://<authority><target>` with the headers given, which hold `host`.
    pub fn open(
        authority: &str,
        target: &str,
        headers: &[(String, String)],
        tls: Arc<ClientConfig>,
        time: &Time,
    ) -> Result<Self, WireError> {
        let stream = connect(authority)?;
        stream.set_read_timeout(Some(HANDSHAKE))?;
        stream.set_write_timeout(Some(HANDSHAKE))?;
        stream.set_nodelay(true)?;
        let host = host(authority);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| WireError::Name(host.to_owned()))?;
        let stream = StreamOwned::new(ClientConnection::new(tls, name)?, stream);
        let mut request = Request::get(format!("wss://{authority}{target}"))
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", generate_key());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(()).map_err(tungstenite::Error::from)?;
        let limits = WebSocketConfig::default()
            .max_message_size(Some(LARGEST_FRAME))
            .max_frame_size(Some(LARGEST_FRAME))
            .max_write_buffer_size(LARGEST_BACKLOG);
        let (socket, _) = match tungstenite::client::client_with_config(request, stream, Some(limits)) {
            Ok(open) => open,
            Err(HandshakeError::Failure(error)) => return Err(error.into()),
            // A read that timed out.
            Err(HandshakeError::Interrupted(_)) => return Err(WireError::Silent),
        };
        socket.get_ref().sock.set_nonblocking(true)?;
        let ping = time.scaled(PING);
        let silence = time.scaled(PONG);
        let now = Instant::now();
        Ok(Self { socket, backlog: false, ping_at: now + ping, dead_at: now + ping + silence, ping, silence })
    }

    /// What to hand to [`wait`](crate::agent::bell::wait).
    #[must_use]
    pub fn watched(&self) -> PollFd<'_> {
        let stream = self.socket.get_ref();
        let writing = if self.is_backed_up() { PollFlags::OUT } else { PollFlags::empty() };
        PollFd::from_borrowed_fd(stream.sock.as_fd(), PollFlags::IN | writing)
    }

    /// How long one may wait before [`Wire::turn`] must be called.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.ping_at.min(self.dead_at).saturating_duration_since(Instant::now())
    }

    /// Whether the peer is slower than what is sent to it; then nothing should be added.
    #[must_use]
    pub fn is_backed_up(&self) -> bool {
        self.backlog || self.socket.get_ref().conn.wants_write()
    }

    /// Sends what waits, pings if it is time, and notices silence.
    pub fn turn(&mut self) -> Result<(), WireError> {
        let now = Instant::now();
        if now >= self.dead_at {
            return Err(WireError::Silent);
        }
        if now >= self.ping_at {
            self.ping_at = now + self.ping;
            self.send(Message::Ping("keepalive".into()))?;
        }
        self.flush()
    }

    /// Queues a message and sends as much as goes.
    pub fn send(&mut self, message: Message) -> Result<(), WireError> {
        match self.socket.write(message) {
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
            written => written?,
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), WireError> {
        self.backlog = match self.socket.flush() {
            Ok(()) => false,
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => true,
            Err(error) => return Err(error.into()),
        };
        Ok(())
    }

    /// The next text or binary message that has come, if any.
    pub fn receive(&mut self) -> Result<Option<Message>, WireError> {
        loop {
            match self.socket.read() {
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => return Ok(Some(message)),
                Ok(Message::Pong(_)) => self.dead_at = Instant::now() + self.silence,
                Ok(Message::Close(_)) => return Err(WireError::Closed),
                Ok(Message::Ping(_) | Message::Frame(_)) => {}
                Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Says goodbye and listens for a moment: a socket closed with unread bytes resets the connection, and what was
    /// sent last may be lost with it.
    pub fn close(mut self) {
        let end = Instant::now() + GOODBYE;
        let _ = self.socket.close(None);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || wait(&mut [self.watched()], left).is_err() {
                break;
            }
            if self.flush().is_err() || self.receive().is_err() {
                break;
            }
        }
    }
}

fn connect(authority: &str) -> Result<TcpStream, WireError> {
    let port = authority.parse::<Uri>().ok().and_then(|uri| uri.port_u16()).unwrap_or(443);
    let addresses = (host(authority), port)
        .to_socket_addrs()
        .map_err(|error| WireError::Address(authority.to_owned(), error))?;
    let mut failure = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(WireError::Connect(authority.to_owned(), failure))
}

/// The host of `host:port`; an IPv6 address loses its brackets.
fn host(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn a_host_is_found_in_every_authority() {
        assert_eq!(host("127.0.0.1:8443"), "127.0.0.1");
        assert_eq!(host("ssmmessages.eu-central-1.amazonaws.com"), "ssmmessages.eu-central-1.amazonaws.com");
        assert_eq!(host("[::1]:443"), "::1");
    }
}
