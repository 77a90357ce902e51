//! The stand-in agent's channels, commands and sessions against a scripted service.

use lab::agent_message::AgentMessage;
use lab::sigv4::{Authorization, SignedRequest, signature, string_to_sign};
use serde_json::{Value, json};

use crate::scripted_service::{NODE, Seen, Service, Socket, content};
use crate::support::{eventually, terminate};

fn job_id(command: &str) -> String {
    format!("aws.ssm.{command}.{NODE}")
}

/// A command as the service sends it.
fn run_shell_script(command: &str, lines: &[&str]) -> Value {
    let document = json!({
        "Parameters": {"commands": lines},
        "DocumentContent": {
            "schemaVersion": "1.2",
            "parameters": {
                "commands": {"type": "StringList"}, "workingDirectory": {"type": "String", "default": ""},
                "executionTimeout": {"type": "String", "default": "3600"},
            },
            "runtimeConfig": {"aws:runShellScript": {"properties": [{
                "id": "0.aws:runShellScript", "runCommand": "{{ commands }}",
                "workingDirectory": "{{ workingDirectory }}", "timeoutSeconds": "{{ executionTimeout }}",
            }]}},
        },
        "CommandId": command, "DocumentName": "AWS-RunShellScript", "OutputS3KeyPrefix": "",
        "OutputS3BucketName": "", "CloudWatchLogGroupName": "", "CloudWatchOutputEnabled": "false",
    });
    json!({
        "Content": document.to_string(), "JobId": job_id(command), "Topic": format!("aws.ssm.sendCommand.{NODE}"),
        "SchemaVersion": 1,
    })
}

/// The next reply, acknowledged; its payload.
fn reply(control: &mut Socket) -> (Value, Value) {
    let message = control.next("agent_job_reply");
    let reply = content(&message);
    control.send_json(
        "agent_job_reply_ack",
        &json!({"jobId": reply["jobId"], "acknowledgedMessageId": message.id.to_string()}),
    );
    let payload = serde_json::from_str(reply["content"].as_str().unwrap()).unwrap();
    (reply, payload)
}

fn assert_signed_by_the_role(request: &Seen) {
    let authorization = Authorization::parse(request.header("authorization")).unwrap();
    assert_eq!(authorization.access_key_id, "ASIATEST");
    assert_eq!(authorization.scope.service, "ssmmessages");
    assert_eq!(authorization.signed_headers, ["host", "x-amz-date", "x-amz-security-token"]);
    assert_eq!(request.header("x-amz-security-token"), "role-token");
    let (path, query) = request.target.split_once('?').unwrap();
    let signed = SignedRequest {
        method: &request.method,
        path,
        query,
        headers: &request.headers,
        signed_headers: &authorization.signed_headers,
        body: b"",
    };
    let text = string_to_sign(&signed, request.header("x-amz-date"), &authorization.scope);
    assert_eq!(authorization.signature, signature("role-secret", &authorization.scope, &text));
}

#[test]
fn the_control_channel_opens_as_the_real_one_and_runs_a_command() {
    let service = Service::start(true);
    let mut agent = service.agent("1");
    let mut control = service.socket("/v1/control-channel/");
    assert_eq!(control.request.target, format!("/v1/control-channel/{NODE}?role=subscribe&stream=input"));
    assert_eq!(control.request.header("origin"), "");
    assert_signed_by_the_role(&control.request);
    assert_eq!(control.opening["TokenValue"], "the-token");
    assert_eq!(control.opening["PlatformType"], "linux");
    let creation = &service.seen(&format!("/v1/control-channel/{NODE}"))[0];
    assert_eq!((creation.method.as_str(), &creation.body["MessageSchemaVersion"]), ("POST", &json!("1.0")));
    assert_eq!(service.seen("UpdateInstanceInformation")[1].body["SSMConnectionChannel"], "");

    let job =
        control.send_json("agent_job", &run_shell_script("c-1", &["echo out", "echo err >&2", "exit 3"]));
    let ack = control.any();
    assert_eq!(ack.message_type, "agent_job_ack");
    let ack = content(&ack);
    assert_eq!(ack["acknowledgedMessageId"], job.id.to_string());
    assert_eq!((&ack["jobId"], &ack["statusCode"]), (&json!(job_id("c-1")), &json!("200")));
    assert_eq!(ack["errorMessage"], "Successful");
    let (first, payload) = reply(&mut control);
    assert_eq!(first["topic"], "aws.ssm.sendCommand");
    assert_eq!((&payload["documentStatus"], &payload["runtimeStatus"]), (&json!("InProgress"), &Value::Null));
    let (_, payload) = reply(&mut control);
    assert_eq!(payload["documentStatus"], "InProgress");
    let (last, payload) = reply(&mut control);
    assert_eq!((&last["jobId"], &payload["documentStatus"]), (&json!(job_id("c-1")), &json!("Failed")));
    let step = &payload["runtimeStatus"]["aws:runShellScript"];
    assert_eq!((&step["status"], &step["code"]), (&json!("Failed"), &json!(3)));
    assert_eq!(step["standardOutput"], "out\n");
    assert_eq!(step["standardError"], "err\n\nfailed to run commands: exit status 3");

    control.send_json("agent_job", &run_shell_script("c-1", &["true"]));
    assert_eq!(content(&control.next("agent_job_ack"))["statusCode"], "51405", "it runs once");
    assert_eq!(terminate(&mut agent).code(), Some(0));
}

