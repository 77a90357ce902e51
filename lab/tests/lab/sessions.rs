//! Sessions, their channels and their ends, with the test as the agent and as the client.

use lab::agent_message::AgentMessage;
use serde_json::{Value, json};

use crate::channel_ends::{Agent, Channel, address, client, client_with};
use crate::support::{Client, Lab, eventually};

fn advanced() -> Lab {
    let lab = Lab::start();
    lab.done(
        "UpdateServiceSetting",
        &json!({"SettingId": "/ssm/managed-instance/activation-tier", "SettingValue": "advanced"}),
    );
    lab
}

/// The control channel of an agent once the endpoint knows of it.
fn connected(lab: &Lab, agent: &Agent) -> Channel {
    let control = agent.control_channel();
    eventually("the control channel", || (connection(lab, &agent.id) == "connected").then_some(()));
    control
}

fn connection(lab: &Lab, target: &str) -> Value {
    lab.done("GetConnectionStatus", &json!({"Target": target}))["Status"].clone()
}

fn described(lab: &Client, state: &str) -> Vec<Value> {
    let (_, answer) = lab.call("DescribeSessions", &json!({"State": state}));
    answer["Sessions"].as_array().unwrap_or_else(|| panic!("{answer}")).clone()
}

fn becomes(lab: &Lab, state: &str, status: &str) -> Value {
    eventually(status, || {
        described(&lab.user(), state).into_iter().find(|session| session["Status"] == status)
    })
}

fn transcript(lab: &Lab, session: &Value) -> String {
    let url = format!("{}/sessions/{}/transcript", lab.text("admin"), session["SessionId"].as_str().unwrap());
    ureq::get(url).call().unwrap().body_mut().read_to_string().unwrap()
}

fn complete(session: &Value, output: &str) -> AgentMessage {
    let payload = json!({"SchemaVersion": 1, "TaskId": session["SessionId"], "Topic": "t",
                         "FinalTaskStatus": "Success", "Output": output, "RetryNumber": 1});
    AgentMessage::new("agent_task_complete", 0, 0, payload.to_string().into_bytes())
}

