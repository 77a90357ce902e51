//! One connection from the accepted socket to its end: HTTP on it, and the limits that cut a slow or greedy client
//! off. A connection keeps its seat for as long as its socket is open, as a websocket too.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::faults::Line;
use super::intake::Intake;
use super::origin::Listener;

/// The largest head of a request; a session token and a signature are a tenth of it.
const LARGEST_HEAD: usize = 16 << 10;
/// hyper's buffer of a connection, which holds a head and a piece of a body.
const BUFFER: usize = 32 << 10;
const MOST_HEADERS: usize = 64;

/// What a client may ask of the listeners.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections that are open at a time.
    pub connections: usize,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long the head of a request may take.
    pub head: Duration,
    /// How long its body may take.
    pub body: Duration,
    /// How long a connection may lie idle between calls.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connections: 4096,
            handshake: seconds(10),
            head: seconds(10),
            // Above what the API itself grants and answers to: this one ends a call that nobody else watches.
            body: seconds(30),
            idle: seconds(60),
        }
    }
}

/// What a connection is served with.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) limits: Limits,
    pub(super) router: Router,
    /// The bytes that the bodies of all connections may take up.
    pub(super) room: Arc<Semaphore>,
    pub(super) stop: watch::Receiver<bool>,
}

/// What a connection waits for, and until when at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Head,
    Body,
    Call,
}

/// The phase a connection is in; its deadline starts with the phase, so that a byte now and then gains no time.
#[derive(Debug)]
pub(super) struct Pulse {
    beat: watch::Sender<(Phase, Option<Instant>)>,
    limits: Limits,
}

impl Pulse {
    fn new(limits: Limits) -> Self {
        let (beat, _) = watch::channel((Phase::Head, Some(Instant::now() + limits.head)));
        Self { beat, limits }
    }

    fn enter(&self, phase: Phase) {
        let limit = match phase {
            Phase::Idle => Some(self.limits.idle),
            Phase::Head => Some(self.limits.head),
            Phase::Body => Some(self.limits.body),
            // What is asked for limits itself; a long poll is one such.
            Phase::Call => None,
        };
        self.beat.send_replace((phase, limit.map(|limit| Instant::now() + limit)));
    }

    fn bytes_came(&self) {
        if self.beat.borrow().0 == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    /// The whole request has come.
    pub(super) fn request_is_whole(&self) {
        self.enter(Phase::Call);
    }

    /// Waits until the client has taken too long.
    async fn overdue(&self) {
        let mut beats = self.beat.subscribe();
        loop {
            let (_, until) = *beats.borrow_and_update();
            let changed = beats.changed();
            match until {
                // The sender is `self`, so waiting for a change does not fail.
                None => drop(changed.await),
                Some(until) => {
                    if tokio::time::timeout_at(until, changed).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// The answer of a call whose connection is to be dropped instead.
#[derive(Debug, Error)]
#[error("the connection was to be dropped")]
struct Cut;

/// Serves a connection to its end.
pub(super) async fn serve<S>(
    stream: S,
    peer: SocketAddr,
    listener: Listener,
    mut terms: Terms,
    seat: OwnedSemaphorePermit,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let pulse = Arc::new(Pulse::new(terms.limits));
    let router = TowerToHyperService::new(terms.router);
    let answer =
        service_fn(|request| answer(request, &router, Arc::clone(&pulse), &terms.room, (peer, listener)));
    let io = TokioIo::new(Watched { stream, pulse: Arc::clone(&pulse), _seat: seat });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            // The pulse sees to it, and tells an idle connection from a slow head.
            .header_read_timeout(None)
            .max_headers(MOST_HEADERS)
            .max_header_size(LARGEST_HEAD)
            .max_buf_size(BUFFER)
            .serve_connection(io, answer)
            .with_upgrades()
    );
    let mut stopping = false;
    loop {
        tokio::select! {
            // After a pause of this process, what the client sent meanwhile counts before what it seems to have missed.
            biased;
            // What went wrong on it is the client's affair; it sees the end.
            _ = connection.as_mut() => return,
            () = pulse.overdue() => return,
            _ = terms.stop.wait_for(|stop| *stop), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Has a request answered: it goes in with what is known of its connection, and the pulse follows it.
fn answer(
    request: Request<Incoming>,
    router: &TowerToHyperService<Router>,
    pulse: Arc<Pulse>,
    room: &Arc<Semaphore>,
    (peer, listener): (SocketAddr, Listener),
) -> impl Future<Output = Result<Response<Body>, Cut>> + use<> {
    let (line, intake) = (Line::default(), Intake::new(Arc::clone(room)));
    let mut request = request.map(|body| Body::new(intake.body(body, Arc::clone(&pulse), line.clone())));
    let whole = hyper::body::Body::is_end_stream(request.body());
    pulse.enter(if whole { Phase::Call } else { Phase::Body });
    request.extensions_mut().insert(ConnectInfo(peer));
    request.extensions_mut().insert(listener);
    request.extensions_mut().insert(line.clone());
    let answered = router.call(request);
    async move {
        let response: Result<Response<Body>, Infallible> = answered.await;
        drop(intake);
        pulse.enter(Phase::Idle);
        match response {
            Ok(_) if line.is_cut() => Err(Cut),
            Ok(response) => Ok(response),
            Err(never) => match never {},
        }
    }
}

/// A socket whose reads are felt by the pulse, and which holds its seat.
struct Watched<S> {
    stream: S,
    pulse: Arc<Pulse>,
    _seat: OwnedSemaphorePermit,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.pulse.bytes_came();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::{Limits, Phase, Pulse};

    #[tokio::test(start_paused = true)]
    async fn a_head_that_comes_byte_by_byte_gains_no_time() {
        let limits = Limits::default();
        let pulse = Pulse::new(limits);
        let start = tokio::time::Instant::now();
        let trickle = async {
            loop {
                tokio::time::sleep(limits.head / 4).await;
                pulse.bytes_came();
            }
        };
        tokio::select! {
            () = pulse.overdue() => {}
            () = trickle => {}
        }
        assert_eq!(start.elapsed(), limits.head);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_takes_as_long_as_it_likes_and_then_the_connection_may_lie_idle() {
        let limits = Limits::default();
        let pulse = Pulse::new(limits);
        let start = tokio::time::Instant::now();
        let call = async {
            pulse.enter(Phase::Body);
            pulse.request_is_whole();
            tokio::time::sleep(limits.idle * 10).await;
            pulse.enter(Phase::Idle);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = pulse.overdue() => {}
            () = call => {}
        }
        assert_eq!(start.elapsed(), limits.idle * 11);
    }
}
