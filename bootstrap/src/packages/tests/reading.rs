//! Real packages are read; broken and hostile ones give errors, in bounded memory, whatever the bytes.

use super::fixtures::{Recipe, VERSION};
use crate::packages::{Metadata, ReadError};
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use std::io::{Read, Write};
use std::process::Command;
use std::sync::LazyLock;
use targets::PackageFormat;
use tempfile::TempDir;

static DEBS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let directory = TempDir::new().unwrap();
    let build =
        |compression| Recipe { compression, ..Recipe::default() }.deb(&directory.path().join("a.deb"));
    ["gzip", "xz", "zstd", "none"].map(build).to_vec()
});

static RPM: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let directory = TempDir::new().unwrap();
    Recipe { arch: "x86_64", ..Recipe::default() }.rpm(&directory.path().join("a.rpm"))
});

fn expected(format: PackageFormat, architecture: &str) -> Metadata {
    let (name, version) = ("amazon-ssm-agent".to_owned(), format!("{VERSION}-1"));
    Metadata { format, name, version, architecture: architecture.to_owned() }
}

#[test]
fn debs_of_every_compression_of_dpkg_are_read() {
    for deb in DEBS.iter() {
        assert_eq!(Metadata::read(deb), Ok(expected(PackageFormat::Deb, "amd64")));
    }
}

#[test]
fn an_rpm_of_rpmbuild_is_read() {
    assert_eq!(Metadata::read(&RPM), Ok(expected(PackageFormat::Rpm, "x86_64")));
}

// AWS packs its .debs with `ar` and `tar` directly: names end in a slash and have no "./".
#[test]
fn a_deb_packed_by_ar_and_tar_is_read() {
    let directory = TempDir::new().unwrap();
    let script = "printf '2.0\\n' >debian-binary; printf 'Package: amazon-ssm-agent\\nArchitecture: armhf\\n\
                  Version: 3.3.987.0-1\\n' >control; touch conffiles; tar czf control.tar.gz conffiles control; \
                  tar czf data.tar.gz conffiles; ar rc out.deb debian-binary control.tar.gz data.tar.gz; cat out.deb";
    let deb = super::fixtures::run(Command::new("sh").args(["-c", script]).current_dir(directory.path()));
    assert_eq!(Metadata::read(&deb), Ok(expected(PackageFormat::Deb, "armhf")));
}

#[test]
fn what_is_no_package_says_so() {
    for content in ["", "<!DOCTYPE html>", "!<arch>", "PK\u{3}\u{4}"] {
        assert_eq!(Metadata::read(content.as_bytes()), Err(ReadError::UnknownFormat), "{content}");
    }
}

#[test]
fn a_damaged_payload_of_an_rpm_is_found_by_its_digest() {
    let mut rpm = RPM.clone();
    *rpm.last_mut().unwrap() ^= 1;
    assert_eq!(Metadata::read(&rpm), Err(ReadError::PayloadDigest));
}

fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = b"!<arch>\n".to_vec();
    for (name, content) in members {
        writeln!(archive, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, 100_644, content.len()).unwrap();
        archive.extend_from_slice(content);
        archive.resize(archive.len().next_multiple_of(2), b'\n');
    }
    archive
}

fn tar_header(name: &str, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).unwrap();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn gzip(parts: &mut dyn Read) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::copy(parts, &mut encoder).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_control_archive_that_grows_without_end_is_given_up() {
    let size = 6 * 1024 * 1024;
    let header = tar_header("filler", size);
    let bomb = gzip(&mut header.chain(std::io::repeat(0).take(size)));
    assert!(bomb.len() < 100_000);
    let read = Metadata::read(&ar(&[("control.tar.gz", &bomb), ("data.tar.gz", b"")]));
    assert!(matches!(read, Err(ReadError::TooLarge { part: "control archive", .. })), "{read:?}");
}

