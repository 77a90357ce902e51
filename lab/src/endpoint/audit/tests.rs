//! Events written and found again, without HTTP.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::HeaderMap;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::event::{Answered, Event};
use super::{BATCH, append};
use crate::endpoint::Endpoint;
use crate::endpoint::caller::Caller;
use crate::endpoint::error::ApiError;
use crate::endpoint::operations::{Call, find};
use crate::endpoint::origin::Origin;
use crate::endpoint::service::Service;

fn event(endpoint: &Endpoint, service: Service, name: &'static str, caller: &Caller) -> Option<Event> {
    let result = Ok(json!({}));
    let answered = Answered {
        request_id: "r",
        service,
        name,
        signed: true,
        caller,
        headers: &HeaderMap::new(),
        source: Some([127, 0, 0, 1].into()),
        input: None,
        touched: &[],
        result: &result,
    };
    Event::of(endpoint, &answered)
}

fn record(endpoint: &Endpoint, name: &'static str) {
    let caller = Caller::User("ann".to_owned());
    endpoint.record(&event(endpoint, Service::Ssm, name, &caller).unwrap());
}

fn lookup(endpoint: &Endpoint, input: &Value) -> Result<Value, ApiError> {
    let caller = Caller::User("ann".to_owned());
    endpoint.change(|state| {
        let (origin, now) = (Origin::default(), endpoint.clock.now());
        let mut call = Call { endpoint, caller: &caller, origin: &origin, input, state, now };
        find(Service::CloudTrail, "LookupEvents")?.run(&mut call)
    })
}

fn ids(answer: &Value) -> Vec<String> {
    let events = answer["Events"].as_array().unwrap();
    events.iter().map(|event| event["EventId"].as_str().unwrap().to_owned()).collect()
}

fn all_ids_oldest_first(endpoint: &Endpoint) -> Vec<String> {
    endpoint
        .change(|state| Ok(super::lookup::records_since(&state.database, None, usize::MAX).unwrap().unwrap()))
        .unwrap()
        .iter()
        .map(|record| serde_json::from_str::<Value>(record).unwrap()["eventID"].as_str().unwrap().to_owned())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn pages_give_each_event_once_and_the_newest_first_while_others_arrive(
        calls in prop::collection::vec((any::<bool>(), 0_u64..3), 0..40),
        size in 1_usize..8,
        filtered in any::<bool>(),
        arrivals in prop::collection::vec(any::<bool>(), 8),
    ) {
        let endpoint = Endpoint::in_memory();
        let mut wanted = BTreeSet::new();
        for (describes, seconds) in calls {
            endpoint.clock.advance(Duration::from_secs(seconds));
            record(&endpoint, if describes { "DescribeActivations" } else { "DeleteActivation" });
            if describes || !filtered {
                wanted.insert(all_ids_oldest_first(&endpoint).pop().unwrap());
            }
        }
        let expected: Vec<String> = all_ids_oldest_first(&endpoint)
            .into_iter()
            .rev()
            .filter(|id| wanted.contains(id))
            .collect();
        let mut input = json!({"MaxResults": size});
        if filtered {
            input["LookupAttributes"] =
                json!([{"AttributeKey": "EventName", "AttributeValue": "DescribeActivations"}]);
        }
        let mut seen = Vec::new();
        for arrival in arrivals.into_iter().cycle() {
            let answer = lookup(&endpoint, &input).unwrap();
            prop_assert!(ids(&answer).len() <= size);
            seen.extend(ids(&answer));
            let Some(token) = answer.get("NextToken") else { break };
            input["NextToken"] = token.clone();
            if arrival {
                record(&endpoint, "DescribeActivations");
            }
        }
        prop_assert_eq!(seen, expected);
    }
}

