//! `CreateActivation`, `DescribeActivations`, `DeleteActivation`.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Call, object};
use crate::endpoint::clock::{epoch_seconds, from_epoch_seconds};
use crate::endpoint::error::ApiError;
use crate::endpoint::estate::Activation;
use crate::endpoint::iam::keys::random_text;
use crate::endpoint::listing::page;
use crate::endpoint::tags::{self, Tag};
use crate::ids::ActivationId;

/// AWS's codes have 20 characters, the least the agent accepts.
const CODE_LENGTH: usize = 20;
const DEFAULT_LIFE: SignedDuration = SignedDuration::from_hours(24);
const LONGEST_LIFE: SignedDuration = SignedDuration::from_hours(30 * 24);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Create {
    iam_role: String,
    description: Option<String>,
    default_instance_name: Option<String>,
    registration_limit: Option<i64>,
    expiration_date: Option<f64>,
    #[serde(default)]
    tags: Vec<Tag>,
}

impl Create {
    /// A role is named, not given by its ARN.
    fn check_role(&self) -> Result<(), ApiError> {
        if self.iam_role.contains(':') {
            return Err(ApiError::validation(format!(
                "Nonexistent role or missing ssm service principal in trust policy: {}",
                self.iam_role
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

pub(super) fn create(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Create = call.input()?;
    request.check_role()?;
    let expires = request.expires(call.now)?;
    let tags = tags::collect(request.tags)?;
    let code = random_text(CODE_LENGTH);
    let id = ActivationId::random();
    let activation = Activation {
        code_digest: digest(&code),
        iam_role: request.iam_role,
        description: request.description,
        default_instance_name: request.default_instance_name.filter(|name| !name.is_empty()),
        registration_limit: request
            .registration_limit
            .and_then(|limit| u32::try_from(limit).ok())
            .unwrap_or(1),
        registrations_count: 0,
        created: call.now,
        expires,
        tags,
        deleted: false,
    };
    call.estate().activations.insert(id.clone(), activation);
    Ok(json!({"ActivationId": id, "ActivationCode": code}))
}

/// What is kept of a code.
pub(super) fn digest(code: &str) -> String {
    hex::encode(Sha256::digest(code))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Describe {
    #[serde(default)]
    filters: Vec<Filter>,
    max_results: Option<usize>,
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

pub(super) fn describe(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Describe = call.input()?;
    for filter in &request.filters {
        filter.check()?;
    }
    let now = call.now;
    let items = call
        .estate()
        .activations
        .iter()
        .filter(|(_, activation)| !activation.deleted)
        .filter(|(id, activation)| request.filters.iter().all(|filter| filter.fits(id, activation)))
        .map(|(id, activation)| (id.to_string(), shown(id, activation, now)));
    let page = page("activations", items, request.max_results.unwrap_or(50), request.next_token.as_deref())?;
    Ok(page.answer("ActivationList"))
}

fn shown(id: &ActivationId, activation: &Activation, now: Timestamp) -> Value {
    object([
        ("ActivationId", Some(json!(id))),
        ("IamRole", Some(json!(activation.iam_role))),
        ("RegistrationLimit", Some(json!(activation.registration_limit))),
        ("RegistrationsCount", Some(json!(activation.registrations_count))),
        ("ExpirationDate", Some(json!(epoch_seconds(activation.expires)))),
        ("Expired", Some(json!(activation.is_expired(now)))),
        ("CreatedDate", Some(json!(epoch_seconds(activation.created)))),
        ("Tags", Some(tags::to_json(&activation.tags))),
        ("Description", activation.description.as_ref().map(|text| json!(text))),
        ("DefaultInstanceName", activation.default_instance_name.as_ref().map(|text| json!(text))),
    ])
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Delete {
    activation_id: String,
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Delete = call.input()?;
    let id = ActivationId::parse(&request.activation_id)
        .map_err(|error| ApiError::client("InvalidActivationId", error.to_string()))?;
    let activation = call
        .estate()
        .activation_mut(&id)
        .ok_or_else(|| ApiError::client("InvalidActivation", format!("there is no activation {id}")))?;
    activation.deleted = true;
    Ok(json!({}))
}
