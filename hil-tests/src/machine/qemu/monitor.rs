//! QEMU's monitor protocol over its unix socket: one connection per command, so that nobody holds the only seat.

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use qapi::{Command, ExecuteError, Qmp, Stream, qmp};

/// `savevm` of a busy guest is the longest command; it took 0.4 s, on loaded machines some seconds.
const LIMIT: Duration = Duration::from_mins(1);

/// A machine's monitor.
pub(super) struct Monitor(Qmp<Stream<BufReader<UnixStream>, UnixStream>>);

impl Monitor {
    pub(super) fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        let mut reader = BufReader::new(stream.try_clone()?);
        // A QEMU that ends just now closes without a greeting, over which `handshake` would panic.
        if reader.fill_buf()?.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut qmp = Qmp::new(Stream::new(reader, stream));
        qmp.handshake()?;
        Ok(Self(qmp))
    }

    pub(super) fn execute<C: Command>(&mut self, command: &C) -> io::Result<C::Ok> {
        self.0.execute(command).map_err(|error| match error {
            ExecuteError::Qapi(error) => {
                io::Error::other(format!("QEMU refuses {}: {}", C::NAME, error.desc))
            }
            ExecuteError::Io(error) => error,
        })
    }

    /// A command of the human monitor. It says nothing when all is well, so words are an error.
    pub(super) fn human(&mut self, line: &str) -> io::Result<()> {
        let command = qmp::human_monitor_command { cpu_index: None, command_line: line.to_owned() };
        let answer = self.execute(&command)?;
        let answer = answer.trim();
        if answer.is_empty() {
            Ok(())
        } else {
            Err(io::Error::other(format!("QEMU says to {line:?}: {answer}")))
        }
    }
}

/// One line of the log of a machine's monitor: what was asked, and how it ended.
pub(super) fn record(log: &Path, what: &str, error: Option<&io::Error>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let end = error.map_or_else(|| "ok".to_owned(), ToString::to_string);
    let line = format!("{}.{:03} {what}: {end}\n", now.as_secs(), now.subsec_millis());
    let file = OpenOptions::new().create(true).append(true).open(log);
    // A log that can't be written is no reason to leave a machine alone.
    let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixListener;

    /// A monitor that greets, accepts the capabilities and gives `answers`.
    fn with_answers(answers: Vec<&'static str>) -> io::Result<Monitor> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("qmp.sock");
        let listener = UnixListener::bind(&path)?;
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            for (number, answer) in answers.iter().enumerate() {
                if number > 0 && lines.next().is_none() {
                    return;
                }
                writeln!(stream, "{answer}").unwrap();
            }
        });
        Monitor::connect(&path)
    }

    const GREETING: &str =
        r#"{"QMP":{"version":{"qemu":{"micro":22,"minor":2,"major":7},"package":""},"capabilities":[]}}"#;

    #[test]
    fn a_monitor_that_closes_at_once_is_an_error_and_no_panic() {
        assert!(with_answers(vec![]).is_err());
    }

    #[test]
    fn words_of_the_human_monitor_are_an_error() {
        let mut monitor = with_answers(vec![
            GREETING,
            r#"{"return":{}}"#,
            r#"{"return":""}"#,
            r#"{"return":"Error: no snapshot\r\n"}"#,
        ])
        .unwrap();
        monitor.human("savevm clean").unwrap();
        let error = monitor.human("loadvm none").unwrap_err().to_string();
        assert_eq!(error, "QEMU says to \"loadvm none\": Error: no snapshot");
    }

    #[test]
    fn a_refusal_names_the_command() {
        let refusal = r#"{"error":{"class":"GenericError","desc":"Device 'nic0' not found"}}"#;
        let mut monitor = with_answers(vec![GREETING, r#"{"return":{}}"#, refusal]).unwrap();
        let error = monitor.execute(&qmp::set_link { name: "nic0".to_owned(), up: false }).unwrap_err();
        assert_eq!(error.to_string(), "QEMU refuses set_link: Device 'nic0' not found");
    }
}