#[test]
fn a_cancelled_command_is_killed_with_all_it_started() {
    let service = Service::start(true);
    let mut agent = service.agent("1");
    let mut control = service.socket("/v1/control-channel/");
    let pids = service.root.path().join("pids");
    let line = format!("sleep 3600 & echo $! $$ > {0}.new; mv {0}.new {0}; wait", pids.display());
    control.send_json("agent_job", &run_shell_script("c-1", &[&line]));
    let pids = eventually("the script runs", || std::fs::read_to_string(&pids).ok());
    control.send_json(
        "agent_job",
        &json!({
            "Content": json!({"CancelMessageId": job_id("c-1")}).to_string(), "JobId": job_id("c-2"),
            "Topic": format!("aws.ssm.cancelCommand.{NODE}"), "SchemaVersion": 1,
        }),
    );
    let step = loop {
        let (reply, payload) = reply(&mut control);
        if reply["jobId"] == job_id("c-1") && payload["documentStatus"] == "Cancelled" {
            break payload["runtimeStatus"]["aws:runShellScript"].clone();
        }
    };
    assert_eq!((&step["status"], &step["code"]), (&json!("Cancelled"), &json!(137)));
    for pid in pids.split_whitespace() {
        eventually("the process is gone", || is_gone(pid).then_some(()));
    }
    terminate(&mut agent);
}

/// Gone, or dead and waiting for whoever inherited it.
fn is_gone(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| Some(stat.rsplit_once(") ")?.1.starts_with('Z')))
        .unwrap_or(true)
}

fn session(id: &str) -> Value {
    let content = json!({
        "DocumentName": "SSM-SessionManagerRunShell", "SessionId": id, "Parameters": {}, "RunAsUser": "",
        "SessionOwner": "arn:aws:iam::123456789012:user/anna",
        "DocumentContent": {"schemaVersion": "1.0", "sessionType": "Standard_Stream", "inputs": {}},
    });
    json!({"Content": content.to_string(), "TaskId": id, "Topic": "", "SchemaVersion": 1})
}

fn input(sequence: i64, payload_type: u32, payload: &str) -> AgentMessage {
    AgentMessage::new("input_stream_data", sequence, payload_type, payload.as_bytes().to_vec())
}

/// The client's side of a data channel.
struct Terminal {
    socket: Socket,
    expected: i64,
    shown: String,
    acknowledged: Vec<i64>,
    states: Vec<String>,
}

impl Terminal {
    fn open(service: &Service, id: &str) -> Self {
        let socket = service.socket(&format!("/v1/data-channel/{id}?role=publish_subscribe"));
        assert_eq!(socket.opening["TokenValue"], "the-token");
        assert_eq!(socket.opening["ClientInstanceId"], NODE);
        assert_signed_by_the_role(&socket.request);
        Self { socket, expected: 0, shown: String::new(), acknowledged: Vec::new(), states: Vec::new() }
    }

