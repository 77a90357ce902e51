//! An order for something to go wrong: what, to whom, and how often. It is checked whole before it holds, so that
//! a fault which can never strike is refused and not waited for.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::endpoint::operations;
use crate::endpoint::service::Service;
use crate::ids::{ActivationId, ManagedNodeId};

/// Longer than any client waits for an answer.
const LONGEST_DELAY_MS: u64 = 600_000;
/// Ten years: what certificates and activations live is less.
const LARGEST_OFFSET_SECONDS: u64 = 10 * 365 * 86_400;
const LONGEST_NAME: usize = 64;

/// An order as the admin API takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// What the orderer calls it; without, it gets an id of its kind.
    pub id: Option<String>,
    /// What goes wrong.
    pub effect: Effect,
    /// How often.
    pub chance: Chance,
}

/// How often a fault strikes of all the times it could.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chance {
    /// The share of them that it strikes, above 0 and up to 1.
    pub share: f64,
    /// What the share and the jitter are drawn from; the same seed strikes the same calls.
    pub seed: u64,
    /// How many it still strikes; `None` until it is cleared.
    pub remaining: Option<u32>,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Effect {
    /// Calls are slow, are refused, get no answer, or lose their connection.
    Call(CallFault),
    /// Activations look expired or full; what is stored of them stays as it is.
    Activations(ActivationFault),
    /// Fingerprints do not match.
    Fingerprints(FingerprintFault),
    /// The endpoint's clock is wrong.
    Clock(ClockFault),
    /// TLS handshakes get a certificate that no client may accept.
    Certificate(CertificateFault),
    /// Control channels end.
    Channels(ChannelFault),
}

/// A fault of calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallFault {
    /// The operation's name, or `*` for every one.
    #[serde(default = "every")]
    pub operation: String,
    /// The service's name, for example `ssm`; without it, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// A node's id, or another caller's access key id; without it, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// How long the call is held back first.
    #[serde(default)]
    pub delay_ms: u64,
    /// How much longer at most, at random.
    #[serde(default)]
    pub jitter_ms: u64,
    /// The AWS error to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The HTTP status of the error.
    #[serde(default = "client_error")]
    pub status: u16,
    /// When the connection is dropped in place of an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop: Option<Moment>,
    /// Whether the call is never answered.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hang: bool,
}

/// When a connection is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// Before the call is carried out.
    Before,
    /// After it was carried out, so that the caller does not know.
    After,
}

/// A fault of activations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivationFault {
    /// What registrations are told.
    pub state: ActivationState,
    /// The activation; without it, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<ActivationId>,
}

/// What is wrong with an activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActivationState {
    /// `ActivationExpired`.
    Expired,
    /// `RegistrationLimitExceeded`.
    Full,
}

/// A fault of fingerprints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FingerprintFault {
    /// The node; without it, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<ManagedNodeId>,
}

/// A fault of the clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockFault {
    /// How far the endpoint's time is ahead of the system's; negative when it is behind.
    pub offset_seconds: i64,
}

/// A fault of the certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFault {
    /// What is wrong with it.
    pub certificate: WrongCertificate,
}

/// What can be wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WrongCertificate {
    /// It is of an authority that nobody trusts.
    OtherAuthority,
    /// It is no longer valid.
    Expired,
    /// It is another host's.
    OtherName,
}

/// A fault of control channels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelFault {
    /// The node; without it, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<ManagedNodeId>,
    /// Whether those that open later end at once too; else the fault is spent when the open ones have ended.
    #[serde(default)]
    pub keep_closed: bool,
}

fn every() -> String {
    "*".to_owned()
}

