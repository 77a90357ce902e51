//! Commands on an endpoint without a network: agents are its control channels, and time is its clock.

use std::time::Duration;

use serde_json::{Value, json};

use super::{acknowledged, deliver_pending, replied};
use crate::agent_message::AgentMessage;
use crate::endpoint::Endpoint;
use crate::endpoint::caller::Caller;
use crate::endpoint::channels::Opened;
use crate::endpoint::error::ApiError;
use crate::endpoint::estate::{ManagedNode, Reported};
use crate::endpoint::operations::{self, Call};
use crate::endpoint::origin::Origin;
use crate::endpoint::service::Service;
use crate::ids::{ActivationId, ManagedNodeId};
use crate::node_key::{NodeKey, NodePublicKey};

/// Nodes that are registered; in the order of their ids, in which they are sent to.
fn register(endpoint: &Endpoint, count: usize) -> Vec<ManagedNodeId> {
    let key = NodeKey::generate().unwrap().public_base64().unwrap();
    let key = NodePublicKey::from_base64(&key).unwrap();
    let mut ids: Vec<ManagedNodeId> = (0..count).map(|_| ManagedNodeId::random()).collect();
    ids.sort();
    endpoint
        .change(|state| {
            for id in &ids {
                let node = ManagedNode {
                    activation_id: ActivationId::random(),
                    iam_role: "Role".to_owned(),
                    name: None,
                    tags: [("rack".to_owned(), "b".to_owned())].into(),
                    public_key: key.clone(),
                    fingerprint: "f".to_owned(),
                    registered: endpoint.clock.now(),
                    last_ping: None,
                    pings: 0,
                    reported: Reported::default(),
                    wants_new_key: false,
                    deregistered: false,
                };
                state.estate.nodes.insert(id.clone(), node);
            }
            Ok(())
        })
        .unwrap();
    ids
}

fn call(endpoint: &Endpoint, operation: &str, input: &Value) -> Result<Value, ApiError> {
    let operation = operations::find(Service::Ssm, operation).unwrap();
    operation.model().unwrap().check_input(input)?;
    endpoint.change(|state| {
        let caller = Caller::User("tester".to_owned());
        let (origin, now) = (Origin::default(), endpoint.clock.now());
        operation.run(&mut Call { endpoint, caller: &caller, origin: &origin, input, state, now })
    })
}

/// Sends a script, and gives the id of the command.
fn send(endpoint: &Endpoint, nodes: &[ManagedNodeId], more: &Value) -> String {
    let mut input = json!({
        "DocumentName": "AWS-RunShellScript", "InstanceIds": nodes, "Parameters": {"commands": ["exit 3"]},
    });
    for (name, value) in more.as_object().unwrap() {
        input[name] = value.clone();
    }
    call(endpoint, "SendCommand", &input).unwrap()["Command"]["CommandId"].as_str().unwrap().to_owned()
}

fn invocation(endpoint: &Endpoint, command: &str, node: &ManagedNodeId) -> Value {
    call(endpoint, "GetCommandInvocation", &json!({"CommandId": command, "InstanceId": node})).unwrap()
}

fn standing(endpoint: &Endpoint, command: &str, node: &ManagedNodeId) -> (String, String) {
    words(&invocation(endpoint, command, node))
}

fn words(answer: &Value) -> (String, String) {
    let word = |member: &str| answer[member].as_str().unwrap().to_owned();
    (word("Status"), word("StatusDetails"))
}

fn told(status: &str, details: &str) -> (String, String) {
    (status.to_owned(), details.to_owned())
}

fn whole(endpoint: &Endpoint, command: &str) -> Value {
    call(endpoint, "ListCommands", &json!({"CommandId": command})).unwrap()["Commands"][0].clone()
}

/// An agent on a control channel.
struct Agent<'a> {
    endpoint: &'a Endpoint,
    node: ManagedNodeId,
    opened: Opened,
}

impl<'a> Agent<'a> {
    fn connect(endpoint: &'a Endpoint, node: &ManagedNodeId) -> Self {
        let opened = endpoint.channels.open(node);
        deliver_pending(endpoint, node);
        Self { endpoint, node: node.clone(), opened }
    }

