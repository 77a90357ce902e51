//! A real board: the same trait as QEMU's machines, by a serial port, commands that switch its power, and a card that can be
//! connected to this computer instead of the board.

mod device;
mod file;
mod serial;
mod switch;

use std::fs;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::{block_in_place, yield_now};

use super::{Ability, Machine, MachineError, console};
use crate::ssh::Ssh;
use crate::wait::Deadline;
pub use file::{BoardFile, Media, Power, Reached, Serial};
use serial::Console;
use switch::Card;

/// A real login takes a second; one over a bad cable some.
const COMMAND_LIMIT: Duration = Duration::from_mins(2);
const LOOK: Duration = Duration::from_secs(1);
const SERIAL_LIMIT: Duration = Duration::from_secs(10);
/// A second of a slow card, and enough for a fast one to be fast.
const PIECE: u64 = 8 << 20;

/// A real board.
#[derive(Debug)]
pub struct Board {
    file: BoardFile,
    seen_as: String,
    on: AtomicBool,
    card: Card,
    console: PathBuf,
    /// While it is on: an adapter may get its power from the board.
    reader: Mutex<Option<Console>>,
}

impl Board {
    /// Opens a board; its console is read into `directory`. Its power is cut first, so that it is known to be off.
    pub async fn open(file: &BoardFile, directory: &Path) -> Result<Self, MachineError> {
        let failed = |action, path: &Path, source| MachineError::File {
            name: file.name.clone(),
            action,
            path: path.to_owned(),
            source,
        };
        fs::create_dir_all(directory).map_err(|error| failed("can't create", directory, error))?;
        let board = Self {
            file: file.clone(),
            seen_as: file.controller.to_string(),
            console: directory.join("console.log"),
            on: AtomicBool::new(false),
            card: Card::default(),
            reader: Mutex::default(),
        };
        switch::run(&file.name, &file.power.off).await?;
        Ok(board)
    }

    /// An adapter that gets its power from the board takes a moment to appear.
    async fn listen(&self, serial: &Serial) -> Result<Console, MachineError> {
        let deadline = Deadline::after(SERIAL_LIMIT);
        loop {
            match Console::open(serial, &self.console) {
                Ok(console) => return Ok(console),
                Err(source) => {
                    if !deadline.pause(LOOK).await {
                        return Err(MachineError::File {
                            name: self.file.name.clone(),
                            action: "can't open",
                            path: serial.device.clone(),
                            source,
                        });
                    }
                }
            }
        }
    }

    /// The card is written whole and flushed before it goes back. It is half written if this is dropped.
    async fn write_media(&self, media: &Media) -> Result<(), MachineError> {
        self.card.switch(&self.file.name, &media.to_controller, true).await?;
        let copied = copy_flushed(&media.image, &media.device).await;
        let written = copied.map_err(|source| MachineError::File {
            name: self.file.name.clone(),
            action: "can't write the image to",
            path: media.device.clone(),
            source,
        });
        let back = self.give_back(media).await;
        written.and(back)
    }

    async fn give_back(&self, media: &Media) -> Result<(), MachineError> {
        self.card.switch(&self.file.name, &media.to_board, false).await
    }
}

/// Piece by piece: dropped, it ends with one, and nothing is left that would have to be flushed.
async fn copy_flushed(image: &Path, device: &Path) -> io::Result<()> {
    let (mut from, mut to) =
        block_in_place(|| Ok::<_, io::Error>((fs::File::open(image)?, device::open(device)?)))?;
    loop {
        let copied = block_in_place(|| {
            let copied = io::copy(&mut from.by_ref().take(PIECE), &mut to)?;
            to.sync_all().map(|()| copied)
        })?;
        if copied < PIECE {
            return Ok(());
        }
        yield_now().await;
    }
}

#[async_trait]
impl Machine for Board {
    fn name(&self) -> &str {
        &self.file.name
    }

    fn runs_on(&self) -> &'static str {
        "hardware"
    }

    fn can(&self, ability: Ability) -> bool {
        match ability {
            Ability::PowerCut => true,
            Ability::Reinstall => self.file.media.is_some(),
            Ability::Snapshots | Ability::Link | Ability::Pause | Ability::SlowDisk => false,
        }
    }

    fn login(&self, user: &str) -> Ssh {
        let Reached { address, port, identity, known_hosts } = self.file.ssh.clone();
        Ssh {
            user: user.to_owned(),
            address,
            port,
            identity,
            known_hosts,
            limit: COMMAND_LIMIT,
            shared: None,
        }
    }

    fn console(&self) -> PathBuf {
        self.console.clone()
    }

    fn host_key(&self) -> Result<String, MachineError> {
        let path = &self.file.ssh.known_hosts;
        let read = fs::read_to_string(path).and_then(|text| {
            let line = text.lines().find(|line| !line.starts_with('#') && !line.trim().is_empty());
            let key = line.map(|line| line.split_whitespace().skip(1).take(2).collect::<Vec<_>>().join(" "));
            key.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it has no host key"))
        });
        read.map_err(|source| MachineError::File {
            name: self.file.name.clone(),
            action: "can't read a host key from",
            path: path.clone(),
            source,
        })
    }

    fn host_seen_from_inside(&self) -> &str {
        &self.seen_as
    }

    fn controller_address(&self) -> IpAddr {
        self.file.listen
    }

    fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    async fn power_on(&self) -> Result<(), MachineError> {
        if !self.is_on() {
            console::begin(&self.console);
            switch::run(&self.file.name, &self.file.power.on).await?;
            self.on.store(true, Ordering::Relaxed);
            let reader = match &self.file.serial {
                Some(serial) => Some(self.listen(serial).await?),
                None => None,
            };
            *self.reader.lock().unwrap_or_else(PoisonError::into_inner) = reader;
        }
        Ok(())
    }

    async fn power_cut(&self) -> Result<(), MachineError> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        let off = switch::run(&self.file.name, &self.file.power.off).await;
        if off.is_ok() {
            self.on.store(false, Ordering::Relaxed);
        }
        let given_back = match &self.file.media {
            // Whoever wanted to write it was interrupted.
            Some(media) if self.card.is_here().await => self.give_back(media).await,
            _ => Ok(()),
        };
        match (off, given_back) {
            (Err(off), Err(card)) => {
                Err(MachineError::OnWithoutCard { off: Box::new(off), card: Box::new(card) })
            }
            (off, given_back) => off.and(given_back),
        }
    }

    async fn reinstall(&self) -> Result<(), MachineError> {
        let Some(media) = &self.file.media else { return Err(self.cannot(Ability::Reinstall)) };
        self.power_cut().await?;
        self.write_media(media).await
    }
}
