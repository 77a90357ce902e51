//! Reads an .rpm's header with the `rpm` crate, behind a gate.
//!
//! The gate is needed because `rpm` 0.30 takes sizes and offsets of a header at their word: an offset past the
//! end panics and a count of four thousand million is allocated. It walks the same structure first, by numbers only.

use super::Sha256Digest;
use super::metadata::{Metadata, ReadError};
use rpm::{IndexTag, PackageMetadata};
use targets::PackageFormat;

/// How every .rpm starts.
pub(super) const MAGIC: &[u8] = &[0xed, 0xab, 0xee, 0xdb];

const LEAD_BYTES: usize = 96;
const HEADER_MAGIC: &[u8] = &[0x8e, 0xad, 0xe8, 0x01];
const INTRO_BYTES: usize = 16;
const ENTRY_BYTES: usize = 16;
/// The agent's have about a hundred.
const MAX_ENTRIES: usize = 1024;
const MAX_STORE_BYTES: usize = 16 * 1024 * 1024;

/// Reads what an .rpm says of itself, and compares its payload with the digest in its header where it has one.
pub(super) fn read(content: &[u8]) -> Result<Metadata, ReadError> {
    let signature_start = LEAD_BYTES;
    let signature_bytes = header_bytes(content, signature_start)?;
    // The signature header is padded to eight bytes; the main one is not.
    let header_start = signature_start + signature_bytes.next_multiple_of(8);
    let payload_start = header_start + header_bytes(content, header_start)?;

    let mut headers = content.get(..payload_start).unwrap_or_default();
    let parsed = PackageMetadata::parse(&mut headers).map_err(damaged)?;
    let revision = parsed.get_release().map_err(damaged)?;
    let metadata = Metadata {
        format: PackageFormat::Rpm,
        name: parsed.get_name().map_err(damaged)?.to_owned(),
        version: format!("{}-{revision}", parsed.get_version().map_err(damaged)?),
        architecture: parsed.get_arch().map_err(damaged)?.to_owned(),
    };
    let payload = content.get(payload_start..).unwrap_or_default();
    check_payload(&parsed, payload)?;
    Ok(metadata)
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn damaged(error: rpm::Error) -> ReadError {
    ReadError::Damaged(error.to_string())
}

fn check_payload(metadata: &PackageMetadata, payload: &[u8]) -> Result<(), ReadError> {
    if payload.is_empty() {
        return Err(ReadError::CutOff("the payload is missing"));
    }
    // rpm writes it since 4.14; older packages only have digests that nobody trusts any more.
    let announced = metadata.header.get_entry_data_as_string_array(IndexTag::RPMTAG_PAYLOADSHA256);
    match announced.ok().and_then(|digests| digests.first().map(|digest| digest.to_lowercase())) {
        Some(digest) if digest != Sha256Digest::of(payload).to_string() => Err(ReadError::PayloadDigest),
        _ => Ok(()),
    }
}

/// Checks one header that starts at `start` and gives its length without padding.
fn header_bytes(content: &[u8], start: usize) -> Result<usize, ReadError> {
    let header = content.get(start..).unwrap_or_default();
    let intro = header.get(..INTRO_BYTES).ok_or(ReadError::CutOff("a header is missing"))?;
    if !intro.starts_with(HEADER_MAGIC) {
        return Err(ReadError::Damaged("a header does not start as it must".to_owned()));
    }
    let count = number(intro, 8)?;
    let store_bytes = number(intro, 12)?;
    if count > MAX_ENTRIES {
        return Err(ReadError::Damaged(format!("a header announces {count} entries")));
    }
    if store_bytes > MAX_STORE_BYTES {
        return Err(ReadError::TooLarge { part: "header", limit: MAX_STORE_BYTES as u64 });
    }
    let length = INTRO_BYTES + count * ENTRY_BYTES + store_bytes;
    if header.len() < length {
        return Err(ReadError::CutOff("a header is shorter than it says"));
    }
    let entries = header.get(INTRO_BYTES..INTRO_BYTES + count * ENTRY_BYTES).unwrap_or_default();
    let mut decoded = 0_usize;
    for entry in entries.chunks_exact(ENTRY_BYTES) {
        decoded = decoded.saturating_add(check_entry(entry, store_bytes)?);
    }
    // Entries of a real header don't overlap; many that do would multiply the memory.
    if decoded > store_bytes.saturating_mul(2) {
        return Err(ReadError::Damaged("entries of a header overlap".to_owned()));
    }
    Ok(length)
}

/// Checks that an entry's items lie in the store, and gives how many bytes they take at least.
fn check_entry(entry: &[u8], store_bytes: usize) -> Result<usize, ReadError> {
    let (kind, offset, items) = (number(entry, 4)?, number(entry, 8)?, number(entry, 12)?);
    let item_bytes = match kind {
        0 => 0,
        1 | 2 | 6..=9 => 1,
        3 => 2,
        4 => 4,
        5 => 8,
        _ => return Err(ReadError::Damaged(format!("a header has an entry of the unknown type {kind}"))),
    };
    let bytes = items.saturating_mul(item_bytes);
    if offset.saturating_add(bytes) > store_bytes {
        return Err(ReadError::Damaged("an entry of a header points outside of it".to_owned()));
    }
    Ok(bytes)
}

/// The big-endian number of four bytes at `at`.
fn number(bytes: &[u8], at: usize) -> Result<usize, ReadError> {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk::<4>())
        .and_then(|number| usize::try_from(u32::from_be_bytes(*number)).ok())
        .ok_or(ReadError::CutOff("a header is incomplete"))
}