#[test]
fn a_session_carries_text_both_ways_in_order_until_the_shell_ends() {
    let lab = advanced();
    let agent = Agent::new(&lab);
    let mut control = connected(&lab, &agent);
    let session = lab.done("StartSession", &json!({"Target": agent.id, "Reason": "a look around"}));
    let id = session["SessionId"].as_str().unwrap();
    assert!(id.starts_with("lab-user-") && id.len() == "lab-user-".len() + 17, "{id}");

    let task = control.expect_json("interactive_shell");
    let content: Value = serde_json::from_str(task["Content"].as_str().unwrap()).unwrap();
    assert_eq!((task["SchemaVersion"].as_i64(), &content["SessionId"]), (Some(1), &session["SessionId"]));
    assert_eq!(content["DocumentName"], "SSM-SessionManagerRunShell");
    assert_eq!(content["DocumentContent"]["sessionType"], "Standard_Stream");
    assert_eq!(content["DocumentContent"]["inputs"]["runAsEnabled"], false);
    assert_eq!(content["SessionOwner"], "arn:aws:iam::123456789012:user/lab-user");
    assert_eq!(becomes(&lab, "Active", "Connecting")["Reason"], "a look around");

    let mut shell = agent.data_channel(&session);
    shell.expect("pause_publication");
    shell.stream("output_stream_data", 0, "$ ");
    let mut client = client(&lab, &session);
    assert_eq!(client.expect_text("output_stream_data", 0), "$ ", "what came before the client waits for it");
    shell.expect("start_publication");
    becomes(&lab, "Active", "Connected");
    for n in 0..100 {
        client.stream("input_stream_data", n, &format!("<key {n}>"));
        shell.stream("output_stream_data", n + 1, &format!("<line {n}>"));
    }
    for n in 0..100 {
        assert_eq!(shell.expect_text("input_stream_data", n), format!("<key {n}>"));
        assert_eq!(client.expect_text("output_stream_data", n + 1), format!("<line {n}>"));
    }
    let acknowledgement =
        AgentMessage::new("acknowledge", 0, 0, b"{\"AcknowledgedMessageSequenceNumber\":0}".to_vec());
    client.send(&acknowledgement);
    assert_eq!(shell.next(), Some(acknowledgement), "frames arrive as they were sent");
    client.send(&AgentMessage::new("channel_closed", 0, 0, b"{}".to_vec()));
    client.stream("input_stream_data", 100, "exit");
    assert_eq!(shell.expect_text("input_stream_data", 100), "exit", "a client cannot speak for the service");

    shell.stream("output_stream_data", 101, "logout");
    control.send(&complete(&session, "bye"));
    let acknowledged = control.expect_json("agent_task_acknowledge");
    assert_eq!((&acknowledged["TaskId"], &acknowledged["SchemaVersion"]), (&session["SessionId"], &json!(1)));
    assert_eq!(client.expect_text("output_stream_data", 101), "logout", "the last words come before the end");
    let closed = client.expect_json("channel_closed");
    assert_eq!((&closed["Output"], &closed["DestinationId"]), (&json!("bye"), &json!(agent.id)));
    assert_eq!(
        (&closed["MessageType"], &closed["SessionId"]),
        (&json!("channel_closed"), &session["SessionId"])
    );
    assert_eq!(client.next(), None);

    let over = becomes(&lab, "History", "Terminated");
    assert_eq!(
        (&over["Target"], &over["DocumentName"]),
        (&json!(agent.id), &json!("SSM-SessionManagerRunShell"))
    );
    assert!(over["EndDate"].is_number() && described(&lab.user(), "Active").is_empty());
    let written = eventually("the last words in the transcript", || {
        Some(transcript(&lab, &session)).filter(|written| written.contains("logout"))
    });
    assert!(written.contains("> <key 0>") && written.contains("<key 99>"), "{written}");
    assert!(
        written.contains("< $ ") && written.contains("<line 99>") && written.contains("exit"),
        "{written}"
    );
    control.send(&complete(&session, "bye"));
    control.expect("agent_task_acknowledge");
}

#[test]
fn a_terminated_session_ends_on_both_sides() {
    let lab = advanced();
    let agent = Agent::new(&lab);
    let mut control = connected(&lab, &agent);
    let session = lab.done("StartSession", &json!({"Target": agent.id}));
    control.expect("interactive_shell");
    let (mut shell, mut client) = (agent.data_channel(&session), client(&lab, &session));
    becomes(&lab, "Active", "Connected");
    let id = json!({"SessionId": session["SessionId"]});
    assert_eq!(lab.done("TerminateSession", &id), id);
    let closed = client.expect_json("channel_closed");
    assert_eq!(closed["Output"], "");
    assert_eq!(client.next(), None);
    let told = std::iter::from_fn(|| shell.next()).last().unwrap();
    assert_eq!(told.message_type, "channel_closed");
    becomes(&lab, "History", "Terminated");
    lab.refused("ResumeSession", &id, "DoesNotExistException");
    assert_eq!(lab.done("TerminateSession", &id), id, "once more does no harm");
    let path = format!("/v1/data-channel/{}", session["SessionId"].as_str().unwrap());
    assert_eq!(agent.create(&path).0, 404, "nobody comes back to it");
}

