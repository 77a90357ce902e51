//! `CreateDocument`, `UpdateDocument`, `UpdateDocumentDefaultVersion`, `DeleteDocument`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::document_views::description;
use super::{Call, object};
use crate::endpoint::authorize::Resource;
use crate::endpoint::documents::content::{Content, Kind};
use crate::endpoint::documents::{self, Document, Version, owned, unknown};
use crate::endpoint::error::ApiError;
use crate::endpoint::iam::arn;
use crate::endpoint::tags::{self, Tag};

/// AWS's quota of documents in an account and Region.
const MOST_DOCUMENTS: usize = 500;
/// AWS's quota of versions of a document.
const MOST_VERSIONS: usize = 1000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    name: String,
}

/// The document that a call names, by its name or its ARN.
pub(super) fn named(call: &Call<'_>) -> Vec<Resource> {
    call.input().map_or_else(|_| vec![Resource::any()], |request: Named| vec![resource(call, &request.name)])
}

/// A document as IAM sees it.
pub(super) fn resource(call: &Call<'_>, name_or_arn: &str) -> Resource {
    let (settings, name) = (&call.endpoint.settings, documents::name_of(name_or_arn));
    let arn = arn::document(&settings.region, &settings.account, name);
    let document = call.state.estate.documents.get(&name.to_owned());
    let tags = document.map(|document| document.tags.clone()).unwrap_or_default();
    Resource { tags, ..Resource::named(arn) }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Written {
    name: String,
    content: String,
    version_name: Option<String>,
    document_type: Option<String>,
    document_format: Option<String>,
    document_version: Option<String>,
    #[serde(default)]
    attachments: Vec<Value>,
    #[serde(default)]
    requires: Vec<Value>,
    #[serde(default)]
    tags: Vec<Tag>,
}

impl Written {
    /// What the lab would have to ignore, it refuses.
    fn check(&self) -> Result<(), ApiError> {
        if self.document_format.as_deref().is_some_and(|format| format != "JSON") {
            return Err(ApiError::validation("the lab reads documents in JSON; convert this one"));
        }
        if !self.attachments.is_empty() || !self.requires.is_empty() {
            return Err(ApiError::validation("the lab has no attachments and no required documents"));
        }
        Ok(())
    }
}

pub(super) fn create(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Written = call.input()?;
    request.check()?;
    let name = request.name;
    // AWS keeps these prefixes for itself; `SSM-` is not among them, so an account may write its preferences.
    let taken = ["aws", "amazon", "amzn"].iter().any(|prefix| name.to_lowercase().starts_with(prefix));
    if taken {
        return Err(ApiError::validation(format!("{name} has a prefix that is AWS's own")));
    }
    let kind = Kind::parse(request.document_type.as_deref())?;
    Content::parse(kind, &request.content)?;
    let (now, author) = (call.now, call.caller_arn());
    let tags = tags::collect(request.tags)?;
    let documents = &mut call.estate().documents;
    if documents.get(&name).is_some() {
        return Err(ApiError::client(
            "DocumentAlreadyExists",
            format!("Document with name {name} already exists"),
        ));
    }
    if documents.len() >= MOST_DOCUMENTS {
        return Err(ApiError::client(
            "DocumentLimitExceeded",
            format!("there are {MOST_DOCUMENTS} documents"),
        ));
    }
    let first = Version { number: 1, name: request.version_name, content: request.content, created: now };
    let document = Document { kind, versions: vec![first.clone()], default: 1, created: now, author, tags };
    let shown = description(&call.endpoint.settings.account, &name, &document, &first);
    call.estate().documents.insert(name, document);
    Ok(json!({"DocumentDescription": shown}))
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Written = call.input()?;
    request.check()?;
    let now = call.now;
    let account = call.endpoint.settings.account.clone();
    let document = changeable(call, &request.name)?;
    Content::parse(document.kind, &request.content)?;
    // The version to update is the latest one; AWS only has that checked.
    if let Some(version) = request.document_version.as_deref()
        && document.version(Some(version))?.number != document.latest()
    {
        return Err(ApiError::client(
            "InvalidDocumentVersion",
            format!("version {version} is not the latest one; update $LATEST"),
        ));
    }
    if document.version(Some("$LATEST"))?.content == request.content {
        return Err(ApiError::client(
            "DuplicateDocumentContent",
            "The content of the association document matches another document. Change the content of the document and try again.",
        ));
    }
    if let Some(name) = &request.version_name
        && document.version_named(name).is_ok()
    {
        return Err(ApiError::client(
            "DuplicateDocumentVersionName",
            format!("there is a version named {name}"),
        ));
    }
    if document.versions.len() >= MOST_VERSIONS {
        return Err(ApiError::client(
            "DocumentVersionLimitExceeded",
            format!("a document has at most {MOST_VERSIONS} versions"),
        ));
    }
    let version = Version {
        number: document.latest() + 1,
        name: request.version_name,
        content: request.content,
        created: now,
    };
    document.versions.push(version.clone());
    Ok(json!({"DocumentDescription": description(&account, &request.name, document, &version)}))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Choice {
    name: String,
    document_version: Option<String>,
    version_name: Option<String>,
}

pub(super) fn update_default(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Choice = call.input()?;
    let document = changeable(call, &request.name)?;
    let version = document.version(request.document_version.as_deref())?;
    let (number, version_name) = (version.number, version.name.clone());
    document.default = number;
    let shown = object([
        ("Name", Some(json!(request.name))),
        ("DefaultVersion", Some(json!(number.to_string()))),
        ("DefaultVersionName", version_name.map(|name| json!(name))),
    ]);
    Ok(json!({"Description": shown}))
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Choice = call.input()?;
    let document = changeable(call, &request.name)?;
    let chosen = match (&request.document_version, &request.version_name) {
        (None, None) => None,
        (Some(version), _) => Some(document.version(Some(version))?.number),
        (None, Some(name)) => Some(document.version_named(name)?.number),
    };
    match chosen {
        Some(number) if number == document.default => {
            return Err(ApiError::client(
                "InvalidDocumentOperation",
                "the default version cannot be deleted; make another one the default, or delete the document",
            ));
        }
        Some(number) => document.versions.retain(|version| version.number != number),
        None => {
            call.estate().documents.remove(&request.name);
        }
    }
    Ok(json!({}))
}

/// A document of the account; AWS's own nobody changes.
fn changeable<'a>(call: &'a mut Call<'_>, name: &str) -> Result<&'a mut Document, ApiError> {
    if owned::find(name).is_some() {
        return Err(ApiError::access_denied(format!("{name} is owned by Amazon and cannot be changed")));
    }
    call.estate().documents.get_mut(&name.to_owned()).ok_or_else(|| unknown(name))
}
