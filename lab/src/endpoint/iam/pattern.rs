//! Texts of policies that stand for many: `*`, `?` and policy variables such as `${aws:username}`. A pattern is read
//! once, filled in per request, and matched in time bounded by the product of both lengths, whatever it looks like.

use thiserror::Error;

use super::context::Context;

/// A text that is no pattern.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BadPattern {
    /// `${` and no `}`.
    #[error("the policy variable in `{0}` is not closed; write it as ${{aws:username}}")]
    Unclosed(String),
    /// `${…}` holds no condition key.
    #[error(
        "`${{{0}}}` is not a policy variable; write a condition key (${{aws:username}}), one with a default \
         (${{aws:username, 'nobody'}}), or ${{*}}, ${{?}} or ${{$}} for the character"
    )]
    NotAVariable(String),
}

/// Whether `${…}` is a variable: in policies of version 2012-10-17 it is, in older ones it is plain text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variables {
    /// `${…}` is filled in from the request.
    Filled,
    /// `${…}` is text.
    Literal,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Char(char),
    AnyOne,
    AnyMany,
    Variable { key: String, default: Option<String> },
}

/// A text with wildcards and variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Piece>);

impl Pattern {
    /// Reads a pattern.
    pub fn parse(text: &str, variables: Variables) -> Result<Self, BadPattern> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let after = rest.strip_prefix(next).unwrap_or_default();
            match (next, after.strip_prefix('{')) {
                ('$', Some(inside)) if variables == Variables::Filled => {
                    let (name, behind) =
                        inside.split_once('}').ok_or_else(|| BadPattern::Unclosed(text.to_owned()))?;
                    pieces.push(variable(name)?);
                    rest = behind;
                    continue;
                }
                ('*', _) => pieces.push(Piece::AnyMany),
                ('?', _) => pieces.push(Piece::AnyOne),
                _ => pieces.push(Piece::Char(next)),
            }
            rest = after;
        }
        Ok(Self(pieces))
    }

    /// A lone `*`.
    #[must_use]
    pub fn everything() -> Self {
        Self(vec![Piece::AnyMany])
    }

    /// Whether the pattern is a lone `*`.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.0 == [Piece::AnyMany]
    }

    /// Whether anything in it is more than plain text.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.0.iter().all(|piece| matches!(piece, Piece::Char(_)))
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether its last character is the wildcard `*`.
    #[must_use]
    pub fn ends_open(&self) -> bool {
        self.0.last() == Some(&Piece::AnyMany)
    }

    /// Cuts at the first `limit - 1` plain `separator`s; those within variables do not count.
    #[must_use]
    pub fn split(&self, separator: char, limit: usize) -> Vec<Self> {
        self.0
            .splitn(limit, |piece| *piece == Piece::Char(separator))
            .map(|part| Self(part.to_vec()))
            .collect()
    }

    /// The pattern with its variables filled in; nothing if the request has no single value for one of them.
    #[must_use]
    pub fn fill(&self, context: &Context) -> Option<Glob> {
        let mut glyphs = Vec::with_capacity(self.0.len());
        for piece in &self.0 {
            match piece {
                Piece::Char(char) => glyphs.push(Glyph::Char(*char)),
                Piece::AnyOne => glyphs.push(Glyph::AnyOne),
                Piece::AnyMany => glyphs.push(Glyph::AnyMany),
                Piece::Variable { key, default } => {
                    let value = context.single(key).or(default.as_deref())?;
                    glyphs.extend(value.chars().map(Glyph::Char));
                }
            }
        }
        Some(Glob(glyphs))
    }
}

