//! What an operator does with nodes that are Online: commands and sessions, through the lab, on real guests.

use std::time::{Duration, Instant};

use aws_sdk_ssm::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
    types::CommandInvocationStatus,
};
use lab::agent_message::AgentMessage;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket, stream::MaybeTlsStream};

use crate::rig::{Rig, rig};

/// The agent takes a command within a second; a loaded machine is slower, and an emulated guest more so.
const PATIENCE: Duration = Duration::from_mins(3);

struct Operator {
    ssm: Client,
    runtime: tokio::runtime::Runtime,
}

#[derive(Debug, PartialEq, Eq)]
struct Ended {
    status: CommandInvocationStatus,
    code: i32,
    stdout: String,
    stderr: String,
}

impl Operator {
    fn of(rig: &Rig) -> Self {
        let endpoint = rig.lab.endpoint();
        let (key, secret) = (&endpoint.access_key_id, endpoint.secret_access_key.expose_secret());
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(endpoint.region.clone()))
            .endpoint_url(&endpoint.url)
            .credentials_provider(Credentials::new(key, secret, None, None, "lab"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { ssm: Client::from_conf(config), runtime }
    }

    fn run_script(&self, node: &str, script: &str) -> Ended {
        self.runtime.block_on(async {
            let sent = self.ssm.send_command().document_name("AWS-RunShellScript").instance_ids(node);
            let sent = sent.parameters("commands", vec![script.to_owned()]).send().await.unwrap();
            let id = sent.command.unwrap().command_id.unwrap();
            let start = Instant::now();
            loop {
                let asked = self.ssm.get_command_invocation().command_id(&id).instance_id(node);
                let invocation = asked.send().await.unwrap();
                let status = invocation.status.clone().unwrap();
                let going = [
                    CommandInvocationStatus::Pending,
                    CommandInvocationStatus::InProgress,
                    CommandInvocationStatus::Delayed,
                ];
                if !going.contains(&status) {
                    return Ended {
                        status,
                        code: invocation.response_code,
                        stdout: invocation.standard_output_content.unwrap_or_default(),
                        stderr: invocation.standard_error_content.unwrap_or_default(),
                    };
                }
                assert!(start.elapsed() < PATIENCE, "the command does not end: {invocation:#?}");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        })
    }

    /// Opens a session, types, and gives its id and what was shown until `expected` came.
    fn type_in_session(&self, node: &str, typed: &str, expected: &str) -> (String, String) {
        let session = self.runtime.block_on(self.ssm.start_session().target(node).send()).unwrap();
        let mut screen = Screen::open(&session.stream_url.unwrap(), &session.token_value.unwrap());
        screen.type_in(typed);
        let shown = screen.read_until(expected);
        let id = session.session_id.unwrap();
        self.runtime.block_on(self.ssm.terminate_session().session_id(&id).send()).unwrap();
        (id, shown)
    }
}

/// The client half of a session, as session-manager-plugin has it.
struct Screen {
    socket: WebSocket<MaybeTlsStream<std::net::TcpStream>>,
    shown: String,
}

impl Screen {
    fn open(url: &str, token: &str) -> Self {
        let (mut socket, _) = tungstenite::connect(url).unwrap();
        if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        let open = json!({
            "MessageSchemaVersion": "1.0",
            "RequestId": "00112233-4455-6677-8899-aabbccddeeff",
            "TokenValue": token,
            "ClientId": "ffeeddcc-bbaa-9988-7766-554433221100",
            "ClientVersion": "1.2.707.0",
        });
        socket.send(Message::text(open.to_string())).unwrap();
        Self { socket, shown: String::new() }
    }

    fn type_in(&mut self, text: &str) {
        let message = AgentMessage::new("input_stream_data", 0, 1, text.as_bytes().to_vec());
        self.socket.send(Message::binary(message.encode())).unwrap();
    }

    fn read_until(&mut self, expected: &str) -> String {
        while !self.shown.contains(expected) {
            let Message::Binary(frame) = self.socket.read().unwrap() else { continue };
            let message = AgentMessage::decode(&frame).unwrap();
            if message.message_type != "output_stream_data" {
                continue;
            }
            self.shown.push_str(&String::from_utf8_lossy(&message.payload));
            let acknowledged = json!({
                "AcknowledgedMessageType": message.message_type,
                "AcknowledgedMessageId": message.id.to_string(),
                "AcknowledgedMessageSequenceNumber": message.sequence,
                "IsSequentialMessage": true,
            });
            let acknowledge = AgentMessage::new("acknowledge", 0, 0, acknowledged.to_string().into_bytes());
            self.socket.send(Message::binary(acknowledge.encode())).unwrap();
        }
        self.shown.clone()
    }
}

fn node_of(ran: &crate::rig::Ran, host: &str) -> String {
    ran.host(host)["node"].as_str().unwrap().to_owned()
}

#[test]
fn a_command_runs_on_both_guests_and_its_output_and_exit_code_come_back() {
    let rig = rig();
    let ran = rig.enrol(&rig.lab.paths().inventory()).expect_code(0);
    let operator = Operator::of(&rig);
    for host in ["deb-1", "rpm-1"] {
        let node = node_of(&ran, host);
        let ended = operator.run_script(&node, "hostname; id -un; echo complaint >&2; exit 3");
        let expected = Ended {
            status: CommandInvocationStatus::Failed,
            code: 3,
            stdout: format!("{}\nroot\n", rig.root(host, &["hostname"])),
            stderr: ended.stderr.clone(),
        };
        assert_eq!(ended, expected);
        assert!(ended.stderr.starts_with("complaint\n"), "{ended:?}");
    }
}

#[test]
fn a_session_is_a_shell_of_ssm_user_and_its_transcript_is_kept() {
    let rig = rig();
    let endpoint = rig.lab.endpoint();
    let tls = endpoint.tls_endpoint.clone().unwrap();
    rig.trust_endpoint("deb-1");
    let inventory = rig.inventory(|text| {
        let at = text.match_indices("[[hosts]]").nth(1).unwrap().0;
        text[..at].replace(&endpoint.url_for_guests(), &tls.replace("127.0.0.1", "10.0.2.2"))
    });
    let node = node_of(&rig.enrol(&inventory).expect_code(0), "deb-1");
    let operator = Operator::of(&rig);
    let tier = operator.ssm.update_service_setting().setting_id("/ssm/managed-instance/activation-tier");
    operator.runtime.block_on(tier.setting_value("advanced").send()).unwrap();
    wait_for_channel(&operator, &node);

    let (id, shown) = operator.type_in_session(&node, "echo I am $(whoami)\n", "I am ssm-user");
    assert!(shown.contains("echo I am $(whoami)"), "a terminal echoes what is typed: {shown:?}");
    let transcript = rig.admin_text("GET", &format!("/sessions/{id}/transcript"), None);
    assert!(transcript.contains("I am ssm-user"), "{transcript}");
}

fn wait_for_channel(operator: &Operator, node: &str) {
    let start = Instant::now();
    loop {
        let asked = operator.ssm.get_connection_status().target(node).send();
        let status = operator.runtime.block_on(asked).unwrap().status.unwrap();
        if status.as_str() == "connected" {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "the agent opens no control channel");
        operator.runtime.block_on(tokio::time::sleep(Duration::from_millis(500)));
    }
}

#[test]
fn where_half_of_all_calls_are_throttled_the_fleet_comes_online_all_the_same() {
    let rig = rig();
    rig.order(&json!({
        "operation": "*", "error": "ThrottlingException", "status": 400, "share": 0.5, "seed": 20_261_122,
    }));
    let ran = rig.enrol(&rig.lab.paths().inventory()).expect_code(0);
    for host in ["deb-1", "rpm-1"] {
        assert_eq!(ran.host(host)["outcome"], "online");
    }
    let faults: Value = rig.admin("GET", "/faults", None);
    assert!(faults[0]["strikes"].as_u64().unwrap() > 5, "{faults:#}");
    assert_eq!(rig.live_activations(), 0);
}
