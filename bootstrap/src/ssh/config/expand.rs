//! Filling in: tokens such as `%h`, variables in `${}`, and `~`. Each keyword has its own tokens, so what a token
//! stands for is given as a table.

use std::path::PathBuf;

use super::{error::Fault, local::Local};

/// What tokens stand for, by their letters.
pub(super) type Tokens<'a> = [(char, &'a str)];

/// Fills in tokens alone: `HostName`, `ProxyJump`.
pub(super) fn tokens(text: &str, tokens: &Tokens<'_>) -> Result<String, Fault> {
    fill(text, tokens, None)
}

/// Fills in tokens and variables. What a variable holds is not looked at again.
pub(super) fn all(text: &str, tokens: &Tokens<'_>, local: &Local) -> Result<String, Fault> {
    fill(text, tokens, Some(local))
}

/// A path: first `~`, then the rest.
pub(super) fn path(text: &str, tokens: &Tokens<'_>, local: &Local) -> Result<PathBuf, Fault> {
    // What is put before it must not be taken for a token.
    let Some(below) = below_home(text)? else { return all(text, tokens, local).map(PathBuf::from) };
    let below = all(below, tokens, local)?;
    Ok(home(local)?.join(below.trim_start_matches('/')))
}

/// A path of a keyword that has neither tokens nor variables.
pub(super) fn plain_path(text: &str, local: &Local) -> Result<PathBuf, Fault> {
    match below_home(text)? {
        Some(below) => Ok(home(local)?.join(below)),
        None => Ok(PathBuf::from(text)),
    }
}

/// What follows `~/`; `None` for a path that does not start there.
pub(super) fn below_home(text: &str) -> Result<Option<&str>, Fault> {
    match text.strip_prefix('~') {
        None => Ok(None),
        Some(rest) if rest.is_empty() || rest.starts_with('/') => Ok(Some(rest.trim_start_matches('/'))),
        Some(_) => Err(Fault::new(
            format!("`{text}`: another user's home directory is not looked up"),
            "`~/` is your own; write anybody else's in full",
        )),
    }
}

pub(super) fn home(local: &Local) -> Result<&PathBuf, Fault> {
    let missing = || Fault::new("there is no home directory for `~`", "write the path in full, or set HOME");
    local.home.as_ref().ok_or_else(missing)
}

fn fill(text: &str, tokens: &Tokens<'_>, local: Option<&Local>) -> Result<String, Fault> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['%', '$']) {
        let (before, found) = rest.split_at(at);
        filled.push_str(before);
        if let (Some(variable), Some(local)) = (found.strip_prefix("${"), local) {
            let (name, after) = variable.split_once('}').ok_or_else(|| {
                Fault::new(format!("`{text}` has a `${{` without its `}}`"), "add the brace")
            })?;
            let value = local.variable(name).ok_or_else(|| {
                let hint = format!("export {name}, or take it out of the line");
                Fault::new(format!("the environment variable `{name}` is not set"), hint)
            })?;
            filled.push_str(value);
            rest = after;
        } else if let Some(token) = found.strip_prefix('%') {
            let letter = token.chars().next();
            match letter.and_then(|letter| tokens.iter().find(|(known, _)| *known == letter)) {
                Some((_, value)) => filled.push_str(value),
                None if letter == Some('%') => filled.push('%'),
                None => return Err(unknown(text, letter, tokens)),
            }
            rest = token.get(1..).unwrap_or_default();
        } else {
            filled.push('$');
            rest = found.get(1..).unwrap_or_default();
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

fn unknown(text: &str, letter: Option<char>, tokens: &Tokens<'_>) -> Fault {
    let known: Vec<String> = tokens.iter().map(|(letter, _)| format!("`%{letter}`")).collect();
    Fault::new(
        format!(
            "`{text}` has `%{}`, which stands for nothing here",
            letter.map(String::from).unwrap_or_default()
        ),
        format!("tokens here are {}, and `%%` for a percent sign", known.join(", ")),
    )
}
