//! The filters of `DescribeInstanceInformation` and `DescribeInstanceProperties`, in their new and legacy forms.

use serde::Deserialize;

use crate::endpoint::error::ApiError;
use crate::endpoint::estate::{ManagedNode, PingStatus};
use crate::ids::ManagedNodeId;

/// Filters as the request has them.
#[derive(Debug, Deserialize)]
pub(super) struct Requested {
    #[serde(rename = "Filters", alias = "FiltersWithOperator")]
    new: Option<Vec<NewForm>>,
    #[serde(rename = "InstanceInformationFilterList", alias = "InstancePropertyFilterList")]
    legacy: Option<Vec<LegacyForm>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NewForm {
    key: String,
    values: Vec<String>,
    #[serde(default)]
    operator: Operator,
}

/// How a value of a node stands to those of a filter; only properties can be asked so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
enum Operator {
    #[default]
    Equal,
    NotEqual,
    BeginWith,
    LessThan,
    GreaterThan,
}

impl Operator {
    fn holds(self, actual: &str, values: &[String]) -> bool {
        let any = |test: fn(&str, &str) -> bool| values.iter().any(|value| test(actual, value));
        match self {
            Self::Equal => any(|actual, value| actual == value),
            Self::NotEqual => !any(|actual, value| actual == value),
            Self::BeginWith => any(|actual, value| actual.starts_with(value)),
            Self::LessThan => any(|actual, value| numbers(actual) < numbers(value)),
            Self::GreaterThan => any(|actual, value| numbers(actual) > numbers(value)),
        }
    }
}

/// What is compared is a version: number by number.
fn numbers(text: &str) -> Vec<u64> {
    text.split('.').map(|part| part.parse().unwrap_or_default()).collect()
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
    operator: Operator,
}

#[derive(Debug)]
enum Key {
    InstanceIds(Vec<ManagedNodeId>),
    ActivationIds,
    AgentVersion,
    AssociationStatus,
    DocumentName,
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
            (Some(new), _) if !new.is_empty() => new
                .into_iter()
                .map(|form| Filter::read(&form.key, form.values, form.operator, true))
                .collect(),
            (_, legacy) => legacy
                .unwrap_or_default()
                .into_iter()
                .map(|form| Filter::read(&form.key, form.value_set, Operator::Equal, false))
                .collect(),
        }
    }
}

impl Filter {
    fn read(key: &str, values: Vec<String>, operator: Operator, new_form: bool) -> Result<Self, ApiError> {
        let key = match key {
            "InstanceIds" => Key::InstanceIds(
                values.iter().map(|value| ManagedNodeId::parse(value)).collect::<Result<_, _>>().map_err(
                    |error| ApiError::client("InvalidInstanceInformationFilterValue", error.to_string()),
                )?,
            ),
            "ActivationIds" => Key::ActivationIds,
            "AgentVersion" => Key::AgentVersion,
            "AssociationStatus" => Key::AssociationStatus,
            "DocumentName" => Key::DocumentName,
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
        Ok(Self { key, values, operator })
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
        let any = |text: &str| self.operator.holds(text, &self.values);
        // What a node does not have differs from every value.
        let any_of = |text: &Option<String>| text.as_deref().map_or(self.operator == Operator::NotEqual, any);
        match &self.key {
            Key::ActivationIds => any(node.activation_id.as_str()),
            Key::AgentVersion => any_of(&node.reported.agent_version),
            Key::AssociationStatus | Key::DocumentName => false,
            Key::IamRole => any(&node.iam_role),
            Key::PingStatus => any(status.as_str()),
            Key::PlatformTypes => any_of(&node.reported.platform_type),
            Key::ResourceType => any("ManagedInstance"),
            Key::InstanceIds(_) | Key::SourceIds => any(id.as_str()),
            Key::SourceTypes => any("AWS::SSM::ManagedInstance"),
            Key::HasTag => {
                let has = self.values.iter().any(|value| node.tags.contains_key(value));
                has != (self.operator == Operator::NotEqual)
            }
            Key::Tag(key) => any_of(&node.tags.get(key).cloned()),
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

#[cfg(test)]
mod tests {
    use super::Operator;

    #[test]
    fn versions_are_compared_number_by_number() {
        let values = ["3.3.1000.0".to_owned()];
        assert!(Operator::LessThan.holds("3.3.987.0", &values));
        assert!(Operator::GreaterThan.holds("3.10.0.0", &values));
        assert!(Operator::BeginWith.holds("3.3.1000.0.1", &values));
        assert!(
            Operator::NotEqual.holds("3.3.987.0", &values)
                && !Operator::NotEqual.holds("3.3.1000.0", &values)
        );
    }
}
