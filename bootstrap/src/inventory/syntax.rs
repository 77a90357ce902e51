//! From text to a tree with spans, or to the place where the text stops being TOML.

use toml::{Spanned, de::DeTable};

use super::{problems::Findings, spans::Span};

/// Parts of keys under which somebody may have put a secret, where none belongs.
const SECRETIVE: [&str; 5] = ["pass", "pwd", "secret", "token", "code"];

/// Whether the value of a key may be a secret, which messages must not spread.
pub(super) fn may_be_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    SECRETIVE.iter().any(|part| key.contains(part))
}

/// The file as a tree.
pub(super) fn parse<'t>(text: &'t str, findings: &mut Findings<'_>) -> Option<Spanned<DeTable<'t>>> {
    let (file, mut errors) = DeTable::parse_recoverable(text);
    errors.sort_by_key(|error| error.span().map(|span| span.start));
    for error in &errors {
        let span = error.span().unwrap_or(0..0).into();
        findings.add_without_hint(span, format!("not TOML: {}", error.message()));
        hide_secrets_of_line(text, span, findings);
        if error.message() != "duplicate key" {
            // The parser is out of step from here on: it would call every further line wrong.
            break;
        }
    }
    errors.is_empty().then_some(file)
}

// There is no tree to tell keys from values, so everything after the first suspicious key goes.
fn hide_secrets_of_line(text: &str, at: Span, findings: &mut Findings<'_>) {
    let start = text.get(..at.start).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let line = text.get(start..).and_then(|rest| rest.split('\n').next()).unwrap_or_default();
    for (equals, _) in line.match_indices('=') {
        let before = line.get(..equals).unwrap_or_default().trim_end().trim_end_matches(['"', '\'']);
        let key =
            before.rsplit(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').next().unwrap_or_default();
        if may_be_secret(key) && !key.ends_with("_file") && !key.ends_with("_env") {
            findings.hide(Span { start: start + equals + 1, end: start + line.len() });
            return;
        }
    }
}