    /// The next job sent, if there is one.
    fn job(&mut self) -> Option<Value> {
        let frame = self.opened.frames.try_recv().ok()?;
        assert_eq!(frame.message_type, "agent_job");
        Some(serde_json::from_slice(&frame.payload).unwrap())
    }

    fn acknowledge(&self, job: &Value, code: &str) {
        let payload = json!({
            "jobId": job["JobId"], "acknowledgedMessageId": "0a76a7ac-f5bb-4ba4-8d6b-0d27ac9f7d8d",
            "createdDate": "2024-10-15T10:00:00.000Z", "statusCode": code, "errorMessage": "",
        });
        let message = AgentMessage::new("agent_job_ack", 0, 0, payload.to_string().into_bytes());
        acknowledged(self.endpoint, &self.node, &message);
    }

    fn reply(&self, job: &Value, status: &str, output: &str) -> Option<Value> {
        let content = json!({
            "additionalInfo": {}, "documentStatus": status, "documentTraceOutput": "",
            "runtimeStatus": {"aws:runShellScript": {
                "status": status, "code": 3, "name": "aws:runShellScript", "output": output,
                "startDateTime": "2024-10-15T10:00:00.000Z", "endDateTime": "2024-10-15T10:00:04.200Z",
                "standardOutput": output, "standardError": "",
            }},
        });
        let payload = json!({
            "schemaVersion": 1, "jobId": job["JobId"], "content": content.to_string(),
            "topic": "aws.ssm.sendCommand",
        });
        let message = AgentMessage::new("agent_job_reply", 0, 0, payload.to_string().into_bytes());
        let answer: Value = serde_json::from_slice(&replied(self.endpoint, &self.node, &message)?).unwrap();
        assert_eq!(answer["jobId"], job["JobId"]);
        assert_eq!(answer["acknowledgedMessageId"], message.id.to_string());
        Some(answer)
    }

    /// Takes a job and ends it.
    fn run(&mut self, status: &str) {
        let job = self.job().unwrap();
        self.acknowledge(&job, "200");
        self.reply(&job, status, "").unwrap();
    }
}

#[test]
fn a_command_goes_over_the_control_channel_and_its_result_comes_back() {
    let endpoint = Endpoint::in_memory();
    let node = register(&endpoint, 1).remove(0);
    let mut agent = Agent::connect(&endpoint, &node);
    let command = send(&endpoint, std::slice::from_ref(&node), &json!({"Comment": "a comment"}));
    let job = agent.job().unwrap();
    assert_eq!(job["JobId"], format!("aws.ssm.{command}.{node}"));
    assert_eq!(job["Topic"], format!("aws.ssm.sendCommand.{node}"));
    assert_eq!(job["SchemaVersion"], 1);
    let content: Value = serde_json::from_str(job["Content"].as_str().unwrap()).unwrap();
    assert_eq!(content["Parameters"]["commands"], json!(["exit 3"]));
    assert_eq!(content["CommandId"], command);
    assert_eq!(content["CloudWatchOutputEnabled"], "false");

    agent.acknowledge(&job, "200");
    agent.reply(&job, "InProgress", "so far").unwrap();
    let now = invocation(&endpoint, &command, &node);
    assert_eq!(words(&now), told("InProgress", "InProgress"));
    assert_eq!((&now["ResponseCode"], &now["StandardOutputContent"]), (&json!(-1), &json!("")));

    agent.reply(&job, "Failed", "all of it").unwrap();
    let now = invocation(&endpoint, &command, &node);
    assert_eq!(words(&now), told("Failed", "Failed"));
    assert_eq!((&now["ResponseCode"], &now["StandardOutputContent"]), (&json!(3), &json!("all of it")));
    assert_eq!(now["ExecutionStartDateTime"], "2024-10-15T10:00:00.000Z");
    assert_eq!(now["ExecutionEndDateTime"], "2024-10-15T10:00:04.200Z");
    assert_eq!(now["ExecutionElapsedTime"], "PT4.2S");
    assert_eq!(words(&whole(&endpoint, &command)), told("Failed", "Failed"));
}

