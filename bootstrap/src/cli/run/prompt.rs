//! Questions for secrets, asked at the terminal without echo. Here and not by a crate, because the terminal must be as it was
//! on every way out: a signal that ends the program in the middle of a question would leave a shell that shows nothing.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
    sync::mpsc,
    thread,
};

use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use secrecy::SecretString;
use tokio::{runtime::Handle, task::JoinHandle};

use super::interrupts;
use crate::ssh::{PassphraseError, PassphraseSource};

/// As many tries as `ssh` gives.
const TRIES: usize = 3;

/// Asks for passphrases at the terminal, three times at most.
pub(super) struct AskPassphrase;

impl PassphraseSource for AskPassphrase {
    fn passphrase(&mut self, key: &Path, attempt: usize) -> Result<Option<SecretString>, PassphraseError> {
        if attempt >= TRIES {
            return Ok(None);
        }
        let again = if attempt == 0 { "" } else { "That passphrase is wrong. " };
        secret(&format!("{again}Enter passphrase for {}: ", key.display())).map_err(told)
    }

    fn password(&mut self, what: &str) -> Result<Option<SecretString>, PassphraseError> {
        secret(&format!("{what}: ")).map_err(told)
    }
}

fn told(error: io::Error) -> PassphraseError {
    match error.kind() {
        io::ErrorKind::Interrupted => PassphraseError::Interrupted,
        _ => PassphraseError::Terminal(error),
    }
}

/// Is there a terminal to ask at?
pub(super) fn is_there() -> bool {
    open().is_ok()
}

fn open() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/tty")
}

/// Asks a question; none if the answer is empty or Ctrl-D. A signal that is to end the program is
/// [`Interrupted`](io::ErrorKind::Interrupted), after which the program must end: something still waits for the answer.
pub(super) fn secret(question: &str) -> io::Result<Option<SecretString>> {
    let terminal = open()?;
    let (sender, heard) = mpsc::channel();
    // Before the terminal is changed, so that from then on no signal ends the program by itself.
    let _watch = Watch::start(&sender)?;
    let silence = Silence::begin(&terminal)?;
    (&terminal).write_all(question.as_bytes())?;
    let reader = terminal.try_clone()?;
    thread::Builder::new().spawn(move || sender.send(line(reader)).ok())?;
    let answer = heard.recv().unwrap_or_else(|_| Err(io::ErrorKind::UnexpectedEof.into()));
    drop(silence);
    // The Enter was not shown either.
    (&terminal).write_all(b"\n").ok();
    let answer = String::from_utf8(answer?).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(Some(answer).filter(|answer| !answer.is_empty()).map(SecretString::from))
}

/// One line without its end; what there is of it, if the input ends.
fn line(mut terminal: File) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    // The longest line that a terminal gives.
    let mut piece = [0; 4096];
    loop {
        let count = match terminal.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        line.extend(piece.iter().take(count));
        if count == 0 || line.pop_if(|last| *last == b'\n').is_some() {
            return Ok(line);
        }
    }
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Silence<'t> {
    terminal: &'t File,
    before: Termios,
}

impl<'t> Silence<'t> {
    fn begin(terminal: &'t File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL);
        silent.local_modes.insert(LocalModes::ICANON | LocalModes::ISIG);
        // Backspace takes a whole letter away, of however many bytes.
        silent.input_modes.insert(InputModes::ICRNL | InputModes::IUTF8);
        // Neither is of use in a question, and both would leave the terminal as it is now.
        for key in [SpecialCodeIndex::VQUIT, SpecialCodeIndex::VSUSP] {
            silent.special_codes[key] = 0;
        }
        // What was typed before the question was shown, and is no answer to it.
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        tcsetattr(self.terminal, OptionalActions::Now, &self.before).ok();
    }
}

/// Turns signals into messages until it is dropped.
struct Watch(Vec<JoinHandle<()>>);

impl Watch {
    fn start(sender: &mpsc::Sender<io::Result<Vec<u8>>>) -> io::Result<Self> {
        let Ok(runtime) = Handle::try_current() else { return Ok(Self(Vec::new())) };
        let mut watch = Self(Vec::new());
        for mut signals in interrupts::signals()? {
            let sender = sender.clone();
            watch.0.push(runtime.spawn(async move {
                signals.recv().await;
                sender.send(Err(io::ErrorKind::Interrupted.into())).ok();
            }));
        }
        Ok(watch)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}
