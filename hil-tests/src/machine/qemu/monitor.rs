//! QEMU's monitor protocol over its unix socket: one connection per command, so that nobody holds the only seat.

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use qapi::{Command, ExecuteError, Qmp, Stream, qmp};

/// `savevm` of a busy guest is the longest command; it took 0.4 s, on loaded machines some seconds.
const LIMIT: Duration = Duration::from_mins(1);

/// A machine's monitor.
pub(super) struct Monitor(Qmp<Stream<BufReader<UnixStream>, UnixStream>>);

impl Monitor {
    pub(super) fn connect(socket: &Path) -> io::Result<Self> {
        let stream = connect_within(socket, LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
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

/// A connection whose writes have the same limit. A QEMU that hangs accepts nobody, and once its queue is full, which takes two,
/// connecting waits as well.
fn connect_within(socket: &Path, limit: Duration) -> io::Result<UnixStream> {
    let stream = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&stream, Timeout::Send, Some(limit))?;
    net::connect(&stream, &SocketAddrUnix::new(socket)?)?;
    Ok(stream.into())
}

/// What the kernel calls a resource that is unavailable for a time is a QEMU that hangs.
pub(super) fn in_words(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(
            io::ErrorKind::TimedOut,
            format!("QEMU did not answer within {} s", LIMIT.as_secs()),
        ),
        _ => error,
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
    fn a_monitor_whose_queue_is_full_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("qmp.sock");
        let listener =
            net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        net::bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        net::listen(&listener, 0).unwrap();
        let limit = Duration::from_millis(20);
        let waiting = connect_within(&path, limit).unwrap();
        let error = in_words(connect_within(&path, limit).unwrap_err());
        assert_eq!(error.to_string(), "QEMU did not answer within 60 s");
        drop(waiting);
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