fn variable(inside: &str) -> Result<Piece, BadPattern> {
    if let "*" | "?" | "$" = inside {
        return Ok(Piece::Char(inside.chars().next().unwrap_or_default()));
    }
    let bad = || BadPattern::NotAVariable(inside.to_owned());
    let (key, default) = match inside.split_once(',') {
        None => (inside, None),
        Some((key, quoted)) => {
            let default = quoted.trim().strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
            (key, Some(default.ok_or_else(bad)?.to_owned()))
        }
    };
    let key = key.trim();
    let named = key.split_once(':').is_some_and(|(service, name)| !service.is_empty() && !name.is_empty());
    if !named || key.contains(['$', '{', '\'']) {
        return Err(bad());
    }
    Ok(Piece::Variable { key: key.to_owned(), default })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Glyph {
    Char(char),
    AnyOne,
    AnyMany,
}

/// A pattern whose variables are filled in; wildcards in their values are plain characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Vec<Glyph>);

impl Glob {
    /// Whether `text` is one of those meant. Case counts.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.matches_by(text, |one, other| one == other)
    }

    /// As [`Glob::matches`], without regard to the case of ASCII letters.
    #[must_use]
    pub fn matches_in_any_case(&self, text: &str) -> bool {
        self.matches_by(text, |one, other| one.eq_ignore_ascii_case(&other))
    }

    /// The characters of the pattern, wildcards taken as such.
    #[must_use]
    pub fn as_plain(&self) -> String {
        self.0
            .iter()
            .map(|glyph| match glyph {
                Glyph::Char(char) => *char,
                Glyph::AnyOne => '?',
                Glyph::AnyMany => '*',
            })
            .collect()
    }

    /// On a mismatch only the last `*` is widened: whatever an earlier one could swallow, the last one can as well.
    fn matches_by(&self, text: &str, same: impl Fn(char, char) -> bool) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut at, mut in_text) = (0, 0);
        let mut last_star: Option<(usize, usize)> = None;
        while let Some(&char) = text.get(in_text) {
            match self.0.get(at) {
                Some(Glyph::AnyMany) => {
                    last_star = Some((at, in_text));
                    at += 1;
                    continue;
                }
                Some(Glyph::AnyOne) => {}
                Some(Glyph::Char(wanted)) if same(*wanted, char) => {}
                _ => {
                    let Some((star, swallowed_to)) = last_star else { return false };
                    last_star = Some((star, swallowed_to + 1));
                    at = star + 1;
                    in_text = swallowed_to + 1;
                    continue;
                }
            }
            at += 1;
            in_text += 1;
        }
        self.0.iter().skip(at).all(|glyph| *glyph == Glyph::AnyMany)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::context::Context;
    use super::{BadPattern, Pattern, Variables};

    fn matches(pattern: &str, text: &str) -> bool {
        let context =
            Context::new().with("aws:username", "al*ce").with("aws:TagKeys", "a").with("aws:TagKeys", "b");
        let pattern = Pattern::parse(pattern, Variables::Filled).unwrap();
        pattern.fill(&context).is_some_and(|glob| glob.matches(text))
    }

    /// The definition, word by word; exponential, so only for short texts.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), None) => naive(rest, text),
            (Some(('*', rest)), Some((_, behind))) => naive(rest, text) || naive(pattern, behind),
            (Some(('?', rest)), Some((_, behind))) => naive(rest, behind),
            (Some((one, rest)), Some((other, behind))) => one == other && naive(rest, behind),
            _ => false,
        }
    }

    #[test]
    fn variables_are_filled_in_and_their_wildcards_are_plain() {
        assert!(matches("session/${aws:username}-*", "session/al*ce-0a1b"));
        assert!(matches("session/${AWS:UserName}-*", "session/al*ce-0a1b"), "keys have no case");
        assert!(!matches("session/${aws:username}-*", "session/alice-0a1b"));
        assert!(matches("${*}${?}${$}{a}", "*?${a}"));
        assert!(!matches("${*}", "x"));
        assert!(matches("${aws:PrincipalTag/team, 'company-wide'}", "company-wide"), "the default is taken");
        assert!(matches("$x$", "$x$"));
    }

    #[test]
    fn a_variable_without_a_single_value_matches_nothing() {
        assert!(!matches("*${aws:PrincipalTag/team}*", ""));
        assert!(!matches("*${aws:TagKeys}*", "a"));
    }

    #[test]
    fn in_an_old_policy_a_variable_is_text() {
        let pattern = Pattern::parse("${aws:username}", Variables::Literal).unwrap();
        let context = Context::new().with("aws:username", "alice");
        assert!(pattern.fill(&context).unwrap().matches("${aws:username}"));
    }

    #[test]
    fn a_broken_variable_is_told() {
        let error = |text: &str| Pattern::parse(text, Variables::Filled).unwrap_err();
        assert_eq!(error("a${aws:username"), BadPattern::Unclosed("a${aws:username".to_owned()));
        for bad in ["", "username", "aws:", "aws:x, y", ":x", "${x:y"] {
            assert_eq!(error(&format!("${{{bad}}}")), BadPattern::NotAVariable(bad.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn the_matcher_agrees_with_the_definition(pattern in "[ab*?:]{0,9}", text in "[ab:]{0,9}") {
            let (pattern_chars, text_chars): (Vec<char>, Vec<char>) =
                (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(matches(&pattern, &text), naive(&pattern_chars, &text_chars));
        }

        #[test]
        fn nothing_makes_it_panic(pattern in any::<String>(), text in any::<String>()) {
            let context = Context::new().with("a:b", text.clone());
            for variables in [Variables::Filled, Variables::Literal] {
                if let Some(glob) = Pattern::parse(&pattern, variables).ok().and_then(|pattern| pattern.fill(&context)) {
                    let _ = (glob.matches(&text), glob.matches_in_any_case(&text));
                }
            }
        }

        #[test]
        fn a_text_matches_itself_whatever_is_in_it(text in any::<String>()) {
            let context = Context::new().with("aws:username", text.clone());
            let pattern = Pattern::parse("${aws:username}", Variables::Filled).unwrap();
            prop_assert!(pattern.fill(&context).unwrap().matches(&text));
        }
    }

    #[test]
    fn many_stars_end() {
        assert!(!matches(&"a*".repeat(500), &"a".repeat(5_000).replace('a', "ab").replace("ba", "bb")));
    }
}
