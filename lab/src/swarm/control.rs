//! An open control channel: kept alive by pings, its commands answered if that is a habit, until it is lost or the swarm ends.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use thiserror::Error;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use super::command;
use super::end::End;
use super::gateway::Socket;
use super::tally::Tally;
use super::wish::Habits;
use crate::agent_message::AgentMessage;

const PING: Duration = Duration::from_secs(54);
/// Without a pong within as long the real agent connects again. It waits for the endpoint, so it is not scaled.
const PONG_LIMIT: Duration = Duration::from_mins(1);
const SEND_LIMIT: Duration = Duration::from_secs(20);
const CLOSING_LIMIT: Duration = Duration::from_secs(1);

/// How a channel came to its end.
#[derive(Debug, Error)]
pub(super) enum Lost {
    /// The endpoint closed it.
    #[error("the endpoint closed a control channel")]
    Closed,
    /// The connection broke.
    #[error("a control channel broke")]
    Broken(#[source] Box<SocketError>),
    /// No pong.
    #[error("nothing answered a ping on a control channel")]
    Silent,
    /// The endpoint does not read.
    #[error("the endpoint takes nothing from a control channel")]
    Stuck,
}

impl From<SocketError> for Lost {
    fn from(error: SocketError) -> Self {
        Self::Broken(Box::new(error))
    }
}

/// Serves the channel; comes back without an error when the swarm ends.
pub(super) async fn serve(
    socket: &mut Socket,
    habits: &Habits,
    tally: &Tally,
    end: &mut End,
) -> Result<(), Lost> {
    let period = habits.pace.scaled(PING).max(Duration::from_millis(1));
    let mut pings = interval_at(Instant::now() + period, period);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pong_due = None;
    loop {
        let overdue = async {
            match pong_due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = end.come() => {
                // The endpoint would notice the loss of the connection just as well.
                let _ = timeout(CLOSING_LIMIT, socket.close(None)).await;
                return Ok(());
            }
            () = overdue => return Err(Lost::Silent),
            _ = pings.tick() => {
                send(socket, Message::Ping("keepalive".into())).await?;
                pong_due = pong_due.or(Some(Instant::now() + PONG_LIMIT));
            }
            message = socket.next() => match message.ok_or(Lost::Closed)?? {
                Message::Pong(_) => pong_due = None,
                Message::Binary(frame) => take(socket, habits, tally, &frame).await?,
                Message::Close(_) => return Err(Lost::Closed),
                // The library answers pings; text means nothing on an open channel.
                Message::Ping(_) | Message::Text(_) | Message::Frame(_) => {}
            },
        }
    }
}

async fn take(socket: &mut Socket, habits: &Habits, tally: &Tally, frame: &[u8]) -> Result<(), Lost> {
    let message = match AgentMessage::decode(frame) {
        Ok(message) => message,
        Err(error) => {
            tally.complain(&error);
            return Ok(());
        }
    };
    if message.message_type != "agent_job" {
        return Ok(());
    }
    Tally::count(&tally.jobs);
    if !habits.answers_commands {
        return Ok(());
    }
    match command::answers(&message) {
        Ok(answers) => {
            for answer in answers {
                send(socket, Message::binary(answer.encode())).await?;
            }
        }
        Err(error) => tally.complain(&error),
    }
    Ok(())
}

async fn send(socket: &mut Socket, message: Message) -> Result<(), Lost> {
    timeout(SEND_LIMIT, socket.send(message)).await.map_err(|_| Lost::Stuck)?.map_err(Lost::from)
}