#[test]
fn what_ended_is_not_changed_by_later_replies() {
    let endpoint = Endpoint::in_memory();
    let nodes = register(&endpoint, 2);
    let mut agent = Agent::connect(&endpoint, &nodes[0]);
    let other = Agent::connect(&endpoint, &nodes[1]);
    let command = send(&endpoint, &nodes[..1], &json!({}));
    let job = agent.job().unwrap();
    agent.acknowledge(&job, "200");

    assert!(other.reply(&job, "Success", "mine").is_some(), "it would be repeated for ever");
    assert_eq!(standing(&endpoint, &command, &nodes[0]), told("InProgress", "InProgress"));
    other.acknowledge(&job, "51406");
    assert_eq!(standing(&endpoint, &command, &nodes[0]), told("InProgress", "InProgress"));

    agent.reply(&job, "Success", "first").unwrap();
    agent.reply(&job, "Failed", "second").unwrap();
    agent.reply(&job, "InProgress", "third").unwrap();
    let now = invocation(&endpoint, &command, &nodes[0]);
    assert_eq!((words(&now), &now["StandardOutputContent"]), (told("Success", "Success"), &json!("first")));
    let nonsense = AgentMessage::new("agent_job_reply", 0, 0, b"{\"jobId\":".to_vec());
    assert_eq!(replied(&endpoint, &nodes[0], &nonsense), None);
}

#[test]
fn a_command_waits_for_its_node_and_is_sent_again_until_it_is_acknowledged() {
    let endpoint = Endpoint::in_memory();
    let node = register(&endpoint, 1).remove(0);
    let command = send(&endpoint, std::slice::from_ref(&node), &json!({}));
    assert_eq!(standing(&endpoint, &command, &node), told("Delayed", "Delayed"));
    let first = Agent::connect(&endpoint, &node).job().unwrap();
    let mut second = Agent::connect(&endpoint, &node);
    let again = second.job().unwrap();
    assert_eq!(first["JobId"], again["JobId"]);
    second.acknowledge(&again, "200");
    assert!(Agent::connect(&endpoint, &node).job().is_none());
}

#[test]
fn an_agent_without_room_gets_its_job_once_it_has_some() {
    let endpoint = Endpoint::in_memory();
    let node = register(&endpoint, 1).remove(0);
    let mut agent = Agent::connect(&endpoint, &node);
    let only = std::slice::from_ref(&node);
    let (_, second) = (send(&endpoint, only, &json!({})), send(&endpoint, only, &json!({})));
    let (running, refused) = (agent.job().unwrap(), agent.job().unwrap());
    agent.acknowledge(&running, "200");
    agent.acknowledge(&refused, "51402");
    assert_eq!(standing(&endpoint, &second, &node), told("Delayed", "Delayed"));
    agent.reply(&running, "Success", "").unwrap();
    assert_eq!(agent.job().unwrap()["JobId"], refused["JobId"]);

    let third = send(&endpoint, only, &json!({}));
    let job = agent.job().unwrap();
    agent.acknowledge(&job, "51406");
    assert_eq!(standing(&endpoint, &third, &node), told("Failed", "Undeliverable"));
}

#[test]
fn a_command_nobody_takes_in_time_is_never_delivered() {
    let endpoint = Endpoint::in_memory();
    let node = register(&endpoint, 1).remove(0);
    let command = send(&endpoint, std::slice::from_ref(&node), &json!({"TimeoutSeconds": 30}));
    endpoint.clock.advance(Duration::from_secs(29));
    assert_eq!(standing(&endpoint, &command, &node), told("Delayed", "Delayed"));
    endpoint.clock.advance(Duration::from_secs(2));
    assert!(Agent::connect(&endpoint, &node).job().is_none());
    assert_eq!(standing(&endpoint, &command, &node), told("TimedOut", "DeliveryTimedOut"));
    let whole = whole(&endpoint, &command);
    assert_eq!(words(&whole), told("TimedOut", "DeliveryTimedOut"));
    assert_eq!((&whole["DeliveryTimedOutCount"], &whole["ErrorCount"]), (&json!(1), &json!(0)));
}

