//! The data channel of a session: the websocket of either end. What one end sends waits for the other as it is; the endpoint
//! reads along for the transcript and decides nothing but what kinds of messages may pass.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::ws::{Message, WebSocket, close_code};
use axum::extract::{Path, State as Shared};
use axum::http::{Request, Response, header};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::control::close;
use super::entrance;
use super::tokens::Purpose;
use crate::agent_message::AgentMessage;
use crate::endpoint::Endpoint;
use crate::endpoint::error::ApiError;
use crate::endpoint::iam::arn;
use crate::endpoint::sessions::live::{Ending, Live, Side};
use crate::endpoint::sessions::{SessionId, Status, ending, transcript};
use crate::endpoint::wire::log_call;
use crate::ids::ManagedNodeId;

/// Both ends send pieces of a few KiB; 32 frames of this size wait at most for an end.
const LARGEST: usize = 64 << 10;
/// Ends ping each minute or more often; one that misses three times is gone.
const SILENCE: Duration = Duration::from_mins(3);
/// How long an end may take to take a frame.
const SENDING: Duration = Duration::from_mins(1);
/// What an agent and a client get for their last words once the session is over.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Payload types of a stream that a person types or sees: standard output or keys, and standard error.
const SHOWN: [u32; 2] = [1, 11];

pub(super) const CREATE: &str = "CreateDataChannel";
pub(super) const OPEN: &str = "OpenDataChannel";

/// An end of a session, for whoever serves it.
struct EndOf {
    endpoint: Arc<Endpoint>,
    id: SessionId,
    live: Arc<Live>,
    side: Side,
}

/// `POST /v1/data-channel/{session}`: issues the token for the agent's end.
pub(super) async fn create(
    Shared(endpoint): Shared<Arc<Endpoint>>,
    Path(channel): Path<String>,
    request: Request<Body>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    match entrance::create(&endpoint, CREATE, &parts, body).await {
        Ok(node) => {
            let token = living(&endpoint, &channel, Some(&node)).and_then(|(id, _)| {
                let token = endpoint.channels.tokens.issue(Purpose::Agent(id), endpoint.clock.now());
                token.ok_or_else(entrance::no_token)
            });
            entrance::created(CREATE, &format!("role/{node}"), token)
        }
        Err(error) => entrance::refused(CREATE, "-", &error),
    }
}

/// `GET /v1/data-channel/{session}`: opens an end. The agent's is signed; the client's is not, since it has only the token.
pub(super) async fn open(
    Shared(endpoint): Shared<Arc<Endpoint>>,
    Path(channel): Path<String>,
    request: Request<Body>,
) -> Response<Body> {
    let (mut parts, _) = request.into_parts();
    let proven = async {
        entrance::enter(&endpoint, OPEN, &parts).await?;
        let (side, node) = if parts.headers.contains_key(header::AUTHORIZATION) {
            (Side::Agent, Some(entrance::role(&endpoint, OPEN, &parts, b"")?))
        } else {
            (Side::Client, None)
        };
        let (id, live) = living(&endpoint, &channel, node.as_ref())?;
        Ok((id, live, side, entrance::upgrade(&mut parts, LARGEST).await?))
    };
    let opened = proven.await;
    let settings = &endpoint.settings;
    let named = SessionId::parse(&channel).ok();
    let touched = named.map(|id| arn::session(&settings.region, &settings.account, &id.to_string()));
    entrance::record(&endpoint, OPEN, &parts, touched, &opened);
    match opened {
        Ok((id, live, side, upgrade)) => {
            let end = EndOf { endpoint, id, live, side };
            upgrade.on_upgrade(move |socket| end.serve(socket))
        }
        Err(error) => entrance::refused(OPEN, "-", &error),
    }
}

/// The session that lives under this id, on this node if one asks.
fn living(
    endpoint: &Endpoint,
    channel: &str,
    node: Option<&ManagedNodeId>,
) -> Result<(SessionId, Arc<Live>), ApiError> {
    let found = SessionId::parse(channel).ok().and_then(|id| {
        let live = endpoint.sessions.get(&id)?;
        (node.is_none_or(|node| live.node == *node) && live.over().borrow().is_none()).then_some((id, live))
    });
    found.ok_or_else(|| ApiError {
        status: 404,
        ..ApiError::client("ResourceNotFoundException", "there is no such session, or it is over")
    })
}

impl EndOf {
    fn name(&self) -> String {
        match self.side {
            Side::Agent => format!("role/{} {}", self.live.node, self.id),
            Side::Client => format!("client {}", self.id),
        }
    }

    async fn serve(self, mut socket: WebSocket) {
        let purpose = match self.side {
            Side::Agent => Purpose::Agent(self.id.clone()),
            Side::Client => Purpose::Client(self.id.clone()),
        };
        let token = entrance::opening(&mut socket).await;
        let now = self.endpoint.clock.now();
        if !token.is_some_and(|token| self.endpoint.channels.tokens.redeem(&purpose, &token, now)) {
            log_call(OPEN, &self.name(), "wrong token");
            close(&mut socket, close_code::POLICY, "the first frame does not carry the channel's token")
                .await;
            return;
        }
        log_call(OPEN, &self.name(), "ok");
        let number = self.live.sit(self.side);
        self.live.stir(now);
        ending::note(&self.endpoint, &self.id);
        self.tell_agent();
        let why = self.exchange(number, socket).await;
        // A session may be over before its last words come; whoever serves an end writes down what it brought.
        let _ = transcript::write_down(&self.endpoint, &self.id, &self.live);
        if self.live.leave(self.side, number, self.endpoint.clock.now()) {
            self.left();
        }
        log_call("CloseDataChannel", &self.name(), why);
    }