#[test]
fn each_attribute_finds_its_events_and_no_others() {
    let endpoint = Endpoint::in_memory();
    record(&endpoint, "DeleteActivation");
    let node = crate::ids::ManagedNodeId::random();
    let by_node = event(&endpoint, Service::Ssm, "ListInstanceAssociations", &Caller::Node(node.clone()));
    endpoint.record(&by_node.unwrap());
    let by_user = event(&endpoint, Service::Sts, "GetCallerIdentity", &Caller::User("bob".to_owned()));
    endpoint.record(&by_user.unwrap());
    let last = all_ids_oldest_first(&endpoint).pop().unwrap();
    let arn = format!("arn:aws:ssm:eu-central-1:123456789012:managed-instance/{node}");
    for (key, value, count) in [
        ("EventName", "DeleteActivation", 1),
        ("EventName", "deleteactivation", 0),
        ("ReadOnly", "true", 2),
        ("ReadOnly", "false", 1),
        ("Username", "bob", 1),
        ("Username", node.as_str(), 1),
        ("EventSource", "ssm.amazonaws.com", 2),
        ("EventSource", "sts.amazonaws.com", 1),
        ("ResourceType", "AWS::SSM::ManagedInstance", 1),
        ("ResourceName", node.as_str(), 1),
        ("ResourceName", arn.as_str(), 1),
        ("EventId", last.as_str(), 1),
        ("AccessKeyId", "AKIAX", 0),
    ] {
        let input = json!({"LookupAttributes": [{"AttributeKey": key, "AttributeValue": value}]});
        assert_eq!(ids(&lookup(&endpoint, &input).unwrap()).len(), count, "{key} {value}");
    }
}

#[test]
fn a_span_of_time_includes_both_its_ends() {
    let endpoint = Endpoint::in_memory();
    record(&endpoint, "DeleteActivation");
    let first = lookup(&endpoint, &json!({})).unwrap()["Events"][0]["EventTime"].as_i64().unwrap();
    endpoint.clock.advance(Duration::from_mins(1));
    record(&endpoint, "DeleteActivation");
    let count = |input: Value| ids(&lookup(&endpoint, &input).unwrap()).len();
    assert_eq!(count(json!({"StartTime": first, "EndTime": first})), 1);
    assert_eq!(count(json!({"StartTime": first + 1})), 1);
    assert_eq!(count(json!({"EndTime": first - 1})), 0);
    assert_eq!(count(json!({"StartTime": first, "EndTime": first + 3600})), 2);
}

#[test]
fn a_token_serves_the_query_it_was_made_for() {
    let endpoint = Endpoint::in_memory();
    for _ in 0..3 {
        record(&endpoint, "DeleteActivation");
    }
    let answer = lookup(&endpoint, &json!({"MaxResults": 1})).unwrap();
    let token = &answer["NextToken"];
    assert_eq!(ids(&lookup(&endpoint, &json!({"NextToken": token})).unwrap()).len(), 2);
    for other in [json!({"NextToken": token, "StartTime": 1}), json!({"NextToken": "AAAA"})] {
        assert_eq!(lookup(&endpoint, &other).unwrap_err().code, "InvalidNextTokenException");
    }
}

#[test]
fn the_oldest_events_go_in_batches_and_take_their_resources_along() {
    let endpoint = Endpoint::in_memory();
    let node = Caller::Node(crate::ids::ManagedNodeId::random());
    let events: Vec<Event> = (0..3 * BATCH)
        .filter_map(|_| event(&endpoint, Service::Ssm, "UpdateInstanceInformation", &node))
        .collect();
    endpoint
        .change(|state| {
            for event in &events {
                append(&mut state.database, event, 10).unwrap();
            }
            for table in ["events", "event_resources"] {
                let count =
                    |sql: String| state.database.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap();
                assert_eq!(count(format!("SELECT count(*) FROM {table}")), 10, "{table}");
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn polls_and_what_comes_through_channels_leave_no_event() {
    let endpoint = Endpoint::in_memory();
    let caller = Caller::User("ann".to_owned());
    for (service, name, recorded) in [
        (Service::Ec2Messages, "GetMessages", false),
        (Service::SsmMessages, "CreateControlChannel", false),
        (Service::SsmMessages, "OpenControlChannel", true),
        (Service::SsmMessages, "OpenDataChannel", true),
        (Service::Ssm, "UpdateInstanceInformation", true),
        (Service::CloudTrail, "LookupEvents", true),
    ] {
        assert_eq!(event(&endpoint, service, name, &caller).is_some(), recorded, "{name}");
    }
}

#[test]
fn a_call_goes_on_when_its_event_cannot_be_written() {
    let endpoint = Endpoint::in_memory();
    endpoint
        .change(|state| {
            state.database.execute_batch("DROP TABLE events").unwrap();
            Ok(())
        })
        .unwrap();
    record(&endpoint, "DeleteActivation");
    record(&endpoint, "DeleteActivation");
    assert_eq!(lookup(&endpoint, &json!({})).unwrap_err().status, 500);
}
