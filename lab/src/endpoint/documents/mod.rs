//! Documents: the account's own, with their versions ([`Document`], a row of the estate), and those AWS owns
//! ([`owned`]). [`content`] says what a document may hold.

pub mod content;
pub mod owned;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::estate::Estate;
use super::tags::Tags;
use content::Kind;

/// The document with the account's preferences for sessions.
pub const PREFERENCES: &str = "SSM-SessionManagerRunShell";

/// A document of the account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Document {
    /// What it is for.
    pub kind: Kind,
    /// Its versions, oldest first; never empty.
    pub versions: Vec<Version>,
    /// The number of the version that is meant when none is named.
    pub default: u64,
    /// When it was made.
    pub created: Timestamp,
    /// The ARN of who made it.
    pub author: String,
    /// Its tags.
    pub tags: Tags,
}

/// One version of a document.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Version {
    /// Its number, from one on.
    pub number: u64,
    /// A name for it.
    pub name: Option<String>,
    /// The content as it was given.
    pub content: String,
    /// When it was made.
    pub created: Timestamp,
}

impl Document {
    /// The newest version's number.
    #[must_use]
    pub fn latest(&self) -> u64 {
        self.versions.iter().map(|version| version.number).max().unwrap_or_default()
    }

    /// The version of this number, of `$LATEST` or of `$DEFAULT`, which is also meant by nothing.
    pub fn version(&self, asked: Option<&str>) -> Result<&Version, ApiError> {
        let number = match asked {
            None | Some("$DEFAULT") => Some(self.default),
            Some("$LATEST") => Some(self.latest()),
            Some(number) => number.parse().ok(),
        };
        self.versions.iter().find(|version| Some(version.number) == number).ok_or_else(|| {
            ApiError::client(
                "InvalidDocumentVersion",
                format!("the document has no version {}", asked.unwrap_or("$DEFAULT")),
            )
        })
    }

    /// The version of this name.
    pub fn version_named(&self, name: &str) -> Result<&Version, ApiError> {
        self.versions.iter().find(|version| version.name.as_deref() == Some(name)).ok_or_else(|| {
            ApiError::client("InvalidDocumentVersion", format!("the document has no version named {name}"))
        })
    }
}

/// The default version's content of a document that the account or AWS has.
#[must_use]
pub fn default_content(estate: &Estate, name: &str) -> Option<(Kind, String)> {
    if let Some(document) = estate.documents.get(&name.to_owned()) {
        return Some((document.kind, document.version(None).ok()?.content.clone()));
    }
    owned::find(name).map(|owned| (owned.kind, owned.content()))
}

/// The name in a name or an ARN.
#[must_use]
pub fn name_of(name_or_arn: &str) -> &str {
    name_or_arn.rsplit_once(":document/").map_or(name_or_arn, |(_, name)| name)
}

/// `InvalidDocument`: there is none of this name.
#[must_use]
pub fn unknown(name: &str) -> ApiError {
    ApiError::client("InvalidDocument", format!("Document with name {name} does not exist."))
}
