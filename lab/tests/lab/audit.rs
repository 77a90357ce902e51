//! The trail of events: who did what, what was denied, and that no secret is in it.

use std::path::Path;

use lab::node_key::NodeKey;
use serde_json::{Value, json};

use crate::support::{Client, Lab, anonymous, plain, terminate};

fn lookup(client: &Client, key: &str, value: &str) -> Vec<Value> {
    let attribute = json!([{"AttributeKey": key, "AttributeValue": value}]);
    let (status, answer) = client.lookup_events(&json!({"LookupAttributes": attribute}));
    assert_eq!(status, 200, "{answer}");
    answer["Events"].as_array().unwrap().clone()
}

fn record(event: &Value) -> Value {
    serde_json::from_str(event["CloudTrailEvent"].as_str().unwrap()).unwrap()
}

fn register(lab: &Lab, activation: &Value) -> String {
    let body = json!({
        "ActivationId": activation["ActivationId"],
        "ActivationCode": activation["ActivationCode"],
        "Fingerprint": "a-fingerprint-of-a-machine",
        "PublicKey": NodeKey::generate().unwrap().public_base64().unwrap(),
        "PublicKeyType": "Rsa",
    });
    let (status, answer) = anonymous(lab.text("endpoint"), "RegisterManagedInstance", &body);
    assert_eq!(status, 200, "{answer}");
    answer["InstanceId"].as_str().unwrap().to_owned()
}

#[test]
fn an_allowed_call_and_a_denied_one_are_both_told() {
    let lab = Lab::start();
    let activation = lab.activation(1);
    let node = register(&lab, &activation);
    // The user is no node, so this is denied.
    lab.refused("UpdateInstanceInformation", &json!({"InstanceId": node}), "AccessDeniedException");

    let created = &lookup(&lab.user(), "EventName", "CreateActivation")[0];
    assert_eq!(created["Username"], "lab-user");
    assert_eq!(created["ReadOnly"], "false");
    assert_eq!(created["AccessKeyId"], lab.text("access_key_id"));
    assert_eq!(created["EventSource"], "ssm.amazonaws.com");
    let created = record(created);
    assert_eq!(created["eventVersion"], "1.09");
    assert_eq!(created["userIdentity"]["type"], "IAMUser");
    assert_eq!(created["responseElements"]["activationId"], activation["ActivationId"]);
    assert_eq!(created["responseElements"]["activationCode"], "HIDDEN_DUE_TO_SECURITY_REASONS");
    assert_eq!(created["requestParameters"]["iamRole"], "Role");
    assert!(created.get("errorCode").is_none());

    let denied = record(&lookup(&lab.user(), "EventName", "UpdateInstanceInformation")[0]);
    assert_eq!(denied["errorCode"], "AccessDenied");
    assert_eq!(denied["responseElements"], Value::Null);
    assert_eq!(denied["resources"][0]["type"], "AWS::SSM::ManagedInstance");

    let of_node: Vec<Value> = lookup(&lab.user(), "ResourceName", &node);
    let names: Vec<&str> = of_node.iter().map(|event| event["EventName"].as_str().unwrap()).collect();
    assert_eq!(names, ["UpdateInstanceInformation", "RegisterManagedInstance"]);
    assert_eq!(record(&of_node[1])["userIdentity"]["accountId"], "ANONYMOUS_PRINCIPAL");
    assert_eq!(of_node[0]["Resources"][0]["ResourceName"], node);
}

#[test]
fn a_call_with_a_wrong_secret_is_told_without_what_it_asked() {
    let lab = Lab::start();
    let forger = Client { secret: "forged".to_owned(), ..lab.user() };
    let (_, answer) = forger.call("CreateActivation", &json!({"IamRole": "Role"}));
    assert_eq!(answer["__type"], "InvalidSignatureException");
    let event = &lookup(&lab.user(), "EventName", "CreateActivation")[0];
    assert_eq!(event["AccessKeyId"], lab.text("access_key_id"));
    assert!(event.get("Username").is_none(), "nobody proved to be that user");
    let event = record(event);
    assert_eq!(event["errorCode"], "InvalidSignatureException");
    assert_eq!(event["userIdentity"]["type"], "Unknown");
    assert_eq!(event["requestParameters"], Value::Null);
}

