//! Whom a command is for: the `InstanceIds` and `Targets` of a request, and the nodes they pick.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::endpoint::commands::Target;
use crate::endpoint::error::ApiError;
use crate::endpoint::estate::{Estate, ManagedNode};
use crate::ids::ManagedNodeId;

/// Nodes as a request names or describes them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Whom {
    #[serde(default)]
    instance_ids: Vec<String>,
    #[serde(default)]
    pub(super) targets: Vec<Target>,
}

impl Whom {
    /// The nodes named one by one; each must be there, and once.
    pub(super) fn named(&self, estate: &Estate) -> Result<Vec<ManagedNodeId>, ApiError> {
        let nodes = registered(estate, &self.instance_ids)?;
        let mut seen = BTreeSet::new();
        match nodes.iter().find(|node| !seen.insert(*node)) {
            Some(twice) => Err(ApiError::client("DuplicateInstanceId", format!("{twice} is named twice"))),
            None => Ok(nodes),
        }
    }

    /// All nodes that are meant.
    pub(super) fn nodes(&self, estate: &Estate) -> Result<Vec<ManagedNodeId>, ApiError> {
        match (self.instance_ids.is_empty(), self.targets.is_empty()) {
            (false, true) => self.named(estate),
            (true, false) => {
                let picks = self
                    .targets
                    .iter()
                    .map(|target| Pick::read(estate, target))
                    .collect::<Result<Vec<_>, _>>()?;
                let live = estate.nodes.iter().filter(|(_, node)| !node.deregistered);
                let picked = live.filter(|(id, node)| picks.iter().all(|pick| pick.takes(id, node)));
                Ok(picked.map(|(id, _)| id.clone()).collect())
            }
            (true, true) => Err(ApiError::validation("name nodes by InstanceIds or by Targets")),
            (false, false) => Err(ApiError::validation(
                "InstanceIds and Targets cannot be used together; name nodes by one",
            )),
        }
    }
}

/// A target that was understood.
enum Pick<'a> {
    Ids(Vec<ManagedNodeId>),
    HasTag(&'a [String]),
    Tag(&'a str, &'a [String]),
}

impl<'a> Pick<'a> {
    fn read(estate: &Estate, target: &'a Target) -> Result<Self, ApiError> {
        match target.key.as_str() {
            "InstanceIds" => Ok(Self::Ids(registered(estate, &target.values)?)),
            "tag-key" => Ok(Self::HasTag(&target.values)),
            key => match key.strip_prefix("tag:") {
                Some(tag) => Ok(Self::Tag(tag, &target.values)),
                None => Err(ApiError::validation(format!(
                    "the lab knows no target {key}; use tag:<key>, tag-key or InstanceIds"
                ))),
            },
        }
    }

    fn takes(&self, id: &ManagedNodeId, node: &ManagedNode) -> bool {
        match self {
            Self::Ids(ids) => ids.contains(id),
            Self::HasTag(keys) => keys.iter().any(|key| node.tags.contains_key(key)),
            Self::Tag(key, values) => node.tags.get(*key).is_some_and(|value| values.contains(value)),
        }
    }
}

fn registered(estate: &Estate, ids: &[String]) -> Result<Vec<ManagedNodeId>, ApiError> {
    let unknown = |id: &String| {
        ApiError::invalid_instance(format!("Instances [[{id}]] not in a valid state for account"))
    };
    ids.iter()
        .map(|text| {
            let id = ManagedNodeId::parse(text).map_err(|_| unknown(text))?;
            estate.node(&id).map(|_| id).ok_or_else(|| unknown(text))
        })
        .collect()
}
