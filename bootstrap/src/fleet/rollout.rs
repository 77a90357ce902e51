//! How a fleet is started: all at once or in waves, after a first host that must succeed, and only as long as not too
//! many fail. Pure: it is told how hosts ended and says what may start; who waits and checks is the engine's business.

use std::{fmt, num::NonZeroUsize, path::PathBuf, str::FromStr, time::Duration};

/// How the operator wants a fleet started.
#[derive(Clone, Debug, Default)]
pub struct Rollout {
    /// One host alone, before all others.
    pub one_first: bool,
    /// Hosts of one wave; all at once without it.
    pub batch: Option<Portion>,
    /// More failures than this end the start of new hosts.
    pub max_failures: Option<Portion>,
    /// What happens between one wave and the next.
    pub between: Between,
}

/// What happens between one wave and the next.
#[derive(Clone, Debug, Default)]
pub struct Between {
    /// A wait.
    pub pause: Duration,
    /// A program that must end well, run after the wait.
    pub check: Option<PathBuf>,
}

/// A number of hosts, or a part of the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Portion {
    /// So many hosts.
    Hosts(usize),
    /// So many of a hundred.
    Percent(u8),
}

/// A text that is no portion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither a number of hosts nor a percentage from 0% to 100%")]
pub struct InvalidPortion;

impl FromStr for Portion {
    type Err = InvalidPortion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        match text.strip_suffix('%') {
            Some(percent) if digits(percent) => {
                percent.parse().ok().filter(|percent| *percent <= 100).map(Self::Percent)
            }
            None if digits(text) => text.parse().ok().map(Self::Hosts),
            _ => None,
        }
        .ok_or(InvalidPortion)
    }
}

impl fmt::Display for Portion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hosts(number) => write!(f, "{number}"),
            Self::Percent(number) => write!(f, "{number}%"),
        }
    }
}

impl Portion {
    /// Hosts of so many, rounded down.
    fn of(self, fleet: usize) -> usize {
        match self {
            Self::Hosts(number) => number,
            // Never overflows: a fleet fits into memory, its hundredfold into 64 bits.
            Self::Percent(percent) => fleet.saturating_mul(percent.into()) / 100,
        }
    }
}

/// What is to happen after a host has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing; others are still at work.
    Wait,
    /// The next wave may start once what lies between waves is over.
    Wave,
    /// Nothing new may start, because of this.
    Stop(String),
}

/// A rollout over a fleet of known size, as far as it has come.
#[derive(Debug)]
pub(super) struct Pace {
    fleet: usize,
    batch: NonZeroUsize,
    one_first: bool,
    /// The limit, as the operator gave it, with the number of hosts that it means here.
    max_failures: Option<(Portion, usize)>,
    /// How many may have started, how many have, and how many of these have ended.
    opened: usize,
    started: usize,
    ended: usize,
    failed: usize,
    stopped: bool,
}

impl Pace {
    /// With its first wave open.
    pub(super) fn new(rollout: &Rollout, fleet: usize) -> Self {
        let batch = rollout.batch.map_or(fleet, |portion| portion.of(fleet));
        let batch = NonZeroUsize::new(batch).unwrap_or(NonZeroUsize::MIN);
        Self {
            fleet,
            batch,
            one_first: rollout.one_first,
            max_failures: rollout.max_failures.map(|portion| (portion, portion.of(fleet))),
            opened: if rollout.one_first { 1 } else { batch.get() }.min(fleet),
            started: 0,
            ended: 0,
            failed: 0,
            stopped: false,
        }
    }

    /// Opens the next wave.
    pub(super) fn open(&mut self) {
        self.opened = self.opened.saturating_add(self.batch.get()).min(self.fleet);
    }

    /// Nothing new starts from now on.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    /// May a host start now?
    pub(super) fn may_start(&self) -> bool {
        !self.stopped && self.started < self.opened
    }

    /// A host has started.
    pub(super) fn started(&mut self) {
        self.started += 1;
    }

