//! The .deb: an `ar` archive of a format number and two gzipped tars.

use std::collections::BTreeSet;
use std::io::{self, Write as _};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use tar::{EntryType, Header};
use targets::PackageFormat;

use super::payload::{
    AGENT_PATH, CLI_PATH, CLI_TARGET, CONFFILES, NAME, POSTINST, PREINST, PRERM, Payload, SUMMARY, UNIT,
    UPSTART, documents,
};
use super::{PackageError, SOURCE_DATE};

/// Builds the package.
pub fn build(payload: &Payload<'_>) -> Result<Vec<u8>, PackageError> {
    assemble(payload).map_err(PackageError::Deb)
}

fn assemble(payload: &Payload<'_>) -> io::Result<Vec<u8>> {
    let members: [(&[u8], Vec<u8>); 3] = [
        (b"debian-binary", b"2.0\n".to_vec()),
        (b"control.tar.gz", control(payload)?),
        (b"data.tar.gz", data(payload)?),
    ];
    let mut archive = ar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header =
            ar::Header::new(name.to_vec(), u64::try_from(content.len()).map_err(io::Error::other)?);
        header.set_mode(0o100_644);
        header.set_mtime(u64::from(SOURCE_DATE));
        archive.append(&header, content.as_slice())?;
    }
    archive.into_inner()
}

fn control(payload: &Payload<'_>) -> io::Result<Vec<u8>> {
    let installed_kib = payload.agent.len().div_ceil(1024);
    let fields = format!(
        "Package: {NAME}\nVersion: {}-1\nSection: admin\nPriority: optional\nArchitecture: {}\nDepends: libc6\n\
         Installed-Size: {installed_kib}\nMaintainer: ssm-lab <lab@localhost>\nDescription: {SUMMARY}\n \
         It behaves like AWS's agent towards installers and a local endpoint.\n",
        payload.version,
        payload.architecture.name_in(PackageFormat::Deb),
    );
    let mut tar = Tar::new();
    tar.file("./control", fields.as_bytes(), 0o644)?;
    tar.file("./conffiles", CONFFILES.as_bytes(), 0o644)?;
    tar.file("./preinst", PREINST.as_bytes(), 0o755)?;
    tar.file("./postinst", POSTINST.as_bytes(), 0o755)?;
    tar.file("./prerm", PRERM.as_bytes(), 0o755)?;
    tar.finish()
}

fn data(payload: &Payload<'_>) -> io::Result<Vec<u8>> {
    let mut tar = Tar::new();
    for (path, text) in documents() {
        tar.file(path, text.as_bytes(), 0o644)?;
    }
    tar.file("/etc/init/amazon-ssm-agent.conf", UPSTART.as_bytes(), 0o644)?;
    tar.file("/lib/systemd/system/amazon-ssm-agent.service", UNIT.as_bytes(), 0o644)?;
    tar.file(AGENT_PATH, payload.agent, 0o755)?;
    tar.symlink(CLI_PATH, CLI_TARGET)?;
    tar.directory("/var/lib/amazon/ssm")?;
    tar.finish()
}

/// A gzipped tar whose entries belong to root and whose parents come before their children.
struct Tar {
    builder: tar::Builder<GzEncoder<Vec<u8>>>,
    directories: BTreeSet<String>,
}

impl Tar {
    fn new() -> Self {
        let gzip = GzBuilder::new().mtime(SOURCE_DATE).write(Vec::new(), Compression::default());
        Self { builder: tar::Builder::new(gzip), directories: BTreeSet::new() }
    }

    fn file(&mut self, path: &str, content: &[u8], mode: u32) -> io::Result<()> {
        self.parents(path)?;
        let mut header = header(EntryType::Regular, mode);
        header.set_size(u64::try_from(content.len()).map_err(io::Error::other)?);
        self.append(header, path, content)
    }

    fn symlink(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.parents(path)?;
        let mut header = header(EntryType::Symlink, 0o777);
        header.set_link_name(target)?;
        self.append(header, path, io::empty())
    }

    fn directory(&mut self, path: &str) -> io::Result<()> {
        self.parents(&format!("{path}/"))
    }

    fn parents(&mut self, path: &str) -> io::Result<()> {
        let path = path.trim_start_matches("./").trim_start_matches('/');
        for (end, _) in path.match_indices('/') {
            let directory = path.get(..=end).unwrap_or_default();
            if self.directories.insert(directory.to_owned()) {
                self.append(header(EntryType::Directory, 0o755), directory, io::empty())?;
            }
        }
        Ok(())
    }

    /// dpkg's own archives say `./path`; the crate `tar` drops the dot, so the name is written by hand.
    fn append(&mut self, mut header: Header, path: &str, content: impl io::Read) -> io::Result<()> {
        let name = format!("./{}", path.trim_start_matches("./").trim_start_matches('/'));
        let field = &mut header.as_old_mut().name;
        let room = field.get_mut(..name.len()).ok_or_else(|| io::Error::other("path too long for tar"))?;
        room.copy_from_slice(name.as_bytes());
        header.set_cksum();
        self.builder.append(&header, content)
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        let mut bytes = self.builder.into_inner()?.finish()?;
        bytes.flush()?;
        Ok(bytes)
    }
}

fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(u64::from(SOURCE_DATE));
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header
}
