//! The Rust SDK, unmodified, against a started `ssm-lab`: pages, modelled errors, and what commands and sessions look like.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; clippy.toml lifts this for test functions only, not for their helpers"
)]

#[allow(dead_code, reason = "the tests of the lab's own clients use the rest of it")]
#[path = "lab/support.rs"]
mod support;

use std::collections::BTreeSet;
use std::process::Child;
use std::time::Duration;

use aws_sdk_ssm::Client;
use aws_sdk_ssm::config::retry::RetryConfig;
use aws_sdk_ssm::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_ssm::error::ProvideErrorMetadata as _;
use aws_sdk_ssm::operation::cancel_command::CancelCommandError;
use aws_sdk_ssm::operation::create_activation::CreateActivationOutput;
use aws_sdk_ssm::operation::delete_activation::DeleteActivationError;
use aws_sdk_ssm::operation::describe_instance_information::DescribeInstanceInformationError;
use aws_sdk_ssm::operation::resume_session::ResumeSessionError;
use aws_sdk_ssm::operation::send_command::SendCommandError;
use aws_sdk_ssm::operation::start_session::StartSessionError;
use aws_sdk_ssm::types::{
    CommandInvocationStatus, CommandStatus, ConnectionStatus, DescribeActivationsFilter,
    DescribeActivationsFilterKeys, InstanceInformationStringFilter, PingStatus, ResourceTypeForTagging, Tag,
};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use serde_json::json;

use support::{Host, Lab, REGION};

const UNKNOWN_NODE: &str = "mi-0123456789abcdef0";
const UNKNOWN_ID: &str = "01234567-89ab-cdef-0123-456789abcdef";
const PATIENCE: Duration = Duration::from_mins(1);

/// A client over TLS that trusts the lab's authority and nobody else.
fn client(lab: &Lab) -> Client {
    let authority = std::fs::read(lab.text("ca")).unwrap();
    let trust = TlsContext::builder()
        .with_trust_store(TrustStore::empty().with_pem_certificate(authority))
        .build()
        .unwrap();
    let http =
        Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(trust).build_https();
    let credentials = Credentials::new(
        lab.text("access_key_id"),
        lab.text("secret_access_key"),
        None,
        None,
        "the lab's ready file",
    );
    let config = aws_sdk_ssm::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(lab.text("tls_endpoint"))
        .credentials_provider(credentials)
        .retry_config(RetryConfig::disabled())
        .http_client(http)
        .build();
    Client::from_conf(config)
}

async fn activation(ssm: &Client, role: &str) -> CreateActivationOutput {
    ssm.create_activation().iam_role(role).send().await.unwrap()
}

#[tokio::test]
async fn the_paginator_walks_all_activations_once() {
    let lab = Lab::start();
    let ssm = client(&lab);
    let mut made = BTreeSet::new();
    for _ in 0..7 {
        made.insert(activation(&ssm, "Paged").await.activation_id.unwrap());
    }
    activation(&ssm, "Other").await;
    let filter = DescribeActivationsFilter::builder()
        .filter_key(DescribeActivationsFilterKeys::IamRole)
        .filter_values("Paged")
        .build();
    let mut pages = ssm.describe_activations().filters(filter).into_paginator().page_size(3).send();
    let mut found = Vec::new();
    while let Some(page) = pages.try_next().await.unwrap() {
        assert!(page.activation_list().len() <= 3);
        found
            .extend(page.activation_list.unwrap_or_default().into_iter().filter_map(|one| one.activation_id));
    }
    assert_eq!(found.len(), 7);
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), made);
}

#[tokio::test]
async fn errors_are_the_variants_that_the_sdk_models() {
    let lab = Lab::start();
    let ssm = client(&lab);
    let refused =
        ssm.delete_activation().activation_id(UNKNOWN_ID).send().await.unwrap_err().into_service_error();
    let modelled = matches!(
        refused,
        DeleteActivationError::InvalidActivation(_) | DeleteActivationError::InvalidActivationId(_)
    );
    assert!(modelled, "{refused:?}");
    assert!(refused.meta().extra("aws_request_id").is_some(), "the SDK shows the request's id: {refused:?}");

    let filter =
        InstanceInformationStringFilter::builder().key("InstanceIds").values(UNKNOWN_NODE).build().unwrap();
    let refused =
        ssm.describe_instance_information().filters(filter).send().await.unwrap_err().into_service_error();
    assert!(matches!(refused, DescribeInstanceInformationError::InvalidInstanceId(_)), "{refused:?}");

    let command =
        ssm.send_command().document_name("AWS-RunShellScript").parameters("commands", vec!["id".to_owned()]);
    let refused = command.instance_ids(UNKNOWN_NODE).send().await.unwrap_err().into_service_error();
    assert!(matches!(refused, SendCommandError::InvalidInstanceId(_)), "{refused:?}");

    let refused = ssm.cancel_command().command_id(UNKNOWN_ID).send().await.unwrap_err().into_service_error();
    assert!(matches!(refused, CancelCommandError::InvalidCommandId(_)), "{refused:?}");

    let refused = ssm.start_session().target(UNKNOWN_NODE).send().await.unwrap_err().into_service_error();
    assert!(matches!(refused, StartSessionError::TargetNotConnected(_)), "{refused:?}");

    let refused = ssm.resume_session().session_id("nobody-1").send().await.unwrap_err().into_service_error();
    assert!(matches!(refused, ResumeSessionError::DoesNotExistException(_)), "{refused:?}");
}

