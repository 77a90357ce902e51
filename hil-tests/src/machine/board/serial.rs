//! A board's serial console, read into a file for as long as the board is open.

use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use super::file::Serial;

/// How often the reader looks whether it shall end.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Reads a console until it is dropped.
#[derive(Debug)]
pub(super) struct Console {
    end: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Console {
    /// Opens the port, sets its speed, and appends to `log` what comes.
    pub(super) fn open(serial: &Serial, log: &Path) -> io::Result<Self> {
        // Without O_NOCTTY the board's console would become this program's; without O_NONBLOCK a port without carrier hangs.
        let flags = i32::try_from((OFlags::NOCTTY | OFlags::NONBLOCK).bits()).map_err(io::Error::other)?;
        let mut port = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&serial.device)?;
        let mut settings = tcgetattr(&port)?;
        settings.make_raw();
        settings.set_speed(serial.baud)?;
        tcsetattr(&port, OptionalActions::Now, &settings)?;
        let mut log = OpenOptions::new().create(true).append(true).open(log)?;
        let end = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&end);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while !asked.load(Ordering::Relaxed) {
                let mut ready = [PollFd::new(&port, PollFlags::IN)];
                if !matches!(poll(&mut ready, Some(&LOOK)), Ok(1..)) {
                    continue;
                }
                match port.read(&mut buffer) {
                    Ok(count @ 1..) => {
                        let read = buffer.get(..count).unwrap_or_default();
                        if log.write_all(read).is_err() {
                            return;
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    // The other side hung up: a board's adapter that was unplugged.
                    Ok(0) | Err(_) => return,
                }
            }
        });
        Ok(Self { end, reader: Some(reader) })
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            // It only reads and writes; there is nothing in it that could fail.
            let _ = reader.join();
        }
    }
}
