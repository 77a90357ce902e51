//! The control channel: the one connection an agent keeps open, on which it is told of commands and sessions and answers.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use axum::extract::{Path, State as Shared};
use axum::http::{Request, Response};
use tokio::time::{Instant, timeout, timeout_at};

use super::tokens::Purpose;
use super::{Opened, entrance};
use crate::agent_message::{AgentMessage, LARGEST_PAYLOAD};
use crate::endpoint::error::ApiError;
use crate::endpoint::iam::arn;
use crate::endpoint::sessions::ending;
use crate::endpoint::wire::log_call;
use crate::endpoint::{Endpoint, commands};
use crate::ids::ManagedNodeId;

/// The largest frame: a payload, the header before it and the payload's length between them.
const LARGEST: usize = LARGEST_PAYLOAD + 120;
/// Agents ping each 54 seconds; one that misses three is gone.
const SILENCE: Duration = Duration::from_mins(3);
/// How long an agent may take to take a frame.
const SENDING: Duration = Duration::from_secs(30);

pub(super) const CREATE: &str = "CreateControlChannel";
pub(super) const OPEN: &str = "OpenControlChannel";

/// `POST /v1/control-channel/{node}`: issues the token that opens the channel.
pub(super) async fn create(
    Shared(endpoint): Shared<Arc<Endpoint>>,
    Path(channel): Path<String>,
    request: Request<Body>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    match entrance::create(&endpoint, CREATE, &parts, body).await {
        Ok(node) => {
            let token = own(&node, &channel).and_then(|()| {
                let now = endpoint.clock.now();
                let token = endpoint.channels.tokens.issue(Purpose::Control(node.clone()), now);
                token.ok_or_else(entrance::no_token)
            });
            entrance::created(CREATE, &format!("role/{node}"), token)
        }
        Err(error) => entrance::refused(CREATE, "-", &error),
    }
}

/// `GET /v1/control-channel/{node}`: opens the channel.
pub(super) async fn open(
    Shared(endpoint): Shared<Arc<Endpoint>>,
    Path(channel): Path<String>,
    request: Request<Body>,
) -> Response<Body> {
    let (mut parts, _) = request.into_parts();
    let proven = async {
        entrance::enter(&endpoint, OPEN, &parts).await?;
        let node = entrance::role(&endpoint, OPEN, &parts, b"")?;
        own(&node, &channel)?;
        Ok((node, entrance::upgrade(&mut parts, LARGEST).await?))
    };
    let opened = proven.await;
    let settings = &endpoint.settings;
    let named = ManagedNodeId::parse(&channel).ok();
    let touched = named.map(|node| arn::managed_instance(&settings.region, &settings.account, node.as_str()));
    entrance::record(&endpoint, OPEN, &parts, touched, &opened);
    match opened {
        Ok((node, upgrade)) => upgrade.on_upgrade(move |socket| serve(endpoint, node, socket)),
        Err(error) => entrance::refused(OPEN, "-", &error),
    }
}

fn own(node: &ManagedNodeId, channel: &str) -> Result<(), ApiError> {
    if node.as_str() == channel {
        return Ok(());
    }
    Err(ApiError::access_denied(format!("the control channel of {channel} is not that of {node}")))
}

async fn serve(endpoint: Arc<Endpoint>, node: ManagedNodeId, mut socket: WebSocket) {
    let caller = format!("role/{node}");
    let token = entrance::opening(&mut socket).await;
    let purpose = Purpose::Control(node.clone());
    if !token.is_some_and(|token| endpoint.channels.tokens.redeem(&purpose, &token, endpoint.clock.now())) {
        log_call(OPEN, &caller, "wrong token");
        close(&mut socket, close_code::POLICY, "the first frame does not carry the channel's token").await;
        return;
    }
    let mut opened = endpoint.channels.open(&node);
    log_call(OPEN, &caller, "ok");
    // A node that was deregistered since it signed has no channel; whoever deregisters it later ends this one.
    let why = if endpoint.read(|estate| estate.node(&node).is_some()) {
        commands::deliver_pending(&endpoint, &node);
        exchange(&endpoint, &node, &mut opened, &mut socket).await
    } else {
        "deregistered"
    };
    endpoint.channels.close(&node, &opened);
    log_call("CloseControlChannel", &caller, why);
}

/// Carries frames both ways until there is a reason to stop.
async fn exchange(
    endpoint: &Endpoint,
    node: &ManagedNodeId,
    opened: &mut Opened,
    socket: &mut WebSocket,
) -> &'static str {
    let mut heard = Instant::now();
    loop {
        let frame = tokio::select! {
            frame = opened.frames.recv() => {
                if frame.is_none() {
                    close(socket, close_code::AWAY, "a newer channel took this place, or the node is gone").await;
                    return "replaced";
                }
                frame
            }
            message = timeout_at(heard + SILENCE, socket.recv()) => {
                heard = Instant::now();
                match message {
                    Ok(Some(Ok(message))) => match incoming(endpoint, node, &message) {
                        ControlFlow::Continue(answer) => answer,
                        ControlFlow::Break(why) => {
                            close(socket, close_code::PROTOCOL, why).await;
                            return why;
                        }
                    },
                    Ok(_) => return "gone",
                    Err(_) => return "silent",
                }
            }
        };
        if let Some(frame) = frame {
            let sent = timeout(SENDING, socket.send(Message::Binary(frame.encode().into()))).await;
            if !matches!(sent, Ok(Ok(()))) {
                return "gone";
            }
        }
    }
}

/// What came from the agent; goes on with the answer it gets, if any.
fn incoming(
    endpoint: &Endpoint,
    node: &ManagedNodeId,
    message: &Message,
) -> ControlFlow<&'static str, Option<AgentMessage>> {
    let frame = match message {
        Message::Binary(frame) => frame,
        Message::Text(_) => return ControlFlow::Break("a text where a frame belongs"),
        Message::Close(_) => return ControlFlow::Break("closed"),
        Message::Ping(_) | Message::Pong(_) => return ControlFlow::Continue(None),
    };
    let Ok(message) = AgentMessage::decode(frame) else {
        return ControlFlow::Break("a frame that cannot be read");
    };
    ControlFlow::Continue(match message.message_type.as_str() {
        "agent_task_complete" => ending::completed(endpoint, node, &message),
        "agent_job_ack" => {
            commands::acknowledged(endpoint, node, &message);
            None
        }
        "agent_job_reply" => commands::replied(endpoint, node, &message)
            .map(|payload| AgentMessage::new("agent_job_reply_ack", 0, 0, payload)),
        _ => {
            log_call("IgnoredMessage", &format!("role/{node}"), &printable(&message.message_type));
            None
        }
    })
}

fn printable(message_type: &str) -> String {
    message_type.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect()
}

/// Says why a connection ends; a peer that does not listen misses it.
pub(super) async fn close(socket: &mut WebSocket, code: u16, reason: &'static str) {
    let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
    let _ = timeout(SENDING, socket.send(Message::Close(Some(frame)))).await;
}
