//! `PutInventory` keeps what nodes say they have, and `GetInventory` reads it back.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Call, own_node};
use crate::endpoint::error::ApiError;
use crate::endpoint::estate::Estate;
use crate::endpoint::inventory::{Inventory, Item};
use crate::endpoint::listing::page;

/// AWS's limits, in bytes: of one item, and of all items of a node.
const LARGEST_ITEM: usize = 200 << 10;
const LARGEST_INVENTORY: usize = 1 << 20;
/// AWS's limit of custom types on one node.
const CUSTOM_TYPES: usize = 20;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Put {
    items: Vec<Item>,
}

pub(super) fn put(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Put = call.input()?;
    let node = own_node(call, "InstanceId")?;
    let estate = call.estate();
    let mut inventory = estate.inventories.get(&node).cloned().unwrap_or_default();
    let mut types = BTreeSet::new();
    for item in request.items {
        if !types.insert(item.type_name.clone()) {
            let message = format!("type {} is there twice", item.type_name);
            return Err(ApiError::client("InvalidItemContentException", message));
        }
        place(&mut inventory, item)?;
    }
    check(&inventory)?;
    estate.inventories.insert(node, inventory);
    Ok(json!({"Message": ""}))
}

/// An item that comes with its hash alone says that nothing has changed.
fn place(inventory: &mut Inventory, item: Item) -> Result<(), ApiError> {
    let name = item.type_name.clone();
    if item.content.is_some() {
        inventory.insert(name, item);
        return Ok(());
    }
    match inventory.get_mut(&name) {
        Some(kept) if kept.content_hash.is_some() && kept.content_hash == item.content_hash => {
            kept.capture_time = item.capture_time;
            Ok(())
        }
        _ => Err(ApiError::client(
            "ItemContentMismatchException",
            format!("the content of {name} with this hash is not known; send it"),
        )),
    }
}

fn check(inventory: &Inventory) -> Result<(), ApiError> {
    let mut total = 0_usize;
    for (name, item) in inventory {
        let size = serde_json::to_vec(&item.content).map_or(usize::MAX, |json| json.len());
        if size > LARGEST_ITEM {
            let message = format!("{name} has {size} bytes; an item has at most {LARGEST_ITEM}");
            return Err(ApiError::client("ItemSizeLimitExceededException", message));
        }
        total = total.saturating_add(size);
    }
    if total > LARGEST_INVENTORY {
        let message = format!("the node's inventory has {total} bytes; it has at most {LARGEST_INVENTORY}");
        return Err(ApiError::client("TotalSizeLimitExceededException", message));
    }
    if inventory.keys().filter(|name| name.starts_with("Custom:")).count() > CUSTOM_TYPES {
        let message = format!("a node has at most {CUSTOM_TYPES} custom types");
        return Err(ApiError::client("CustomSchemaCountLimitExceededException", message));
    }
    Ok(())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Get {
    #[serde(default)]
    filters: Vec<Filter>,
    aggregators: Option<Value>,
    #[serde(default)]
    result_attributes: Vec<ResultAttribute>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    key: String,
    values: Vec<String>,
    #[serde(rename = "Type")]
    operator: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ResultAttribute {
    type_name: String,
}

impl Filter {
    /// The ids that pass: the lab filters by nothing else.
    fn ids(&self) -> Result<&[String], ApiError> {
        match (self.key.as_str(), self.operator.as_deref()) {
            ("AWS:InstanceInformation.InstanceId", None | Some("Equal")) => Ok(&self.values),
            (key, operator) => Err(ApiError::client(
                "InvalidFilter",
                format!(
                    "the lab filters by AWS:InstanceInformation.InstanceId and Equal alone, not by {key} and {}",
                    operator.unwrap_or("Equal")
                ),
            )),
        }
    }
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Get = call.input()?;
    if request.aggregators.is_some() {
        let message = "the lab does not aggregate; leave Aggregators out";
        return Err(ApiError::client("InvalidAggregatorException", message));
    }
    let filters = request.filters.iter().map(Filter::ids).collect::<Result<Vec<_>, _>>()?;
    let wanted = request.result_attributes.first().map(|attribute| attribute.type_name.as_str());
    let estate: &Estate = call.estate();
    let items = estate
        .inventories
        .iter()
        .filter(|(id, _)| estate.node(id).is_some())
        .filter(|(id, _)| filters.iter().all(|ids| ids.iter().any(|known| known == id.as_str())))
        .map(|(id, inventory)| {
            let shown = inventory.iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == *name));
            let types: Map<String, Value> = shown.map(|(name, item)| (name.clone(), json!(item))).collect();
            (id.to_string(), json!({"Id": id, "Data": types}))
        });
    Ok(page("inventory", items, request.max_results.unwrap_or(50), request.next_token.as_deref())?
        .answer("Entities"))
}
