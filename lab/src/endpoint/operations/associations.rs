//! `ListInstanceAssociations` and `ListAssociations`: the agent asks for them; the lab has no State Manager, so there are
//! none, and none can be made.

use serde_json::Value;

use super::{Call, own_node};
use crate::endpoint::error::ApiError;
use crate::endpoint::listing::page;

pub(super) fn list(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let token = call.input.get("NextToken").and_then(Value::as_str);
    Ok(page("associations", std::iter::empty(), 1, token)?.answer("Associations"))
}

pub(super) fn list_of_node(call: &mut Call<'_>) -> Result<Value, ApiError> {
    own_node(call, "InstanceId")?;
    list(call)
}
