//! Ranges in names and addresses: `rack[1:2]-[01:20]` is forty names.
//!
//! A range is digits, a colon and digits in brackets. No IPv6 address looks like that (`[1:2]` is none), so
//! `[fe80::1]` and `fd00::[10:20]` are both what they seem to be.

use std::net::Ipv6Addr;

/// The most hosts of an inventory; past that a run is split over several controllers anyway.
pub(super) const MOST_HOSTS: usize = 65_536;

/// Why a text cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RangeError {
    #[error("`{0}` is no range")]
    Malformed(String),
    #[error("range `[{0}:{1}]` runs backwards")]
    Reversed(String, String),
    #[error("the ends of range `[{0}:{1}]` are padded differently")]
    Padding(String, String),
    #[error("these are more than {MOST_HOSTS} hosts")]
    TooMany,
}

impl RangeError {
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Malformed(_) => "a range is two numbers: [01:20]".to_owned(),
            Self::Reversed(first, last) => format!("write `[{last}:{first}]`"),
            Self::Padding(first, last) => {
                let width = first.len().max(last.len());
                format!("write both with the same number of digits: `[{first:0>width$}:{last:0>width$}]`")
            }
            Self::TooMany => "is a digit too many? Else split the inventory".to_owned(),
        }
    }
}

#[derive(Debug)]
enum Part<'t> {
    Text(&'t str),
    Range { first: u32, last: u32, width: usize },
}

/// Every text that a pattern stands for; the last range varies fastest.
pub(crate) fn expand(pattern: &str) -> Result<Vec<String>, RangeError> {
    let parts = parse(pattern)?;
    let count = parts.iter().try_fold(1_usize, |count, part| match part {
        Part::Text(_) => Some(count),
        Part::Range { first, last, .. } => {
            count.checked_mul(usize::try_from(last - first).ok()?.checked_add(1)?)
        }
    });
    if count.is_none_or(|count| count > MOST_HOSTS) {
        return Err(RangeError::TooMany);
    }
    let mut texts = vec![String::new()];
    for part in parts {
        texts = match part {
            Part::Text(text) => texts.into_iter().map(|before| before + text).collect(),
            Part::Range { first, last, width } => texts
                .iter()
                .flat_map(|before| (first..=last).map(move |number| format!("{before}{number:0width$}")))
                .collect(),
        };
    }
    Ok(texts)
}

fn parse(pattern: &str) -> Result<Vec<Part<'_>>, RangeError> {
    if is_bracketed_ipv6(pattern) {
        return Ok(vec![Part::Text(pattern)]);
    }
    let malformed = |text: &str| RangeError::Malformed(text.to_owned());
    let mut parts = Vec::new();
    let mut rest = pattern;
    while let Some((text, from_bracket)) = rest.split_once('[') {
        let Some((range, after)) = from_bracket.split_once(']') else {
            return Err(malformed(&format!("[{from_bracket}")));
        };
        if text.contains(']') {
            return Err(malformed(text));
        }
        parts.push(Part::Text(text));
        parts.push(parse_range(range)?);
        rest = after;
    }
    if rest.contains(']') {
        return Err(malformed(rest));
    }
    parts.push(Part::Text(rest));
    Ok(parts)
}

fn parse_range(range: &str) -> Result<Part<'static>, RangeError> {
    let malformed = || RangeError::Malformed(format!("[{range}]"));
    let number = |text: &str| {
        // `parse` would take a sign.
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { text.parse::<u32>().map_err(|_| RangeError::TooMany) } else { Err(malformed()) }
    };
    let (first_text, last_text) = range.split_once(':').ok_or_else(malformed)?;
    let (first, last) = (number(first_text)?, number(last_text)?);
    let is_padded = |text: &str| text.len() > 1 && text.starts_with('0');
    if (is_padded(first_text) && last_text.len() < first_text.len())
        || (is_padded(last_text) && last_text.len() != first_text.len())
    {
        return Err(RangeError::Padding(first_text.to_owned(), last_text.to_owned()));
    }
    if first > last {
        return Err(RangeError::Reversed(first_text.to_owned(), last_text.to_owned()));
    }
    let width = if is_padded(first_text) { first_text.len() } else { 0 };
    Ok(Part::Range { first, last, width })
}

/// The address within `[fe80::1]`.
pub(super) fn is_bracketed_ipv6(text: &str) -> bool {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    inner.is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_brackets_stands_for_itself() {
        assert_eq!(expand("pi.lab").unwrap(), ["pi.lab"]);
        assert_eq!(expand("fe80::1").unwrap(), ["fe80::1"]);
    }

    #[test]
    fn zero_padding_is_kept_and_unpadded_numbers_grow() {
        assert_eq!(expand("r[08:11]").unwrap(), ["r08", "r09", "r10", "r11"]);
        assert_eq!(expand("r[9:11]").unwrap(), ["r9", "r10", "r11"]);
        assert_eq!(expand("r[0:1]").unwrap(), ["r0", "r1"]);
        assert_eq!(expand("r[099:101]").unwrap(), ["r099", "r100", "r101"]);
        assert_eq!(expand("r[5:5]").unwrap(), ["r5"]);
    }

    #[test]
    fn several_ranges_are_a_product_with_the_last_varying_fastest() {
        assert_eq!(expand("r[1:2]-[3:4].x").unwrap(), ["r1-3.x", "r1-4.x", "r2-3.x", "r2-4.x"]);
    }

    #[test]
    fn brackets_of_ipv6_addresses_are_no_ranges() {
        assert_eq!(expand("[fe80::1]").unwrap(), ["[fe80::1]"]);
        assert_eq!(expand("[1:2:3:4:5:6:7:8]").unwrap(), ["[1:2:3:4:5:6:7:8]"]);
        assert_eq!(expand("fd00::[10:11]").unwrap(), ["fd00::10", "fd00::11"]);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "[", "]", "[]", "[1]", "[1-3]", "[:3]", "[1:]", "[+1:3]", "[a:f]", "a]b[1:2]", "[1:2", "[[1:2]]",
            "[1:2:3]",
        ] {
            assert!(matches!(expand(text), Err(RangeError::Malformed(_))), "{text}: {:?}", expand(text));
        }
        assert_eq!(expand("r[3:1]"), Err(RangeError::Reversed("3".into(), "1".into())));
        assert_eq!(expand("r[001:20]"), Err(RangeError::Padding("001".into(), "20".into())));
        assert_eq!(expand("r[1:020]"), Err(RangeError::Padding("1".into(), "020".into())));
    }

    #[test]
    fn an_expansion_is_counted_before_it_is_made() {
        assert_eq!(expand("[0:65535]").unwrap().len(), 65_536);
        for text in [
            "[0:65536]",
            "[0:4294967295]",
            "[0:99999999999999999999]",
            "[0:999999][0:999999][0:999999][0:9999999]",
        ] {
            assert_eq!(expand(text), Err(RangeError::TooMany), "{text}");
        }
    }
}
