//! `DescribeSessions`: the sessions that are open, or those that were, newest first.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, object};
use crate::endpoint::clock::epoch_seconds;
use crate::endpoint::error::ApiError;
use crate::endpoint::listing::page;
use crate::endpoint::sessions::{Session, SessionId};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Describe {
    state: String,
    max_results: Option<usize>,
    next_token: Option<String>,
    #[serde(default)]
    filters: Vec<Filter>,
}

/// As the model has it; its members are in lower case.
#[derive(Debug, Deserialize)]
struct Filter {
    key: String,
    value: String,
}

/// A filter whose value was read.
#[derive(Debug)]
enum Wanted {
    After(Timestamp),
    Before(Timestamp),
    Target(String),
    Owner(String),
    Status(String),
    Id(String),
    /// The lab has no just-in-time access, so this is all sessions or none.
    Access(bool),
}

impl Wanted {
    fn read(filter: Filter) -> Result<Self, ApiError> {
        let Filter { key, value } = filter;
        let time = |value: &str| {
            value.parse::<Timestamp>().map_err(|_| {
                ApiError::validation(format!("{key} takes a time such as 2024-10-09T00:00:00Z, not {value}"))
            })
        };
        Ok(match key.as_str() {
            "InvokedAfter" => Self::After(time(&value)?),
            "InvokedBefore" => Self::Before(time(&value)?),
            "Target" => Self::Target(value),
            "Owner" => Self::Owner(value),
            "Status" => Self::Status(value),
            "SessionId" => Self::Id(value),
            "AccessType" => Self::Access(value == "Standard"),
            _ => return Err(ApiError::client("InvalidFilterKey", format!("{key} is no filter of sessions"))),
        })
    }

    fn fits(&self, id: &SessionId, session: &Session) -> bool {
        match self {
            Self::After(time) => session.started > *time,
            Self::Before(time) => session.started < *time,
            Self::Target(target) => session.target.as_str() == target,
            Self::Owner(owner) => session.owner == *owner,
            Self::Status(status) => session.status.as_str() == status,
            Self::Id(wanted) => id.as_str() == wanted,
            Self::Access(all) => *all,
        }
    }
}

pub(super) fn describe(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Describe = call.input()?;
    let wanted = request.filters.into_iter().map(Wanted::read).collect::<Result<Vec<_>, _>>()?;
    let history = request.state == "History";
    let mut items: Vec<(String, Value)> = call
        .estate()
        .sessions
        .iter()
        .filter(|(_, session)| session.status.is_over() == history)
        .filter(|(id, session)| wanted.iter().all(|wanted| wanted.fits(id, session)))
        .map(|(id, session)| (place(id, session), shown(id, session)))
        .collect();
    items.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    let listing = if history { "sessions-history" } else { "sessions-active" };
    let page =
        page(listing, items.into_iter(), request.max_results.unwrap_or(200), request.next_token.as_deref())?;
    Ok(page.answer("Sessions"))
}

/// Sorts the newest first.
fn place(id: &SessionId, session: &Session) -> String {
    format!("{:020} {id}", i64::MAX - session.started.as_millisecond())
}

fn shown(id: &SessionId, session: &Session) -> Value {
    object([
        ("SessionId", Some(json!(id))),
        ("Target", Some(json!(session.target))),
        ("Status", Some(json!(session.status.as_str()))),
        ("StartDate", Some(json!(epoch_seconds(session.started)))),
        ("EndDate", session.ended.map(|ended| json!(epoch_seconds(ended)))),
        ("DocumentName", Some(json!(session.document))),
        ("Owner", Some(json!(session.owner))),
        ("Reason", session.reason.as_ref().map(|reason| json!(reason))),
        ("Details", session.details.as_ref().map(|details| json!(details))),
        ("OutputUrl", Some(json!({}))),
        ("MaxSessionDuration", session.max_minutes.map(|minutes| json!(minutes.to_string()))),
        ("AccessType", Some(json!("Standard"))),
    ])
}
