//! A display on a thread of its own. A terminal that hangs (Ctrl-S, a stalled connection) takes nothing more, and whoever
//! writes to it waits; that must not be the journal, the logs, and with them the hosts.

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError},
    },
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use crate::events::{Event, Reader, TICK};

/// So much is kept for a terminal that is slow or hangs; what comes then is not shown, but for how hosts ended.
const QUEUE: usize = 2048;
/// A display that is behind at the end has this long.
const GRACE: Duration = Duration::from_secs(2);

/// Boxed, since the queue has room for all from the start.
type Told = Box<(Timestamp, Event)>;

/// A reader that never makes anyone wait.
#[derive(Debug)]
pub(super) struct Apart {
    /// None once it shall end.
    events: Option<SyncSender<Told>>,
    /// What found no room and must be shown: a host that never ends would stay on the screen.
    owed: VecDeque<Told>,
    /// How many others found none.
    lost: usize,
    /// What the display shows when there are no more events.
    rest: Arc<Mutex<VecDeque<Told>>>,
    /// Nobody waits for the display any more, and others print: it must not.
    given_up: Arc<AtomicBool>,
    /// Closed when it has ended.
    ended: Receiver<()>,
}

impl Apart {
    /// Lets `display` read on a thread of its own. Without a thread nothing is shown.
    pub(super) fn start(display: Box<dyn Reader>) -> Self {
        let (events, inbox) = mpsc::sync_channel::<Told>(QUEUE);
        let (end, ended) = mpsc::sync_channel(1);
        let (rest, given_up) = (Arc::<Mutex<VecDeque<Told>>>::default(), Arc::<AtomicBool>::default());
        let (last, stop) = (rest.clone(), given_up.clone());
        let show = move || {
            // The display has cleared its lines before anyone hears that it has ended.
            let (_end, mut display) = (end, display);
            let is_over = || stop.load(Ordering::Relaxed);
            let mut ticked = Instant::now();
            while !is_over() {
                match inbox.recv_timeout(TICK) {
                    Ok(told) => display.read(told.0, &told.1),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                if ticked.elapsed() >= TICK {
                    display.tick();
                    ticked = Instant::now();
                }
            }
            let rest = mem::take(&mut *last.lock().unwrap_or_else(PoisonError::into_inner));
            rest.iter().take_while(|_| !is_over()).for_each(|told| display.read(told.0, &told.1));
        };
        thread::Builder::new().name("display".to_owned()).spawn(show).ok();
        Self { events: Some(events), owed: VecDeque::new(), lost: 0, rest, given_up, ended }
    }

    /// Gives back what finds no room.
    fn pass_on(&self, told: Told) -> Result<(), Told> {
        match self.events.as_ref().map(|events| events.try_send(told)) {
            Some(Err(TrySendError::Full(told))) => Err(told),
            _ => Ok(()),
        }
    }

    /// What is owed comes first, each in its order; tells whether there was room for all of it.
    fn settle(&mut self, at: Timestamp) -> bool {
        while let Some(told) = self.owed.pop_front() {
            if let Err(told) = self.pass_on(told) {
                self.owed.push_front(told);
                return false;
            }
        }
        if self.lost > 0 && self.pass_on(Box::new((at, missed(self.lost)))).is_ok() {
            self.lost = 0;
        }
        self.lost == 0
    }
}

fn missed(events: usize) -> Event {
    let text = format!("the terminal was too slow: {events} events were not shown; the logs have them");
    Event::Warning { host: None, text }
}

impl Reader for Apart {
    fn read(&mut self, at: Timestamp, event: &Event) {
        // Long, many, and for the logs alone.
        if matches!(event, Event::Output { .. }) {
            return;
        }
        let told = Box::new((at, event.clone()));
        let late = if self.settle(at) { self.pass_on(told).err() } else { Some(told) };
        match late {
            Some(told) if matches!(told.1, Event::HostDone(_)) => self.owed.push_back(told),
            Some(_) => self.lost += 1,
            None => {}
        }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        let mut rest = mem::take(&mut self.owed);
        if self.lost > 0 {
            rest.push_back(Box::new((Timestamp::now(), missed(self.lost))));
        }
        *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = rest;
        self.events = None;
        self.ended.recv_timeout(GRACE).ok();
        self.given_up.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::story, *};

