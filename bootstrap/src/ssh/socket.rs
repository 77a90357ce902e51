//! The TCP connection below SSH: from a name to an open socket whose other end has said hello, and a
//! socket that can be cut from outside, because a session that waits for a dead host hears nothing else.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, lookup_host},
    sync::oneshot,
    task::JoinSet,
    time::sleep,
};

use super::error::{ConnectError, Peer, Phase};

/// Head start of an address over the next one, after RFC 8305 (Happy Eyeballs).
const HEAD_START: Duration = Duration::from_millis(250);

/// Resolves the name and connects to whichever of its addresses answers first.
pub(super) async fn open(peer: &Peer) -> Result<TcpStream, ConnectError> {
    let unresolved = |source| ConnectError::Unresolved { peer: peer.clone(), source };
    let addresses = lookup_host((peer.address.as_str(), peer.port)).await.map_err(unresolved)?;
    let mut attempts = JoinSet::new();
    for (rank, address) in (0..).zip(addresses) {
        attempts.spawn(attempt(address, HEAD_START * rank));
    }
    let mut failure = None;
    while let Some(finished) = attempts.join_next().await {
        match finished.unwrap_or_else(|cancelled| Err(cancelled.into())) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    Err(match failure {
        None => unresolved(io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
        Some(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            ConnectError::Refused { peer: peer.clone() }
        }
        // The kernel's own patience may end before our limit does.
        Some(source) => ConnectError::Unreachable { peer: peer.clone(), source },
    })
}

async fn attempt(address: SocketAddr, head_start: Duration) -> io::Result<TcpStream> {
    sleep(head_start).await;
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Waits for the first words of the server, without taking them from the socket.
pub(super) async fn greeting(stream: &TcpStream, peer: &Peer) -> Result<Greeting, ConnectError> {
    let mut buffer = [0; 128];
    let closed = |said| ConnectError::Closed { peer: peer.clone(), phase: Phase::Banner, said };
    let length = stream.peek(&mut buffer).await.map_err(|_| closed(None))?;
    let said = buffer.get(..length).unwrap_or_default();
    if said.is_empty() {
        return Err(closed(None));
    }
    if said.iter().zip(b"SSH-").all(|(byte, wanted)| byte == wanted) {
        return Ok(Greeting::Ssh);
    }
    let text = String::from_utf8_lossy(said);
    let line = text.lines().next().unwrap_or_default();
    let line = line.chars().map(|c| if c.is_control() { '.' } else { c }).collect();
    // What OpenSSH's listener says before it hangs up (sshd.c: MaxStartups and PerSourcePenalties).
    if text.starts_with("Exceeded MaxStartups") || text.starts_with("Not allowed at this time") {
        return Err(closed(Some(line)));
    }
    Ok(Greeting::Other(line))
}

/// What a server says first.
#[derive(Debug)]
pub(super) enum Greeting {
    /// The beginning of an SSH version.
    Ssh,
    /// Some line; RFC 4253 allows a few before the version.
    Other(String),
}

/// A socket that breaks when its [`Lifeline`] is dropped, whatever it is waiting for.
#[derive(Debug)]
pub(super) struct Severable {
    stream: TcpStream,
    /// `None` once cut.
    lifeline: Option<oneshot::Receiver<()>>,
}

/// Keeps a [`Severable`] alive.
#[derive(Debug)]
pub(super) struct Lifeline(#[expect(dead_code, reason = "it acts by being dropped")] oneshot::Sender<()>);

impl Severable {
    /// Ties a socket to a lifeline.
    pub(super) fn new(stream: TcpStream) -> (Self, Lifeline) {
        let (sender, receiver) = oneshot::channel();
        (Self { stream, lifeline: Some(receiver) }, Lifeline(sender))
    }

    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let cut = match &mut self.lifeline {
            Some(lifeline) => Pin::new(lifeline).poll(context).is_ready(),
            None => true,
        };
        if cut {
            self.lifeline = None;
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was given up"));
        }
        Ok(())
    }
}

impl AsyncRead for Severable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Severable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