#[test]
fn a_client_that_was_lost_resumes_where_it_was() {
    let lab = advanced();
    let agent = Agent::new(&lab);
    let mut control = connected(&lab, &agent);
    let session = lab.done("StartSession", &json!({"Target": agent.id}));
    control.expect("interactive_shell");
    let mut shell = agent.data_channel(&session);
    shell.expect("pause_publication");
    let mut first = client(&lab, &session);
    shell.expect("start_publication");
    shell.stream("output_stream_data", 0, "before");
    assert_eq!(first.expect_text("output_stream_data", 0), "before");
    drop(first);
    becomes(&lab, "Active", "Disconnected");
    shell.expect("pause_publication");
    shell.stream("output_stream_data", 1, "while away");

    let resumed = lab.done("ResumeSession", &json!({"SessionId": session["SessionId"]}));
    assert_eq!(resumed["SessionId"], session["SessionId"]);
    let mut used = client_with(&lab, &session, session["TokenValue"].as_str().unwrap());
    assert_eq!(used.next(), None, "a token is good once");
    let mut second = client(&lab, &resumed);
    assert_eq!(second.expect_text("output_stream_data", 1), "while away");
    becomes(&lab, "Active", "Connected");

    let again = lab.done("ResumeSession", &json!({"SessionId": session["SessionId"]}));
    let mut third = client(&lab, &again);
    assert_eq!(second.next(), None, "the newer client takes the place");
    third.stream("input_stream_data", 0, "here");
    while let Some(message) = shell.next() {
        if message.message_type == "input_stream_data" {
            assert_eq!(message.payload, b"here");
            break;
        }
    }
}

#[test]
fn a_session_that_cannot_be_is_refused_by_name() {
    let lab = Lab::start();
    let agent = Agent::new(&lab);
    let target = json!({"Target": agent.id});
    lab.refused("StartSession", &target, "BadRequest");
    lab.done(
        "UpdateServiceSetting",
        &json!({"SettingId": "/ssm/managed-instance/activation-tier", "SettingValue": "advanced"}),
    );
    assert_eq!(connection(&lab, &agent.id), "notconnected");
    lab.refused("StartSession", &target, "TargetNotConnected");
    lab.refused("StartSession", &json!({"Target": "i-0123456789abcdef0"}), "TargetNotConnected");
    let _control = connected(&lab, &agent);
    let with = |document: &str, parameters: Value| json!({"Target": agent.id, "DocumentName": document, "Parameters": parameters});
    lab.refused("StartSession", &with("No-SuchDocument", json!({})), "InvalidDocument");
    lab.refused("StartSession", &with("AWS-RunShellScript", json!({})), "InvalidDocument");
    lab.refused("StartSession", &with("AWS-StartInteractiveCommand", json!({})), "InvalidParameters");
    let two = json!({"command": ["ls", "pwd"]});
    lab.refused("StartSession", &with("AWS-StartInteractiveCommand", two), "InvalidParameters");
    lab.refused(
        "StartSession",
        &with("AWS-StartInteractiveCommand", json!({"x": ["y"]})),
        "InvalidParameters",
    );
    lab.done("StartSession", &with("AWS-StartNonInteractiveCommand", json!({"command": ["ls"]})));
    lab.refused("ResumeSession", &json!({"SessionId": "ana-0123456789abcdef0"}), "DoesNotExistException");
    let (_, denied) = agent.credentials().call("StartSession", &target);
    assert_eq!(denied["__type"], "AccessDeniedException");
}

#[test]
fn channels_open_for_their_own_node_and_with_their_own_token_only() {
    let lab = advanced();
    let (agent, other) = (Agent::new(&lab), Agent::new(&lab));
    let own = format!("/v1/control-channel/{}", agent.id);
    let (status, xml) = other.create(&own);
    assert_eq!(status, 403, "{xml}");
    assert!(xml.starts_with("<AccessDeniedException>"), "{xml}");
    let mut unsigned = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .new_agent()
        .post(format!("{}{own}", lab.text("endpoint")))
        .send("{}")
        .unwrap();
    assert!(unsigned.body_mut().read_to_string().unwrap().contains("<MissingAuthenticationTokenException>"));
    assert_eq!(Channel::connect(&address(&lab), &own, &[]).err(), Some(400));

    let headers = agent.headers("GET", &own, "", "");
    let mut guessed = Channel::open(&address(&lab), &own, &headers, "guessed");
    assert_eq!(guessed.next(), None);
    assert_eq!(connection(&lab, &agent.id), "notconnected");
    let mut wordless = Channel::connect(&address(&lab), &own, &agent.headers("GET", &own, "", "")).unwrap();
    wordless.bytes(vec![0; 120]);
    assert_eq!(wordless.next(), None);

    let mut control = connected(&lab, &agent);
    let session = lab.done("StartSession", &json!({"Target": agent.id}));
    control.expect("interactive_shell");
    let data = format!("/v1/data-channel/{}", session["SessionId"].as_str().unwrap());
    assert_eq!(other.create(&data).0, 404);
    assert_eq!(
        Channel::connect(&address(&lab), &data, &other.headers("GET", &data, "", "")).err(),
        Some(404)
    );
    assert_eq!(client_with(&lab, &session, "guessed").next(), None);
    assert_eq!(Channel::connect(&address(&lab), "/v1/data-channel/no-such", &[]).err(), Some(404));
    assert!(!lab.log().contains(session["TokenValue"].as_str().unwrap()));
}