    /// A terminal that hangs until the gate opens, and tells what it was to show.
    struct Stuck {
        gate: Receiver<()>,
        shown: mpsc::Sender<Event>,
    }

    impl Reader for Stuck {
        fn read(&mut self, _at: Timestamp, event: &Event) {
            self.shown.send(event.clone()).unwrap();
            self.gate.recv().ok();
        }
    }

    #[test]
    fn a_terminal_that_hangs_holds_nobody_up_and_what_it_missed_is_counted() {
        let (open, gate) = mpsc::channel();
        let (sender, shown) = mpsc::channel();
        let mut display = Apart::start(Box::new(Stuck { gate, shown: sender }));
        let event = || Event::Interrupted;
        display.read(story::at(0), &event());
        shown.recv().unwrap();
        // It hangs now, with nothing in its queue.
        for _ in 0..QUEUE + 10 {
            display.read(story::at(1), &event());
        }
        drop(open);
        for _ in 0..QUEUE {
            shown.recv().unwrap();
        }
        display.read(story::at(2), &event());
        let Event::Warning { text, .. } = shown.recv().unwrap() else { panic!("nothing is said") };
        assert_eq!(text, "the terminal was too slow: 10 events were not shown; the logs have them");
        assert!(matches!(shown.recv().unwrap(), Event::Interrupted));
    }

    #[test]
    fn how_hosts_ended_is_shown_however_slow_the_terminal_is() {
        let (open, gate) = mpsc::channel();
        let (sender, shown) = mpsc::channel();
        let mut display = Apart::start(Box::new(Stuck { gate, shown: sender }));
        display.read(story::at(0), &Event::Interrupted);
        shown.recv().unwrap();
        for _ in 0..QUEUE + 3 {
            display.read(story::at(1), &Event::Interrupted);
        }
        let ends: Vec<_> =
            story::whole().into_iter().filter(|(_, event)| matches!(event, Event::HostDone(_))).collect();
        assert!(!ends.is_empty());
        for (at, event) in &ends {
            display.read(*at, event);
        }
        drop(open);
        drop(display);
        let shown: Vec<_> = shown.try_iter().skip(QUEUE).collect();
        let (last, hosts) = shown.split_last().unwrap();
        assert_eq!(hosts.len(), ends.len());
        assert!(hosts.iter().all(|event| matches!(event, Event::HostDone(_))));
        let Event::Warning { text, .. } = last else { panic!("nothing is said") };
        assert_eq!(text, "the terminal was too slow: 3 events were not shown; the logs have them");
    }

    #[test]
    fn a_terminal_that_wakes_up_after_the_end_shows_no_more() {
        let (open, gate) = mpsc::channel();
        let (sender, shown) = mpsc::channel();
        let mut display = Apart::start(Box::new(Stuck { gate, shown: sender }));
        for _ in 0..3 {
            display.read(story::at(0), &Event::Interrupted);
        }
        drop(display);
        drop(open);
        // Ends with the display's thread.
        assert_eq!(shown.iter().count(), 1);
    }

    #[test]
    fn at_the_end_everything_has_been_shown() {
        let (open, gate) = mpsc::channel();
        drop(open);
        let (sender, shown) = mpsc::channel();
        let mut display = Apart::start(Box::new(Stuck { gate, shown: sender }));
        let story = story::whole();
        for (at, event) in &story {
            display.read(*at, event);
        }
        drop(display);
        assert_eq!(shown.try_iter().count(), story.len());
    }
}