    /// A host has ended, well or not.
    pub(super) fn ended(&mut self, good: bool) -> Next {
        self.ended += 1;
        self.failed += usize::from(!good);
        if self.stopped || self.started == self.fleet {
            // Nothing is left to be held back.
            return Next::Wait;
        }
        let why = if self.one_first && self.opened == 1 && !good {
            Some("the first host did not come Online (--one-first)".to_owned())
        } else {
            self.max_failures.filter(|(_, most)| self.failed > *most).map(|(limit, most)| {
                format!("{} hosts have failed, more than the {most} of --max-failures {limit}", self.failed)
            })
        };
        match why {
            Some(why) => {
                self.stop();
                Next::Stop(why)
            }
            None if self.ended == self.opened => Next::Wave,
            None => Next::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes of the waves of a fleet in which these hosts, counted from 0, fail; and why it stopped. Each host of a
    /// wave starts before the first one ends.
    fn waves(rollout: &Rollout, fleet: usize, failing: &[usize]) -> (Vec<usize>, Option<String>) {
        let mut pace = Pace::new(rollout, fleet);
        let (mut sizes, mut host) = (Vec::new(), 0);
        loop {
            let mut size = 0;
            while pace.may_start() {
                pace.started();
                size += 1;
            }
            sizes.push(size);
            loop {
                host += 1;
                match pace.ended(!failing.contains(&(host - 1))) {
                    Next::Wave => break pace.open(),
                    Next::Stop(why) => return (sizes, Some(why)),
                    Next::Wait if host == fleet => return (sizes, None),
                    Next::Wait => {}
                }
            }
        }
    }

    fn portion(text: &str) -> Portion {
        text.parse().unwrap()
    }

    #[test]
    fn without_wishes_the_whole_fleet_is_one_wave_whatever_fails() {
        assert_eq!(waves(&Rollout::default(), 5, &[0, 1, 2, 3, 4]), (vec![5], None));
    }

    #[test]
    fn waves_are_as_large_as_asked_and_the_last_takes_the_rest() {
        let tenth = Rollout { batch: Some(portion("10%")), ..Rollout::default() };
        assert_eq!(waves(&tenth, 25, &[]).0, [2; 12].into_iter().chain([1]).collect::<Vec<_>>());
        assert_eq!(waves(&tenth, 5, &[]).0, [1; 5], "a wave has a host at least");
        let seven = Rollout { batch: Some(portion("7")), one_first: true, ..Rollout::default() };
        assert_eq!(waves(&seven, 16, &[]).0, [1, 7, 7, 1]);
    }

    #[test]
    fn a_first_host_that_fails_is_the_last() {
        let canary = Rollout { one_first: true, ..Rollout::default() };
        let (sizes, why) = waves(&canary, 9, &[0]);
        assert_eq!(sizes, [1]);
        assert_eq!(why.unwrap(), "the first host did not come Online (--one-first)");
        assert_eq!(waves(&canary, 9, &[1]), (vec![1, 8], None), "the others are none");
    }

    #[test]
    fn one_failure_too_many_ends_the_start_of_new_hosts() {
        let careful =
            Rollout { batch: Some(portion("10")), max_failures: Some(portion("5%")), ..Rollout::default() };
        assert_eq!(waves(&careful, 40, &[3, 4]).1, None, "two of forty are five percent");
        let (sizes, why) = waves(&careful, 40, &[3, 4, 11]);
        assert_eq!(sizes, [10, 10]);
        assert_eq!(why.unwrap(), "3 hosts have failed, more than the 2 of --max-failures 5%");
        let none =
            Rollout { max_failures: Some(portion("0")), batch: Some(portion("1")), ..Rollout::default() };
        assert_eq!(waves(&none, 4, &[1]).0, [1, 1]);
    }

    #[test]
    fn hosts_that_wait_for_their_turn_in_an_open_wave_do_not_start_any_more() {
        let mut pace = Pace::new(&Rollout { max_failures: Some(portion("0")), ..Rollout::default() }, 3);
        pace.started();
        assert!(matches!(pace.ended(false), Next::Stop(_)) && !pace.may_start());
    }

    #[test]
    fn a_portion_is_a_number_or_a_percentage() {
        assert_eq!(portion("10%"), Portion::Percent(10));
        assert_eq!(portion("3").to_string(), "3");
        for wrong in ["", "%", "101%", "-1", "+1", "1.5%", "ten"] {
            assert_eq!(wrong.parse::<Portion>(), Err(InvalidPortion), "{wrong}");
        }
    }
}
