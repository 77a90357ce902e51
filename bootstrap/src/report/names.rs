//! Many hosts in few letters: those that follow each other are one range, written as in an inventory.

/// From so many on, a range is shorter to read than its names.
const RANGE: usize = 3;

/// The names in their order, `rack-[01:20]` for neighbours that count up.
pub(super) fn ranges(names: &[&str]) -> Vec<String> {
    let mut texts = Vec::new();
    let mut rest = names;
    while let Some((first, after)) = rest.split_first() {
        let counted = after.first().and_then(|next| Counted::of(first, next));
        let length = counted.as_ref().map_or(1, |counted| {
            1 + (1..)
                .zip(after)
                .take_while(|(step, name)| counted.name(*step).as_deref() == Some(**name))
                .count()
        });
        let (run, after) = rest.split_at(length);
        match counted {
            Some(counted) if length >= RANGE => texts.push(counted.range(length)),
            _ => texts.extend(run.iter().map(|name| (*name).to_owned())),
        }
        rest = after;
    }
    texts
}

/// A name with a number in it that counts.
struct Counted<'a> {
    before: &'a str,
    number: &'a str,
    after: &'a str,
}

impl<'a> Counted<'a> {
    /// By the number in which the next name differs.
    fn of(name: &'a str, next: &str) -> Option<Self> {
        let same = name.bytes().zip(next.bytes()).take_while(|(one, other)| one == other).count();
        // Hosts have ASCII names.
        let before = name.get(..same)?.trim_end_matches(|letter: char| letter.is_ascii_digit());
        let from_number = name.get(before.len()..)?;
        let after = from_number.trim_start_matches(|letter: char| letter.is_ascii_digit());
        let number = from_number.strip_suffix(after)?;
        Some(Self { before, number, after }).filter(|counted| counted.name(1).as_deref() == Some(next))
    }

    fn number(&self, step: usize) -> Option<String> {
        let number = self.number.parse::<usize>().ok()?.checked_add(step)?;
        Some(format!("{number:0width$}", width = self.number.len()))
    }

    fn name(&self, step: usize) -> Option<String> {
        Some([self.before, &self.number(step)?, self.after].concat())
    }

    fn range(&self, length: usize) -> String {
        let last = self.number(length - 1).unwrap_or_default();
        format!("{}[{}:{last}]{}", self.before, self.number, self.after)
    }
}

/// The texts with commas between them, on lines of at most so many columns where they are not longer themselves, each line
/// indented and ended.
pub(super) fn wrapped(texts: &[String], indent: &str, columns: usize) -> String {
    let mut lines = String::new();
    let mut line = String::new();
    for (number, text) in (1..).zip(texts) {
        let comma = if number < texts.len() { "," } else { "" };
        if !line.is_empty() && indent.len() + line.len() + 1 + text.len() + comma.len() > columns {
            lines.extend([indent, &line, "\n"]);
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend([text, comma]);
    }
    if !line.is_empty() {
        lines.extend([indent, &line, "\n"]);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_count_up_are_one_range() {
        let cases: [(&[&str], &[&str]); 8] = [
            (&["pi-1", "pi-2", "pi-3"], &["pi-[1:3]"]),
            (&["pi-08", "pi-09", "pi-10", "db"], &["pi-[08:10]", "db"]),
            (&["pi-8", "pi-9", "pi-10", "pi-11"], &["pi-[8:11]"]),
            (&["r1-9.eu", "r1-10.eu", "r1-11.eu", "r2-1.eu"], &["r1-[9:11].eu", "r2-1.eu"]),
            (&["pi-1", "pi-2", "pi-4", "pi-5", "pi-6"], &["pi-1", "pi-2", "pi-[4:6]"]),
            (&["a1b", "a2c", "a3b", "a3b"], &["a1b", "a2c", "a3b", "a3b"]),
            (&["09", "10", "11", "011"], &["[09:11]", "011"]),
            (&[], &[]),
        ];
        for (names, expected) in cases {
            assert_eq!(ranges(names), expected);
        }
    }

    #[test]
    fn no_name_is_lost_and_none_is_changed_where_there_is_nothing_to_count() {
        let names = ["x", "xx", "x99999999999999999999", "x99999999999999999998"];
        assert_eq!(ranges(&names), names);
    }

    #[test]
    fn long_lists_are_wrapped_between_names() {
        let names = ["one", "two", "three", "a-rather-long-name", "x"].map(str::to_owned);
        assert_eq!(wrapped(&names, "  ", 14), "  one, two,\n  three,\n  a-rather-long-name,\n  x\n");
        assert_eq!(wrapped(&[], "  ", 14), "");
    }
}
