//! Single values of the file: how one is refused, and the kinds that have nothing to do with hosts or AWS. Pure; the
//! caller knows where a value stands.

use std::time::Duration;

use jiff::{SpanRelativeTo, fmt::friendly::SpanParser};

use super::{addresses::address, ranges::is_bracketed_ipv6};

/// Why a value is refused, and what to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) what: String,
    pub(super) hint: String,
    /// The value may be a secret that has no place here, and is not to be shown.
    pub(super) may_be_secret: bool,
}

pub(super) fn refuse<T>(what: impl Into<String>, hint: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { what: what.into(), hint: hint.into(), may_be_secret: false })
}

/// The same, for a value that may be a secret.
pub(super) fn refuse_unseen<T>(what: impl Into<String>, hint: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { what: what.into(), hint: hint.into(), may_be_secret: true })
}

/// A duration in jiff's friendly format: "90s", "5m", "1h30m", "2 days".
pub(super) fn duration(text: &str) -> Result<Duration, Refusal> {
    let parsed = SpanParser::new()
        .parse_span(text.trim())
        .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok());
    match parsed {
        Some(duration) if duration.is_zero() => {
            refuse("a limit of no time at all", "write how long, such as \"90s\"")
        }
        Some(duration) => Ok(duration),
        None => {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let hint = if is_number {
                format!("name the unit: \"{text}s\" or \"{text}m\"")
            } else {
                "write a number and a unit, such as \"90s\", \"5m\", \"1h30m\" or \"2d\"".to_owned()
            };
            refuse(format!("{text:?} is no duration"), hint)
        }
    }
}

/// Words for a prompt. Who takes the key for the password's own place may have written one.
pub(super) fn prompt(text: &str) -> Result<(), Refusal> {
    let is_good = (1..=64).contains(&text.chars().count())
        && !text.contains(|letter: char| letter.is_control() || letter == '=');
    if is_good {
        return Ok(());
    }
    refuse_unseen(
        "words that can't be a prompt",
        "say whose password is asked for, such as \"rack 1\": 1 to 64 characters, no `=`; the password itself is asked for at the terminal",
    )
}

/// How often something is tried again.
pub(super) fn retries(number: u32) -> Result<(), Refusal> {
    if number <= 10 {
        return Ok(());
    }
    refuse(
        format!("{number} retries are too many"),
        "10 at most: a host that comes back later is one for the next run",
    )
}

/// An `http(s)://` URL.
pub(super) fn url(text: &str) -> Result<(), Refusal> {
    match plain_url(text) {
        // A password may hold any character, so where it ends is a guess.
        Err(_) if text.contains('@') => refuse_unseen(
            "a URL with a user or a password",
            "credentials don't belong in an inventory; leave them out",
        ),
        Err(_) if text.contains('?') => refuse_unseen(
            "a URL with a query",
            "write scheme, host, port and path only, without `?` and what follows",
        ),
        checked => checked,
    }
}

fn plain_url(text: &str) -> Result<(), Refusal> {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        let hint = match text.split_once("://") {
            Some(("s3", _)) => "write the bucket's https:// URL".to_owned(),
            Some((_, rest)) => format!("write \"https://{rest}\""),
            None => format!("write \"https://{text}\""),
        };
        return refuse(format!("{text:?} is no http(s) URL"), hint);
    };
    if text.contains(['?', '#']) || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return refuse(
            format!("{text:?} has more than a host, a port and a path"),
            "leave out `#` and spaces",
        );
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if address(host).is_err() || (host.contains(':') && !is_bracketed_ipv6(host)) {
        return refuse(
            format!("{text:?} names no host"),
            "write a DNS name or an IP address (IPv6 in brackets)",
        );
    }
    if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return refuse(format!("the port of {text:?} is no port"), "a number from 1 to 65535");
    }
    Ok(())
}

/// A SHA-256 digest, made lower case.
pub(super) fn sha256(text: &str) -> Result<String, Refusal> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    refuse("a SHA-256 digest is 64 hex digits", "`sha256sum FILE` prints it")
}

/// The name of an environment variable.
pub(super) fn variable(text: &str) -> Result<(), Refusal> {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !text.is_empty() && text.bytes().all(is_fine) && !text.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(());
    }
    let hint =
        "write the variable's name (letters, digits, underscores), without `$`; its value stays outside";
    refuse_unseen("this is no name of an environment variable", hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        let seconds = [
            ("90s", 90),
            ("5m", 300),
            ("1h30m", 5400),
            ("2 days", 172_800),
            ("1w", 604_800),
            (" 1h 1s ", 3601),
        ];
        for (text, expected) in seconds {
            assert_eq!(duration(text), Ok(Duration::from_secs(expected)), "{text}");
        }
        for text in
            ["", "5", "-5m", "5m ago", "1mo", "1y", "P1D", "0s", "five", "5 parsecs", "99999999999999999999h"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn urls_have_a_scheme_a_host_a_port_and_a_path() {
        for text in [
            "https://a",
            "http://10.0.2.2:8080/",
            "https://[::1]:8443",
            "https://[fd00::1]/a/b",
            "https://a/b@v1/",
        ] {
            assert_eq!(url(text), Ok(()), "{text}");
        }
        for text in [
            "",
            "a",
            "ftp://a",
            "https://",
            "https:///a",
            "https://a:",
            "https://a:0",
            "https://a:70000",
            "https://u:p@a",
            "https://u:p/w@a",
            "https://a?b",
            "https://a#b",
            "https://a b",
            "https://::1",
            "https://[::1",
            "https://fd00::1:80",
        ] {
            assert!(url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_refused_url_that_may_hold_credentials_is_not_shown() {
        for text in ["https://u:p4ss@a", "https://u:p4/ss@a", "u:p4ss@a", "https://a?X-Amz-Signature=p4ss"] {
            let refusal = url(text).unwrap_err();
            assert!(refusal.may_be_secret && !format!("{refusal:?}").contains("p4"), "{text}: {refusal:?}");
        }
    }
}
