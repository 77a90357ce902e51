//! Sessions: what is known of each ([`Session`], a row of the estate), those that live right now ([`live`]), how they
//! end ([`ending`]), the clock that ends them ([`clockwork`]), and what was typed and seen ([`transcript`]).

pub mod clockwork;
pub mod ending;
mod id;
pub mod live;
mod recorder;
pub mod transcript;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::estate::Estate;
use crate::ids::ManagedNodeId;
pub use id::{BadSessionId, SessionId};

/// AWS forgets the sessions of more than a month ago.
const HISTORY: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Sessions that are remembered at most; the oldest that are over make room.
const MOST: usize = 10_000;

/// A session, open or over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Session {
    /// The node it is on.
    pub target: ManagedNodeId,
    /// The ARN of who started it.
    pub owner: String,
    /// The name of its document.
    pub document: String,
    /// Why it was started.
    pub reason: Option<String>,
    /// How far it is.
    pub status: Status,
    /// When it started.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Why it ended, if nobody asked for it.
    pub details: Option<String>,
    /// Minutes without a key or an output after which it ends.
    pub idle_minutes: i64,
    /// Minutes after which it ends in any case.
    pub max_minutes: Option<i64>,
}

/// How far a session is; the words are AWS's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "values of SessionStatus, documented by AWS")]
pub enum Status {
    Connected,
    Connecting,
    Disconnected,
    Terminated,
    Terminating,
    Failed,
}

impl Status {
    /// AWS's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "Connected",
            Self::Connecting => "Connecting",
            Self::Disconnected => "Disconnected",
            Self::Terminated => "Terminated",
            Self::Terminating => "Terminating",
            Self::Failed => "Failed",
        }
    }

    /// Whether nothing more will happen to the session.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Terminated | Self::Failed)
    }
}

/// Ends what an earlier process left open: its channels are gone with it.
pub fn close_leftovers(estate: &mut Estate, now: Timestamp) {
    let open: Vec<SessionId> = estate
        .sessions
        .iter()
        .filter(|(_, session)| !session.status.is_over())
        .map(|(id, _)| id.clone())
        .collect();
    for id in open {
        if let Some(session) = estate.sessions.get_mut(&id) {
            session.status = Status::Terminated;
            session.ended = Some(now);
            session.details = Some("the endpoint was restarted".to_owned());
        }
    }
}

/// Takes the sessions out that are over for too long, or too many; their ids are told.
pub fn forget_old(estate: &mut Estate, now: Timestamp) -> Vec<SessionId> {
    let mut over: Vec<(Timestamp, SessionId)> =
        estate.sessions.iter().filter_map(|(id, session)| Some((session.ended?, id.clone()))).collect();
    over.sort_unstable();
    let excess = (estate.sessions.len() + 1).saturating_sub(MOST);
    let gone: Vec<SessionId> = over
        .into_iter()
        .enumerate()
        .filter(|(place, (ended, _))| *place < excess || now.duration_since(*ended) > HISTORY)
        .map(|(_, (_, id))| id)
        .collect();
    for id in &gone {
        estate.sessions.remove(id);
    }
    gone
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use rusqlite::Connection;

    use super::{Session, SessionId, Status, close_leftovers, forget_old};
    use crate::endpoint::estate::Estate;
    use crate::ids::ManagedNodeId;

    fn session(status: Status, ended: Option<Timestamp>) -> Session {
        Session {
            target: ManagedNodeId::random(),
            owner: String::new(),
            document: String::new(),
            reason: None,
            status,
            started: Timestamp::UNIX_EPOCH,
            ended,
            details: None,
            idle_minutes: 20,
            max_minutes: None,
        }
    }

    #[test]
    fn sessions_of_an_earlier_process_are_over_and_old_ones_are_forgotten() {
        let database = Connection::open_in_memory().unwrap();
        let mut estate = Estate::load(&database).unwrap();
        let now = Timestamp::now();
        let (open, over) = (SessionId::random("open"), SessionId::random("over"));
        estate.sessions.insert(open.clone(), session(Status::Connected, None));
        let long_ago = now - SignedDuration::from_hours(31 * 24);
        estate.sessions.insert(over.clone(), session(Status::Failed, Some(long_ago)));
        close_leftovers(&mut estate, now);
        let closed = estate.sessions.get(&open).unwrap();
        assert_eq!((closed.status, closed.ended), (Status::Terminated, Some(now)));
        assert_eq!(estate.sessions.get(&over).unwrap().status, Status::Failed);
        assert_eq!(forget_old(&mut estate, now), [over]);
        assert_eq!(estate.sessions.len(), 1);
    }
}
