//! How faults pick what they strike, and count it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{ActivationState, Blow, End, Faults, Order, OrderError, Struck, WrongCertificate};
use crate::endpoint::service::Service;
use crate::ids::{ActivationId, ManagedNodeId};

fn order(faults: &mut Faults, order: Value) -> String {
    let Value::Object(members) = order else { panic!("not an object") };
    faults.order(Order::read(members).unwrap()).unwrap().id
}

fn call(operation: &str) -> Struck<'_> {
    Struck { service: Service::Ssm, operation, caller: None }
}

fn code(blow: Blow) -> Option<String> {
    match blow.end? {
        End::Error(error) => Some(error.code.into_owned()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_fault_strikes_its_operation_as_often_as_ordered_and_is_shown_as_spent() {
    let mut faults = Faults::default();
    order(&mut faults, json!({"operation": "CreateActivation", "error": "TooManyUpdates", "remaining": 2}));
    assert_eq!(faults.call(&call("DescribeActivations")), Blow::default());
    for _ in 0..2 {
        assert_eq!(code(faults.call(&call("CreateActivation"))).as_deref(), Some("TooManyUpdates"));
    }
    assert_eq!(faults.call(&call("CreateActivation")), Blow::default());
    assert!(faults.active().is_empty());
    assert_eq!(faults.spent().map(|fault| fault.strikes).collect::<Vec<_>>(), [2]);
}

#[test]
fn orders_for_the_same_operation_strike_one_after_the_other() {
    let mut faults = Faults::default();
    order(&mut faults, json!({"operation": "*", "error": "First"}));
    order(&mut faults, json!({"operation": "*", "error": "Second"}));
    let codes: Vec<_> = (0..3).map(|_| code(faults.call(&call("CreateActivation")))).collect();
    assert_eq!(codes, [Some("First".to_owned()), Some("Second".to_owned()), None]);
}

#[test]
fn a_fault_is_for_its_service_and_its_caller() {
    let mut faults = Faults::default();
    order(&mut faults, json!({"service": "sts", "error": "OfSts", "remaining": null}));
    order(&mut faults, json!({"caller": "mi-0123456789abcdef0", "error": "OfNode", "remaining": null}));
    let sts = Struck { service: Service::Sts, ..call("GetCallerIdentity") };
    assert_eq!(code(faults.call(&sts)).as_deref(), Some("OfSts"));
    let of = |caller| Struck { caller, ..call("UpdateInstanceInformation") };
    assert_eq!(code(faults.call(&of(Some("mi-0123456789abcdef0")))).as_deref(), Some("OfNode"));
    assert_eq!(faults.call(&of(Some("mi-00000000000000000"))), Blow::default());
    assert_eq!(faults.call(&of(None)), Blow::default());
}

#[test]
fn a_share_strikes_about_that_share_and_the_same_calls_for_the_same_seed() {
    let run = |seed: u64| {
        let mut faults = Faults::default();
        order(&mut faults, json!({"error": "ThrottlingException", "share": 0.5, "seed": seed}));
        (0..1000).map(|_| faults.call(&call("CreateActivation")).end.is_some()).collect::<Vec<_>>()
    };
    let struck = run(7).iter().filter(|hit| **hit).count();
    // Six standard deviations of a fair coin thrown a thousand times are 95.
    assert!((405..=595).contains(&struck), "{struck}");
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn a_seed_that_was_not_given_is_shown() {
    let mut faults = Faults::default();
    order(&mut faults, json!({"error": "ThrottlingException", "share": 0.5}));
    let shown = serde_json::to_value(faults.active()).unwrap();
    assert!(shown[0]["seed"].is_u64() && shown[0]["remaining"].is_null(), "{shown}");
    assert_eq!((&shown[0]["kind"], &shown[0]["id"]), (&json!("call"), &json!("call-1")));
}

#[test]
fn delays_add_up_and_jitter_stays_within_its_bounds() {
    let mut faults = Faults::default();
    order(&mut faults, json!({"delay_ms": 100, "remaining": null}));
    order(&mut faults, json!({"delay_ms": 10, "jitter_ms": 5, "remaining": null}));
    for _ in 0..100 {
        let blow = faults.call(&call("CreateActivation"));
        assert!((110..=115).contains(&blow.delay.as_millis()), "{blow:?}");
        assert_eq!(blow.end, None);
    }
}

#[test]
fn one_fault_is_cleared_alone() {
    let mut faults = Faults::default();
    let slow = order(&mut faults, json!({"delay_ms": 100, "remaining": null, "id": "slow"}));
    order(&mut faults, json!({"error": "ThrottlingException", "remaining": null}));
    assert_eq!(faults.clear(|fault| fault.id == slow), 1);
    assert_eq!(faults.clear(|fault| fault.id == slow), 0);
    let blow = faults.call(&call("CreateActivation"));
    assert_eq!(blow.delay, Duration::ZERO);
    assert_eq!(code(blow).as_deref(), Some("ThrottlingException"));
}

#[test]
fn an_id_is_taken_once_and_the_list_is_bounded() {
    let mut faults = Faults::default();
    let named = |id: &str| {
        let members = json!({"id": id, "hang": true}).as_object().unwrap().clone();
        Order::read(members).unwrap()
    };
    faults.order(named("a")).unwrap();
    assert_eq!(faults.order(named("a")).unwrap_err(), OrderError::Taken("a".to_owned()));
    let taken = (0..1000).take_while(|n| faults.order(named(&format!("b{n}"))).is_ok()).count();
    assert_eq!(taken, 99);
}

#[test]
fn an_order_for_no_call_is_none() {
    let mut faults = Faults::default();
    order(&mut faults, json!({"operation": "*", "error": "x", "remaining": 0}));
    assert!(faults.active().is_empty());
    assert_eq!(faults.call(&call("CreateActivation")), Blow::default());
}

#[test]
fn activations_fingerprints_and_certificates_are_struck_where_they_are_looked_at() {
    let mut faults = Faults::default();
    let (one, other) = ("0123abcd-0123-0123-0123-0123456789ab", "00000000-0123-0123-0123-0123456789ab");
    order(&mut faults, json!({"kind": "activations", "state": "full", "activation": one}));
    let id = |text| ActivationId::parse(text).unwrap();
    assert_eq!(faults.activation(&id(one)), Some(ActivationState::Full));
    assert_eq!(faults.activation(&id(other)), None);

    let node = ManagedNodeId::random();
    assert!(!faults.fingerprint(&node));
    order(&mut faults, json!({"kind": "fingerprints", "remaining": 1}));
    assert!(faults.fingerprint(&node));
    assert!(!faults.fingerprint(&node));

    order(&mut faults, json!({"kind": "certificate", "certificate": "other-name"}));
    assert_eq!(faults.certificate(), Some(WrongCertificate::OtherName));
    assert_eq!(faults.call(&call("CreateActivation")), Blow::default());
}

#[test]
fn clocks_that_are_wrong_add_up_until_they_are_cleared() {
    let mut faults = Faults::default();
    let ahead = order(&mut faults, json!({"kind": "clock", "offset_seconds": 3600}));
    order(&mut faults, json!({"kind": "clock", "offset_seconds": -600}));
    assert_eq!(faults.clock_offset(), 3000);
    faults.call(&call("CreateActivation"));
    assert_eq!(faults.active()[0].strikes, 1, "a call met the wrong time");
    faults.clear(|fault| fault.id == ahead);
    assert_eq!(faults.clock_offset(), -600);
}
