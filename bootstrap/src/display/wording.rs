//! How durations, colours and foreign text are written, the same in progress lines, tables and the
//! history. Apart from them because none of the three should depend on another for it.

use std::{borrow::Cow, path::Path, time::Duration};

/// A duration to be read: `8.1 s`, `3 min 05 s`, `2 h 07 min`.
pub(crate) fn elapsed(duration: Duration) -> String {
    // Rounded first, so that 59.97 s is not written as "60.0 s".
    let tenths = (duration.as_millis() + 50) / 100;
    let seconds = tenths / 10;
    match seconds {
        0..60 => format!("{seconds}.{} s", tenths % 10),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// A count with its noun: `1 host`, `2 hosts`.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// A path as one types it at a shell, for commands that are suggested.
pub(crate) fn typed(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+:@%".contains(letter);
    if text.chars().all(is_plain) { text } else { crate::host::quote(&text) }
}

/// That a host is tried again.
pub(crate) fn retry(number: u32, of: u32, after: Duration, why: &str) -> String {
    format!("{why}; retry {number} of {of} in {}", elapsed(after))
}

/// Text on one line and without control characters: what a remote command printed could otherwise
/// move the operator's cursor, colour their screen, or fake a line of ours.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '\n' | '\t' => cleaned.push(' '),
            // A CSI sequence ends with its first letter; left in, "\e[31m" would show as "[31m".
            '\u{1b}' if rest.as_str().starts_with('[') => {
                rest.by_ref().skip(1).find(|end| ('@'..='~').contains(end));
            }
            other if other.is_control() => {}
            other => cleaned.push(other),
        }
    }
    Cow::Owned(cleaned)
}

/// Colours, if they are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    /// Text about something that is as it should be.
    pub(crate) fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// Text about something that went wrong.
    pub(crate) fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    /// Text to take note of.
    pub(crate) fn note(self, text: &str) -> String {
        self.wrap("33", text)
    }

    /// Text that may be overlooked.
    pub(crate) fn faint(self, text: &str) -> String {
        self.wrap("2", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_in_the_units_a_person_would_choose() {
        let said = |millis| elapsed(Duration::from_millis(millis));
        assert_eq!(said(0), "0.0 s");
        assert_eq!(said(8_140), "8.1 s");
        assert_eq!(said(59_949), "59.9 s");
        assert_eq!(said(59_950), "1 min 00 s");
        assert_eq!(said(185_000), "3 min 05 s");
        assert_eq!(said(7_620_000), "2 h 07 min");
    }

    #[test]
    fn control_characters_of_remote_text_never_reach_the_terminal() {
        assert_eq!(clean("plain ünïcode"), "plain ünïcode");
        assert_eq!(clean("a\u{1b}[31mred\u{1b}[0m b"), "ared b");
        assert_eq!(clean("two\nlines\r\u{7}"), "two lines");
        assert_eq!(clean("cut \u{1b}[12"), "cut ");
        assert_eq!(clean("\u{1b}]0;title\u{7}x"), "]0;titlex");
        assert_eq!(clean("c1 \u{9b}2Jx"), "c1 2Jx");
    }

    #[test]
    fn without_colours_no_escape_is_written() {
        assert_eq!(Paint(false).bad("x"), "x");
        assert_eq!(Paint(true).bad("x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
