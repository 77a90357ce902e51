//! `GetDocument` and `DescribeDocument`, and the description that the other document calls answer as well.

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Call, object};
use crate::endpoint::clock::epoch_seconds;
use crate::endpoint::documents::content::{Content, Kind};
use crate::endpoint::documents::{self, Document, Version, owned, unknown};
use crate::endpoint::error::ApiError;
use crate::endpoint::tags::{self, Tags};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Wanted {
    name: String,
    document_version: Option<String>,
    version_name: Option<String>,
    document_format: Option<String>,
}

/// AWS's own documents are as old as the lab says.
const OWNED_CREATED: i64 = 1_514_764_800;

impl Wanted {
    /// The document and the version that is asked for; whether AWS owns it.
    fn find(&self, call: &Call<'_>) -> Result<(Document, Version, bool), ApiError> {
        let name = documents::name_of(&self.name);
        let own = call.state.estate.documents.get(&name.to_owned()).cloned();
        let (document, is_owned) = match (own, owned::find(name)) {
            (Some(own), _) => (own, false),
            (None, Some(owned)) => (of_aws(owned), true),
            (None, None) => return Err(unknown(name)),
        };
        let version = match &self.version_name {
            Some(name) => document.version_named(name)?,
            None => document.version(self.document_version.as_deref())?,
        };
        let version = version.clone();
        Ok((document, version, is_owned))
    }
}

fn of_aws(owned: &owned::Owned) -> Document {
    let created = jiff::Timestamp::from_second(OWNED_CREATED).unwrap_or_default();
    let only = Version { number: 1, name: None, content: owned.content(), created };
    Document {
        kind: owned.kind,
        versions: vec![only],
        default: 1,
        created,
        author: String::new(),
        tags: Tags::new(),
    }
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Wanted = call.input()?;
    if request.document_format.as_deref().is_some_and(|format| format == "YAML") {
        return Err(ApiError::validation("the lab shows documents in JSON, not in YAML"));
    }
    let (document, version, _) = request.find(call)?;
    Ok(object([
        ("Name", Some(json!(documents::name_of(&request.name)))),
        ("CreatedDate", Some(json!(epoch_seconds(version.created)))),
        ("VersionName", version.name.map(|name| json!(name))),
        ("DocumentVersion", Some(json!(version.number.to_string()))),
        ("Status", Some(json!("Active"))),
        ("Content", Some(json!(version.content))),
        ("DocumentType", Some(json!(document.kind.as_str()))),
        ("DocumentFormat", Some(json!("JSON"))),
    ]))
}

pub(super) fn describe(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Wanted = call.input()?;
    let (document, version, is_owned) = request.find(call)?;
    let owner = if is_owned { "Amazon" } else { &call.endpoint.settings.account };
    Ok(json!({"Document": description(owner, documents::name_of(&request.name), &document, &version)}))
}

/// A version of a document without its content.
pub(super) fn description(owner: &str, name: &str, document: &Document, version: &Version) -> Value {
    let content = Content::parse(document.kind, &version.content).ok();
    let text = |member| content.as_ref().and_then(|content| content.text(member)).map(|text| json!(text));
    let parameters = content.as_ref().and_then(Content::parameters).map(|parameters| {
        parameters.iter().map(|(name, declaration)| parameter(name, declaration)).collect::<Value>()
    });
    object([
        ("Hash", Some(json!(hex::encode(Sha256::digest(&version.content))))),
        ("HashType", Some(json!("Sha256"))),
        ("Name", Some(json!(name))),
        ("VersionName", version.name.as_ref().map(|name| json!(name))),
        ("Owner", Some(json!(owner))),
        ("CreatedDate", Some(json!(epoch_seconds(version.created)))),
        ("Status", Some(json!("Active"))),
        ("DocumentVersion", Some(json!(version.number.to_string()))),
        ("Description", text("description")),
        ("Parameters", parameters),
        ("PlatformTypes", Some(platforms(document.kind))),
        ("DocumentType", Some(json!(document.kind.as_str()))),
        ("SchemaVersion", text("schemaVersion")),
        ("LatestVersion", Some(json!(document.latest().to_string()))),
        ("DefaultVersion", Some(json!(document.default.to_string()))),
        ("DocumentFormat", Some(json!("JSON"))),
        ("Tags", Some(tags::to_json(&document.tags))),
    ])
}

fn platforms(kind: Kind) -> Value {
    match kind {
        Kind::Session => json!(["Windows", "Linux", "MacOS"]),
        Kind::Command => json!(["Linux", "MacOS"]),
    }
}

/// The model shows two types of parameters; the others are told as texts.
fn parameter(name: &str, declaration: &Value) -> Value {
    let kind = if declaration.get("type").is_some_and(|kind| kind == "StringList") {
        "StringList"
    } else {
        "String"
    };
    let default = declaration.get("default").map(|default| match default {
        Value::String(text) => json!(text),
        other => json!(other.to_string()),
    });
    object([
        ("Name", Some(json!(name))),
        ("Type", Some(json!(kind))),
        ("Description", declaration.get("description").filter(|text| text.is_string()).cloned()),
        ("DefaultValue", default),
    ])
}
