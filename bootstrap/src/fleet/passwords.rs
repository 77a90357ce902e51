//! Passwords for becoming root: who needs one is found by looking at everyone first, so that they are asked for once and
//! together, before anything is changed. Apart from the run, which only knows who has which.
//!
//! A password is tried on one host before all others: one that is wrong everywhere must not lock an account everywhere.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use secrecy::SecretString;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, interval_at, timeout},
};

use crate::{
    facts::{Facts, Root},
    host::{Connect, Host, NoConnection},
    inventory::{Escalation, HostName, HostSpec},
};

/// Whom one password is for: the hosts of one `become_prompt` that need a password, in the inventory's order.
pub type Circle = Vec<Arc<HostSpec>>;

/// How often a person may be wrong; each time another host sees it. None sees two: sudo asks again for what it was refused, so
/// each leaves two marks with `pam_faillock`, of which three lock the account.
const MOST_TRIES: usize = 3;

/// The passwords of a run, and what else came of looking who needs one.
#[derive(Debug, Default)]
pub struct Passwords {
    /// Hosts without one need none, as far as is known.
    known: BTreeMap<HostName, SecretString>,
    refused: Refusals,
}

/// The hosts that would not let us in: the same login again is another mark against the account.
type Refusals = BTreeMap<HostName, NoConnection>;

impl Passwords {
    /// The password of a host.
    pub(super) fn of(&self, host: &HostName) -> Option<&SecretString> {
        self.known.get(host)
    }

    /// Why a host need not be called again.
    pub(super) fn refusal(&self, host: &HostName) -> Option<&NoConnection> {
        self.refused.get(host)
    }
}

/// Someone who knows passwords.
pub trait PasswordSource {
    /// The password of these hosts, which share a `become_prompt`; none if there is no other than those it gave before.
    fn password(&mut self, prompt: Option<&str>, hosts: &Circle) -> Option<SecretString>;

    /// That a host refused the one it gave last.
    fn refused(&mut self, prompt: Option<&str>, by: &HostName);
}

/// How often it is told how many hosts have been looked at.
const NEWS: Duration = Duration::from_secs(5);

/// Looks at every host and gets the passwords of those that need one; `looking` is told now and then how many hosts have been
/// looked at, of how many.
pub async fn collect<C: Connect>(
    connector: &Arc<C>,
    hosts: &[Arc<HostSpec>],
    at_once: usize,
    source: &mut (dyn PasswordSource + Send),
    looking: &mut (dyn FnMut(usize, usize) + Send),
) -> Passwords {
    let mut circles: BTreeMap<Option<&str>, Circle> = BTreeMap::new();
    let (needy, refused) = who_needs_one(connector, hosts, at_once, looking).await;
    for host in &needy {
        circles.entry(host.become_prompt.as_deref()).or_default().push(host.clone());
    }
    let mut passwords = Passwords { refused, ..Passwords::default() };
    for (prompt, circle) in &circles {
        if let Some(password) = proven(connector, *prompt, circle, source).await {
            passwords.known.extend(circle.iter().map(|host| (host.name.clone(), password.clone())));
        }
    }
    passwords
}

async fn who_needs_one<C: Connect>(
    connector: &Arc<C>,
    hosts: &[Arc<HostSpec>],
    at_once: usize,
    tell: &mut (dyn FnMut(usize, usize) + Send),
) -> (Vec<Arc<HostSpec>>, Refusals) {
    let turns = Arc::new(Semaphore::new(at_once.max(1)));
    let mut looking = JoinSet::new();
    let by_sudo =
        |host: &HostSpec| host.escalation == Escalation::Sudo && connector.user(host) != Some("root");
    for (index, host) in hosts.iter().enumerate().filter(|(_, host)| by_sudo(host)) {
        let (connector, host, turns) = (connector.clone(), host.clone(), turns.clone());
        looking.spawn(async move {
            // Never closed, so a permit always comes.
            let _turn = turns.acquire_owned().await;
            let root = root(&*connector, &host, None).await;
            (index, host, root)
        });
    }
    let (mut needy, mut refused) = (BTreeMap::new(), Refusals::new());
    let all = looking.len();
    let mut news = interval_at(Instant::now() + NEWS, NEWS);
    loop {
        let looked = tokio::select! {
            looked = looking.join_next() => looked,
            _ = news.tick() => {
                tell(all - looking.len(), all);
                continue;
            }
        };
        let Some(looked) = looked else { break };
        match looked {
            Ok((index, host, Ok(Some(Root::NeedsPassword(_))))) => drop(needy.insert(index, host)),
            Ok((_, host, Err(why))) if why.login_refused => drop(refused.insert(host.name.clone(), why)),
            _ => {}
        }
    }
    (needy.into_values().collect(), refused)
}

/// A password that a host of the circle has taken. What is wrong is tried on no second host; a person gets another
/// chance, as long as there is another host.
async fn proven<C: Connect>(
    connector: &Arc<C>,
    prompt: Option<&str>,
    circle: &Circle,
    source: &mut (dyn PasswordSource + Send),
) -> Option<SecretString> {
    let mut password = source.password(prompt, circle)?;
    let mut refusals = 0;
    let mut waiting = circle.iter();
    while let Some(host) = waiting.next() {
        match root(&**connector, host, Some(&password)).await {
            Ok(Some(Root::Yes)) => return Some(password),
            Ok(Some(Root::WrongPassword(_))) => {
                source.refused(prompt, &host.name);
                refusals += 1;
                // Nobody is asked for what no host would see.
                if refusals == MOST_TRIES || waiting.len() == 0 {
                    return None;
                }
                password = source.password(prompt, circle)?;
            }
            // It says nothing about the password.
            _ => {}
        }
    }
    None
}

/// How the login user stands with root's rights; none if the host could not be looked at: the run will say why.
async fn root(
    connector: &impl Connect,
    spec: &HostSpec,
    password: Option<&SecretString>,
) -> Result<Option<Root>, NoConnection> {
    let look = async {
        let mut host = connector.connect(spec).await?;
        let probe = Facts::probe(spec.escalation, password, spec.limits.command, Duration::ZERO);
        let Ok(output) = host.run(&probe, &mut |_| {}).await else { return Ok(None) };
        Ok(Facts::parse(&output.stdout, Timestamp::now()).ok().map(|facts| facts.root))
    };
    timeout(spec.limits.host, look).await.unwrap_or(Ok(None))
}