#[tokio::test]
async fn errors_outside_the_model_keep_their_code() {
    let lab = Lab::start();
    let refused =
        client(&lab).create_activation().iam_role("r").registration_limit(1001).send().await.unwrap_err();
    assert_eq!(refused.code(), Some("ValidationException"), "{refused:?}");
}

/// The stand-in agent's daemon; its processes end with it.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A node with a control channel, and its host.
async fn connected(lab: &Lab, ssm: &Client) -> (Host, Daemon, String) {
    let host = Host::new(lab);
    let tls = lab.text("tls_endpoint");
    host.configure(&json!({
        "Ssm": {"Endpoint": tls}, "Mds": {"Endpoint": tls}, "Mgs": {"Endpoint": tls, "Region": REGION},
        "Identity": {"ConsumptionOrder": ["OnPrem"]},
    }));
    let output = host.register(&lab.activation(1), &[], "");
    assert!(output.status.success(), "{output:?}");
    let id = host.node_id();
    let daemon = Daemon(host.daemon());
    let connecting = async {
        loop {
            let answer = ssm.get_connection_status().target(&id).send().await.unwrap();
            if answer.status == Some(ConnectionStatus::Connected) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, connecting).await.expect("the control channel is open");
    (host, daemon, id)
}

#[tokio::test]
async fn a_node_runs_a_command_and_takes_a_session() {
    let lab = Lab::start();
    let ssm = client(&lab);
    let (_host, _daemon, id) = connected(&lab, &ssm).await;

    let filter =
        InstanceInformationStringFilter::builder().key("PingStatus").values("Online").build().unwrap();
    let nodes = ssm.describe_instance_information().filters(filter).into_paginator().items().send();
    let nodes = nodes.collect::<Result<Vec<_>, _>>().await.unwrap();
    assert_eq!(
        (nodes[0].instance_id(), nodes[0].ping_status()),
        (Some(id.as_str()), Some(&PingStatus::Online))
    );

    let tag = Tag::builder().key("rack").value("b").build().unwrap();
    let tagging =
        ssm.add_tags_to_resource().resource_type(ResourceTypeForTagging::ManagedInstance).resource_id(&id);
    tagging.tags(tag).send().await.unwrap();

    let script = vec!["echo from the SDK".to_owned(), "exit 3".to_owned()];
    let sent = ssm
        .send_command()
        .document_name("AWS-RunShellScript")
        .instance_ids(&id)
        .parameters("commands", script);
    let command = sent.send().await.unwrap().command.unwrap();
    assert_eq!(command.instance_ids(), std::slice::from_ref(&id));
    assert!(
        matches!(command.status, Some(CommandStatus::Pending | CommandStatus::InProgress)),
        "{command:?}"
    );
    let command_id = command.command_id.unwrap();
    let done = tokio::time::timeout(PATIENCE, async {
        loop {
            let invocation =
                ssm.get_command_invocation().command_id(&command_id).instance_id(&id).send().await.unwrap();
            match invocation.status {
                Some(CommandInvocationStatus::Pending | CommandInvocationStatus::InProgress) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                _ => return invocation,
            }
        }
    });
    let done = done.await.expect("the command ends");
    assert_eq!((done.status, done.response_code), (Some(CommandInvocationStatus::Failed), 3));
    assert_eq!(done.standard_output_content.as_deref(), Some("from the SDK\n"));

    let tier = "/ssm/managed-instance/activation-tier";
    ssm.update_service_setting().setting_id(tier).setting_value("advanced").send().await.unwrap();
    let session = ssm.start_session().target(&id).send().await.unwrap();
    let session_id = session.session_id.unwrap();
    assert!(session.token_value.is_some_and(|token| !token.is_empty()));
    let url = session.stream_url.unwrap();
    assert!(url.starts_with("wss://") && url.contains(&format!("/v1/data-channel/{session_id}?")), "{url}");
    let ended = ssm.terminate_session().session_id(&session_id).send().await.unwrap();
    assert_eq!(ended.session_id, Some(session_id));
}