    /// Takes one message, acknowledging output.
    fn step(&mut self) {
        let message = self.socket.any();
        match message.message_type.as_str() {
            "output_stream_data" => {
                assert_eq!(message.payload_type, 1);
                if message.sequence == self.expected {
                    self.expected += 1;
                    self.shown.push_str(std::str::from_utf8(&message.payload).unwrap());
                }
                self.socket.send_json(
                    "acknowledge",
                    &json!({
                        "AcknowledgedMessageType": "output_stream_data",
                        "AcknowledgedMessageId": message.id.to_string(),
                        "AcknowledgedMessageSequenceNumber": message.sequence, "IsSequentialMessage": true,
                    }),
                );
            }
            "acknowledge" => {
                let content = content(&message);
                assert_eq!(content["AcknowledgedMessageType"], "input_stream_data");
                self.acknowledged.push(content["AcknowledgedMessageSequenceNumber"].as_i64().unwrap());
            }
            "agent_session_state" => {
                self.states.push(content(&message)["SessionState"].as_str().unwrap().to_owned());
            }
            other => panic!("{other}"),
        }
    }

    fn until(&mut self, mut done: impl FnMut(&Self) -> bool) {
        while !done(self) {
            self.step();
        }
    }
}

#[test]
fn a_session_is_a_shell_on_a_terminal() {
    let service = Service::start(true);
    let mut agent = service.agent("1");
    let mut control = service.socket("/v1/control-channel/");
    control.send_json("interactive_shell", &session("anna-1"));
    let mut terminal = Terminal::open(&service, "anna-1");
    terminal.until(|terminal| terminal.states == ["Connected"]);
    // Out of order and twice: the terminal gets each once, in order.
    terminal.socket.send(&input(1, 1, "echo sum $((40+2)); stty size; tty -s && printf 'is-a-%s\\n' tty\n"));
    terminal.socket.send(&input(1, 1, "echo sum $((40+2)); stty size; tty -s && printf 'is-a-%s\\n' tty\n"));
    terminal.socket.send(&input(0, 3, r#"{"cols":101,"rows":33}"#));
    terminal.until(|terminal| terminal.shown.contains("is-a-tty\r\n") && terminal.acknowledged.len() == 3);
    terminal.acknowledged.sort_unstable();
    assert_eq!(terminal.acknowledged, [0, 1, 1]);
    assert_eq!(terminal.shown.matches("sum 42\r\n").count(), 1, "{}", terminal.shown);
    assert!(terminal.shown.contains("33 101\r\n"), "{}", terminal.shown);
    terminal.socket.send(&input(2, 1, "exit\n"));
    terminal.until(|terminal| terminal.states == ["Connected", "Terminating"]);
    let complete = control.next("agent_task_complete");
    let done = content(&complete);
    assert_eq!((&done["TaskId"], &done["FinalTaskStatus"]), (&json!("anna-1"), &json!("Success")));
    assert_eq!((&done["InstanceId"], &done["RetryNumber"]), (&json!(NODE), &json!(1)));
    // Not acknowledged, it comes three times under one name and is then let go.
    for retry in [2, 3] {
        let again = control.next("agent_task_complete");
        assert_eq!((again.id, &content(&again)["RetryNumber"]), (complete.id, &json!(retry)));
    }
    let log =
        std::fs::read_to_string(service.root.path().join("var/log/amazon/ssm/amazon-ssm-agent.log")).unwrap();
    assert!(log.contains("The session runs as the agent's own user"));
    terminate(&mut agent);
}

#[test]
fn a_terminated_session_and_the_agents_end_leave_no_shell_behind() {
    let service = Service::start(true);
    let mut agent = service.agent("1");
    let mut control = service.socket("/v1/control-channel/");
    let (mut shells, mut jobs) = (Vec::new(), Vec::new());
    let mut terminals = Vec::new();
    for id in ["anna-1", "anna-2"] {
        control.send_json("interactive_shell", &session(id));
        let mut terminal = Terminal::open(&service, id);
        // A job in the background has a process group of its own.
        terminal.socket.send(&input(0, 1, "sleep 1000 & echo job-$!- pid-$$-\n"));
        // The line itself is shown too, and has no number.
        let pid = |terminal: &Terminal, label: &str| {
            let words = terminal.shown.split(label).skip(1);
            let mut numbers = words.filter_map(|rest| rest.split_once('-')).map(|(pid, _)| pid);
            numbers.find(|pid| pid.parse::<u32>().is_ok()).map(str::to_owned)
        };
        terminal.until(|terminal| pid(terminal, "pid-").is_some());
        shells.push(pid(&terminal, "pid-").unwrap());
        jobs.push(pid(&terminal, "job-").unwrap());
        terminals.push(terminal);
    }
    control.send_json(
        "channel_closed",
        &json!({"SessionId": "anna-1", "DestinationId": NODE, "SchemaVersion": 1}),
    );
    let done = content(&control.next("agent_task_complete"));
    assert_eq!((&done["TaskId"], &done["FinalTaskStatus"]), (&json!("anna-1"), &json!("Success")));
    assert!(is_gone(&shells[0]) && !is_gone(&shells[1]));
    eventually("the job to end", || is_gone(&jobs[0]).then_some(()));
    assert!(!is_gone(&jobs[1]));
    assert_eq!(terminate(&mut agent).code(), Some(0));
    assert!(is_gone(&shells[1]));
    eventually("the other job to end", || is_gone(&jobs[1]).then_some(()));
}

#[test]
fn a_session_that_cannot_be_is_completed_with_its_reason() {
    let service = Service::start(true);
    let mut agent = service.agent("1");
    let mut control = service.socket("/v1/control-channel/");
    let mut task = session("anna-1");
    task["Content"] = json!(task["Content"].as_str().unwrap().replace("Standard_Stream", "Port"));
    control.send_json("interactive_shell", &task);
    let done = content(&control.next("agent_task_complete"));
    assert_eq!(done["FinalTaskStatus"], "Failed");
    assert!(done["Output"].as_str().unwrap().starts_with("Plugin with name Port is not supported"));
    terminate(&mut agent);
}

#[test]
fn without_a_gateway_commands_come_by_message_delivery() {
    let service = Service::start(false);
    let job = run_shell_script("c-1", &["echo $AWS_SSM_INSTANCE_ID"]);
    service.deliver(json!({
        "MessageId": job["JobId"], "Topic": job["Topic"], "Payload": job["Content"], "Destination": NODE,
        "CreatedDate": "2026-01-01T00:00:00.000Z",
    }));
    let mut agent = service.agent("0.02");
    let replies =
        eventually("the last reply", || Some(service.seen("SendReply")).filter(|seen| seen.len() == 3));
    let payloads: Vec<Value> = replies
        .iter()
        .map(|seen| serde_json::from_str(seen.body["Payload"].as_str().unwrap()).unwrap())
        .collect();
    assert_eq!(payloads[0]["documentStatus"], "InProgress");
    assert_eq!(payloads[0]["additionalInfo"]["ableToOpenMGSConnection"], false);
    assert_eq!(payloads[2]["documentStatus"], "Success");
    let output = &payloads[2]["runtimeStatus"]["aws:runShellScript"]["standardOutput"];
    assert_eq!(output, &json!(format!("{NODE}\n")));
    assert_eq!(service.seen("AcknowledgeMessage")[0].body, json!({"MessageId": job_id("c-1")}));
    let poll = &service.seen("GetMessages")[0];
    assert_eq!(poll.header("x-amz-target"), "EC2WindowsMessageDeliveryService.GetMessages");
    assert!(poll.header("authorization").contains("/eu-central-1/ec2messages/aws4_request"));
    assert_eq!(poll.body["VisibilityTimeoutInSeconds"], 10);
    eventually("the next report names the channel", || {
        let reports = service.seen("UpdateInstanceInformation");
        reports.iter().any(|report| report.body["SSMConnectionChannel"] == "ec2messages").then_some(())
    });
    let associations = service.seen("ListInstanceAssociations");
    assert!(associations.iter().all(|seen| seen.body == json!({"InstanceId": NODE, "MaxResults": 20})));
    terminate(&mut agent);
}

#[test]
fn a_lost_control_channel_is_opened_again() {
    let service = Service::start(true);
    let mut agent = service.agent("0.02");
    drop(service.socket("/v1/control-channel/"));
    let mut control = service.socket("/v1/control-channel/");
    control.send_json("agent_job", &run_shell_script("c-1", &["true"]));
    assert_eq!(content(&control.next("agent_job_ack"))["statusCode"], "200");
    terminate(&mut agent);
}

#[test]
fn a_factor_that_is_none_ends_the_agent_with_a_reason() {
    let service = Service::start(false);
    let output = service.command("fast").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("SSM_STANDIN_TIME_FACTOR is `fast`") && said.contains("unset it"), "{said}");
}
