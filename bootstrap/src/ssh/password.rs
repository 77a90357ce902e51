//! The SSH password, which is one for many hosts: a wrong one must not be a mark against an account on each of them, nor lock
//! an account that they share.

use std::sync::{Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::error::Peer;

/// Hosts that may see a password and not take it, before any has taken it. One may have a password of its own.
const MOST_REFUSALS: usize = 3;

/// A password, and how hosts stand to it.
#[derive(Debug)]
pub(super) struct Password {
    secret: SecretString,
    /// One until a host takes it, then as many as there are hosts; closed where too many did not.
    turns: Semaphore,
    standing: Mutex<Standing>,
}

#[derive(Debug, Default)]
struct Standing {
    taken: bool,
    refused_by: Vec<Peer>,
}

impl Password {
    pub(super) fn new(secret: SecretString) -> Self {
        Self { secret, turns: Semaphore::new(1), standing: Mutex::default() }
    }

    /// Waits until a host may see it; an error says why it never will.
    pub(super) async fn turn(&self) -> Result<Turn<'_>, String> {
        let Ok(permit) = self.turns.acquire().await else { return Err(self.why_not()) };
        Ok(Turn { password: self, _permit: permit })
    }

    fn why_not(&self) -> String {
        let standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let by: Vec<String> = standing.refused_by.iter().map(ToString::to_string).collect();
        format!("the password was not shown, since no host took it yet and {} did not", by.join(", "))
    }
}

/// The right to show a host the password, once.
pub(super) struct Turn<'p> {
    password: &'p Password,
    _permit: SemaphorePermit<'p>,
}

impl<'p> Turn<'p> {
    /// What the host is to see now.
    pub(super) fn show(self, peer: &Peer) -> (String, Shown<'p>) {
        let secret = self.password.secret.expose_secret().to_owned();
        (secret, Shown { turn: self, peer: peer.clone(), taken: false })
    }
}

/// A password that a host has seen. A host that hangs up then, or never answers, has not taken it.
pub(super) struct Shown<'p> {
    turn: Turn<'p>,
    peer: Peer,
    taken: bool,
}

impl Shown<'_> {
    pub(super) fn taken(mut self) {
        self.taken = true;
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        let Password { turns, standing, .. } = self.turn.password;
        let mut standing = standing.lock().unwrap_or_else(PoisonError::into_inner);
        if standing.taken {
            return;
        }
        if self.taken {
            standing.taken = true;
            turns.add_permits(Semaphore::MAX_PERMITS - 1);
        } else if !standing.refused_by.contains(&self.peer) {
            standing.refused_by.push(self.peer.clone());
            if standing.refused_by.len() == MOST_REFUSALS {
                turns.close();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn peer(number: u8) -> Peer {
        Peer { address: format!("pi-{number}"), port: 22 }
    }

    async fn shown(password: &Password, number: u8) -> Shown<'_> {
        password.turn().await.unwrap().show(&peer(number)).1
    }

    #[tokio::test(start_paused = true)]
    async fn one_host_sees_it_at_a_time_until_one_takes_it() {
        let password = Password::new("secret".into());
        let first = shown(&password, 1).await;
        assert!(timeout(Duration::from_mins(1), password.turn()).await.is_err());
        drop(first);
        let second = shown(&password, 2).await;
        assert!(timeout(Duration::from_mins(1), password.turn()).await.is_err());
        second.taken();
        let all = [shown(&password, 3).await, shown(&password, 4).await, shown(&password, 5).await];
        drop(all);
        shown(&password, 6).await.taken();
    }

    #[tokio::test]
    async fn three_that_do_not_take_it_are_enough() {
        let password = Password::new("secret".into());
        for number in [1, 2, 2, 3] {
            drop(shown(&password, number).await);
        }
        let Err(why) = password.turn().await else { panic!("a fourth host sees it") };
        assert!(why.ends_with("pi-1:22, pi-2:22, pi-3:22 did not"), "{why}");
    }

    #[tokio::test]
    async fn a_turn_that_nobody_used_counts_for_nothing() {
        let password = Password::new("secret".into());
        for _ in 0..9 {
            drop(password.turn().await.unwrap());
        }
        assert_eq!(password.turn().await.unwrap().show(&peer(1)).0, "secret");
    }
}