#[test]
fn a_newer_control_channel_takes_the_place_and_a_deregistration_ends_it() {
    let lab = advanced();
    let agent = Agent::new(&lab);
    let mut old = connected(&lab, &agent);
    let mut new = agent.control_channel();
    assert_eq!(old.next(), None);
    let session = lab.done("StartSession", &json!({"Target": agent.id}));
    new.expect("interactive_shell");
    let mut client = client(&lab, &session);
    lab.done("DeregisterManagedInstance", &json!({"InstanceId": agent.id}));
    assert_eq!(client.expect_json("channel_closed")["Output"], "the node was deregistered");
    while let Some(message) = new.next() {
        assert_eq!(message.message_type, "channel_closed");
    }
    assert_eq!(connection(&lab, &agent.id), "notconnected");
    assert_eq!(becomes(&lab, "History", "Terminated")["Details"], "the node was deregistered");
}

#[test]
fn a_frame_that_cannot_be_read_ends_its_connection_and_no_other() {
    let lab = advanced();
    let (agent, victim) = (Agent::new(&lab), Agent::new(&lab));
    let mut steady = connected(&lab, &victim);
    let good = AgentMessage::new("agent_job_ack", 0, 0, b"{}".to_vec()).encode();
    let spoiled = |place: usize, byte: u8| {
        let mut frame = good.clone();
        frame[place] = byte;
        frame
    };
    let broken = [
        Vec::new(),
        vec![0xff; 119],
        good[..good.len() - 1].to_vec(),
        [good.clone(), vec![0]].concat(),
        spoiled(3, 0x75),
        spoiled(4, 0xff),
        spoiled(84, 0xaa),
        spoiled(116, 0x7f),
        vec![0; (1 << 20) + 121],
    ];
    for frame in broken {
        let mut control = connected(&lab, &agent);
        control.bytes(frame);
        assert_eq!(control.next(), None);
        eventually("the end", || (connection(&lab, &agent.id) == "notconnected").then_some(()));
    }
    let mut control = connected(&lab, &agent);
    control.text("{}");
    assert_eq!(control.next(), None);

    let session = lab.done("StartSession", &json!({"Target": victim.id}));
    steady.expect("interactive_shell");
    let mut client = client(&lab, &session);
    client.bytes(vec![1, 2, 3]);
    assert_eq!(client.next(), None);
    assert_eq!(connection(&lab, &victim.id), "connected");
    assert!(lab.log().contains("a frame that cannot be read"));
}

/// The largest memory the endpoint ever had, in KiB.
fn peak(lab: &Lab) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", lab.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn output_that_nobody_reads_waits_at_the_agent_and_none_is_lost() {
    const FRAMES: i64 = 2500;
    const PAYLOAD: usize = 60 << 10;
    let lab = advanced();
    let agent = Agent::new(&lab);
    let mut control = connected(&lab, &agent);
    let session = lab.done("StartSession", &json!({"Target": agent.id}));
    control.expect("interactive_shell");
    let mut shell = agent.data_channel(&session);
    let flood = std::thread::spawn(move || {
        let payload = vec![b'x'; PAYLOAD];
        for n in 0..FRAMES {
            shell.send(&AgentMessage::new("output_stream_data", n, 1, payload.clone()));
        }
        shell
    });
    eventually("a full queue", || (transcript(&lab, &session).len() > 30 * PAYLOAD).then_some(()));
    let mut client = client(&lab, &session);
    for n in 0..FRAMES {
        assert_eq!(client.expect("output_stream_data").sequence, n);
    }
    drop(flood.join().unwrap());
    let cut_off = eventually("the limit", || {
        Some(transcript(&lab, &session)).filter(|written| written.contains("cut off"))
    });
    assert!(cut_off.len() < 9 << 20);
    assert!(peak(&lab) < 110 << 10, "{} KiB, where 146 MiB passed", peak(&lab));
}

