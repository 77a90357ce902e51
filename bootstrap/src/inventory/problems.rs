//! What is wrong with an inventory, and how it is shown. Checks only name a span, what is wrong and a remedy; lines,
//! columns, excerpts and the hiding of secrets are worked out here, once, at the end.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
};

use serde::{Serialize, Serializer};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{spans::Span, terms::Refusal};

/// Everything that is wrong with an inventory, in the order of the file.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Problems(Vec<Problem>);

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The inventory.
    #[serde(serialize_with = "lossily")]
    pub file: PathBuf,
    /// Where in the file; `None` for what concerns the whole of it.
    pub place: Option<Place>,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A place in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The offending text.
    pub text: String,
    /// The whole line. A value in it that may be a secret is masked, here and in `text`.
    pub source: String,
}

// A path need not be UTF-8, which serde would refuse.
fn lossily<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

impl Problems {
    pub(super) fn of_file(file: &Path, what: String, hint: &str) -> Self {
        Self(vec![Problem { file: file.to_owned(), place: None, what, hint: Some(hint.to_owned()) }])
    }

    /// The problems; never empty.
    #[must_use]
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            None => write!(f, "{}: error: {}", self.file.display(), self.what)?,
            Some(place) => {
                let Place { line, column, .. } = place;
                write!(f, "{}:{line}:{column}: error: {}\n{place}", self.file.display(), self.what)?;
            }
        }
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Place {
    /// The line, and carets under the offending text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, text): (String, String) = (
            self.source.chars().take(self.column - 1).collect(),
            self.text.lines().next().unwrap_or_default().into(),
        );
        let number = self.line.to_string();
        let gutter = number.len().max(4);
        writeln!(f, "  {number:>gutter$} | {}", printable(&self.source))?;
        let (indent, carets) = (printable(&before).width(), printable(&text).width().max(1));
        write!(f, "  {:gutter$} | {:indent$}{}", "", "", "^".repeat(carets))
    }
}

// A control character would move the cursor, and the carets with it; a tab would stretch.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.width().is_none() { ' ' } else { c }).collect()
}

/// The problems found so far.
#[derive(Debug)]
pub(super) struct Findings<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
    found: BTreeSet<Finding>,
    secrets: Vec<Span>,
    doubtful: BTreeSet<String>,
}

// The order is that of the file; a set, because one entry of the file may be the cause on a thousand hosts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    span: Option<Span>,
    what: String,
    hint: Option<String>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let line_starts =
            std::iter::once(0).chain(text.match_indices('\n').map(|(newline, _)| newline + 1)).collect();
        Self { text, line_starts, found: BTreeSet::new(), secrets: Vec::new(), doubtful: BTreeSet::new() }
    }

    pub(super) fn add(&mut self, span: Span, what: impl Into<String>, hint: impl Into<String>) {
        self.found.insert(Finding { span: Some(span), what: what.into(), hint: Some(hint.into()) });
    }

    pub(super) fn add_without_hint(&mut self, span: Span, what: impl Into<String>) {
        self.found.insert(Finding { span: Some(span), what: what.into(), hint: None });
    }

    pub(super) fn add_for_file(&mut self, what: impl Into<String>, hint: impl Into<String>) {
        self.found.insert(Finding { span: None, what: what.into(), hint: Some(hint.into()) });
    }

    /// The value that a check lets through; else its refusal is noted.
    pub(super) fn accept<T>(&mut self, span: Span, checked: Result<T, Refusal>) -> Option<T> {
        let refused = |Refusal { what, hint, may_be_secret }| {
            self.add(span, what, hint);
            if may_be_secret {
                self.hide(span);
            }
        };
        checked.map_err(refused).ok()
    }

    /// Never show this value.
    pub(super) fn hide(&mut self, span: Span) {
        self.secrets.push(span);
    }

    /// A key was there, but not usable: its absence later on is no problem of its own.
    pub(super) fn doubt(&mut self, key: &str) {
        self.doubtful.insert(key.to_owned());
    }

    pub(super) fn is_doubtful(&self, key: &str) -> bool {
        self.doubtful.contains(key)
    }

    /// The line of a span, from 1.
    pub(super) fn line(&self, span: Span) -> usize {
        self.line_starts.partition_point(|start| *start <= span.start)
    }

    fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// `None` if nothing was found.
    pub(super) fn into_problems(self, file: &Path) -> Option<Problems> {
        if self.is_empty() {
            return None;
        }
        let shown = self.masked();
        let problems = self.found.iter().map(|finding| Problem {
            file: file.to_owned(),
            place: finding.span.map(|span| self.place(&shown, span)),
            what: finding.what.clone(),
            hint: finding.hint.clone(),
        });
        Some(Problems(problems.collect()))
    }

    // Each byte of a secret becomes an asterisk: spans stay true.
    fn masked(&self) -> String {
        let mut shown = self.text.to_owned();
        for Span { start, end } in self.secrets.iter().copied() {
            let Some(secret) = self.text.get(start..end) else { continue };
            let mask = |c: char| if c == '\n' { "\n".to_owned() } else { "*".repeat(c.len_utf8()) };
            shown.replace_range(start..end, &secret.chars().map(mask).collect::<String>());
        }
        shown
    }

    fn place(&self, shown: &str, span: Span) -> Place {
        let line = self.line(span);
        let line_start =
            line.checked_sub(1).and_then(|index| self.line_starts.get(index)).copied().unwrap_or(0);
        let rest = shown.get(line_start..).unwrap_or_default();
        let source = rest.split('\n').next().unwrap_or_default().trim_end_matches('\r');
        let before = shown.get(line_start..span.start).unwrap_or_default();
        Place {
            line,
            column: before.chars().count() + 1,
            text: shown.get(span.start..span.end).unwrap_or_default().to_owned(),
            source: source.to_owned(),
        }
    }
}

/// "did you mean `port`?", if one of the candidates is close.
pub(crate) fn did_you_mean<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let length = text.chars().count();
    let limit = if length < 3 { 0 } else { (length / 3).max(1) };
    candidates
        .into_iter()
        .map(|candidate| {
            (strsim::damerau_levenshtein(&text.to_lowercase(), &candidate.to_lowercase()), candidate)
        })
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}
