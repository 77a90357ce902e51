//! An ISO 9660 volume of a few files in its root directory, in memory. Apart from the seed, because it knows nothing of
//! keys; and no tool is run for it, because then a private key would lie in a temporary directory.
//!
//! After ECMA-119. Names have a hyphen, which the standard does not allow and every reader takes: `USER-DATA.;1` is
//! `user-data` to Linux, which leaves out the version and writes small letters.

use thiserror::Error;

const SECTOR: usize = 2048;
/// For a bootloader; then come a descriptor of the volume and one that ends the descriptors.
const FREE_SECTORS: usize = 16;
const PATHS_LITTLE: u32 = 18;
const PATHS_BIG: u32 = 19;
const ROOT: u32 = 20;
const FIRST_FILE: u32 = 21;
/// The path table has one entry, the root: a length, a place, a parent, and a name of one zero.
const PATHS_LENGTH: u32 = 10;
const IS_DIRECTORY: u8 = 2;

/// A file, or all of them together, has 4 GiB or more.
#[derive(Debug, Error)]
#[error(
    "a seed's volume can't hold {bytes} bytes; keys and users take a few thousand, so look what was given as a key"
)]
pub struct TooLarge {
    bytes: usize,
}

/// A volume with that label (capital letters) and those files, by name (capital letters, digits, hyphens).
pub(super) fn iso9660(label: &str, files: &[(&str, Vec<u8>)]) -> Result<Vec<u8>, TooLarge> {
    let mut root = Vec::new();
    let sector = u32::try_from(SECTOR).unwrap_or_default();
    for own_or_parent in [0, 1] {
        root.extend(entry(ROOT, sector, IS_DIRECTORY, &[own_or_parent]));
    }
    let mut at = FIRST_FILE;
    for (name, content) in files {
        root.extend(entry(at, size(content)?, 0, format!("{name}.;1").as_bytes()));
        at += size(content)?.div_ceil(sector);
    }
    if root.len() > SECTOR {
        return Err(TooLarge { bytes: root.len() });
    }
    let mut volume = vec![0; SECTOR * FREE_SECTORS];
    for part in [primary(label, at), terminator(), paths(u32::to_le_bytes, u16::to_le_bytes)] {
        push(&mut volume, &part);
    }
    push(&mut volume, &paths(u32::to_be_bytes, u16::to_be_bytes));
    push(&mut volume, &root);
    for (_, content) in files {
        push(&mut volume, content);
    }
    size(&volume)?;
    Ok(volume)
}

fn size(content: &[u8]) -> Result<u32, TooLarge> {
    u32::try_from(content.len()).map_err(|_| TooLarge { bytes: content.len() })
}

/// Whole sectors.
fn push(volume: &mut Vec<u8>, part: &[u8]) {
    volume.extend(part);
    volume.resize(volume.len().next_multiple_of(SECTOR), 0);
}

/// A record of a directory. Dates are of 1970, so that the same files make the same volume.
fn entry(at: u32, bytes: u32, flags: u8, name: &[u8]) -> Vec<u8> {
    let mut record = vec![0, 0];
    record.extend(both_u32(at));
    record.extend(both_u32(bytes));
    record.extend([70, 1, 1, 0, 0, 0, 0, flags, 0, 0]);
    record.extend(both_u16(1));
    // Names are constants of a few letters.
    record.push(u8::try_from(name.len()).unwrap_or_default());
    record.extend(name);
    if record.len() % 2 == 1 {
        record.push(0);
    }
    let length = u8::try_from(record.len()).unwrap_or_default();
    record.splice(..1, [length]);
    record
}

fn primary(label: &str, sectors: u32) -> Vec<u8> {
    let mut text = head(1);
    text.push(0);
    text.extend(padded("", 32));
    text.extend(padded(label, 32));
    text.extend([0; 8]);
    text.extend(both_u32(sectors));
    text.extend([0; 32]);
    // One volume, the first of one, in sectors of 2048 bytes.
    for number in [1, 1, 2048] {
        text.extend(both_u16(number));
    }
    text.extend(both_u32(PATHS_LENGTH));
    text.extend(PATHS_LITTLE.to_le_bytes());
    text.extend([0; 4]);
    text.extend(PATHS_BIG.to_be_bytes());
    text.extend([0; 4]);
    text.extend(entry(ROOT, 2048, IS_DIRECTORY, &[0]));
    // Who published, prepared, made it, and files that say more: nobody, none.
    text.extend(padded("", 4 * 128 + 3 * 37));
    // Four dates that are not told.
    for _ in 0..4 {
        text.extend([b'0'; 16]);
        text.push(0);
    }
    text.push(1);
    text
}

fn terminator() -> Vec<u8> {
    head(255)
}

fn head(kind: u8) -> Vec<u8> {
    [&[kind], b"CD001".as_slice(), &[1]].concat()
}

fn paths(wide: fn(u32) -> [u8; 4], narrow: fn(u16) -> [u8; 2]) -> Vec<u8> {
    [&[1, 0], wide(ROOT).as_slice(), &narrow(1), &[0, 0]].concat()
}

fn padded(text: &str, length: usize) -> Vec<u8> {
    format!("{text:<length$}").into_bytes()
}

fn both_u32(number: u32) -> Vec<u8> {
    [number.to_le_bytes(), number.to_be_bytes()].concat()
}

fn both_u16(number: u16) -> Vec<u8> {
    [number.to_le_bytes(), number.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn run(program: &str, words: &[&str], file: &std::path::Path) -> Vec<u8> {
        let mut command = Command::new(program);
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
        let output = command.args(words).arg(file).env("PATH", path).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn example() -> tempfile::NamedTempFile {
        let large = vec![b'x'; 5000];
        let volume = iso9660("CIDATA", &[("META-DATA", b"meta\n".to_vec()), ("USER-DATA", large)]).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), volume).unwrap();
        file
    }

    #[test]
    fn blkid_finds_the_label_by_which_cloud_init_looks() {
        let text = String::from_utf8(run("blkid", &["-p", "-o", "export"], example().path())).unwrap();
        assert!(text.contains("\nLABEL=CIDATA\n") && text.contains("\nTYPE=iso9660\n"), "{text}");
        assert!(text.contains("\nBLOCK_SIZE=2048\n"), "{text}");
    }

    #[test]
    fn isoinfo_reads_back_what_is_in_the_files() {
        let read = |words: &[&str]| {
            let output = Command::new("isoinfo").args(words).arg("-i").arg(example().path()).output();
            String::from_utf8(output.expect("apt-get install genisoimage").stdout).unwrap()
        };
        assert_eq!(read(&["-f"]), "/META-DATA.;1\n/USER-DATA.;1\n");
        assert_eq!(read(&["-x", "/META-DATA.;1"]), "meta\n");
        assert_eq!(read(&["-x", "/USER-DATA.;1"]), "x".repeat(5000));
        let described = read(&["-d"]);
        assert!(
            described.contains("Volume id: CIDATA\n") && described.contains("Volume size is: 25\n"),
            "{described}"
        );
    }
}
