//! The filters of `DescribeInstanceInformation`, in their new and their legacy form.

use serde::Deserialize;

use crate::endpoint::error::ApiError;
use crate::endpoint::estate::{ManagedNode, PingStatus};
use crate::endpoint::validation::Violations;
use crate::ids::ManagedNodeId;

/// Filters as the request has them.
#[derive(Debug, Deserialize)]
pub(super) struct Requested {
    #[serde(rename = "Filters")]
    new: Option<Vec<NewForm>>,
    #[serde(rename = "InstanceInformationFilterList")]
    legacy: Option<Vec<LegacyForm>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NewForm {
    key: String,
    values: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LegacyForm {
    key: String,
    value_set: Vec<String>,
}

/// One filter: a node fits if any of the values does.
#[derive(Debug)]
pub(super) struct Filter {
    key: Key,
    values: Vec<String>,
}

#[derive(Debug)]
enum Key {
    InstanceIds(Vec<ManagedNodeId>),
    ActivationIds,
    AgentVersion,
    AssociationStatus,
    IamRole,
    PingStatus,
    PlatformTypes,
    ResourceType,
    SourceIds,
    SourceTypes,
    HasTag,
    Tag(String),
}

impl Requested {
    /// The filters, whichever form was used; both at once are refused.
    pub(super) fn into_filters(self) -> Result<Vec<Filter>, ApiError> {
        match (self.new, self.legacy) {
            (Some(new), Some(legacy)) if !new.is_empty() && !legacy.is_empty() => {
                Err(ApiError::validation("Filters and InstanceInformationFilterList cannot be used together"))
            }
            (Some(new), _) if !new.is_empty() => {
                new.into_iter().map(|form| Filter::read(&form.key, form.values, true)).collect()
            }
            (_, legacy) => legacy
                .unwrap_or_default()
                .into_iter()
                .map(|form| Filter::read(&form.key, form.value_set, false))
                .collect(),
        }
    }
}

impl Filter {
    fn read(key: &str, values: Vec<String>, new_form: bool) -> Result<Self, ApiError> {
        let mut violations = Violations::default();
        violations.length("filters.values", "[...]", values.len(), 1..=100);
        violations.into_result()?;
        let key = match key {
            "InstanceIds" => Key::InstanceIds(
                values.iter().map(|value| ManagedNodeId::parse(value)).collect::<Result<_, _>>().map_err(
                    |error| ApiError::client("InvalidInstanceInformationFilterValue", error.to_string()),
                )?,
            ),
            "ActivationIds" => Key::ActivationIds,
            "AgentVersion" => Key::AgentVersion,
            "AssociationStatus" => Key::AssociationStatus,
            "IamRole" => Key::IamRole,
            "PingStatus" => Key::PingStatus,
            "PlatformTypes" => Key::PlatformTypes,
            "ResourceType" => Key::ResourceType,
            "SourceIds" if new_form => Key::SourceIds,
            "SourceTypes" if new_form => Key::SourceTypes,
            "tag-key" if new_form => Key::HasTag,
            other => match other.strip_prefix("tag:") {
                Some(tag) if new_form => Key::Tag(tag.to_owned()),
                _ => {
                    return Err(ApiError::client(
                        "InvalidFilterKey",
                        format!("{other} is not a valid filter key"),
                    ));
                }
            },
        };
        if matches!(key, Key::PingStatus) {
            check_ping_statuses(&values)?;
        }
        Ok(Self { key, values })
    }

    /// The ids, if this filter is by ids; each must exist.
    pub(super) fn instance_ids(&self) -> Option<&[ManagedNodeId]> {
        match &self.key {
            Key::InstanceIds(ids) => Some(ids),
            _ => None,
        }
    }

    /// Whether a node passes.
    pub(super) fn fits(&self, id: &ManagedNodeId, node: &ManagedNode, status: PingStatus) -> bool {
        let any = |text: &str| self.values.iter().any(|value| value == text);
        let any_of = |text: &Option<String>| text.as_deref().is_some_and(any);
        match &self.key {
            Key::InstanceIds(ids) => ids.contains(id),
            Key::ActivationIds => any(node.activation_id.as_str()),
            Key::AgentVersion => any_of(&node.reported.agent_version),
            Key::AssociationStatus => false,
            Key::IamRole => any(&node.iam_role),
            Key::PingStatus => any(status.as_str()),
            Key::PlatformTypes => any_of(&node.reported.platform_type),
            Key::ResourceType => any("ManagedInstance"),
            Key::SourceIds => any(id.as_str()),
            Key::SourceTypes => any("AWS::SSM::ManagedInstance"),
            Key::HasTag => self.values.iter().any(|value| node.tags.contains_key(value)),
            Key::Tag(key) => node.tags.get(key).is_some_and(|value| any(value)),
        }
    }
}

fn check_ping_statuses(values: &[String]) -> Result<(), ApiError> {
    match values.iter().find(|value| !["Online", "ConnectionLost", "Inactive"].contains(&value.as_str())) {
        None => Ok(()),
        Some(other) => Err(ApiError::client(
            "InvalidInstanceInformationFilterValue",
            format!("{other} is not one of Online, ConnectionLost, Inactive"),
        )),
    }
}
