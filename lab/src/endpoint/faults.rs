//! Faults on order: the next so many calls of an operation fail, or are slow, as a test asked.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::ApiError;

/// An order for calls to go wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The operation's name, or `*` for every one.
    pub operation: String,
    /// The AWS error to answer; without one the call is only slow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The HTTP status of the error.
    #[serde(default = "client_error")]
    pub status: u16,
    /// How many calls it still hits.
    #[serde(default = "once")]
    pub remaining: u32,
    /// How long the call is held back first.
    #[serde(default)]
    pub delay_ms: u64,
}

fn client_error() -> u16 {
    400
}

fn once() -> u32 {
    1
}

/// What a fault does to one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blow {
    /// How long to wait before anything else.
    pub delay: Duration,
    /// The error to answer in place of the operation.
    pub error: Option<ApiError>,
}

/// The orders, oldest first.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Adds an order.
    pub fn order(&mut self, fault: Fault) {
        if fault.remaining > 0 {
            self.0.push(fault);
        }
    }

    /// Withdraws all orders.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The orders still open.
    #[must_use]
    pub fn open(&self) -> &[Fault] {
        &self.0
    }

    /// What happens to this call of `operation`; uses up one of the oldest order that fits.
    pub fn strike(&mut self, operation: &str) -> Option<Blow> {
        let fault = self.0.iter_mut().find(|fault| fault.operation == "*" || fault.operation == operation)?;
        fault.remaining -= 1;
        let blow = Blow {
            delay: Duration::from_millis(fault.delay_ms),
            error: fault.error.clone().map(|code| ApiError {
                status: fault.status,
                message: format!("{code} was ordered for this call"),
                code: Cow::Owned(code),
            }),
        };
        self.0.retain(|fault| fault.remaining > 0);
        Some(blow)
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Faults};

    fn fault(operation: &str, remaining: u32) -> Fault {
        serde_json::from_value(serde_json::json!({
            "operation": operation, "error": "ThrottlingException", "remaining": remaining,
        }))
        .unwrap()
    }

    #[test]
    fn a_fault_hits_its_operation_as_often_as_ordered() {
        let mut faults = Faults::default();
        faults.order(fault("CreateActivation", 2));
        assert_eq!(faults.strike("DescribeActivations"), None);
        for _ in 0..2 {
            let error = faults.strike("CreateActivation").unwrap().error.unwrap();
            assert_eq!((error.status, &*error.code), (400, "ThrottlingException"));
        }
        assert_eq!(faults.strike("CreateActivation"), None);
        assert!(faults.open().is_empty());
    }

    #[test]
    fn a_star_hits_every_operation() {
        let mut faults = Faults::default();
        faults.order(fault("*", 1));
        assert!(faults.strike("UpdateInstanceInformation").is_some());
        assert!(faults.strike("UpdateInstanceInformation").is_none());
    }

    #[test]
    fn an_order_for_no_call_is_none() {
        let mut faults = Faults::default();
        faults.order(fault("*", 0));
        assert!(faults.strike("CreateActivation").is_none());
    }
}
