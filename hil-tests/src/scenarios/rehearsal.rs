//! What an operator does with nodes that are Online: commands and sessions, through the lab, on real guests.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::CommandInvocationStatus as Status;
use futures_util::{SinkExt as _, StreamExt as _};
use lab::agent_message::AgentMessage;
use serde_json::json;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::adoption::node_of;
use crate::bench::{Bench, HOST};
use crate::wait::Deadline;

/// The agent takes a command within a second; a loaded machine is slower, and an emulated guest more so.
const PATIENCE: Duration = Duration::from_mins(3);
const LOOK: Duration = Duration::from_millis(500);

pub(super) async fn command(bench: &mut Bench) -> Result<()> {
    let (ssm, node) = (bench.endpoint()?.client(), node_of(bench).await?);
    let script = "hostname; id -un; echo complaint >&2; exit 3".to_owned();
    let sent = ssm.send_command().document_name("AWS-RunShellScript").instance_ids(&node);
    let sent = sent.parameters("commands", vec![script]).send().await?;
    let id = sent.command.and_then(|command| command.command_id).context("a command without an id")?;
    let deadline = Deadline::after(PATIENCE);
    let ended = loop {
        let invocation = ssm.get_command_invocation().command_id(&id).instance_id(&node).send().await;
        match invocation {
            Ok(invocation) if !is_going(invocation.status.as_ref()) => break invocation,
            last => ensure!(deadline.pause(LOOK).await, "the command does not end: {last:#?}"),
        }
    };
    let hostname = bench.root(&["hostname"]).await?;
    ensure!(ended.status == Some(Status::Failed) && ended.response_code == 3, "{ended:#?}");
    ensure!(ended.standard_output_content == Some(format!("{hostname}\nroot\n")), "{ended:#?}");
    let stderr = ended.standard_error_content.clone().unwrap_or_default();
    ensure!(stderr.starts_with("complaint\n"), "{ended:#?}");
    Ok(())
}

fn is_going(status: Option<&Status>) -> bool {
    matches!(status, None | Some(Status::Pending | Status::InProgress | Status::Delayed))
}

pub(super) async fn session(bench: &mut Bench) -> Result<()> {
    let plain = bench.endpoint()?.url_seen_from(bench.machine());
    let tls = bench.endpoint()?.tls_url_seen_from(bench.machine())?;
    bench.trust_endpoint().await?;
    let inventory = bench.changed_inventory(|text| text.replace(&plain, &tls))?;
    let host = bench.enrol_by(&inventory).await?.expect_code(0)?.host(HOST)?;
    let node = host["node"].as_str().context("no node")?;

    let ssm = bench.endpoint()?.client();
    let tier = ssm.update_service_setting().setting_id("/ssm/managed-instance/activation-tier");
    tier.setting_value("advanced").send().await?;
    wait_for_channel(&ssm, node).await?;
    let session = ssm.start_session().target(node).send().await?;
    let url = session.stream_url.context("no stream URL")?;
    let token = session.token_value.context("no token")?;
    let typing = type_into(&url, &token, "echo I am $(whoami)\n", "I am ssm-user");
    let shown = timeout(PATIENCE, typing).await.context("the shell did not answer")??;
    ensure!(shown.contains("echo I am $(whoami)"), "a terminal echoes what is typed: {shown:?}");
    let id = session.session_id.context("no session id")?;
    ssm.terminate_session().session_id(&id).send().await?;
    let transcript = bench.admin_text("GET", &format!("/sessions/{id}/transcript"), None).await?;
    ensure!(transcript.contains("I am ssm-user"), "{transcript}");
    Ok(())
}

async fn wait_for_channel(ssm: &Client, node: &str) -> Result<()> {
    let deadline = Deadline::after(PATIENCE);
    loop {
        let status = ssm.get_connection_status().target(node).send().await?.status;
        if status.is_some_and(|status| status.as_str() == "connected") {
            return Ok(());
        }
        ensure!(deadline.pause(LOOK).await, "the agent opens no control channel");
    }
}

/// The client half of a session, as session-manager-plugin has it: types, and reads until `expected` is shown.
async fn type_into(url: &str, token: &str, typed: &str, expected: &str) -> Result<String> {
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await?;
    let open = json!({
        "MessageSchemaVersion": "1.0",
        "RequestId": "00112233-4455-6677-8899-aabbccddeeff",
        "TokenValue": token,
        "ClientId": "ffeeddcc-bbaa-9988-7766-554433221100",
        "ClientVersion": "1.2.707.0",
    });
    socket.send(Message::text(open.to_string())).await?;
    let input = AgentMessage::new("input_stream_data", 0, 1, typed.as_bytes().to_vec());
    socket.send(Message::binary(input.encode())).await?;
    let mut shown = String::new();
    while !shown.contains(expected) {
        let Message::Binary(frame) = socket.next().await.context("the session ended")?? else { continue };
        let message = AgentMessage::decode(&frame)?;
        if message.message_type != "output_stream_data" {
            continue;
        }
        shown.push_str(&String::from_utf8_lossy(&message.payload));
        let acknowledged = json!({
            "AcknowledgedMessageType": message.message_type,
            "AcknowledgedMessageId": message.id.to_string(),
            "AcknowledgedMessageSequenceNumber": message.sequence,
            "IsSequentialMessage": true,
        });
        let acknowledge = AgentMessage::new("acknowledge", 0, 0, acknowledged.to_string().into_bytes());
        socket.send(Message::binary(acknowledge.encode())).await?;
    }
    Ok(shown)
}