#[test]
fn a_channel_that_is_refused_is_told_by_its_session() {
    let lab = Lab::start();
    let session = "someone-0123456789abcdef0";
    let url = format!("{}/v1/data-channel/{session}", lab.text("endpoint"));
    assert_eq!(plain().get(&url).call().unwrap().status(), 404);
    let told = &lookup(&lab.user(), "EventName", "OpenDataChannel")[0];
    assert_eq!(told["Resources"], json!([{"ResourceType": "AWS::SSM::Session", "ResourceName": session}]));
    let told = record(told);
    assert_eq!(told["eventSource"], "ssmmessages.amazonaws.com");
    assert_eq!(told["errorCode"], "ResourceNotFoundException");
    assert_eq!(told["sourceIPAddress"], "127.0.0.1");
}

#[test]
fn lookups_are_refused_by_the_names_of_cloudtrail() {
    let lab = Lab::start();
    let both = json!([
        {"AttributeKey": "EventName", "AttributeValue": "a"},
        {"AttributeKey": "Username", "AttributeValue": "b"},
    ]);
    for (input, code) in [
        (json!({"MaxResults": 0}), "InvalidMaxResultsException"),
        (json!({"MaxResults": 51}), "InvalidMaxResultsException"),
        (json!({"StartTime": 2, "EndTime": 1}), "InvalidTimeRangeException"),
        (json!({"LookupAttributes": both}), "InvalidLookupAttributesException"),
        (
            json!({"LookupAttributes": [{"AttributeKey": "Colour", "AttributeValue": "a"}]}),
            "InvalidLookupAttributesException",
        ),
        (json!({"NextToken": "nonsense"}), "InvalidNextTokenException"),
        (json!({"EventCategory": "insight"}), "InvalidEventCategoryException"),
        (json!({"MaxResults": "many"}), "SerializationException"),
    ] {
        let (status, answer) = lab.user().lookup_events(&input);
        assert_eq!((status, &answer["__type"]), (400, &json!(code)), "{input}: {answer}");
    }
}

#[test]
fn the_admin_listener_hands_out_records_to_who_follows_them() {
    let lab = Lab::start();
    lab.activation(1);
    lab.done("DescribeActivations", &json!({}));
    let first = lookup(&lab.user(), "EventName", "CreateActivation")[0]["EventId"].clone();
    let (status, lines) = lab.admin_text(&format!("/events?since={}", first.as_str().unwrap()));
    assert_eq!(status, 200);
    let names: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["eventName"].clone()).collect();
    assert_eq!(names, ["DescribeActivations", "LookupEvents"]);
    assert_eq!(lab.admin_text("/events").1.lines().count(), 3);
    assert_eq!(lab.admin_text("/events?since=unknown").0, 400);
}

#[test]
fn no_secret_of_a_run_is_in_the_events() {
    let mut lab = Lab::start();
    let activation = lab.activation(1);
    register(&lab, &activation);
    let (_, events) = lab.user().lookup_events(&json!({}));
    let records = lab.admin_text("/events").1;
    let code = activation["ActivationCode"].as_str().unwrap().to_owned();
    let secret = lab.text("secret_access_key").to_owned();
    for told in [events.to_string(), records.clone(), lab.log()] {
        assert!(!told.contains(&code) && !told.contains(&secret), "{told}");
    }
    assert!(!records.contains("a-fingerprint-of-a-machine"), "{records}");
    assert!(terminate(&mut lab.child).success());
    let databases = databases(&lab.dir.path().join("state"));
    for (path, bytes) in &databases {
        for hidden in [code.as_bytes(), secret.as_bytes()] {
            assert!(!bytes.windows(hidden.len()).any(|window| window == hidden), "{path}");
        }
    }
    let event = records.lines().next().unwrap();
    let event: Value = serde_json::from_str(event).unwrap();
    let id = event["eventID"].as_str().unwrap().as_bytes();
    assert!(
        databases.iter().any(|(_, bytes)| bytes.windows(id.len()).any(|window| window == id)),
        "the events are in one of the files searched"
    );
}

/// The database and whatever SQLite puts beside it.
fn databases(state: &Path) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(state).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.to_string_lossy().contains(".db"))
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
        .collect()
}