    /// An agent without a client keeps its output to itself instead of sending it again and again.
    fn tell_agent(&self) {
        let hint = if self.live.seat(Side::Client).taken { "start_publication" } else { "pause_publication" };
        if self.live.seat(Side::Agent).taken {
            self.live.hint(Side::Agent, ending::bare(hint));
        }
    }

    fn left(&self) {
        if self.live.over().borrow().is_some() {
            if self.side == Side::Agent {
                ending::close(&self.endpoint, &self.id, Status::Terminated, "");
            }
            return;
        }
        ending::note(&self.endpoint, &self.id);
        if self.side == Side::Client {
            self.tell_agent();
        }
    }

    async fn exchange(&self, number: u64, socket: WebSocket) -> &'static str {
        let (sink, stream) = socket.split();
        let mut seats = self.live.seats(self.side);
        tokio::select! {
            why = self.read(stream) => why,
            why = self.write(sink) => why,
            _ = seats.wait_for(|seat| seat.comings != number) => "replaced",
        }
    }

    /// Brings what this end sends to the other.
    async fn read(&self, mut stream: SplitStream<WebSocket>) -> &'static str {
        loop {
            let frame = match timeout(SILENCE, stream.next()).await {
                Ok(Some(Ok(Message::Binary(frame)))) => frame,
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => continue,
                Ok(Some(Ok(Message::Text(_)))) => return "a text where a frame belongs",
                Ok(Some(Ok(Message::Close(_)))) => return "closed",
                Ok(Some(Err(_)) | None) => return "gone",
                Err(_) => return "silent",
            };
            let Ok(message) = AgentMessage::decode(&frame) else { return "a frame that cannot be read" };
            match (self.side, message.message_type.as_str()) {
                (Side::Agent, "output_stream_data") | (Side::Client, "input_stream_data") => {
                    self.record(&message);
                    self.live.send(self.side.other(), frame).await;
                }
                (_, "acknowledge") => self.live.send(self.side.other(), frame).await,
                // `agent_session_state` is for the service, which sees for itself; nothing else may pass.
                _ => {}
            }
        }
    }

    fn record(&self, message: &AgentMessage) {
        let now = self.endpoint.clock.now();
        self.live.stir(now);
        if SHOWN.contains(&message.payload_type)
            && self.live.record(self.side, message.sequence, &message.payload, now)
        {
            // A database that fails is told to the next caller.
            let _ = transcript::write_down(&self.endpoint, &self.id, &self.live);
        }
    }

    /// Brings what waits for this end to it, and at last that the session is over.
    async fn write(&self, mut sink: SplitSink<WebSocket, Message>) -> &'static str {
        let mut over = self.live.over();
        // Whoever was here before has seen that it is replaced and lets go.
        let mut frames = self.live.frames_for(self.side).await;
        let ending = loop {
            let frame = tokio::select! {
                ended = over.wait_for(Option::is_some) => match ended {
                    Ok(ending) => break (*ending).clone(),
                    Err(_) => return "gone",
                },
                frame = frames.recv() => frame,
            };
            if let Some(frame) = frame
                && !send(&mut sink, Message::Binary(frame)).await
            {
                return "gone";
            }
        };
        let Some(ending) = ending else { return "gone" };
        match self.side {
            Side::Agent => self.dismiss_agent(&ending, &mut sink).await,
            Side::Client => self.dismiss_client(&ending, &mut frames, &mut sink).await,
        }
        let _ = send(&mut sink, Message::Close(None)).await;
        "over"
    }

    /// Tells an agent to end its shell, unless it has; what it says last is read meanwhile.
    async fn dismiss_agent(&self, ending: &Ending, sink: &mut SplitSink<WebSocket, Message>) {
        if !ending.by_agent {
            let message = ending::channel_closed(&self.id, &self.live.node, "");
            send(sink, Message::Binary(message.encode().into())).await;
        }
        tokio::time::sleep(LAST_WORDS).await;
    }

    /// Brings a client what an agent said before it was done, then that it is.
    async fn dismiss_client(
        &self,
        ending: &Ending,
        frames: &mut mpsc::Receiver<Bytes>,
        sink: &mut SplitSink<WebSocket, Message>,
    ) {
        let deadline = Instant::now() + LAST_WORDS;
        let mut seats = self.live.seats(Side::Agent);
        while let Some(frame) = last_frame(ending, frames, &mut seats, deadline).await {
            if !send(sink, Message::Binary(frame)).await {
                return;
            }
        }
        let message = ending::channel_closed(&self.id, &self.live.node, &ending.output);
        send(sink, Message::Binary(message.encode().into())).await;
    }
}

/// The next frame of an agent that is done; `None` when there will be none.
async fn last_frame(
    ending: &Ending,
    frames: &mut mpsc::Receiver<Bytes>,
    agent: &mut watch::Receiver<crate::endpoint::sessions::live::Seat>,
    deadline: Instant,
) -> Option<Bytes> {
    if let Ok(frame) = frames.try_recv() {
        return Some(frame);
    }
    if !ending.by_agent {
        return None;
    }
    tokio::select! {
        biased;
        frame = timeout_at(deadline, frames.recv()) => frame.ok().flatten(),
        _ = agent.wait_for(|seat| !seat.taken) => frames.try_recv().ok(),
    }
}

/// Sends; `false` if the peer does not take it.
async fn send(sink: &mut SplitSink<WebSocket, Message>, message: Message) -> bool {
    matches!(timeout(SENDING, sink.send(message)).await, Ok(Ok(())))
}
