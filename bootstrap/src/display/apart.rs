//! A display on a thread of its own. A terminal that hangs (Ctrl-S, a stalled connection) takes nothing more, and whoever
//! writes to it waits; that must not be the journal, the logs, and with them the hosts.

use std::{
    sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use crate::events::{Event, Reader, TICK};

/// So much is kept for a terminal that hangs; what comes then is not shown.
const QUEUE: usize = 2048;
/// A display that is behind at the end has this long.
const GRACE: Duration = Duration::from_secs(2);

/// A reader that never makes anyone wait.
#[derive(Debug)]
pub(super) struct Apart {
    /// None once it shall end.
    events: Option<SyncSender<(Timestamp, Event)>>,
    /// Closed when it has ended.
    ended: Receiver<()>,
    lost: usize,
}

impl Apart {
    /// Lets `display` read on a thread of its own. Without a thread nothing is shown.
    pub(super) fn start(mut display: Box<dyn Reader>) -> Self {
        let (events, inbox) = mpsc::sync_channel(QUEUE);
        let (end, ended) = mpsc::sync_channel(1);
        let show = move || {
            let _end = end;
            let mut ticked = Instant::now();
            loop {
                match inbox.recv_timeout(TICK) {
                    Ok((at, event)) => display.read(at, &event),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                if ticked.elapsed() >= TICK {
                    display.tick();
                    ticked = Instant::now();
                }
            }
        };
        thread::Builder::new().name("display".to_owned()).spawn(show).ok();
        Self { events: Some(events), ended, lost: 0 }
    }

    fn pass_on(&mut self, at: Timestamp, event: Event) -> bool {
        self.events.as_ref().is_some_and(|events| events.try_send((at, event)).is_ok())
    }
}

impl Reader for Apart {
    fn read(&mut self, at: Timestamp, event: &Event) {
        // Long, many, and for the logs alone.
        if matches!(event, Event::Output { .. }) {
            return;
        }
        if self.lost > 0 {
            let text = format!("the terminal hung, and {} events were not shown", self.lost);
            if self.pass_on(at, Event::Warning { host: None, text }) {
                self.lost = 0;
            }
        }
        if !self.pass_on(at, event.clone()) {
            self.lost += 1;
        }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        self.events = None;
        self.ended.recv_timeout(GRACE).ok();
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
        assert_eq!(text, "the terminal hung, and 10 events were not shown");
        assert!(matches!(shown.recv().unwrap(), Event::Interrupted));
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
