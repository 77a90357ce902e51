//! The value of `ProxyJump`: a chain of hosts, the first of which is connected to first.

use super::{error::Fault, values};

/// One host of a chain, as it is written; tokens are not filled in yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Jump {
    pub(super) user: Option<String>,
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

/// Reads a chain; `None` for `none`. The text is the rest of the line: commas divide it, not blanks.
pub(super) fn parse(text: &str) -> Result<Option<Vec<Jump>>, Fault> {
    let text = text.trim_start_matches([' ', '\t', '\r', '\n', '=']);
    if text.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    let text = text.split('#').next().unwrap_or_default().trim_end();
    text.split(',').map(Jump::parse).collect::<Result<_, _>>().map(Some)
}

impl Jump {
    fn parse(text: &str) -> Result<Self, Fault> {
        let read = match text.strip_prefix("ssh://") {
            Some(uri) => Self::from_uri(uri),
            None => Self::from_words(text),
        };
        read.ok_or_else(|| {
            Fault::new(
                format!("`{text}` is not a jump host"),
                "write `user@host:port`, IPv6 as `[fd00::1]:22`, several with commas and without blanks; or `none`",
            )
        })
    }

    fn from_words(text: &str) -> Option<Self> {
        let (user, rest) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, text),
        };
        Self::of(user.map(str::to_owned), rest)
    }

    /// `ssh://user@host:port`, with a last slash or none.
    fn from_uri(text: &str) -> Option<Self> {
        let (user, rest) = match text.split_once('@') {
            // What follows a semicolon are parameters that OpenSSH doesn't look at either.
            Some((user, rest)) => (Some(decode(user.split(';').next().unwrap_or_default())?), rest),
            None => (None, text),
        };
        Self::of(user, rest.strip_suffix('/').unwrap_or(rest))
    }

    fn of(user: Option<String>, place: &str) -> Option<Self> {
        let (host, port) = match place.strip_prefix('[') {
            Some(bracketed) => {
                let (host, rest) = bracketed.split_once(']')?;
                match rest.strip_prefix(':') {
                    Some(port) => (host, port),
                    None if rest.is_empty() => (host, ""),
                    None => return None,
                }
            }
            None => place.split_once(':').unwrap_or((place, "")),
        };
        // `a, b` is refused by OpenSSH up to 10.0, and by later versions once they come to it.
        let is_odd = |text: &str| text.is_empty() || text.contains(char::is_whitespace);
        if is_odd(host) || host.contains('/') || user.as_deref().is_some_and(is_odd) {
            return None;
        }
        let port = if port.is_empty() { None } else { Some(values::port(port).ok()?) };
        Some(Self { user, host: host.to_owned(), port })
    }
}

/// Text with `%40` and the like in it.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                bytes.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
            }
            b'+' => bytes.push(b' '),
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}
