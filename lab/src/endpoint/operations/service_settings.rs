//! `GetServiceSetting`, `UpdateServiceSetting`, `ResetServiceSetting`: those that hybrid fleets meet.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, object};
use crate::endpoint::authorize::Resource;
use crate::endpoint::clock::epoch_seconds;
use crate::endpoint::error::ApiError;
use crate::endpoint::estate::{Estate, ServiceSetting};
use crate::endpoint::iam::arn;

/// What a setting is, and the values it takes; the first one is its default.
struct Known {
    id: &'static str,
    values: &'static [&'static str],
}

const KNOWN: [Known; 2] = [
    Known { id: "/ssm/managed-instance/activation-tier", values: &["standard", "advanced"] },
    Known { id: "/ssm/managed-instance/default-ec2-instance-management-role", values: &["$None"] },
];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    setting_id: String,
    setting_value: Option<String>,
}

impl Request {
    /// A setting goes by its path or by its ARN.
    fn known(&self) -> Result<&'static Known, ApiError> {
        let path =
            self.setting_id.split_once(":servicesetting").map_or(self.setting_id.as_str(), |(_, path)| path);
        KNOWN.iter().find(|known| known.id == path).ok_or_else(|| {
            ApiError::client("ServiceSettingNotFound", format!("the lab has no setting {}", self.setting_id))
        })
    }
}

/// Whether nodes may have sessions: only the advanced tier lets hybrid ones.
pub(in crate::endpoint) fn is_advanced_tier(estate: &Estate) -> bool {
    let [tier, _] = &KNOWN;
    estate.settings.get(&tier.id.to_owned()).is_some_and(|setting| setting.value == "advanced")
}

pub(super) fn named(call: &Call<'_>) -> Vec<Resource> {
    match call.input().and_then(|request: Request| request.known()) {
        Ok(known) => vec![Resource::named(arn_of(call, known))],
        Err(_) => vec![Resource::any()],
    }
}

fn arn_of(call: &Call<'_>, known: &Known) -> String {
    let settings = &call.endpoint.settings;
    arn::service_setting(&settings.region, &settings.account, known.id)
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Request = call.input()?;
    let known = request.known()?;
    Ok(json!({"ServiceSetting": shown(call, known)}))
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Request = call.input()?;
    let known = request.known()?;
    let value = request.setting_value.unwrap_or_default();
    if !known.values.contains(&value.as_str()) {
        return Err(ApiError::validation(format!(
            "{value} is not a value of {}; {} are",
            known.id,
            known.values.join(" and ")
        )));
    }
    let modified_by = call.caller_arn();
    let setting = ServiceSetting { value, modified: call.now, modified_by };
    call.estate().settings.insert(known.id.to_owned(), setting);
    Ok(json!({}))
}

pub(super) fn reset(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Request = call.input()?;
    let known = request.known()?;
    call.estate().settings.remove(&known.id.to_owned());
    Ok(json!({"ServiceSetting": shown(call, known)}))
}

fn shown(call: &mut Call<'_>, known: &Known) -> Value {
    let arn = arn_of(call, known);
    let set = call.estate().settings.get(&known.id.to_owned());
    let value = set.map_or_else(|| known.values.first().copied().unwrap_or_default(), |set| &set.value);
    object([
        ("SettingId", Some(json!(known.id))),
        ("SettingValue", Some(json!(value))),
        ("LastModifiedDate", set.map(|set| json!(epoch_seconds(set.modified)))),
        ("LastModifiedUser", set.map(|set| json!(set.modified_by))),
        ("ARN", Some(json!(arn))),
        ("Status", Some(json!(if set.is_some() { "Customized" } else { "Default" }))),
    ])
}
