//! One script as a child process: in a process group of its own, its output captured up to a limit, ended by itself,
//! by its time, by a cancellation or with the agent.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::agent::bell::{Bell, ready, wait};
use crate::agent::children::spawn;

/// What of an output is written to its file.
const LARGEST_FILE: usize = 16 << 20;
/// Between two looks at a child that has closed its outputs and still runs.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// What to run.
#[derive(Debug)]
pub struct Script {
    /// The file, run by `sh -c`: its first line may name an interpreter.
    pub path: PathBuf,
    /// Where to run it; where the agent runs, if nothing is said.
    pub directory: Option<PathBuf>,
    /// What is added to the agent's own environment.
    pub environment: Vec<(&'static str, String)>,
    /// How long it may take.
    pub limit: Duration,
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself.
    Exited(ExitStatus),
    /// It took too long and was killed.
    TimedOut,
    /// It was cancelled and killed.
    Cancelled,
    /// The agent ends, and it was killed.
    AgentEnded,
}

impl Ending {
    /// In the words Go has for a child that failed.
    #[must_use]
    pub fn in_gos_words(status: ExitStatus) -> String {
        match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(9)) => "signal: killed".to_owned(),
            (None, signal) => format!("signal: {}", signal.unwrap_or_default()),
        }
    }
}

/// One output: its beginning in memory, more of it in a file.
#[derive(Debug)]
pub struct Captured {
    kept: Vec<u8>,
    limit: usize,
    file: Option<File>,
    room: usize,
}

impl Captured {
    /// Keeps up to `limit` bytes.
    #[must_use]
    pub fn new(limit: usize, file: Option<File>) -> Self {
        Self { kept: Vec::new(), limit, file, room: LARGEST_FILE }
    }

    /// What was kept.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept).into_owned()
    }

    fn take(&mut self, bytes: &[u8]) {
        let kept = bytes.len().min(self.limit.saturating_sub(self.kept.len()));
        self.kept.extend(bytes.iter().take(kept));
        let written = bytes.get(..bytes.len().min(self.room)).unwrap_or_default();
        self.room -= written.len();
        // A full disk must not fail the script.
        if self.file.as_mut().is_some_and(|file| file.write_all(written).is_err()) {
            self.file = None;
        }
    }
}

/// Kills its group unless it has ended by itself.
struct Group {
    child: Child,
    reaped: bool,
}

impl Group {
    fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        self.reaped |= status.is_some();
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

impl Script {
    /// Runs it to its end. Like the real agent it waits for everybody who holds the outputs.
    pub fn run(
        &self,
        cancel: &Bell,
        stop: &Bell,
        stdout: &mut Captured,
        stderr: &mut Captured,
    ) -> io::Result<Ending> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(&self.path).envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let end = Instant::now().checked_add(self.limit);
        let mut group = Group { child: spawn(&mut command)?, reaped: false };
        let (mut out, mut err) = (group.child.stdout.take(), group.child.stderr.take());
        loop {
            let left = end.map_or(self.limit, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(Ending::TimedOut);
            }
            let closed = out.is_none() && err.is_none();
            if closed && let Some(status) = group.ended()? {
                return Ok(Ending::Exited(status));
            }
            let pause = if closed { left.min(BETWEEN_LOOKS) } else { left };
            let (has_out, has_err) = {
                // A closed output is watched as the stop bell a second time, so that places stay.
                let mut fds = [
                    cancel.watched(),
                    stop.watched(),
                    out.as_ref().map_or_else(|| stop.watched(), |pipe| readable(pipe)),
                    err.as_ref().map_or_else(|| stop.watched(), |pipe| readable(pipe)),
                ];
                wait(&mut fds, pause)?;
                if ready(&fds, 1) {
                    return Ok(Ending::AgentEnded);
                }
                if ready(&fds, 0) {
                    return Ok(Ending::Cancelled);
                }
                (ready(&fds, 2), ready(&fds, 3))
            };
            if has_out {
                pump(&mut out, stdout)?;
            }
            if has_err {
                pump(&mut err, stderr)?;
            }
        }
    }
}

fn readable(pipe: &impl AsFd) -> PollFd<'_> {
    PollFd::new(pipe, PollFlags::IN)
}

/// Takes what is there; at the end of the output there is no pipe any more.
fn pump(pipe: &mut Option<impl Read>, into: &mut Captured) -> io::Result<()> {
    let Some(open) = pipe else { return Ok(()) };
    let mut chunk = [0; 8192];
    match open.read(&mut chunk) {
        Ok(0) => *pipe = None,
        Ok(length) => into.take(chunk.get(..length).unwrap_or_default()),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Bell, Captured, Ending, Script};
    use crate::agent::children::write_script;

    struct Run {
        ending: Ending,
        stdout: String,
        stderr: String,
    }

    fn run(content: &str, limit: Duration, cancel: &Bell, stop: &Bell) -> Run {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("_script.sh");
        write_script(&path, content).unwrap();
        let directory = Some(dir.path().to_owned());
        let script = Script { path, directory, environment: vec![("WORD", "given".to_owned())], limit };
        let (mut stdout, mut stderr) = (Captured::new(10, None), Captured::new(10, None));
        let ending = script.run(cancel, stop, &mut stdout, &mut stderr).unwrap();
        Run { ending, stdout: stdout.text(), stderr: stderr.text() }
    }

    fn silent() -> Bell {
        Bell::new().unwrap()
    }

    const LONG: Duration = Duration::from_hours(1);

    #[test]
    fn a_script_has_its_environment_and_its_exit_status() {
        let run = run("echo $WORD\necho no >&2\nexit 3\n", LONG, &silent(), &silent());
        let Ending::Exited(status) = run.ending else { panic!("{:?}", run.ending) };
        assert_eq!(Ending::in_gos_words(status), "exit status 3");
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("given\n", "no\n"));
    }

    #[test]
    fn only_the_beginning_of_an_output_is_kept() {
        let run = run("head -c 1000000 /dev/zero | tr '\\0' x\n", LONG, &silent(), &silent());
        assert_eq!(run.stdout, "x".repeat(10));
    }

    #[test]
    fn the_first_line_may_name_an_interpreter() {
        let run = run("#!/bin/cat\nthis\n", LONG, &silent(), &silent());
        assert_eq!(run.stdout, "#!/bin/cat");
    }

    /// The group would otherwise hold the outputs for an hour.
    #[test]
    fn its_time_a_cancellation_and_the_agents_end_kill_the_whole_group() {
        let script = "sleep 3600 &\nsleep 3600\n";
        let rung = || {
            let bell = silent();
            bell.ring();
            bell
        };
        assert_eq!(run(script, Duration::from_millis(50), &silent(), &silent()).ending, Ending::TimedOut);
        assert_eq!(run(script, LONG, &rung(), &silent()).ending, Ending::Cancelled);
        assert_eq!(run(script, LONG, &silent(), &rung()).ending, Ending::AgentEnded);
    }
}