#[test]
fn a_command_whose_agent_falls_silent_is_given_up() {
    let endpoint = Endpoint::in_memory();
    let node = register(&endpoint, 1).remove(0);
    let mut agent = Agent::connect(&endpoint, &node);
    let parameters = json!({"Parameters": {"commands": ["true"], "executionTimeout": ["600"]}});
    let command = send(&endpoint, std::slice::from_ref(&node), &parameters);
    let job = agent.job().unwrap();
    agent.acknowledge(&job, "200");
    endpoint.clock.advance(Duration::from_secs(601));
    assert_eq!(standing(&endpoint, &command, &node), told("InProgress", "InProgress"));
    endpoint.clock.advance(Duration::from_mins(1));
    assert_eq!(standing(&endpoint, &command, &node), told("TimedOut", "ExecutionTimedOut"));
    agent.reply(&job, "Success", "late").unwrap();
    assert_eq!(standing(&endpoint, &command, &node), told("TimedOut", "ExecutionTimedOut"));
    assert_eq!(whole(&endpoint, &command)["ErrorCount"], 1);
}

#[test]
fn no_more_nodes_run_it_at_a_time_than_max_concurrency() {
    let endpoint = Endpoint::in_memory();
    let nodes = register(&endpoint, 5);
    let mut agents: Vec<Agent<'_>> = nodes.iter().map(|node| Agent::connect(&endpoint, node)).collect();
    let command = send(&endpoint, &nodes, &json!({"MaxConcurrency": "40%"}));
    let has_job: Vec<bool> = agents.iter().map(|agent| !agent.opened.frames.is_empty()).collect();
    assert_eq!(has_job, [true, true, false, false, false]);
    assert_eq!(standing(&endpoint, &command, &nodes[2]), told("Pending", "Pending"));
    agents[1].run("Success");
    let has_job: Vec<bool> = agents.iter().map(|agent| !agent.opened.frames.is_empty()).collect();
    assert_eq!(has_job, [true, false, true, false, false]);
    for place in [0, 2, 3, 4] {
        agents[place].run("Success");
    }
    let whole = whole(&endpoint, &command);
    assert_eq!(words(&whole), told("Success", "Success"));
    assert_eq!((&whole["TargetCount"], &whole["CompletedCount"]), (&json!(5), &json!(5)));
}

#[test]
fn after_more_errors_than_max_errors_it_is_begun_on_no_more_nodes() {
    let endpoint = Endpoint::in_memory();
    let nodes = register(&endpoint, 4);
    let mut agents: Vec<Agent<'_>> = nodes.iter().map(|node| Agent::connect(&endpoint, node)).collect();
    let command = send(&endpoint, &nodes, &json!({"MaxConcurrency": "1", "MaxErrors": "1"}));
    agents[0].run("Failed");
    agents[1].run("TimedOut");
    assert!(agents[2].job().is_none() && agents[3].job().is_none());
    assert_eq!(standing(&endpoint, &command, &nodes[1]), told("TimedOut", "ExecutionTimedOut"));
    assert_eq!(standing(&endpoint, &command, &nodes[3]), told("Cancelled", "Terminated"));
    let whole = whole(&endpoint, &command);
    assert_eq!((&whole["ErrorCount"], &whole["CompletedCount"]), (&json!(2), &json!(4)));
}

#[test]
fn errors_within_max_errors_leave_a_command_incomplete() {
    let endpoint = Endpoint::in_memory();
    let nodes = register(&endpoint, 2);
    let mut agents: Vec<Agent<'_>> = nodes.iter().map(|node| Agent::connect(&endpoint, node)).collect();
    let command = send(&endpoint, &nodes, &json!({"MaxErrors": "50%"}));
    agents[0].run("Failed");
    agents[1].run("Success");
    assert_eq!(whole(&endpoint, &command)["StatusDetails"], "Incomplete");
}

#[test]
fn a_command_that_was_not_delivered_is_cancelled_at_once() {
    let endpoint = Endpoint::in_memory();
    let nodes = register(&endpoint, 2);
    let command = send(&endpoint, &nodes, &json!({"MaxConcurrency": "1"}));
    call(&endpoint, "CancelCommand", &json!({"CommandId": command})).unwrap();
    for node in &nodes {
        assert_eq!(standing(&endpoint, &command, node), told("Cancelled", "Cancelled"));
        assert!(Agent::connect(&endpoint, node).job().is_none());
    }
    assert_eq!(words(&whole(&endpoint, &command)), told("Cancelled", "Cancelled"));
}

