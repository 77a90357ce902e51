//! Reading `/etc/os-release`: shell-like assignments, quoted or not, as distributions really write them.

/// What a host says of its distribution. Fields that are missing are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OsRelease {
    /// `ID`, such as `debian`; the specification's default `linux` where it is missing.
    pub id: String,
    /// `ID_LIKE`: relatives, the closest first.
    pub id_like: Vec<String>,
    /// `VERSION_ID`, such as `12`; rolling distributions have none.
    pub version_id: String,
    /// `VARIANT_ID`, such as `coreos`; most have none.
    pub variant_id: String,
    /// `PRETTY_NAME`, for words to users; made of the others where it is missing.
    pub pretty_name: String,
}

impl OsRelease {
    /// Reads the text of an os-release file. Lines that are no assignment are passed over, as shells' readers do.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut release = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let Some((key, value)) = line.split_once('=') else { continue };
            match key.trim_end() {
                "ID" => release.id = unquote(value),
                "ID_LIKE" => {
                    release.id_like = unquote(value).split_whitespace().map(str::to_owned).collect();
                }
                "VERSION_ID" => release.version_id = unquote(value),
                "VARIANT_ID" => release.variant_id = unquote(value),
                "PRETTY_NAME" => release.pretty_name = unquote(value),
                _ => {}
            }
        }
        if release.id.is_empty() {
            "linux".clone_into(&mut release.id);
        }
        if release.pretty_name.is_empty() {
            let name = format!("{} {}", release.id, release.version_id);
            name.trim_end().clone_into(&mut release.pretty_name);
        }
        release
    }
}

/// The value of an assignment: quotes removed, backslash escapes resolved, a comment after it cut off.
fn unquote(value: &str) -> String {
    let value = value.trim();
    let (quote, body) = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => (Some(quote), value.strip_prefix(quote).unwrap_or(value)),
        _ => (None, value),
    };
    let mut plain = String::with_capacity(body.len());
    let mut characters = body.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', None | Some('"')) => plain.extend(characters.next()),
            (end, Some(quote)) if end == quote => break,
            (end, None) if end.is_whitespace() => break,
            _ => plain.push(character),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_escapes_and_comments_are_understood() {
        let release = OsRelease::parse(
            "# a comment\n\nID='debian' # a remark\n  VERSION_ID = 12 \nPRETTY_NAME=\"A \\\"B\\\" \\$C\\\\\"\nnonsense\n\
             ID_LIKE=\"one\ttwo  three\"\r\nVARIANT_ID=iot\n",
        );
        assert_eq!(release.id, "debian");
        assert_eq!(release.version_id, "12");
        assert_eq!(release.pretty_name, "A \"B\" $C\\");
        assert_eq!(release.id_like, ["one", "two", "three"]);
        assert_eq!(release.variant_id, "iot");
    }

    #[test]
    fn the_last_assignment_wins_as_in_a_shell() {
        assert_eq!(OsRelease::parse("ID=a\nID=b").id, "b");
    }

    #[test]
    fn names_that_merely_contain_a_key_are_not_mistaken_for_it() {
        let release = OsRelease::parse("BUILD_ID=7\nCENTOS_ID_LIKE=x\n#ID=no\nID=arch");
        assert_eq!((release.id.as_str(), release.id_like.len()), ("arch", 0));
    }

    #[test]
    fn an_empty_file_is_an_unnamed_linux() {
        let release = OsRelease::parse("");
        assert_eq!((release.id.as_str(), release.pretty_name.as_str()), ("linux", "linux"));
        assert_eq!(OsRelease::parse("ID=x\nVERSION_ID=\"3\"").pretty_name, "x 3");
    }

    #[test]
    fn broken_quotes_end_with_the_line() {
        assert_eq!(OsRelease::parse("ID=\"deb\nVERSION_ID='").id, "deb");
        assert_eq!(OsRelease::parse("ID=deb\\").id, "deb");
    }
}
