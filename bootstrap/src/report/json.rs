//! The report as a document of its own: JSON, schema 1, written for programs and read back by `bootstrap report`. Every
//! host is in it and every field always there. Field names are a promise (docs/report.md), so they are written here
//! and not taken from the types that the program works with.

mod document;
#[cfg(test)]
mod tests;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::document::{Document, Entry, ReadHost};
use super::FleetReport;

/// Grows when a field is renamed, removed or means something else; not when one is added.
const SCHEMA: u32 = 1;

/// Why a file is no report that can be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file cannot be read.
    #[error("report {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error("{} is no report of a run", path.display())]
    NoReport {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// Another version of this program wrote it.
    #[error("report {} has schema {found}, this program reads schema {SCHEMA}", path.display())]
    OtherSchema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
    },
}

impl ReadError {
    /// What to do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "name a report.json that you may read",
            Self::NoReport { .. } => {
                "name what `bootstrap --output json` printed or `--report DIR` wrote as report.json, unchanged"
            }
            Self::OtherSchema { .. } => "read it with the version of bootstrap that wrote it, or a newer one",
        }
    }
}

/// The report as indented JSON, with a line break at its end.
#[must_use]
pub fn render(report: &FleetReport) -> String {
    pretty(&Document::of(report))
}

/// Reads a report that [`render`] wrote.
pub fn read(path: &Path) -> Result<FleetReport, ReadError> {
    let path = path.to_owned();
    match fs::read(&path) {
        Ok(text) => parse(&text, path),
        Err(source) => Err(ReadError::Unreadable { path, source }),
    }
}

/// The JSON schema (draft 2020-12) of a report.
#[must_use]
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    settings.into_generator().into_root_schema_for::<Document<Entry>>().to_value()
}

/// `path` is where the text is from.
fn parse(text: &[u8], path: PathBuf) -> Result<FleetReport, ReadError> {
    // Asked first: of another schema's fields nothing can be said.
    #[derive(Deserialize)]
    struct Head {
        schema: u32,
    }
    match serde_json::from_slice::<Head>(text) {
        Ok(Head { schema: SCHEMA }) => {}
        Ok(Head { schema: found }) => return Err(ReadError::OtherSchema { path, found }),
        Err(source) => return Err(ReadError::NoReport { path, source }),
    }
    let read = serde_json::from_slice::<Document<ReadHost>>(text);
    read.map(Document::into_report).map_err(|source| ReadError::NoReport { path, source })
}

/// Any document of ours as text.
pub(crate) fn pretty(document: &impl Serialize) -> String {
    // Fails only for maps with keys that are not text, and for types that refuse; ours have neither.
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}

/// Seconds to the millisecond; more digits would only look exact.
pub(crate) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
