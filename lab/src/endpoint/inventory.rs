//! What nodes say they have: the latest items of `PutInventory`, one of each type per node.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The items of a node, by the name of their type.
pub type Inventory = BTreeMap<String, Item>;

/// An inventory item.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Item {
    /// What it is a list of: `AWS:Application`, `Custom:Rack`, …
    pub type_name: String,
    /// The version of the type.
    pub schema_version: String,
    /// When the agent looked, as it writes it.
    pub capture_time: String,
    /// What tells two states of the item apart without its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_hash: Option<String>,
    /// The entries; left out by an agent whose last ones still hold.
    pub content: Option<Vec<BTreeMap<String, String>>>,
}
