//! One line of a `known_hosts` file, as sshd(8) describes its format, read
//! as tolerantly as OpenSSH reads it: a line that makes no sense is passed over.

use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use russh::keys::PublicKey;
use sha1::Sha1;

use super::{
    super::{error::Peer, fingerprint::Fingerprint},
    KnownKey,
};
use crate::wildcard::matches;

/// What a line says about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// The key is the host's.
    Host,
    /// The key signs certificates of hosts.
    CertAuthority,
    /// The key must never be accepted.
    Revoked,
}

/// A line that makes sense.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) marker: Marker,
    pub(super) key: PublicKey,
    names: Names,
}

#[derive(Clone, Debug)]
enum Names {
    /// Lower case, with `*` and `?`; a `!` before one excludes.
    Patterns(Vec<String>),
    Hashed {
        salt: Vec<u8>,
        hash: Vec<u8>,
    },
}

impl Entry {
    /// Reads a line; `None` for empty lines, comments and nonsense.
    pub(super) fn parse(line: usize, text: &str) -> Option<Self> {
        let mut fields = text.split_ascii_whitespace().peekable();
        if fields.peek()?.starts_with('#') {
            return None;
        }
        let marker = match *fields.peek()? {
            "@cert-authority" => Marker::CertAuthority,
            "@revoked" => Marker::Revoked,
            other if other.starts_with('@') => return None,
            _ => Marker::Host,
        };
        if marker != Marker::Host {
            fields.next();
        }
        let names = Names::parse(fields.next()?)?;
        let (kind, key) = (fields.next()?, fields.next()?);
        let key = PublicKey::from_openssh(&format!("{kind} {key}")).ok()?;
        Some(Self { line, marker, key, names })
    }

    /// The line that says that a key is a host's.
    pub(super) fn new(line: usize, name: &str, key: PublicKey) -> Self {
        Self { line, marker: Marker::Host, key, names: Names::Patterns(vec![name.to_owned()]) }
    }

    /// What is shown of it.
    pub(super) fn known(&self, file: &Path) -> KnownKey {
        KnownKey { file: file.to_owned(), line: self.line, fingerprint: Fingerprint::of(&self.key) }
    }

    /// Whether it is about a host, named as [`lookup_name`] does.
    pub(super) fn covers(&self, name: &str) -> bool {
        match &self.names {
            Names::Hashed { salt, hash } => Hmac::<Sha1>::new_from_slice(salt)
                .is_ok_and(|mac| mac.chain_update(name.as_bytes()).verify_slice(hash).is_ok()),
            Names::Patterns(patterns) => {
                let mut covered = false;
                for pattern in patterns {
                    match pattern.strip_prefix('!') {
                        Some(excluded) if matches(excluded, name) => return false,
                        Some(_) => {}
                        None => covered |= matches(pattern, name),
                    }
                }
                covered
            }
        }
    }
}

impl Names {
    fn parse(field: &str) -> Option<Self> {
        let Some(hashed) = field.strip_prefix("|1|") else {
            return Some(Self::Patterns(field.split(',').map(str::to_ascii_lowercase).collect()));
        };
        let (salt, hash) = hashed.split_once('|')?;
        Some(Self::Hashed { salt: STANDARD.decode(salt).ok()?, hash: STANDARD.decode(hash).ok()? })
    }
}

/// How a host is called in these files: `host`, or `[host]:port` off the default port; lower case.
pub(super) fn lookup_name(host: &Peer) -> String {
    host.known_as().to_ascii_lowercase()
}

/// All names it is looked up by. A line without a port speaks for every port, as in OpenSSH, where the name with the port
/// finds nothing.
pub(super) fn names(host: &Peer) -> impl Iterator<Item = String> {
    let without_port = (host.port != 22).then(|| host.address.to_ascii_lowercase());
    [lookup_name(host)].into_iter().chain(without_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    fn covers(names: &str, host: &str, port: u16) -> bool {
        Entry::parse(1, &format!("{names} {KEY}"))
            .unwrap()
            .covers(&lookup_name(&Peer { address: host.to_owned(), port }))
    }

    #[test]
    fn patterns_mean_what_sshd_8_says() {
        for (names, host, port, expected) in [
            ("a.example", "A.example", 22, true),
            ("A.Example", "a.example", 22, true),
            ("a.example", "a.example", 2222, false),
            ("[a.example]:2222", "a.example", 2222, true),
            ("[a.example]:2222", "a.example", 22, false),
            ("b,a.example,10.0.0.1", "10.0.0.1", 22, true),
            ("*.example", "a.b.example", 22, true),
            ("*.example", "example", 22, false),
            ("rack?", "rack1", 22, true),
            ("rack?", "rack12", 22, false),
            ("*", "anything", 22, true),
            ("[*]:2222", "anything", 2222, true),
            ("*.example,!bad.example", "good.example", 22, true),
            ("*.example,!bad.example", "bad.example", 22, false),
            ("!bad.example", "good.example", 22, false),
            ("*a*b", "xxaxxaxb", 22, true),
            ("*a*b", "xxaxxaxbc", 22, false),
        ] {
            assert_eq!(covers(names, host, port), expected, "{names} against {host}:{port}");
        }
    }

    #[test]
    fn lines_without_sense_are_passed_over() {
        for text in [
            "",
            "   ",
            "# comment",
            "host",
            "host ssh-ed25519",
            "host ssh-ed25519 !!!",
            "host ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ",
            "@unknown host ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ",
            "|1|no-hash ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ",
            "host 1024 35 123456789",
        ] {
            assert!(Entry::parse(1, text).is_none(), "{text}");
        }
    }

    #[test]
    fn markers_tabs_and_comments_are_understood() {
        let entry = Entry::parse(7, &format!("@revoked\thost\t{KEY} a comment # more")).unwrap();
        assert_eq!((entry.line, entry.marker), (7, Marker::Revoked));
        let entry = Entry::parse(1, &format!("  @cert-authority *.example {KEY}")).unwrap();
        assert_eq!(entry.marker, Marker::CertAuthority);
    }

    proptest::proptest! {
        #[test]
        fn no_line_panics(text in "\\PC*") {
            if let Some(entry) = Entry::parse(1, &text) {
                entry.covers("host");
            }
        }

        #[test]
        fn a_pattern_of_stars_and_the_name_itself_match(name in "[a-z.]{0,12}", cut in 0usize..12) {
            let cut = cut.min(name.len());
            let pattern = format!("{}*{}", &name[..cut], &name[cut..]);
            proptest::prop_assert!(matches(&pattern, &name));
        }
    }
}
