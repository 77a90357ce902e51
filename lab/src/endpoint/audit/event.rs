//! One event: what is known of a call when it is answered, as a record of CloudTrail.

use std::net::IpAddr;

use axum::http::HeaderMap;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::identity::{Identity, arn_start};
use super::parameters::{self, cut};
use super::resource::{self, Touched};
use crate::endpoint::Endpoint;
use crate::endpoint::authorize::Resource;
use crate::endpoint::caller::Caller;
use crate::endpoint::error::ApiError;
use crate::endpoint::service::Service;
use crate::sigv4::Authorization;

const VERSION: &str = "1.09";
/// CloudTrail cuts a user agent at 1 KiB, and clients of this API stay below a quarter of that.
const LONGEST_USER_AGENT: usize = 256;
/// CloudTrail's limit.
const LONGEST_MESSAGE: usize = 1024;
/// An access key id has 20 characters; AWS allows 128.
const LONGEST_KEY_ID: usize = 128;

/// A call that was answered.
#[derive(Debug)]
pub struct Answered<'a> {
    /// The id it was answered with.
    pub request_id: &'a str,
    /// Whose operation.
    pub service: Service,
    /// The operation's name.
    pub name: &'static str,
    /// Whether its caller had to prove itself.
    pub signed: bool,
    /// Who called, as far as it was proven.
    pub caller: &'a Caller,
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// Where it came from.
    pub source: Option<IpAddr>,
    /// What was asked; nothing if the caller was not proven, for then nobody knows who wrote it.
    pub input: Option<&'a Value>,
    /// What the policies were asked about.
    pub touched: &'a [Resource],
    /// What came of it.
    pub result: &'a Result<Value, ApiError>,
}

/// An event, ready to be written down.
#[derive(Debug)]
pub struct Event {
    pub(super) id: String,
    pub(super) time: Timestamp,
    pub(super) name: &'static str,
    pub(super) source: String,
    pub(super) read_only: bool,
    pub(super) user_name: Option<String>,
    pub(super) access_key_id: Option<String>,
    pub(super) resources: Vec<Touched>,
    pub(super) record: String,
}

impl Event {
    /// The event of a call; `None` if CloudTrail has none of it.
    #[must_use]
    pub fn of(endpoint: &Endpoint, call: &Answered<'_>) -> Option<Self> {
        if !super::is_recorded(call.service, call.name) {
            return None;
        }
        let access_key_id = access_key_id(call);
        let proven = !call.signed || *call.caller != Caller::Anonymous;
        let identity = Identity::of(endpoint, call.caller, access_key_id.as_deref(), proven);
        let node = match call.caller {
            Caller::Node(node) => Some(node),
            _ => None,
        };
        let told = [call.input, call.result.as_ref().ok()];
        let mut event = Self {
            id: uuid::Uuid::new_v4().to_string(),
            time: endpoint.clock.now(),
            name: call.name,
            source: format!("{}.amazonaws.com", call.service.name()),
            read_only: is_read_only(call.name),
            user_name: identity.user_name,
            access_key_id,
            resources: resource::all(call.touched, told, node, &arn_start(endpoint)),
            record: String::new(),
        };
        event.record = event.record(endpoint, call, identity.json).to_string();
        Some(event)
    }

    fn record(&self, endpoint: &Endpoint, call: &Answered<'_>, identity: Value) -> Value {
        let (account, region) = (&endpoint.settings.account, &endpoint.settings.region);
        let agent = call.headers.get("user-agent").map(|agent| String::from_utf8_lossy(agent.as_bytes()));
        let error = call.result.as_ref().err();
        let changed = call.result.as_ref().ok().filter(|_| !self.read_only);
        let resources: Vec<Value> = self.resources.iter().map(|touched| touched.to_json(account)).collect();
        let members = [
            ("eventVersion", Some(json!(VERSION))),
            ("userIdentity", Some(identity)),
            ("eventTime", Some(json!(self.time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()))),
            ("eventSource", Some(json!(self.source))),
            ("eventName", Some(json!(self.name))),
            ("awsRegion", Some(json!(region))),
            ("sourceIPAddress", call.source.map(|address| json!(address.to_string()))),
            ("userAgent", agent.map(|agent| json!(cut(&agent, LONGEST_USER_AGENT)))),
            ("errorCode", error.map(|error| json!(error_code(&error.code)))),
            ("errorMessage", error.map(|error| json!(cut(&error.message, LONGEST_MESSAGE)))),
            ("requestParameters", Some(parameters::request(self.name, call.input))),
            (
                "responseElements",
                Some(changed.map_or(Value::Null, |answer| parameters::response(self.name, answer))),
            ),
            ("requestID", Some(json!(call.request_id))),
            ("eventID", Some(json!(self.id))),
            ("readOnly", Some(json!(self.read_only))),
            ("resources", Some(Value::Array(resources)).filter(|_| !self.resources.is_empty())),
            ("eventType", Some(json!("AwsApiCall"))),
            ("managementEvent", Some(json!(true))),
            ("recipientAccountId", Some(json!(account))),
            ("eventCategory", Some(json!("Management"))),
        ];
        let told = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(told.collect::<Map<_, _>>())
    }
}

/// The key that signed, or that was claimed to. A node's id in its place is no access key.
fn access_key_id(call: &Answered<'_>) -> Option<String> {
    if !call.signed {
        return None;
    }
    let header = call.headers.get("authorization")?.to_str().ok()?;
    let id = Authorization::parse(header).ok()?.access_key_id;
    let plain = id.len() <= LONGEST_KEY_ID && id.chars().all(|c| c.is_ascii_alphanumeric());
    plain.then_some(id)
}

/// CloudTrail calls a denial by one name, whatever the service's protocol calls it.
fn error_code(code: &str) -> &str {
    match code {
        "AccessDeniedException" => "AccessDenied",
        other => other,
    }
}

/// By the verbs of AWS's API, as the `readOnly` of CloudTrail's records has it.
fn is_read_only(name: &str) -> bool {
    ["Describe", "Get", "List", "Lookup"].iter().any(|verb| name.starts_with(verb))
}
