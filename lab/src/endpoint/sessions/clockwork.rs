//! The clock of sessions: ends those that are idle, that last too long or whose agent stays away, and writes down what
//! is recorded. One task of the server, by the endpoint's own time.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::live::{Live, Side};
use super::{Session, SessionId, Status, ending, transcript};
use crate::endpoint::Endpoint;

const TICK: Duration = Duration::from_secs(1);
/// How long an agent may take to open its data channel.
const AGENT_COMES: SignedDuration = SignedDuration::from_mins(2);
/// How long a lost agent may take to come back; it tries five times with growing pauses.
const AGENT_RETURNS: SignedDuration = SignedDuration::from_mins(5);
/// How long an agent may take to end a session it is told to end.
const AGENT_ENDS: SignedDuration = SignedDuration::from_secs(10);

/// Watches over all sessions; never done by itself.
pub async fn run(endpoint: Arc<Endpoint>) {
    loop {
        tokio::time::sleep(TICK).await;
        for (id, live) in endpoint.sessions.all() {
            // A database that fails is told to the next caller.
            let _ = transcript::write_down(&endpoint, &id, &live);
            tend(&endpoint, &id, &live);
        }
    }
}

fn tend(endpoint: &Endpoint, id: &SessionId, live: &Live) {
    let now = endpoint.clock.now();
    let over = live.over().borrow().clone();
    if let Some(over) = over {
        if now.duration_since(over.at) > AGENT_ENDS {
            ending::close(endpoint, id, Status::Terminated, "");
        }
        return;
    }
    let Some(session) = endpoint.read(|estate| estate.sessions.get(id).cloned()) else { return };
    match verdict(&session, live, now) {
        Verdict::LivesOn => {}
        Verdict::Fails(why) => {
            live.finish(super::live::Ending { by_agent: false, output: why.to_owned(), at: now });
            ending::close(endpoint, id, Status::Failed, why);
        }
        Verdict::Ends(why) => {
            let _ = endpoint.change(|state| {
                ending::terminate(endpoint, state, id, why, now);
                Ok(())
            });
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    LivesOn,
    Ends(&'static str),
    Fails(&'static str),
}

fn verdict(session: &Session, live: &Live, now: Timestamp) -> Verdict {
    let agent = live.seat(Side::Agent);
    let age = now.duration_since(session.started);
    if session.max_minutes.is_some_and(|minutes| age >= SignedDuration::from_mins(minutes)) {
        return Verdict::Ends("the session reached its maximum duration");
    }
    if agent.comings == 0 && age > AGENT_COMES {
        return Verdict::Fails("the agent did not open the session's data channel");
    }
    if agent.left.is_some_and(|left| now.duration_since(left) > AGENT_RETURNS) {
        return Verdict::Ends("the agent did not come back to the session");
    }
    if now.duration_since(live.stirred()) >= SignedDuration::from_mins(session.idle_minutes) {
        return Verdict::Ends("the session timed out due to inactivity");
    }
    Verdict::LivesOn
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::{Verdict, verdict};
    use crate::endpoint::sessions::live::{Live, Side};
    use crate::endpoint::sessions::{Session, Status};
    use crate::ids::ManagedNodeId;

    fn session(started: Timestamp) -> Session {
        Session {
            target: ManagedNodeId::random(),
            owner: String::new(),
            document: String::new(),
            reason: None,
            status: Status::Connecting,
            started,
            ended: None,
            details: None,
            idle_minutes: 20,
            max_minutes: Some(30),
        }
    }

    #[test]
    fn a_session_ends_when_it_is_idle_too_long_or_deserted() {
        let start = Timestamp::now();
        let after = |minutes| start + SignedDuration::from_mins(minutes);
        let (session, live) = (session(start), Live::new(ManagedNodeId::random(), start));
        assert_eq!(verdict(&session, &live, after(1)), Verdict::LivesOn);
        assert!(matches!(verdict(&session, &live, after(3)), Verdict::Fails(_)));
        let number = live.sit(Side::Agent);
        assert_eq!(verdict(&session, &live, after(19)), Verdict::LivesOn);
        assert_eq!(
            verdict(&session, &live, after(20)),
            Verdict::Ends("the session timed out due to inactivity")
        );
        live.stir(after(20));
        assert_eq!(verdict(&session, &live, after(29)), Verdict::LivesOn);
        assert_eq!(
            verdict(&session, &live, after(30)),
            Verdict::Ends("the session reached its maximum duration")
        );
        assert!(live.leave(Side::Agent, number, after(20)));
        assert_eq!(verdict(&session, &live, after(24)), Verdict::LivesOn);
        assert!(matches!(verdict(&session, &live, after(26)), Verdict::Ends(_)));
    }
}
