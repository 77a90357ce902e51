//! Jump hosts: one connection to each, shared by all hosts behind it. It is opened when the first of them needs it, opened again
//! with growing pauses when it breaks, and given up for a while when it can't be had, so that a thousand hosts behind a dead
//! jump host fail at once and not one after the other.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::{Arc, Mutex as Lock, PoisonError},
    time::Duration,
};

use russh::{ChannelOpenFailure, Error};
use tokio::{
    sync::{Mutex, Semaphore},
    time::{Instant, sleep, timeout},
};

use super::{
    connect::LoggingIn,
    error::{ConnectError, Detour, Peer, Phase},
    login::Login,
    session::Connection,
    way::Way,
};

/// Ways through one jump host that are being opened at once. It opens a TCP connection for each, which may take its time.
const OPENINGS: usize = 16;
/// Logins to a jump host before it is given up.
const TRIES: u32 = 4;
/// The pause after the first of them; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// How long a jump host that can't be reached is left alone.
const REST: Duration = Duration::from_secs(30);

/// The jump hosts of a run, by login; there are few.
#[derive(Debug, Default)]
pub(super) struct Jumps(Lock<Vec<Arc<Jump>>>);

impl Jumps {
    /// The one with this login.
    pub(super) fn of(&self, login: &Arc<Login>) -> Arc<Jump> {
        let mut jumps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = jumps.iter().find(|jump| Arc::ptr_eq(&jump.login, login)) {
            return Arc::clone(known);
        }
        let jump = Arc::new(Jump {
            login: Arc::clone(login),
            openings: Semaphore::new(OPENINGS),
            state: Mutex::default(),
        });
        jumps.push(Arc::clone(&jump));
        jump
    }
}

/// A host that others are reached through.
#[derive(Debug)]
pub(super) struct Jump {
    login: Arc<Login>,
    openings: Semaphore,
    /// Locked while it is logged in to: all who need it wait for the one login.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Untried,
    Open(Arc<Connection>),
    /// Given up; until then if it may come back, else for good.
    Dead {
        error: Arc<ConnectError>,
        until: Option<Instant>,
    },
}

impl Jump {
    /// Opens a way to a host behind; `log_in` logs in to the jump host itself.
    pub(super) async fn open<'a>(
        &self,
        peer: &Peer,
        limit: Duration,
        log_in: impl Fn() -> LoggingIn<'a>,
    ) -> Result<(Way, Arc<Connection>), ConnectError> {
        let _permit = self.openings.acquire().await;
        let behind = |why| ConnectError::Behind { peer: peer.clone(), jump: self.name(), why };
        let mut is_new = false;
        loop {
            let connection = if let Some(connection) = self.usable().await {
                connection
            } else {
                is_new = true;
                self.connect(&log_in).await.map_err(|source| ConnectError::Jump {
                    peer: peer.clone(),
                    jump: self.name(),
                    source,
                })?
            };
            match timeout(limit, connection.forward(peer)).await {
                Ok(Ok(stream)) => return Ok((stream, connection)),
                Ok(Err(Error::ChannelOpenFailure(reason))) => return Err(behind(detour(&reason))),
                // It broke without a word; nobody has noticed yet.
                Ok(Err(_)) if !is_new => self.forget(&connection).await,
                Ok(Err(_)) => return Err(behind(Detour::Lost)),
                Err(_) => {
                    let (peer, phase) = (peer.clone(), Phase::Connect);
                    return Err(ConnectError::TimedOut { peer, phase, limit });
                }
            }
        }
    }

    async fn usable(&self) -> Option<Arc<Connection>> {
        match &*self.state.lock().await {
            State::Open(connection) if !connection.is_closed() => Some(Arc::clone(connection)),
            _ => None,
        }
    }

    async fn forget(&self, connection: &Arc<Connection>) {
        let mut state = self.state.lock().await;
        if matches!(&*state, State::Open(known) if Arc::ptr_eq(known, connection)) {
            *state = State::Untried;
        }
    }

    async fn connect<'a>(
        &self,
        log_in: &impl Fn() -> LoggingIn<'a>,
    ) -> Result<Arc<Connection>, Arc<ConnectError>> {
        let mut state = self.state.lock().await;
        match &*state {
            State::Open(connection) if !connection.is_closed() => return Ok(Arc::clone(connection)),
            State::Dead { error, until } if until.is_none_or(|until| Instant::now() < until) => {
                return Err(Arc::clone(error));
            }
            _ => {}
        }
        let mut tries = 1;
        loop {
            match log_in().await {
                Ok(connection) => {
                    let connection = Arc::new(connection);
                    *state = State::Open(Arc::clone(&connection));
                    return Ok(connection);
                }
                Err(error) if error.may_pass() && tries < TRIES => {
                    sleep(pause(tries)).await;
                    tries += 1;
                }
                Err(error) => {
                    let until = error.may_pass().then(|| Instant::now() + REST);
                    let error = Arc::new(error);
                    *state = State::Dead { error: Arc::clone(&error), until };
                    return Err(error);
                }
            }
        }
    }

    fn name(&self) -> String {
        let Login { alias, peer, .. } = &*self.login;
        if *alias == peer.address { peer.to_string() } else { format!("{alias} ({peer})") }
    }
}

/// How long to wait after so many tries: from half of it to all of it, by chance, so that runs don't fall into step.
fn pause(tries: u32) -> Duration {
    let whole = FIRST_PAUSE.saturating_mul(1 << (tries - 1).min(16)).min(LONGEST_PAUSE);
    let chance = RandomState::new().build_hasher().finish() % 512;
    whole / 2 + whole / 1024 * u32::try_from(chance).unwrap_or_default()
}

fn detour(reason: &ChannelOpenFailure) -> Detour {
    match reason {
        ChannelOpenFailure::AdministrativelyProhibited => Detour::Prohibited,
        ChannelOpenFailure::ConnectFailed => Detour::Unreached,
        ChannelOpenFailure::ResourceShortage => Detour::Exhausted,
        ChannelOpenFailure::UnknownChannelType => Detour::Unknown,
        ChannelOpenFailure::Other { reason, .. } => Detour::Other(reason.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_are_never_all_the_same() {
        for (tries, least, most) in
            [(1, 500, 1_000), (2, 1_000, 2_000), (4, 4_000, 8_000), (40, 4_000, 8_000)]
        {
            let pauses: Vec<u128> = (0..50).map(|_| pause(tries).as_millis()).collect();
            assert!(pauses.iter().all(|pause| (least..=most).contains(pause)), "{pauses:?}");
            assert!(pauses.iter().any(|pause| Some(pause) != pauses.first()), "{pauses:?}");
        }
    }
}
