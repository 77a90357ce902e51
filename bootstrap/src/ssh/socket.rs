//! The connection below SSH, over TCP or through a jump host: from a name to an open stream whose other end has said hello,
//! and a stream that can be cut from outside, because a session that waits for a dead host hears nothing else.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf},
    net::{TcpStream, lookup_host},
    sync::{Notify, futures::Notified, oneshot},
    task::JoinSet,
    time::{Instant, Sleep, sleep, timeout},
};

use super::{
    config::AddressFamily,
    error::{ConnectError, Peer, Phase},
    login::Login,
};

/// Head start of an address over the next one, after RFC 8305 (Happy Eyeballs).
const HEAD_START: Duration = Duration::from_millis(250);

/// Between two tries, as `ssh` has it.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);
/// As much of the server's first words as tells what it is.
const FIRST_WORDS: usize = 128;
/// Bytes: what a host says at once, mostly; for each connection.
const READ_AHEAD: usize = 512;

/// Two ways, by TCP or through a jump host.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Wire for S {}

/// Resolves the name and connects to whichever of its addresses answers first, several times if none does; each try may take
/// as long as the connect limit.
pub(super) async fn open(login: &Login) -> Result<Box<dyn Wire>, ConnectError> {
    let Login { peer, pace, .. } = login;
    let (limit, mut tries) = (pace.connect, pace.attempts);
    loop {
        let late = |_| ConnectError::TimedOut { peer: peer.clone(), phase: Phase::Connect, limit };
        match timeout(limit, open_once(login)).await.map_err(late).flatten() {
            Ok(stream) => return Ok(Box::new(stream)),
            Err(error) if tries > 1 && error.may_pass() => {
                tries -= 1;
                sleep(BETWEEN_TRIES).await;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn open_once(login: &Login) -> Result<TcpStream, ConnectError> {
    let Login { peer, family, .. } = login;
    let silence = login.pace.silence();
    let unresolved = |source| ConnectError::unresolved(peer, source);
    let addresses = lookup_host((peer.address.as_str(), peer.port)).await.map_err(unresolved)?;
    let is_wanted = |address: &SocketAddr| match family {
        AddressFamily::Any => true,
        AddressFamily::Inet => address.is_ipv4(),
        AddressFamily::Inet6 => address.is_ipv6(),
    };
    let mut attempts = JoinSet::new();
    for (rank, address) in (0..).zip(addresses.filter(is_wanted)) {
        attempts.spawn(attempt(address, HEAD_START * rank, silence));
    }
    let mut failure = None;
    while let Some(finished) = attempts.join_next().await {
        match finished.unwrap_or_else(|cancelled| Err(cancelled.into())) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    let none = match family {
        AddressFamily::Any => "the name has no address",
        AddressFamily::Inet => "the name has no IPv4 address (`AddressFamily inet`)",
        AddressFamily::Inet6 => "the name has no IPv6 address (`AddressFamily inet6`)",
    };
    Err(match failure {
        None => unresolved(io::Error::new(io::ErrorKind::NotFound, none)),
        // The kernel's own patience may end before our limit does.
        Some(source) => ConnectError::unconnected(peer, source),
    })
}

async fn attempt(
    address: SocketAddr,
    head_start: Duration,
    silence: Option<Duration>,
) -> io::Result<TcpStream> {
    sleep(head_start).await;
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    if let Some(silence) = silence {
        // russh asks for no sign of life while a write is blocked; the kernel sees better than we do whether it still gets on.
        let limit = silence.as_millis().try_into().unwrap_or(i32::MAX).cast_unsigned();
        set_tcp_user_timeout(&stream, limit)?;
    }
    Ok(stream)
}

/// Says hello and waits for the first words of the server, which are to be read again. Both sides may speak first (RFC 4253
/// 4.2), and a server goes on to its key exchange once it has our version: a round trip less than after its own.
pub(super) async fn greeting(
    stream: &mut dyn Wire,
    peer: &Peer,
    hello: &[u8],
) -> Result<(Greeting, Vec<u8>), ConnectError> {
    // A server that has hung up may have said why.
    stream.write_all(hello).await.ok();
    let mut buffer = [0; FIRST_WORDS];
    let closed = |said| ConnectError::Closed { peer: peer.clone(), phase: Phase::Banner, said };
    let length = stream.read(&mut buffer).await.map_err(|_| closed(None))?;
    let said = buffer.get(..length).unwrap_or_default();
    if said.is_empty() {
        return Err(closed(None));
    }
    if said.iter().zip(b"SSH-").all(|(byte, wanted)| byte == wanted) {
        return Ok((Greeting::Ssh, said.to_vec()));
    }
    let text = String::from_utf8_lossy(said);
    let line = text.lines().next().unwrap_or_default();
    let line = line.chars().map(|c| if c.is_control() { '.' } else { c }).collect();
    // What OpenSSH's listener says before it hangs up (sshd.c: MaxStartups and PerSourcePenalties).
    if text.starts_with("Exceeded MaxStartups") || text.starts_with("Not allowed at this time") {
        return Err(closed(Some(line)));
    }
    Ok((Greeting::Other(line), said.to_vec()))
}

/// What a server says first.
#[derive(Debug)]
pub(super) enum Greeting {
    /// The beginning of an SSH version.
    Ssh,
    /// Some line; RFC 4253 allows a few before the version.
    Other(String),
}

/// A stream that breaks when its [`Lifeline`] is dropped, whatever it is waiting for, or when it takes nothing for too long.
pub(super) struct Severable {
    /// Buffered, because packets are read in two parts and most are small.
    stream: BufReader<Box<dyn Wire>>,
    /// What was read of it before.
    said: io::Cursor<Vec<u8>>,
    /// What was written to it before, as far as it has not been written again.
    hello: &'static [u8],
    /// `None` once cut.
    lifeline: Option<oneshot::Receiver<()>>,
    /// How long a write may wait; `None` where the kernel looks after that.
    patience: Option<Duration>,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
    pulse: Arc<Pulse>,
}

/// Keeps a [`Severable`] alive.
#[derive(Debug)]
pub(super) struct Lifeline {
    /// That of the stream.
    pub(super) pulse: Arc<Pulse>,
    /// It acts by being dropped.
    _sender: oneshot::Sender<()>,
}

/// When a connection last took something to be sent, or the jump host that carries it did: who only waits until a jump host
/// has sent what it took from others, over a slow line, is not stuck.
#[derive(Debug)]
pub(super) struct Pulse {
    begin: Instant,
    /// Milliseconds since then.
    last: AtomicU64,
    /// Tells whoever waits that all that was to be sent is.
    sent: Notify,
    /// The most that was to be sent at once, in bytes.
    #[cfg(test)]
    pub(super) most: std::sync::atomic::AtomicUsize,
    carrier: Option<Arc<Pulse>>,
}

impl Pulse {
    fn new(carrier: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self {
            begin: Instant::now(),
            last: AtomicU64::new(0),
            sent: Notify::new(),
            #[cfg(test)]
            most: std::sync::atomic::AtomicUsize::new(0),
            carrier,
        })
    }

    /// Resolves when the connection has next sent all that it had to, counted from this call.
    pub(super) fn sent(&self) -> Notified<'_> {
        self.sent.notified()
    }

    fn beat(&self) {
        let now = self.begin.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        let own = self.begin + Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.carrier.as_ref().map_or(own, |carrier| own.max(carrier.last()))
    }
}

impl Severable {
    /// Ties a stream to a lifeline; `said` comes before what it has to say still, `hello` is not sent again. A write waits for
    /// `patience` at most, from when its carrier last sent anything.
    pub(super) fn new(
        stream: Box<dyn Wire>,
        hello: &'static [u8],
        said: Vec<u8>,
        patience: Option<Duration>,
        carrier: Option<Arc<Pulse>>,
    ) -> (Self, Lifeline) {
        let (sender, receiver) = oneshot::channel();
        let stream = BufReader::with_capacity(READ_AHEAD, stream);
        let (said, lifeline, pulse) = (io::Cursor::new(said), Some(receiver), Pulse::new(carrier));
        let stream =
            Self { stream, said, hello, lifeline, patience, stalled: None, pulse: Arc::clone(&pulse) };
        (stream, Lifeline { pulse, _sender: sender })
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

    /// What becomes of a write that waits.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(patience) = self.patience else { return Poll::Pending };
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        loop {
            ready!(stalled.as_mut().poll(context));
            let until = self.pulse.last() + patience;
            if until <= Instant::now() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            stalled.as_mut().reset(until);
        }
    }
}

impl AsyncRead for Severable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        let before = buffer.filled().len();
        let Self { stream, said, .. } = &mut *self;
        let Poll::Ready(read) = Pin::new(said).poll_read(context, buffer) else { return Poll::Pending };
        read?;
        if buffer.filled().len() > before {
            return Poll::Ready(Ok(()));
        }
        Pin::new(stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Severable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        #[cfg(test)]
        self.pulse.most.fetch_max(bytes.len(), Ordering::Relaxed);
        if !self.hello.is_empty() {
            let length = bytes.len().min(self.hello.len());
            let (again, rest) = self.hello.split_at(length);
            if !bytes.starts_with(again) {
                return Poll::Ready(Err(io::Error::other("the version was already said otherwise")));
            }
            self.hello = rest;
            return Poll::Ready(Ok(length));
        }
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Pending => self.wait(context),
            written @ Poll::Ready(_) => {
                self.stalled = None;
                self.pulse.beat();
                written
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() {
            self.pulse.sent.notify_waiters();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nobody waits for a farewell: russh tells why a connection is over only after it.
        let _ = Pin::new(&mut self.stream).poll_shutdown(context);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn the_kernel_gives_up_a_host_that_confirms_nothing_for_as_long_as_one_may_be_silent() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let most = i32::MAX.cast_unsigned();
        for (silence, millis) in [(None, 0), (Some(PATIENCE), 60_000), (Some(Duration::MAX), most)] {
            let stream = attempt(address, Duration::ZERO, silence).await.unwrap();
            assert_eq!(rustix::net::sockopt::tcp_user_timeout(&stream).unwrap(), millis);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_gets_on_waits_for_ever_and_one_that_does_not_is_given_up() {
        let (near, mut far) = tokio::io::duplex(16);
        let (mut stream, lifeline) = Severable::new(Box::new(near), b"", Vec::new(), Some(PATIENCE), None);
        let reading = tokio::spawn(async move {
            for _ in 0..10 {
                sleep(PATIENCE * 9 / 10).await;
                far.read_exact(&mut [0; 16]).await.unwrap();
            }
            far
        });
        stream.write_all(&[7; 16 * 11]).await.unwrap();
        let mut far = reading.await.unwrap();
        let error = stream.write_all(&[7; 1]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        far.read_exact(&mut [0; 16]).await.unwrap();
        drop(lifeline);
        assert_eq!(stream.write(b"late").await.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }
    #[tokio::test(start_paused = true)]
    async fn a_write_waits_as_long_as_its_jump_host_still_sends_what_others_wrote() {
        let ((near, _far), (jump_near, mut jump_far)) = (tokio::io::duplex(16), tokio::io::duplex(16));
        let (mut jump, jump_line) = Severable::new(Box::new(jump_near), b"", Vec::new(), None, None);
        let carrier = Some(Arc::clone(&jump_line.pulse));
        let (mut stream, _line) = Severable::new(Box::new(near), b"", Vec::new(), Some(PATIENCE), carrier);
        let sending = tokio::spawn(async move {
            for _ in 0..10 {
                sleep(PATIENCE * 9 / 10).await;
                jump.write_all(&[7; 16]).await.unwrap();
                jump_far.read_exact(&mut [0; 16]).await.unwrap();
            }
            jump
        });
        let begin = Instant::now();
        let error = stream.write_all(&[7; 17]).await.unwrap_err();
        assert_eq!((error.kind(), begin.elapsed().as_secs()), (io::ErrorKind::TimedOut, 600));
        sending.await.unwrap();
    }
}
