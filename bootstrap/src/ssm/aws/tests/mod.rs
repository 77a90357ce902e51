//! [`AwsControlPlane`] against a server of our own: the requests are checked against AWS's API reference,
//! and the answers are written as AWS writes them.

mod trouble;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use aws_config::SdkConfig;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{
    connect::{self, Patience},
    test_endpoint::{Endpoint, PATIENCE, REGION, Reply, control_plane, credentials, environment, error},
    *,
};
use crate::{
    inventory::Environment,
    ssm::{RegistrationLimit, fake::FakeControlPlane},
};

const ID: &str = "0f2e9f5c-7d30-4b4f-9d3f-3a5f6f1c2b7e";
const CODE: &str = "Fq3pzR8uXhJ2mN5tYv7w";

fn request() -> ActivationRequest {
    ActivationRequest {
        role: "nodes".to_owned(),
        limit: RegistrationLimit::for_hosts(7),
        expires_in: Duration::from_hours(1),
        default_instance_name: Some("dev".to_owned()),
        description: "a run".to_owned(),
        tags: Tags::from([("bootstrap:run".to_owned(), "r1".to_owned())]),
    }
}

#[tokio::test]
async fn every_request_is_signed_and_names_its_operation() {
    let endpoint = Endpoint::start(|asked| match asked.operation() {
        "AmazonSSM.CreateActivation" => (200, json!({ "ActivationId": ID, "ActivationCode": CODE })),
        _ => (200, json!({})),
    })
    .await;
    let (ssm, node) = (endpoint.control_plane().await, FakeControlPlane::node_id(1));
    let activation = ssm.create_activation(&request()).await.unwrap();
    ssm.activations().await.unwrap();
    ssm.nodes(std::slice::from_ref(&node)).await.unwrap();
    ssm.tags(&node).await.unwrap();
    ssm.set_tags(&node, &request().tags).await.unwrap();
    ssm.delete_activation(&activation.id).await.unwrap();

    let asked = endpoint.asked();
    let operations: Vec<_> =
        asked.iter().map(|asked| asked.operation().trim_start_matches("AmazonSSM.")).collect();
    let expected = [
        "CreateActivation",
        "DescribeActivations",
        "DescribeInstanceInformation",
        "ListTagsForResource",
        "AddTagsToResource",
        "DeleteActivation",
    ];
    assert_eq!(operations, expected);
    for asked in &asked {
        let signed = asked.header("authorization");
        assert!(signed.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{signed}");
        assert!(signed.contains("/eu-central-1/ssm/aws4_request"), "{signed}");
        assert_eq!(asked.header("content-type"), "application/x-amz-json-1.1");
        let us = format!("lib/bootstrap/{}", env!("CARGO_PKG_VERSION"));
        let agents = [asked.header("user-agent"), asked.header("x-amz-user-agent")];
        assert!(agents.iter().any(|agent| agent.contains(&us)), "{agents:?}");
    }
}

#[tokio::test]
async fn an_activation_is_asked_for_in_the_words_of_the_api() {
    let endpoint = Endpoint::start(|_| (200, json!({ "ActivationId": ID, "ActivationCode": CODE }))).await;
    let before = Timestamp::now().as_second();
    let activation = endpoint.control_plane().await.create_activation(&request()).await.unwrap();
    let after = Timestamp::now().as_second();
    assert_eq!((activation.id.as_str(), activation.code.expose_secret()), (ID, CODE));
    assert!(!format!("{activation:?}").contains(CODE));

    let mut body = endpoint.asked().remove(0).body;
    let expires = body.as_object_mut().unwrap().remove("ExpirationDate").unwrap();
    let possible = before + 3600..=after + 3600;
    assert!(
        possible.clone().any(|second| expires.to_string().trim_end_matches(".0") == second.to_string()),
        "{expires}"
    );
    assert!(possible.contains(&activation.expires.as_second()));
    let expected = json!({
        "IamRole": "nodes",
        "RegistrationLimit": 7,
        "DefaultInstanceName": "dev",
        "Description": "a run",
        "Tags": [{ "Key": "bootstrap:run", "Value": "r1" }],
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn tags_are_set_and_read_of_a_managed_instance() {
    let endpoint = Endpoint::start(|asked| match asked.operation() {
        "AmazonSSM.ListTagsForResource" => (200, json!({ "TagList": [{ "Key": "Name", "Value": "pi-1" }] })),
        _ => (200, json!({})),
    })
    .await;
    let (ssm, node) = (endpoint.control_plane().await, FakeControlPlane::node_id(1));
    let tags = Tags::from([("Name".to_owned(), "pi-1".to_owned())]);
    ssm.set_tags(&node, &tags).await.unwrap();
    ssm.set_tags(&node, &Tags::new()).await.unwrap();
    assert_eq!(ssm.tags(&node).await.unwrap(), tags);
    let resource = json!({ "ResourceType": "ManagedInstance", "ResourceId": node.as_str() });
    let bodies: Vec<_> = endpoint.asked().into_iter().map(|asked| asked.body).collect();
    let mut set = resource.clone();
    set["Tags"] = json!([{ "Key": "Name", "Value": "pi-1" }]);
    assert_eq!(bodies, [set, resource], "no tags, no request");
}

#[tokio::test]
async fn all_pages_of_activations_are_read() {
    let endpoint = Endpoint::start(|asked| {
        let page = |id: &str, more: Value| {
            let activation = json!({
                "ActivationId": id, "RegistrationLimit": 10, "RegistrationsCount": 3, "Expired": true,
                "CreatedDate": 1_767_225_600.25, "Tags": [{ "Key": "bootstrap:run", "Value": "r1" }],
            });
            (200, json!({ "ActivationList": [activation], "NextToken": more }))
        };
        match asked.body["NextToken"].as_str() {
            None => page(ID, json!("more")),
            Some("more") => page("11111111-7d30-4b4f-9d3f-3a5f6f1c2b7e", Value::Null),
            Some(other) => error(400, "InvalidNextToken", other),
        }
    })
    .await;
    let found = endpoint.control_plane().await.activations().await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(endpoint.asked()[0].body["Filters"], Value::Null);
    assert_eq!(endpoint.control_plane().await.activations_named("dev").await.unwrap(), found);
    let filters = json!([{ "FilterKey": "DefaultInstanceName", "FilterValues": ["dev"] }]);
    assert!(endpoint.asked()[2..].iter().all(|asked| asked.body["Filters"] == filters));
    assert_eq!(found[0], ActivationRecord { id: ID.parse().unwrap(), tags: request().tags });
}

/// What AWS does: an unknown id fails the whole request; answers come in pages of two.
fn describe(asked: &super::test_endpoint::Asked, known: &BTreeSet<String>) -> Reply {
    assert_eq!(asked.body["Filters"][0]["Key"], "InstanceIds");
    let wanted: Vec<&str> =
        asked.body["Filters"][0]["Values"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!((1..=50).contains(&wanted.len()), "{} ids in a request", wanted.len());
    if !wanted.iter().all(|id| known.contains(*id)) {
        return error(400, "InvalidInstanceId", "");
    }
    let from = asked.body["NextToken"].as_str().map_or(0, |token| token.parse::<usize>().unwrap());
    let page: Vec<_> = wanted
        .iter()
        .skip(from)
        .take(2)
        .map(|id| json!({ "InstanceId": id, "PingStatus": "Online", "LastPingDateTime": 1_767_225_600 }))
        .collect();
    let next = from + page.len();
    let more = (next < wanted.len()).then(|| next.to_string());
    (200, json!({ "InstanceInformationList": page, "NextToken": more }))
}

#[tokio::test]
async fn unknown_nodes_are_absent_and_cost_the_others_nothing() {
    let ids: Vec<_> = (0..120).map(FakeControlPlane::node_id).collect();
    let unknown = [&ids[0], &ids[77], &ids[119]];
    let known: BTreeSet<String> =
        ids.iter().filter(|id| !unknown.contains(id)).map(|id| id.as_str().to_owned()).collect();
    let expected = known.clone();
    let endpoint = Endpoint::start(move |asked| describe(asked, &known)).await;
    let found = endpoint.control_plane().await.nodes(&ids).await.unwrap();
    assert_eq!(found.len(), 117, "each once");
    assert_eq!(found.into_iter().map(|node| node.id.as_str().to_owned()).collect::<BTreeSet<_>>(), expected);
}

#[tokio::test]
async fn one_unknown_node_is_asked_for_once() {
    let endpoint = Endpoint::start(|_| error(400, "InvalidInstanceId", "")).await;
    assert_eq!(endpoint.control_plane().await.nodes(&[FakeControlPlane::node_id(1)]).await.unwrap(), []);
    assert_eq!(endpoint.asked().len(), 1);
}

#[tokio::test]
async fn a_node_is_told_with_what_ssm_says_of_its_ping_and_role() {
    let node = FakeControlPlane::node_id(1);
    let id = node.as_str().to_owned();
    let endpoint = Endpoint::start(move |_| {
        let nodes = json!([{
            "InstanceId": id, "PingStatus": "Inactive", "LastPingDateTime": 1_767_225_600.5, "AgentVersion": "3.3.1",
            "IamRole": "nodes", "ActivationId": ID, "Name": "dev", "ComputerName": "pi-1.lan", "ResourceType": "ManagedInstance",
        }]);
        (200, json!({ "InstanceInformationList": nodes }))
    })
    .await;
    let found = endpoint.control_plane().await.nodes(std::slice::from_ref(&node)).await.unwrap();
    let expected = NodeRecord {
        id: node,
        ping: PingStatus::Other("Inactive".to_owned()),
        last_ping: Some("2026-01-01T00:00:00.5Z".parse().unwrap()),
        iam_role: Some("nodes".to_owned()),
    };
    assert_eq!(found, [expected]);
}

#[tokio::test]
async fn deleting_what_is_gone_is_no_error() {
    for code in ["InvalidActivation", "InvalidActivationId"] {
        let endpoint = Endpoint::start(move |_| error(400, code, "The activation isn't valid.")).await;
        let result = endpoint.control_plane().await.delete_activation(&ID.parse().unwrap()).await;
        assert_eq!(result, Ok(()), "{code}");
    }
}

#[tokio::test]
async fn without_an_endpoint_it_is_the_one_of_the_region() {
    for (region, url) in [
        ("eu-central-1", "https://ssm.eu-central-1.amazonaws.com"),
        ("cn-north-1", "https://ssm.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "https://ssm.us-gov-west-1.amazonaws.com"),
    ] {
        let dev = Environment { region: region.to_owned(), endpoint: None, ..environment("") };
        assert_eq!(connect::endpoint(&dev, &SdkConfig::builder().build()).await.unwrap(), url);
    }
}

#[tokio::test]
async fn a_region_that_cannot_be_one_is_refused() {
    let dev = Environment { region: "eu central".to_owned(), endpoint: None, ..environment("") };
    let refused = connect::endpoint(&dev, &SdkConfig::builder().build()).await.unwrap_err();
    assert!(
        matches!(&refused, ConnectError::NoEndpoint { region, .. } if region == "eu central"),
        "{refused}"
    );
}

#[test]
fn only_an_endpoint_on_this_machine_is_asked_without_the_proxy() {
    for url in [
        "http://127.0.0.1:8080",
        "https://localhost:8443/ssm",
        "http://[::1]:80",
        "https://127.9.9.9",
        "https://localhost",
    ] {
        assert!(connect::is_loopback(url), "{url}");
    }
    for url in [
        "https://ssm.eu-central-1.amazonaws.com",
        "http://10.0.2.2:8080",
        "https://localhost.example.com",
        "https://127.0.0.1.example.com",
        "",
    ] {
        assert!(!connect::is_loopback(url), "{url}");
    }
}
