//! Reads a .deb's control file: an `ar` archive whose second member is a compressed `tar` with `control` in it.
//!
//! The `ar` part is read here over the slice, since that also finds a file that was cut off, without copying; every
//! decompressed byte goes through a limit, for the package is not verified yet when it is read.

use super::metadata::{Metadata, ReadError};
use std::io::{self, Read};
use targets::PackageFormat;

/// How every `ar` archive starts.
pub(super) const MAGIC: &[u8] = b"!<arch>\n";

const HEADER_BYTES: usize = 60;
/// Real ones have some kB.
const CONTROL_ARCHIVE_BYTES: u64 = 4 * 1024 * 1024;
const CONTROL_BYTES: u64 = 256 * 1024;
/// `xz -9` needs 64 MiB; dpkg's default is `-6` with 8 MiB.
const XZ_MEMORY_KIB: u32 = 80 * 1024;
/// `zstd -19`, dpkg's default, has windows of 8 MiB.
const ZSTD_WINDOW_BYTES: u64 = 32 * 1024 * 1024;

struct Member<'a> {
    name: &'a str,
    content: &'a [u8],
}

/// Reads what a .deb says of itself.
pub(super) fn read(content: &[u8]) -> Result<Metadata, ReadError> {
    let mut control = None;
    let mut has_data = false;
    let mut rest = content.get(MAGIC.len()..).unwrap_or_default();
    // All members are walked, so that a data archive that was cut off is found.
    while !rest.is_empty() {
        let (member, after) = next_member(rest)?;
        has_data |= member.name.starts_with("data.tar");
        if control.is_none() && member.name.starts_with("control.tar") {
            control = Some(member);
        }
        rest = after;
    }
    let control = control.ok_or(ReadError::Missing("control archive"))?;
    if !has_data {
        return Err(ReadError::Missing("data archive"));
    }
    let text = control_file(&control)?;
    let field = |name: &'static str| field(&text, name).ok_or(ReadError::Missing(name));
    Ok(Metadata {
        format: PackageFormat::Deb,
        name: field("Package")?,
        version: field("Version")?,
        architecture: field("Architecture")?,
    })
}

fn next_member(bytes: &[u8]) -> Result<(Member<'_>, &[u8]), ReadError> {
    let (header, rest) =
        bytes.split_at_checked(HEADER_BYTES).ok_or(ReadError::CutOff("a member's header is incomplete"))?;
    let text = |range| {
        header
            .get(range)
            .and_then(|field| std::str::from_utf8(field).ok())
            .map(str::trim_end)
            .ok_or_else(|| ReadError::Damaged("a member's header is not text".to_owned()))
    };
    if header.get(58..) != Some(b"`\n") {
        return Err(ReadError::Damaged("a member's header does not end as it must".to_owned()));
    }
    // binutils' ar, which AWS packs with, ends names in a slash; dpkg-deb does not.
    let name = text(0..16)?.trim_end_matches('/');
    let size: usize =
        text(48..58)?.parse().map_err(|_| ReadError::Damaged(format!("member {name:?} has no size")))?;
    let (content, rest) =
        rest.split_at_checked(size).ok_or(ReadError::CutOff("a member is shorter than its header says"))?;
    // Members start at even offsets; some writers leave out the last padding.
    let rest = if size % 2 == 1 { rest.get(1..).unwrap_or_default() } else { rest };
    Ok((Member { name, content }, rest))
}

fn control_file(member: &Member<'_>) -> Result<String, ReadError> {
    let compressed = member.content;
    match member.name.strip_prefix("control.tar").unwrap_or_default() {
        "" => control_of_tar(compressed),
        ".gz" => control_of_tar(flate2::read::GzDecoder::new(compressed)),
        ".xz" => control_of_tar(lzma_rust2::XzReader::new_mem_limit(compressed, true, XZ_MEMORY_KIB)),
        ".zst" => {
            let decoder =
                ruzstd::decoding::StreamingDecoder::new_with_max_window_size(compressed, ZSTD_WINDOW_BYTES)
                    .map_err(|error| ReadError::Damaged(format!("the control archive: {error}")))?;
            control_of_tar(decoder)
        }
        _ => Err(ReadError::Compression(member.name.to_owned())),
    }
}

fn control_of_tar(reader: impl Read) -> Result<String, ReadError> {
    let too_large = ReadError::TooLarge { part: "control archive", limit: CONTROL_ARCHIVE_BYTES };
    let damaged = |error: io::Error| {
        if error.kind() == io::ErrorKind::FileTooLarge {
            too_large.clone()
        } else {
            ReadError::Damaged(format!("the control archive: {error}"))
        }
    };
    let mut archive = tar::Archive::new(Limited { reader, left: CONTROL_ARCHIVE_BYTES });
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let path = entry.path_bytes();
        if path.strip_prefix(b"./").unwrap_or(&path) != b"control" {
            continue;
        }
        if entry.size() > CONTROL_BYTES {
            return Err(ReadError::TooLarge { part: "control file", limit: CONTROL_BYTES });
        }
        let mut text = String::new();
        entry.read_to_string(&mut text).map_err(damaged)?;
        return Ok(text);
    }
    Err(ReadError::Missing("control file"))
}

/// The value of a one-line field. Lines that start with a blank continue a field and are none.
fn field(control: &str, name: &str) -> Option<String> {
    control.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        let value = value.trim();
        (key.eq_ignore_ascii_case(name) && !value.is_empty()).then(|| value.to_owned())
    })
}

/// A reader that fails past a limit instead of ending: an end would look like a short archive.
struct Limited<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(count)
    }
}
