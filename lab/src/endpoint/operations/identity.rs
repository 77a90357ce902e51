//! `GetCallerIdentity` of STS.

use serde_json::{Value, json};

use super::Call;
use crate::endpoint::error::ApiError;

pub(super) fn get_caller_identity(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let principal = call.principal().ok_or_else(|| ApiError::access_denied("a node's key is no identity"))?;
    Ok(json!({"Arn": principal.arn(), "UserId": principal.user_id(), "Account": principal.account()}))
}