fn client_error() -> u16 {
    400
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// The members that every kind has; the rest is its effect.
#[derive(Deserialize)]
struct Common {
    id: Option<String>,
    share: Option<f64>,
    seed: Option<u64>,
    remaining: Option<u32>,
}

impl Order {
    /// Reads and checks an order; the error says what is wrong with it.
    pub fn read(mut members: Map<String, Value>) -> Result<Self, String> {
        let names = ["id", "share", "seed", "remaining"];
        let unlimited = members.get("remaining").is_some_and(Value::is_null);
        let common: Map<String, Value> =
            names.iter().filter_map(|name| members.remove_entry(*name)).collect();
        let common: Common = serde_json::from_value(Value::Object(common)).map_err(|e| e.to_string())?;
        members.entry("kind").or_insert_with(|| Value::from("call"));
        let effect: Effect = serde_json::from_value(Value::Object(members)).map_err(|e| e.to_string())?;
        // A single call is what most tests want to spoil, and what an order without a count always meant.
        let once = matches!(effect, Effect::Call(_)) && common.share.is_none() && !unlimited;
        let order = Self {
            id: common.id,
            chance: Chance {
                share: common.share.unwrap_or(1.0),
                seed: common.seed.unwrap_or_else(|| u64::from(rand::random::<u32>())),
                remaining: common.remaining.or(once.then_some(1)),
            },
            effect,
        };
        order.check()?;
        Ok(order)
    }

    fn check(&self) -> Result<(), String> {
        if self.id.as_deref().is_some_and(|id| !is_name(id)) {
            return Err("id must be 1 to 64 letters, digits and dashes".to_owned());
        }
        if !(self.chance.share > 0.0 && self.chance.share <= 1.0) {
            return Err("share must be above 0 and at most 1".to_owned());
        }
        match &self.effect {
            Effect::Call(fault) => fault.check(),
            Effect::Clock(fault) => {
                if fault.offset_seconds.unsigned_abs() > LARGEST_OFFSET_SECONDS {
                    return Err("offset_seconds must be at most ten years".to_owned());
                }
                if self.chance.share < 1.0 || self.chance.remaining.is_some() {
                    return Err(
                        "a clock is wrong for everybody until it is cleared; leave out share and remaining"
                            .to_owned(),
                    );
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl CallFault {
    fn check(&self) -> Result<(), String> {
        if self.operation != "*" && !operations::is_served(&self.operation) {
            return Err("operation must be one that the lab serves, or *; docs/lab.md lists them".to_owned());
        }
        if let Some(name) = &self.service {
            let known = Service::ALL.map(Service::name);
            if !known.contains(&name.as_str()) {
                return Err(format!("service must be one of {}", known.join(", ")));
            }
        }
        if self.caller.as_deref().is_some_and(|caller| !is_name(caller)) {
            return Err("caller must be a node's id or an access key id".to_owned());
        }
        if self.delay_ms > LONGEST_DELAY_MS || self.jitter_ms > LONGEST_DELAY_MS {
            return Err(format!("delay_ms and jitter_ms must be at most {LONGEST_DELAY_MS}"));
        }
        if !(400..=599).contains(&self.status) {
            return Err("status must be 400 to 599".to_owned());
        }
        if self.error.as_deref().is_some_and(|error| !is_name(error)) {
            return Err("error must be the name of an AWS error".to_owned());
        }
        let ends = [self.error.is_some(), self.drop.is_some(), self.hang];
        if ends.into_iter().filter(|end| *end).count() > 1 {
            return Err("a call ends in one of error, drop and hang; order one fault for each".to_owned());
        }
        if !ends.contains(&true) && self.delay_ms == 0 && self.jitter_ms == 0 {
            return Err("the order does nothing; name an error, drop, hang, delay_ms or jitter_ms".to_owned());
        }
        Ok(())
    }
}

/// Names of AWS's operations and errors, ids of nodes and keys, and ids of faults are all made of these.
fn is_name(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::{Effect, Order};
    use serde_json::{Value, json};

    fn read(order: Value) -> Result<Order, String> {
        let Value::Object(members) = order else { panic!("not an object") };
        Order::read(members)
    }

    #[test]
    fn an_order_without_a_kind_spoils_one_call() {
        let order = read(json!({"operation": "CreateActivation", "error": "ThrottlingException"})).unwrap();
        let Effect::Call(call) = order.effect else { panic!("{order:?}") };
        assert_eq!((call.status, order.chance.remaining), (400, Some(1)));
    }

    #[test]
    fn a_share_or_a_null_lasts_until_it_is_cleared() {
        for order in [
            json!({"error": "ThrottlingException", "share": 0.5}),
            json!({"error": "ThrottlingException", "remaining": null}),
            json!({"kind": "activations", "state": "full"}),
        ] {
            assert_eq!(read(order).unwrap().chance.remaining, None);
        }
    }

    #[test]
    fn what_could_never_strike_or_is_not_known_is_refused() {
        for (order, complaint) in [
            (json!({"error": "x", "status": 200}), "status"),
            (json!({"error": "x", "share": 0.0}), "share"),
            (json!({"error": "x", "share": 1.5}), "share"),
            (json!({"error": "x", "drop": "before"}), "one of"),
            (json!({"error": "x", "retries": 1}), "retries"),
            (json!({"error": "x", "service": "s3"}), "ssmmessages"),
            (json!({"kind": "weather"}), "weather"),
            (json!({"kind": "clock", "offset_seconds": i64::MIN}), "ten years"),
            (json!({"kind": "clock", "offset_seconds": 60, "remaining": 1}), "remaining"),
            (json!({"kind": "fingerprints", "caller": "rack1"}), "managed node id"),
            (json!({"kind": "activations"}), "state"),
            (json!({"id": "no spaces", "hang": true}), "id"),
            (json!({"delay_ms": 86_400_000}), "delay_ms"),
            (json!({"hang": true, "remaining": -1}), "-1"),
            (json!({}), "does nothing"),
            (json!({"operation": "MakeCoffee", "hang": true}), "docs/lab.md"),
        ] {
            let error = read(order.clone()).unwrap_err();
            assert!(error.contains(complaint), "{order}: {error}");
        }
    }
}
