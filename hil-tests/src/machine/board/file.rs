//! The file that describes a real board: how it is powered, how its card is written, where its console and its SSH are.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::kinds::{KINDS, Kind};

/// A board as its file describes it; paths are absolute here.
#[derive(Debug, Clone)]
pub struct BoardFile {
    /// The file itself.
    pub path: PathBuf,
    /// What `--machine` takes.
    pub name: String,
    /// What kind of machine it is.
    pub kind: &'static Kind,
    /// Its serial console.
    pub serial: Option<Serial>,
    /// Commands that switch its power.
    pub power: Power,
    /// How its card or stick is written; without it a board can't be reinstalled.
    pub media: Option<Media>,
    /// Where it is reached.
    pub ssh: Reached,
    /// The address of this computer as the board sees it.
    pub controller: IpAddr,
    /// The address on which the endpoint listens: `controller` too, unless there is a translation of addresses between them.
    pub listen: IpAddr,
}

/// A serial port.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Serial {
    /// Such as `/dev/ttyUSB0`.
    pub device: PathBuf,
    /// In bits a second.
    #[serde(default = "usual_speed")]
    pub baud: u32,
}

/// Commands that switch the power, word by word.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Power {
    /// Switches it on.
    pub on: Vec<String>,
    /// Cuts it off.
    pub off: Vec<String>,
}

/// A card or stick behind a multiplexer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Media {
    /// Connects it to this computer.
    pub to_controller: Vec<String>,
    /// Connects it to the board.
    pub to_board: Vec<String>,
    /// What it is here then, such as `/dev/disk/by-id/...`. All of it is overwritten.
    pub device: PathBuf,
    /// The raw image that is written to it.
    pub image: PathBuf,
}

/// Where SSH is, and the keys for it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reached {
    /// Address or name.
    pub address: String,
    /// Port.
    #[serde(default = "usual_port")]
    pub port: u16,
    /// Private key of `root` and `admin`.
    pub identity: PathBuf,
    /// A file with the board's host key.
    pub known_hosts: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    kind: String,
    controller: IpAddr,
    listen: Option<IpAddr>,
    serial: Option<Serial>,
    power: Power,
    media: Option<Media>,
    ssh: Reached,
}

fn usual_speed() -> u32 {
    115_200
}

fn usual_port() -> u16 {
    22
}

impl BoardFile {
    /// Reads a file. Paths in it are relative to it.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
        let raw: Raw = toml::from_str(&text).with_context(|| format!("{} is no board", path.display()))?;
        let Some(kind) = Kind::named(&raw.kind) else {
            let known: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
            bail!("{}: no kind is called {:?}; there are: {}", path.display(), raw.kind, known.join(", "));
        };
        if Kind::named(&raw.name).is_some() {
            bail!("{}: {:?} is the name of a kind; call the board something else", path.display(), raw.name);
        }
        for (key, command) in [("power.on", &raw.power.on), ("power.off", &raw.power.off)] {
            if command.is_empty() {
                bail!("{}: {key} names no program", path.display());
            }
        }
        // A file that is named without a directory has an empty one.
        let path = std::path::absolute(path).with_context(|| format!("can't resolve {}", path.display()))?;
        let home = path.parent().unwrap_or(Path::new("/"));
        let mut ssh = raw.ssh;
        ssh.identity = home.join(ssh.identity);
        ssh.known_hosts = home.join(ssh.known_hosts);
        let media = raw.media.map(|media| Media {
            device: home.join(media.device),
            image: home.join(media.image),
            ..media
        });
        let serial = raw.serial.map(|serial| Serial { device: home.join(serial.device), ..serial });
        let (name, power, controller) = (raw.name, raw.power, raw.controller);
        let listen = raw.listen.unwrap_or(controller);
        Ok(Self { path, name, kind, serial, power, media, ssh, controller, listen })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PI: &str = r#"
        name = "desk-pi"
        kind = "raspi3b"
        controller = "192.0.2.1"
        serial = { device = "/dev/ttyUSB0" }
        power = { on = ["usbrelay", "A_1=1"], off = ["usbrelay", "A_1=0"] }
        media = { to_controller = ["sd-mux", "host"], to_board = ["sd-mux", "dut"], device = "/dev/sdx", image = "pi.img" }
        ssh = { address = "192.0.2.2", identity = "key", known_hosts = "known_hosts" }
    "#;

    fn read(text: &str) -> Result<BoardFile> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("board.toml");
        fs::write(&path, text).unwrap();
        BoardFile::read(&path)
    }

    #[test]
    fn a_board_is_read_and_its_paths_are_relative_to_its_file() {
        let board = read(PI).unwrap();
        assert_eq!((board.name.as_str(), board.kind.name, board.ssh.port), ("desk-pi", "raspi3b", 22));
        assert_eq!(board.serial.unwrap().baud, 115_200);
        let media = board.media.unwrap();
        assert!(media.image.is_absolute() && media.image.ends_with("pi.img"));
        assert_eq!(media.device, Path::new("/dev/sdx"));
    }

    #[test]
    fn mistakes_are_named_with_the_file_and_what_there_is() {
        for (from, to, expected) in [
            ("raspi3b", "raspi9", "there are: x86_64"),
            ("desk-pi", "raspi3b", "call the board something else"),
            (r#"["usbrelay", "A_1=1"]"#, "[]", "power.on names no program"),
            ("controller", "conductor", "is no board"),
        ] {
            let error = format!("{:#}", read(&PI.replacen(from, to, 1)).unwrap_err());
            assert!(error.contains(expected) && error.contains("board.toml"), "{error}");
        }
    }
}