#[test]
fn a_running_command_is_cancelled_by_its_agent_or_given_up() {
    let endpoint = Endpoint::in_memory();
    let nodes = register(&endpoint, 2);
    let mut agents: Vec<Agent<'_>> = nodes.iter().map(|node| Agent::connect(&endpoint, node)).collect();
    let command = send(&endpoint, &nodes, &json!({}));
    let jobs: Vec<Value> = agents.iter_mut().map(|agent| agent.job().unwrap()).collect();
    for (agent, job) in agents.iter().zip(&jobs) {
        agent.acknowledge(job, "200");
    }
    call(&endpoint, "CancelCommand", &json!({"CommandId": command})).unwrap();
    call(&endpoint, "CancelCommand", &json!({"CommandId": command})).unwrap();
    for (agent, job) in agents.iter_mut().zip(&jobs) {
        let cancel = agent.job().unwrap();
        assert_eq!(cancel["Topic"], format!("aws.ssm.cancelCommand.{}", agent.node));
        let content: Value = serde_json::from_str(cancel["Content"].as_str().unwrap()).unwrap();
        assert_eq!(content, json!({"CancelMessageId": job["JobId"]}));
        assert_ne!(cancel["JobId"], job["JobId"]);
        agent.acknowledge(&cancel, "200");
        agent.reply(&cancel, "InProgress", "").unwrap();
        assert!(agent.job().is_none(), "one request to cancel is enough");
    }
    assert_eq!(standing(&endpoint, &command, &nodes[0]), told("Cancelling", "Cancelling"));
    agents[0].reply(&jobs[0], "Cancelled", "begun").unwrap();
    assert_eq!(standing(&endpoint, &command, &nodes[0]), told("Cancelled", "Cancelled"));
    assert_eq!(words(&whole(&endpoint, &command)), told("Cancelling", "Cancelling"));
    endpoint.clock.advance(Duration::from_mins(5));
    assert_eq!(standing(&endpoint, &command, &nodes[1]), told("Cancelled", "Cancelled"));
    assert_eq!(words(&whole(&endpoint, &command)), told("Cancelled", "Cancelled"));
}

#[test]
fn targets_pick_nodes_and_may_pick_none() {
    let endpoint = Endpoint::in_memory();
    let nodes = register(&endpoint, 2);
    let send = |targets: Value| {
        let input = json!({
            "DocumentName": "AWS-RunShellScript", "Targets": targets, "Parameters": {"commands": ["true"]},
        });
        call(&endpoint, "SendCommand", &input).unwrap()["Command"].clone()
    };
    let picked = |targets| send(targets)["TargetCount"].clone();
    assert_eq!(picked(json!([{"Key": "tag:rack", "Values": ["a", "b"]}])), 2);
    assert_eq!(picked(json!([{"Key": "tag-key", "Values": ["rack"]}])), 2);
    assert_eq!(picked(json!([{"Key": "InstanceIds", "Values": [nodes[1]]}])), 1);
    let both = json!([{"Key": "tag:rack", "Values": ["b"]}, {"Key": "InstanceIds", "Values": [nodes[1]]}]);
    assert_eq!(picked(both), 1);
    let none = send(json!([{"Key": "tag:rack", "Values": ["c"]}]));
    let whole = whole(&endpoint, none["CommandId"].as_str().unwrap());
    assert_eq!(whole["StatusDetails"], "NoInstancesInTag");
}

#[test]
fn commands_are_forgotten_after_thirty_days() {
    let endpoint = Endpoint::in_memory();
    let node = register(&endpoint, 1);
    let mut agent = Agent::connect(&endpoint, &node[0]);
    let old = send(&endpoint, &node, &json!({}));
    agent.run("Success");
    endpoint.clock.advance(Duration::from_hours(31 * 24));
    let new = send(&endpoint, &node, &json!({}));
    let gone = json!({"CommandId": old, "InstanceId": node[0]});
    assert_eq!(call(&endpoint, "GetCommandInvocation", &gone).unwrap_err().code, "InvocationDoesNotExist");
    let listed = call(&endpoint, "ListCommands", &json!({})).unwrap();
    assert_eq!(listed["Commands"].as_array().unwrap().len(), 1);
    assert_eq!(listed["Commands"][0]["CommandId"], new);
}
