//! `LookupEvents` of CloudTrail.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Call;
use crate::endpoint::audit::lookup::{Attribute, Position, Query, find};
use crate::endpoint::error::ApiError;

const LARGEST_PAGE: usize = 50;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    #[serde(default)]
    lookup_attributes: Vec<LookupAttribute>,
    start_time: Option<f64>,
    end_time: Option<f64>,
    event_category: Option<String>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LookupAttribute {
    attribute_key: String,
    attribute_value: String,
}

impl Request {
    fn query(&self) -> Result<Query, ApiError> {
        let attribute = match self.lookup_attributes.as_slice() {
            [] => None,
            [one] => {
                let key = Attribute::parse(&one.attribute_key).ok_or_else(invalid_attributes)?;
                Some((key, one.attribute_value.clone()))
            }
            _ => return Err(invalid_attributes()),
        };
        let (start, end) = (self.start_time.map(whole), self.end_time.map(whole));
        if let (Some(start), Some(end)) = (start, end)
            && start > end
        {
            return Err(ApiError::client(
                "InvalidTimeRangeException",
                "The start time is after the end time.",
            ));
        }
        Ok(Query { attribute, start, end })
    }
}

/// Events carry whole seconds, so a span that starts within a second has all of it.
#[allow(clippy::cast_possible_truncation, reason = "a float beyond i64 saturates, and no event is there")]
fn whole(seconds: f64) -> i64 {
    seconds.floor() as i64
}

fn invalid_attributes() -> ApiError {
    ApiError::client(
        "InvalidLookupAttributesException",
        "LookupAttributes takes one attribute, whose key is one of AccessKeyId, EventId, EventName, EventSource, \
         ReadOnly, ResourceName, ResourceType, Username.",
    )
}

/// CloudTrail has names of its own for limits whose breach other services call `ValidationException`.
pub(super) fn own_error(input: &Value, error: ApiError) -> ApiError {
    if error.code != "ValidationException" {
        return error;
    }
    let most = input.get("MaxResults").and_then(Value::as_i64);
    if most.is_some_and(|most| !(1..=50).contains(&most)) {
        return ApiError::client("InvalidMaxResultsException", "MaxResults must be between 1 and 50.");
    }
    if input.get("EventCategory").is_some_and(|category| category != "insight") {
        return ApiError::client("InvalidEventCategoryException", "EventCategory must be insight.");
    }
    invalid_attributes()
}

pub(super) fn lookup_events(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Request = call.input()?;
    if request.event_category.is_some() {
        let message = "the lab has no Insights events; leave EventCategory out";
        return Err(ApiError::client("InvalidEventCategoryException", message));
    }
    let query = request.query()?;
    let after = request.next_token.as_deref().map(|token| read_token(&query, token)).transpose()?;
    let most = request.max_results.unwrap_or(LARGEST_PAGE);
    let found = find(&call.state.database, &query, after, most)
        .map_err(|error| ApiError::internal(format!("the events cannot be read: {error}")))?;
    let mut answer = json!({"Events": found.events});
    if let (Some(members), Some(next)) = (answer.as_object_mut(), found.next) {
        members.insert("NextToken".to_owned(), token(&query, next).into());
    }
    Ok(answer)
}

/// A token names the query it goes on with, for another query's place is none of this one.
fn token(query: &Query, Position { time, seq }: Position) -> String {
    URL_SAFE_NO_PAD.encode(format!("events:{}:{time}:{seq}", fingerprint(query)))
}

fn fingerprint(query: &Query) -> String {
    hex::encode(Sha256::digest(format!("{query:?}")))
}

fn read_token(query: &Query, token: &str) -> Result<Position, ApiError> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let place = text.strip_prefix("events:")?.strip_prefix(&fingerprint(query))?.strip_prefix(':')?;
        let (time, seq) = place.split_once(':')?;
        Some(Position { time: time.parse().ok()?, seq: seq.parse().ok()? })
    };
    read().ok_or_else(|| {
        let message = "The token is not valid, or belongs to a lookup with other parameters.";
        ApiError::client("InvalidNextTokenException", message)
    })
}