#[test]
fn idle_sessions_end_as_the_preferences_say() {
    let lab = advanced();
    let content = json!({"schemaVersion": "1.0", "sessionType": "Standard_Stream",
                         "inputs": {"idleSessionTimeout": "3", "maxSessionDuration": "60",
                                    "runAsEnabled": true, "runAsDefaultUser": "ops"}});
    lab.done(
        "CreateDocument",
        &json!({"Name": "SSM-SessionManagerRunShell", "DocumentType": "Session", "Content": content.to_string()}),
    );
    let agent = Agent::new(&lab);
    let mut control = connected(&lab, &agent);
    let session = lab.done("StartSession", &json!({"Target": agent.id}));
    let task = control.expect_json("interactive_shell");
    let told: Value = serde_json::from_str(task["Content"].as_str().unwrap()).unwrap();
    assert_eq!(told["DocumentContent"], content);
    let (_shell, mut client) = (agent.data_channel(&session), client(&lab, &session));
    assert_eq!(becomes(&lab, "Active", "Connected")["MaxSessionDuration"], "60");
    lab.admin("POST", "/clock", Some(&json!({"advance_seconds": 181})));
    let closed = client.expect_json("channel_closed");
    assert_eq!(closed["Output"], "the session timed out due to inactivity");
    assert_eq!(becomes(&lab, "History", "Terminated")["Details"], closed["Output"]);
}

#[test]
fn sessions_are_listed_newest_first_filtered_and_in_pages() {
    let lab = advanced();
    let (agent, other) = (Agent::new(&lab), Agent::new(&lab));
    let _controls = (connected(&lab, &agent), connected(&lab, &other));
    let start = |node: &Agent| lab.done("StartSession", &json!({"Target": node.id}))["SessionId"].clone();
    let ids = [start(&agent), start(&other), start(&agent)];
    let list = |more: Value| {
        let mut body = json!({"State": "Active"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        lab.done("DescribeSessions", &body)
    };
    let count = |key: &str, value: &str| {
        list(json!({"Filters": [{"key": key, "value": value}]}))["Sessions"].as_array().unwrap().len()
    };
    assert_eq!(count("Target", &agent.id), 2);
    assert_eq!(count("SessionId", ids[1].as_str().unwrap()), 1);
    assert_eq!(count("Owner", "arn:aws:iam::123456789012:user/lab-user"), 3);
    assert_eq!(count("Status", "Connecting"), 3);
    assert_eq!(count("InvokedAfter", "2020-01-01T00:00:00Z"), 3);
    assert_eq!(count("InvokedBefore", "2020-01-01T00:00:00Z"), 0);
    let first = list(json!({"MaxResults": 2}));
    let second = list(json!({"MaxResults": 2, "NextToken": first["NextToken"]}));
    let pages = [&first, &second].map(|page| page["Sessions"].as_array().unwrap().clone()).concat();
    let mut starts: Vec<f64> = pages.iter().map(|session| session["StartDate"].as_f64().unwrap()).collect();
    assert_eq!(starts.len(), 3);
    starts.reverse();
    assert!(starts.is_sorted() && second.get("NextToken").is_none());
    let wrong = json!({"State": "Active", "Filters": [{"key": "InvokedAfter", "value": "yesterday"}]});
    lab.refused("DescribeSessions", &wrong, "ValidationException");
    lab.refused(
        "DescribeSessions",
        &json!({"State": "History", "NextToken": first["NextToken"]}),
        "InvalidNextToken",
    );
}
