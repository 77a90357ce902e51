//! Which of the two services carries the messages: what the agent reports as its channel, and whether it polls.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::agent::time::Time;

/// The agent goes on polling this long, for messages that were under way.
const LAST_POLLS: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    /// Nothing has been tried yet.
    Unknown,
    Delivery,
    Gateway {
        poll_until: Instant,
    },
}

/// The choice, shared by all threads.
#[derive(Debug)]
pub struct Link {
    carrier: Mutex<Carrier>,
    last_polls: Duration,
}

impl Link {
    /// Before anything was tried.
    #[must_use]
    pub fn new(time: &Time) -> Self {
        Self { carrier: Mutex::new(Carrier::Unknown), last_polls: time.scaled(LAST_POLLS) }
    }

    /// The control channel is open.
    pub fn connected(&self) {
        self.change(|carrier| match carrier {
            Carrier::Gateway { .. } => carrier,
            _ => Carrier::Gateway { poll_until: Instant::now() + self.last_polls },
        });
    }

    /// The control channel failed. Once it carried, only a role that may not open it makes the agent poll again.
    pub fn failed(&self, access_denied: bool) {
        self.change(|carrier| match carrier {
            Carrier::Gateway { .. } if !access_denied => carrier,
            _ => Carrier::Delivery,
        });
    }

    /// `SSMConnectionChannel` of a report: no proof of a working channel, since a first failure names the other.
    #[must_use]
    pub fn reported(&self) -> &'static str {
        match self.carrier() {
            Carrier::Unknown => "",
            Carrier::Delivery => "ec2messages",
            Carrier::Gateway { .. } => "ssmmessages",
        }
    }

    /// Whether the control channel carries, as replies tell it.
    #[must_use]
    pub fn is_gateway(&self) -> bool {
        matches!(self.carrier(), Carrier::Gateway { .. })
    }

    /// Whether the delivery service is to be polled now.
    #[must_use]
    pub fn polls(&self) -> bool {
        match self.carrier() {
            Carrier::Unknown | Carrier::Delivery => true,
            Carrier::Gateway { poll_until } => Instant::now() < poll_until,
        }
    }

    fn carrier(&self) -> Carrier {
        *self.carrier.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(Carrier) -> Carrier) {
        let mut carrier = self.carrier.lock().unwrap_or_else(PoisonError::into_inner);
        *carrier = change(*carrier);
    }
}

#[cfg(test)]
mod tests {
    use super::{Carrier, Instant, Link};
    use crate::agent::time::{Factor, Time};

    fn link() -> Link {
        Link::new(&Time::new(Factor::default()).unwrap())
    }

    #[test]
    fn a_first_failure_names_the_delivery_service() {
        let link = link();
        assert_eq!((link.reported(), link.polls()), ("", true));
        link.failed(false);
        assert_eq!((link.reported(), link.polls()), ("ec2messages", true));
    }

    #[test]
    fn a_gateway_that_carried_once_stays_unless_access_is_denied() {
        let link = link();
        link.connected();
        link.failed(false);
        assert_eq!(link.reported(), "ssmmessages");
        link.failed(true);
        assert_eq!((link.reported(), link.polls()), ("ec2messages", true));
    }

    #[test]
    fn polling_goes_on_for_a_while_and_then_stops() {
        let link = link();
        link.connected();
        assert!(link.polls(), "for a minute");
        link.change(|_| Carrier::Gateway { poll_until: Instant::now() });
        assert!(!link.polls());
        link.connected();
        assert!(!link.polls(), "a reconnection does not poll again");
    }
}
