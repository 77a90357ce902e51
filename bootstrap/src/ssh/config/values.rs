//! Values of single keywords, as OpenSSH reads them.

use std::time::Duration;

use super::error::Fault;

/// What a host key that `known_hosts` doesn't have leads to (`StrictHostKeyChecking`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostKeyChecking {
    /// It is refused.
    Yes,
    /// The user is asked; in OpenSSH the default.
    Ask,
    /// It is recorded, but a changed one is refused.
    AcceptNew,
    /// It is recorded, and a changed one is taken too (`no`, `off`).
    No,
}

/// Which addresses are connected to (`AddressFamily`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressFamily {
    /// Both kinds.
    Any,
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
}

/// `yes` or `no`.
pub(super) fn flag(text: &str) -> Result<bool, Fault> {
    choice(text, &[("yes", true), ("true", true), ("no", false), ("false", false)])
}

/// Whether keys are used: besides yes and no, two words that tell how.
pub(super) fn public_keys(text: &str) -> Result<bool, Fault> {
    let choices = [
        ("yes", true),
        ("no", false),
        ("unbound", true),
        ("host-bound", true),
        ("true", true),
        ("false", false),
    ];
    choice(text, &choices)
}

pub(super) fn host_key_checking(text: &str) -> Result<HostKeyChecking, Fault> {
    use HostKeyChecking::{AcceptNew, Ask, No, Yes};
    let choices = [
        ("yes", Yes),
        ("no", No),
        ("ask", Ask),
        ("accept-new", AcceptNew),
        ("off", No),
        ("true", Yes),
        ("false", No),
    ];
    choice(text, &choices)
}

pub(super) fn address_family(text: &str) -> Result<AddressFamily, Fault> {
    use AddressFamily::{Any, Inet, Inet6};
    choice(text, &[("any", Any), ("inet", Inet), ("inet6", Inet6)])
}

/// Unlike other flags, this one has no `true`.
pub(super) fn compression(text: &str) -> Result<bool, Fault> {
    choice(text, &[("yes", true), ("no", false)])
}

fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, Fault> {
    choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, value)| *value).ok_or_else(
        || {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            Fault::new(
                format!("`{text}` is not a value of this keyword"),
                format!("one of: {}", names.join(", ")),
            )
        },
    )
}

/// 1 to 65,535. Names of services are for `ssh` alone.
pub(super) fn port(text: &str) -> Result<u16, Fault> {
    text.parse()
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| Fault::new(format!("`{text}` is not a port"), "write a number from 1 to 65535"))
}

/// A number from `least`.
pub(super) fn count(text: &str, least: u32) -> Result<u32, Fault> {
    text.parse().ok().filter(|number| *number >= least).ok_or_else(|| {
        Fault::new(format!("`{text}` is not such a number"), format!("write a number from {least}"))
    })
}

/// `90`, `1m30s`, `2H`; `None` for `none`, which is what OpenSSH does without the line.
pub(super) fn duration(text: &str) -> Result<Option<Duration>, Fault> {
    if text == "none" {
        return Ok(None);
    }
    seconds(text).map(|seconds| Some(Duration::from_secs(seconds))).ok_or_else(|| {
        Fault::new(
            format!("`{text}` is not a time"),
            "write seconds, or numbers with units: `90`, `1m30s`, `2h`",
        )
    })
}

fn seconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let (mut total, mut has_seconds) = (0_u64, false);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, unit) = rest.split_at(digits);
        let mut letters = unit.chars();
        let scale = match letters.next().map(|unit| unit.to_ascii_lowercase()) {
            None | Some('s') if has_seconds => return None,
            None | Some('s') => {
                has_seconds = true;
                1
            }
            Some('m') => 60,
            Some('h') => 60 * 60,
            Some('d') => 24 * 60 * 60,
            Some('w') => 7 * 24 * 60 * 60,
            Some(_) => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(scale)?)?;
        rest = letters.as_str();
    }
    // OpenSSH counts in an int.
    (!text.is_empty() && i32::try_from(total).is_ok()).then_some(total)
}