#[test]
fn a_huge_control_file_is_not_read() {
    let size = 1024 * 1024;
    let header = tar_header("control", size);
    let large = gzip(&mut header.chain(std::io::repeat(b'x').take(size)));
    let read = Metadata::read(&ar(&[("control.tar.gz", &large), ("data.tar.gz", b"")]));
    assert!(matches!(read, Err(ReadError::TooLarge { part: "control file", .. })), "{read:?}");
}

#[test]
fn members_and_fields_that_must_be_there_are_missed_by_name() {
    let control = |text: &str| {
        let header = tar_header("control", text.len() as u64);
        let padding = vec![0; 2048];
        gzip(&mut header.chain(text.as_bytes()).chain(padding.as_slice()))
    };
    let whole = control("Package: a\nVersion: 1\nArchitecture: all\n");
    let read = |members: &[(&str, &[u8])]| Metadata::read(&ar(members)).unwrap_err();
    assert_eq!(read(&[]), ReadError::Missing("control archive"));
    assert_eq!(read(&[("control.tar.gz", &whole)]), ReadError::Missing("data archive"));
    assert_eq!(
        read(&[("control.tar.gz", &control("Package: a\nVersion:\n")), ("data.tar", b"")]),
        ReadError::Missing("Version")
    );
    assert_eq!(
        read(&[("control.tar.br", &whole), ("data.tar", b"")]),
        ReadError::Compression("control.tar.br".to_owned())
    );
}

/// Offset of the main header of an .rpm, as its format describes it.
fn main_header(rpm: &[u8]) -> usize {
    let number = |at: usize| u32::from_be_bytes(rpm[at..at + 4].try_into().unwrap()) as usize;
    96 + (16 + number(96 + 8) * 16 + number(96 + 12)).next_multiple_of(8)
}

#[test]
fn an_rpm_header_that_lies_about_its_sizes_is_refused() {
    let start = main_header(&RPM);
    assert_eq!(&RPM[start..start + 4], [0x8e, 0xad, 0xe8, 1]);
    // Count of entries, size of the store; then of the first entry: type, offset, count of items.
    for at in [8, 12, 16 + 4, 16 + 8, 16 + 12] {
        for lie in [0xffff_ffff_u32, 0x7fff_ffff, 0x0100_0000] {
            let mut rpm = RPM.clone();
            rpm[start + at..start + at + 4].copy_from_slice(&lie.to_be_bytes());
            assert!(Metadata::read(&rpm).is_err(), "{lie:x} at {at}");
        }
    }
}

fn change(original: &[u8], changes: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for (index, byte) in changes {
        let index = index.index(bytes.len());
        bytes[index] = *byte;
    }
    bytes
}

fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn any_bytes_after_a_magic_number_are_read_without_a_panic(
        deb in any::<bool>(), bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let magic: &[u8] = if deb { b"!<arch>\n" } else { &[0xed, 0xab, 0xee, 0xdb] };
        prop_assert!(Metadata::read(&[magic, &bytes].concat()).is_err());
    }

    #[test]
    fn changed_debs_are_read_without_a_panic(which in 0_usize..4, changes in changes()) {
        let _ = Metadata::read(&change(&DEBS[which], &changes));
    }

    #[test]
    fn changed_rpm_headers_are_read_without_a_panic(changes in changes()) {
        let headers = main_header(&RPM) + 2048;
        let mut rpm = change(&RPM[..headers.min(RPM.len())], &changes);
        rpm.extend_from_slice(RPM.get(headers..).unwrap_or_default());
        let _ = Metadata::read(&rpm);
    }

    #[test]
    fn a_package_that_was_cut_off_is_never_taken(which in 0_usize..4, at in any::<prop::sample::Index>()) {
        // The very last byte of a .deb may be padding.
        let deb = &DEBS[which];
        prop_assert!(Metadata::read(&deb[..at.index(deb.len() - 1)]).is_err());
        prop_assert!(Metadata::read(&RPM[..at.index(RPM.len())]).is_err());
    }
}
