//! A ready-made image that a recipe names. Apart from the recipe, because where bytes come from and which they must be is
//! checked here once, and not again by whoever downloads them.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

/// A disk that somebody else has made: it holds its own kernel and bootloader, and cloud-init, which reads a seed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudImage {
    /// Where it is.
    pub source: Source,
    /// Which bytes it must have.
    pub sha256: Sha256,
}

/// Where a ready-made image is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Source {
    /// `http://` or `https://`.
    Url(String),
    /// An absolute path.
    Path(PathBuf),
}

impl TryFrom<String> for Source {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let address = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        match address {
            Some(rest) if !rest.is_empty() && text.chars().all(|c| c.is_ascii_graphic()) => {
                Ok(Self::Url(text))
            }
            None if text.starts_with('/') => Ok(Self::Path(text.into())),
            _ => Err(format!("source {text:?} is neither a URL (http, https) nor an absolute path")),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A SHA-256 digest; shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Sha256(pub [u8; 32]);

impl TryFrom<String> for Sha256 {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let refused = || {
            format!(
                "sha256 {text:?} is not 64 hexadecimal digits; whoever publishes the image publishes its digest"
            )
        };
        let digits: Option<Vec<u8>> =
            text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
        let digits = digits.filter(|digits| digits.len() == 64).ok_or_else(refused)?;
        let (pairs, _) = digits.as_chunks::<2>();
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_url_or_an_absolute_path_and_nothing_that_curl_would_take_for_more() {
        let read = |text: &str| Source::try_from(text.to_owned());
        assert!(matches!(read("https://example.org/a.qcow2"), Ok(Source::Url(_))));
        assert!(matches!(read("/srv/a b.raw"), Ok(Source::Path(_))));
        for bad in
            ["file:///etc/passwd", "a.qcow2", "https://", "https://example.org/a b", "-o/etc/passwd", ""]
        {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_digest_is_read_in_either_case_and_shown_in_lower_case() {
        // The digest of nothing, as sha256sum prints it.
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Sha256::try_from(empty.to_uppercase()).unwrap().to_string(), empty);
        for bad in [&empty[1..], "", &format!("{empty}0"), &empty.replace('e', "g")] {
            assert!(Sha256::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
