//! One line of a configuration file, cut into keyword and arguments as OpenSSH's own reader cuts it.

use super::error::Fault;

const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];

/// A line that says something.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// As it is spelled.
    pub(super) keyword: String,
    /// All that follows it, for keywords that take it as it is.
    pub(super) rest: String,
    /// The same as words, without quotes and comment.
    pub(super) arguments: Vec<String>,
}

impl Line {
    /// Cuts a line; `None` for an empty one and for a comment.
    pub(super) fn cut(text: &str) -> Result<Option<Self>, Fault> {
        let text = text.trim_start_matches(BLANK).trim_end_matches([' ', '\t', '\r', '\n', '\x0c']);
        if text.is_empty() || text.starts_with('#') {
            return Ok(None);
        }
        let (keyword, rest) = keyword(text)?;
        if rest.is_empty() {
            return Err(Fault::new(
                format!("`{keyword}` has no value"),
                "add its value, or take the line out",
            ));
        }
        Ok(Some(Self { keyword: keyword.to_owned(), rest: rest.to_owned(), arguments: words(rest)? }))
    }
}

/// The keyword and what follows it: after blanks, or one `=` with or without blanks around it.
fn keyword(text: &str) -> Result<(&str, &str), Fault> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (keyword, rest) = quoted.split_once('"').ok_or_else(unclosed)?;
        return Ok((keyword, rest.trim_start_matches(BLANK)));
    }
    let end = text.find([' ', '\t', '\r', '\n', '=']).unwrap_or(text.len());
    let (keyword, rest) = text.split_at(end);
    let rest = rest.trim_start_matches(BLANK);
    Ok((keyword, rest.strip_prefix('=').unwrap_or(rest).trim_start_matches(BLANK)))
}

/// Words between blanks. Quotes of both kinds join words, a backslash takes the meaning from quotes, from itself and,
/// outside of quotes, from a space; a `#` where a word could begin ends the line.
fn words(text: &str) -> Result<Vec<String>, Fault> {
    let mut words = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(&first) = rest.peek() {
        match first {
            ' ' | '\t' => {
                rest.next();
            }
            '#' => break,
            _ => words.push(word(&mut rest)?),
        }
    }
    Ok(words)
}

fn word(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String, Fault> {
    let (mut word, mut quote) = (String::new(), None);
    while let Some(&next) = rest.peek() {
        if quote.is_none() && matches!(next, ' ' | '\t') {
            break;
        }
        rest.next();
        match (next, quote) {
            ('\\', _) => match rest.peek() {
                Some(&escaped) if is_escapable(escaped, quote.is_some()) => {
                    word.push(escaped);
                    rest.next();
                }
                _ => word.push('\\'),
            },
            ('"' | '\'', None) => quote = Some(next),
            (_, Some(open)) if open == next => quote = None,
            _ => word.push(next),
        }
    }
    if quote.is_some() { Err(unclosed()) } else { Ok(word) }
}

fn is_escapable(character: char, is_quoted: bool) -> bool {
    matches!(character, '\'' | '"' | '\\') || (character == ' ' && !is_quoted)
}

fn unclosed() -> Fault {
    Fault::new("a quote is not closed", "add the missing quote, or put a backslash before one that is meant")
}
