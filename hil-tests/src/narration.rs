//! What is said while something takes its time. Apart, because the library never prints: the program sends it to
//! stderr, a test wherever it likes.

use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use crate::report::words::legible;

/// Where lines of progress go. Cheap to clone, usable from several threads.
#[derive(Clone)]
pub struct Narration(Arc<dyn Fn(&str) + Send + Sync>);

impl fmt::Debug for Narration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Narration")
    }
}

impl Narration {
    /// Lines go to `sink`.
    pub fn new(sink: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Lines go to stderr, each with the seconds since now.
    #[must_use]
    pub fn stderr() -> Self {
        let begin = Instant::now();
        Self::new(move |line| {
            let seconds = begin.elapsed().as_secs_f64();
            // A closed stderr is no reason to stop a lab.
            let _ = writeln!(std::io::stderr(), "[{seconds:6.1} s] {line}");
        })
    }

    /// Lines go nowhere.
    #[must_use]
    pub fn silent() -> Self {
        Self::new(|_| ())
    }

    /// Says one line, without what a terminal would obey: programs and machines are quoted in it.
    pub fn say(&self, line: &str) {
        (self.0)(&legible(line));
    }

    /// Says what begins, does it, and says how long it took.
    pub fn step<T, E>(&self, what: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.say(&format!("{what} ..."));
        let begin = Instant::now();
        let result = work();
        self.say(&ending(what, result.is_ok(), begin));
        result
    }

    /// The same for work that waits.
    pub async fn step_async<T, E>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.say(&format!("{what} ..."));
        let begin = Instant::now();
        let result = work.await;
        self.say(&ending(what, result.is_ok(), begin));
        result
    }
}

fn ending(what: &str, well: bool, begin: Instant) -> String {
    let how = if well { "done in" } else { "failed after" };
    format!("{what}: {how} {:.1} s", begin.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn what_a_terminal_would_obey_is_not_said() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        Narration::new(move |line| sink.lock().unwrap().push(line.to_owned())).say("a\u{1b}[2Jb");
        assert_eq!(*lines.lock().unwrap(), ["a[2Jb"]);
    }

    #[test]
    fn a_step_is_said_before_and_after_also_when_it_fails() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let narration = Narration::new(move |line| sink.lock().unwrap().push(line.to_owned()));
        let _: Result<(), ()> = narration.step("boot deb-1", || Err(()));
        let lines = lines.lock().unwrap();
        assert_eq!(lines[0], "boot deb-1 ...");
        assert!(lines[1].starts_with("boot deb-1: failed after "), "{lines:?}");
    }
}
