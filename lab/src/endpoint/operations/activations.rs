//! `CreateActivation`, `DescribeActivations`, `DeleteActivation`.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::Call;
use crate::endpoint::clock::{epoch_seconds, from_epoch_seconds};
use crate::endpoint::error::ApiError;
use crate::endpoint::estate::Activation;
use crate::endpoint::lab_user::random_text;
use crate::endpoint::listing::page;
use crate::endpoint::tags::{self, Tag};
use crate::endpoint::validation::{Violations, is_plain_text, parse, require};
use crate::ids::ActivationId;

/// AWS's codes have 20 characters, the least the agent accepts.
const CODE_LENGTH: usize = 20;
const DEFAULT_LIFE: SignedDuration = SignedDuration::from_hours(24);
const LONGEST_LIFE: SignedDuration = SignedDuration::from_hours(30 * 24);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Create {
    iam_role: Option<String>,
    description: Option<String>,
    default_instance_name: Option<String>,
    registration_limit: Option<i64>,
    expiration_date: Option<f64>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    registration_metadata: Vec<Metadata>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    key: Option<String>,
    value: Option<String>,
}

impl Create {
    fn check(&self) -> Result<(), ApiError> {
        let mut violations = Violations::default();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (role, name, description) =
            (text(&self.iam_role), text(&self.default_instance_name), text(&self.description));
        match &self.iam_role {
            None => violations.missing("iamRole"),
            Some(role) => violations.length("iamRole", role, role.chars().count(), 1..=64),
        }
        violations.length("description", &description, description.chars().count(), 0..=256);
        violations.length("defaultInstanceName", &name, name.chars().count(), 0..=256);
        violations.pattern(
            "defaultInstanceName",
            &name,
            is_plain_text(&name),
            r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$",
        );
        if let Some(limit) = self.registration_limit {
            violations.range("registrationLimit", limit, 1..=1000);
        }
        for item in &self.registration_metadata {
            let (key, value) = (text(&item.key), text(&item.value));
            violations.length("registrationMetadata.key", &key, key.chars().count(), 1..=128);
            violations.length("registrationMetadata.value", &value, value.chars().count(), 1..=2048);
        }
        violations.into_result()?;
        if role.contains(':') {
            return Err(ApiError::validation(format!(
                "Nonexistent role or missing ssm service principal in trust policy: {role}"
            )));
        }
        Ok(())
    }

    fn expires(&self, now: Timestamp) -> Result<Timestamp, ApiError> {
        let invalid = |what| ApiError::client("InvalidParameters", what);
        let Some(seconds) = self.expiration_date else {
            return Ok(now.saturating_add(DEFAULT_LIFE).unwrap_or(now));
        };
        let expires = from_epoch_seconds(seconds)
            .ok_or_else(|| invalid("ExpirationDate is not a number of seconds since the epoch"))?;
        let life = expires.duration_since(now);
        if life <= SignedDuration::ZERO {
            return Err(invalid("ExpirationDate must be in the future"));
        }
        if life > LONGEST_LIFE {
            return Err(invalid("ExpirationDate must be within 30 days"));
        }
        Ok(expires)
    }
}

pub(super) fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let request: Create = parse(call.body)?;
    request.check()?;
    let now = call.endpoint.clock.now();
    let expires = request.expires(now)?;
    let tags = tags::collect(request.tags)?;
    let code = random_text(CODE_LENGTH);
    let id = ActivationId::random();
    let activation = Activation {
        code_digest: Sha256::digest(&code).into(),
        iam_role: require("iamRole", request.iam_role)?,
        description: request.description,
        default_instance_name: request.default_instance_name.filter(|name| !name.is_empty()),
        registration_limit: request
            .registration_limit
            .and_then(|limit| u32::try_from(limit).ok())
            .unwrap_or(1),
        registrations_count: 0,
        created: now,
        expires,
        tags,
        deleted: false,
    };
    call.endpoint.estate().activations.insert(id.clone(), activation);
    Ok(json!({"ActivationId": id, "ActivationCode": code}))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Describe {
    #[serde(default)]
    filters: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    filter_key: Option<String>,
    #[serde(default)]
    filter_values: Vec<String>,
}

impl Filter {
    fn check(&self) -> Result<(), ApiError> {
        match self.filter_key.as_deref() {
            Some("ActivationIds" | "DefaultInstanceName" | "IamRole") => Ok(()),
            other => Err(ApiError::client(
                "InvalidFilter",
                format!(
                    "The filter key {} is not one of ActivationIds, DefaultInstanceName, IamRole",
                    other.unwrap_or("null")
                ),
            )),
        }
    }

    fn fits(&self, id: &ActivationId, activation: &Activation) -> bool {
        let actual = match self.filter_key.as_deref() {
            Some("ActivationIds") => Some(id.as_str()),
            Some("DefaultInstanceName") => activation.default_instance_name.as_deref(),
            _ => Some(activation.iam_role.as_str()),
        };
        self.filter_values.iter().any(|value| Some(value.as_str()) == actual)
    }
}

pub(super) fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let request: Describe = parse(call.body)?;
    let max_results = request.max_results.unwrap_or(50);
    let mut violations = Violations::default();
    violations.range("maxResults", max_results, 1..=50);
    violations.into_result()?;
    for filter in &request.filters {
        filter.check()?;
    }
    let now = call.endpoint.clock.now();
    let estate = call.endpoint.estate();
    let items = estate
        .activations
        .iter()
        .filter(|(_, activation)| !activation.deleted)
        .filter(|(id, activation)| request.filters.iter().all(|filter| filter.fits(id, activation)))
        .map(|(id, activation)| (id.to_string(), shown(id, activation, now)));
    let max_results = usize::try_from(max_results).unwrap_or(50);
    let page = page("activations", items, max_results, request.next_token.as_deref())?;
    let mut answer = json!({"ActivationList": page.items});
    if let (Some(token), Value::Object(members)) = (page.next_token, &mut answer) {
        members.insert("NextToken".to_owned(), token.into());
    }
    Ok(answer)
}

fn shown(id: &ActivationId, activation: &Activation, now: Timestamp) -> Value {
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
    put("ActivationId", json!(id));
    put("IamRole", json!(activation.iam_role));
    put("RegistrationLimit", json!(activation.registration_limit));
    put("RegistrationsCount", json!(activation.registrations_count));
    put("ExpirationDate", json!(epoch_seconds(activation.expires)));
    put("Expired", json!(activation.is_expired(now)));
    put("CreatedDate", json!(epoch_seconds(activation.created)));
    put("Tags", tags::to_json(&activation.tags));
    if let Some(description) = &activation.description {
        put("Description", json!(description));
    }
    if let Some(name) = &activation.default_instance_name {
        put("DefaultInstanceName", json!(name));
    }
    Value::Object(members)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Delete {
    activation_id: Option<String>,
}

pub(super) fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let request: Delete = parse(call.body)?;
    let text = require("activationId", request.activation_id)?;
    let id = ActivationId::parse(&text)
        .map_err(|error| ApiError::client("InvalidActivationId", error.to_string()))?;
    let mut estate = call.endpoint.estate();
    let activation = estate
        .activations
        .get_mut(&id)
        .filter(|activation| !activation.deleted)
        .ok_or_else(|| ApiError::client("InvalidActivation", format!("there is no activation {id}")))?;
    activation.deleted = true;
    Ok(json!({}))
}
