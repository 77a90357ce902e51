//! Run Command over HTTP: the lab user sends, and a node polls, acknowledges and replies as the agent does through
//! ec2messages.

use lab::node_key::NodeKey;
use serde_json::{Value, json};

use crate::endpoint::{register, role};
use crate::support::{Client, Lab};

/// A registered node with its role credentials.
struct Node {
    id: String,
    client: Client,
}

impl Node {
    fn new(lab: &Lab) -> Self {
        let key = NodeKey::generate().unwrap();
        let (_, answer) =
            register(lab, &lab.activation(1), &json!({"PublicKey": key.public_base64().unwrap()}));
        let id = answer["InstanceId"].as_str().unwrap().to_owned();
        let token = role(lab, &id, &key, "a-fingerprint");
        let text = |member: &str| token[member].as_str().unwrap().to_owned();
        let client = Client {
            key: text("AccessKeyId"),
            secret: text("SecretAccessKey"),
            token: Some(text("SessionToken")),
            ..lab.user()
        };
        Self { id, client }
    }

    fn poll(&self) -> Vec<Value> {
        let request = json!({
            "Destination": self.id, "MessagesRequestId": "0a76a7ac-f5bb-4ba4-8d6b-0d27ac9f7d8d",
            "VisibilityTimeoutInSeconds": 10,
        });
        let (status, answer) = self.client.call_messages("GetMessages", &request);
        assert_eq!((status, &answer["Destination"]), (200, &json!(self.id)), "{answer}");
        assert_eq!(answer["MessagesRequestId"], request["MessagesRequestId"]);
        answer["Messages"].as_array().unwrap().clone()
    }

    fn tell(&self, operation: &str, message: &Value, more: &Value) -> (u16, Value) {
        let mut body = json!({"MessageId": message["MessageId"]});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        self.client.call_messages(operation, &body)
    }

    fn reply(&self, message: &Value, status: &str, output: &str) -> (u16, Value) {
        let payload = json!({
            "additionalInfo": {}, "documentStatus": status, "documentTraceOutput": "",
            "runtimeStatus": {"aws:runShellScript": {
                "status": status, "code": 0, "name": "aws:runShellScript", "output": output,
                "startDateTime": "2024-10-15T10:00:00.000Z", "endDateTime": "2024-10-15T10:00:01.000Z",
                "standardOutput": output, "standardError": "",
            }},
        });
        let more = json!({"Payload": payload.to_string(), "ReplyId": "a-reply"});
        self.tell("SendReply", message, &more)
    }
}

fn send(lab: &Lab, node: &Node) -> Value {
    let request = json!({
        "DocumentName": "AWS-RunShellScript", "InstanceIds": [node.id], "Parameters": {"commands": ["id"]},
    });
    lab.done("SendCommand", &request)["Command"].clone()
}

fn invocation(lab: &Lab, command: &Value, node: &Node) -> Value {
    lab.done("GetCommandInvocation", &json!({"CommandId": command["CommandId"], "InstanceId": node.id}))
}

#[test]
fn an_agent_that_polls_gets_its_command_and_tells_its_output() {
    let lab = Lab::start();
    let node = Node::new(&lab);
    let command = send(&lab, &node);
    let [message] = node.poll().try_into().unwrap();
    let id = command["CommandId"].as_str().unwrap();
    assert_eq!(message["MessageId"], format!("aws.ssm.{id}.{}", node.id));
    assert_eq!(message["Topic"], format!("aws.ssm.sendCommand.{}", node.id));
    let payload: Value = serde_json::from_str(message["Payload"].as_str().unwrap()).unwrap();
    assert_eq!(payload["Parameters"]["commands"], json!(["id"]));
    assert_eq!(invocation(&lab, &command, &node)["Status"], "InProgress");

    assert_eq!(node.reply(&message, "InProgress", "").0, 200);
    assert_eq!(node.tell("AcknowledgeMessage", &message, &json!({})).0, 200);
    assert_eq!(node.reply(&message, "Success", "uid=0(root)\n").0, 200);
    assert_eq!(node.reply(&message, "Failed", "again").0, 200);
    assert_eq!(node.tell("DeleteMessage", &message, &json!({})).0, 200);
    let done = invocation(&lab, &command, &node);
    assert_eq!((&done["Status"], &done["ResponseCode"]), (&json!("Success"), &json!(0)));
    assert_eq!(done["StandardOutputContent"], "uid=0(root)\n");
    let listed =
        lab.done("ListCommandInvocations", &json!({"CommandId": command["CommandId"], "Details": true}));
    assert_eq!(listed["CommandInvocations"][0]["CommandPlugins"][0]["Output"], "uid=0(root)\n");
}

#[test]
fn a_poll_that_waits_hears_of_a_command_sent_meanwhile() {
    let lab = Lab::start();
    let node = Node::new(&lab);
    let messages = std::thread::scope(|scope| {
        let poll = scope.spawn(|| node.poll());
        send(&lab, &node);
        poll.join().unwrap()
    });
    assert_eq!(messages.len(), 1);
}

#[test]
fn a_message_is_hidden_until_its_time_is_over_and_fails_at_the_agents_word() {
    let lab = Lab::start();
    let node = Node::new(&lab);
    let command = send(&lab, &node);
    let first = node.poll();
    lab.admin("POST", "/clock", Some(&json!({"advance_seconds": 11})));
    assert_eq!(node.poll(), first);
    let failure = json!({"FailureType": "InternalHandlerException"});
    assert_eq!(node.tell("FailMessage", &first[0], &failure).0, 200);
    assert_eq!(invocation(&lab, &command, &node)["Status"], "Failed");
}

#[test]
fn a_node_hears_and_answers_its_own_messages_alone() {
    let lab = Lab::start();
    let (node, other) = (Node::new(&lab), Node::new(&lab));
    let command = send(&lab, &node);
    let message = node.poll().remove(0);
    for (status, answer) in [
        other.client.call_messages("GetMessages", &json!({"Destination": node.id, "MessagesRequestId": "x"})),
        other.reply(&message, "Success", "forged"),
        other.tell("AcknowledgeMessage", &message, &json!({})),
        lab.user().call_messages("GetMessages", &json!({"Destination": node.id, "MessagesRequestId": "x"})),
    ] {
        assert_eq!((status, &answer["__type"]), (400, &json!("AccessDeniedException")), "{answer}");
    }
    assert_eq!(invocation(&lab, &command, &node)["Status"], "InProgress");
    for bad in ["", "{}", "[]", "null"] {
        let more = json!({"Payload": bad, "ReplyId": "r"});
        assert_eq!(node.tell("SendReply", &message, &more).1["__type"], "ValidationException", "{bad}");
    }
}

#[test]
fn what_cannot_be_sent_is_refused_by_name() {
    let lab = Lab::start();
    let node = Node::new(&lab);
    let id = &node.id;
    for (change, code) in [
        (json!({"DocumentName": "AWS-RunPowerShellScript"}), "InvalidDocument"),
        (json!({"DocumentVersion": "9"}), "InvalidDocumentVersion"),
        (json!({"DocumentHash": "00"}), "InvalidDocument"),
        (json!({"InstanceIds": ["mi-00000000000000000"]}), "InvalidInstanceId"),
        (json!({"InstanceIds": ["i-00000000000000000"]}), "InvalidInstanceId"),
        (json!({"InstanceIds": [id, id]}), "DuplicateInstanceId"),
        (json!({"InstanceIds": vec![id; 51]}), "ValidationException"),
        (json!({"InstanceIds": []}), "ValidationException"),
        (json!({"Targets": [{"Key": "tag:a", "Values": ["b"]}]}), "ValidationException"),
        (json!({"Parameters": {}}), "InvalidParameters"),
        (json!({"TimeoutSeconds": 29}), "ValidationException"),
        (json!({"MaxConcurrency": "101%"}), "ValidationException"),
        (json!({"MaxErrors": "some"}), "ValidationException"),
        (json!({"OutputS3BucketName": "bucket"}), "InvalidOutputFolder"),
        (json!({"NotificationConfig": {"NotificationArn": "arn:aws:sns:x"}}), "InvalidNotificationConfig"),
        (json!({"CloudWatchOutputConfig": {"CloudWatchOutputEnabled": true}}), "InvalidParameters"),
    ] {
        let mut request = json!({
            "DocumentName": "AWS-RunShellScript", "InstanceIds": [id], "Parameters": {"commands": ["id"]},
        });
        for (name, value) in change.as_object().unwrap() {
            request[name] = value.clone();
        }
        lab.refused("SendCommand", &request, code);
    }
    assert_eq!(lab.done("ListCommands", &json!({}))["Commands"], json!([]));
}

#[test]
fn commands_are_listed_newest_first_filtered_and_in_pages() {
    let lab = Lab::start();
    let node = Node::new(&lab);
    let ids: Vec<Value> = (0..3).map(|_| send(&lab, &node)["CommandId"].clone()).collect();
    lab.done("CancelCommand", &json!({"CommandId": ids[1]}));
    for (operation, list) in [("ListCommands", "Commands"), ("ListCommandInvocations", "CommandInvocations")]
    {
        let found = |request: Value| -> Vec<Value> {
            let answer = lab.done(operation, &request);
            answer[list].as_array().unwrap().iter().map(|item| item["CommandId"].clone()).collect()
        };
        let first = lab.done(operation, &json!({"MaxResults": 2}));
        assert_eq!(first[list][0]["CommandId"], ids[2]);
        assert_eq!(found(json!({"MaxResults": 2, "NextToken": first["NextToken"]})), [ids[0].clone()]);
        let filter = |key: &str, value: &str| json!({"Filters": [{"key": key, "value": value}]});
        assert_eq!(found(filter("Status", "Cancelled")), [ids[1].clone()]);
        assert_eq!(found(filter("InvokedAfter", "2999-01-01T00:00:00Z")), Vec::<Value>::new());
        assert_eq!(found(filter("InvokedBefore", "2999-01-01T00:00:00Z")).len(), 3);
        lab.refused(operation, &filter("InvokedAfter", "yesterday"), "ValidationException");
        lab.refused(operation, &json!({"NextToken": "x"}), "InvalidNextToken");
        lab.refused(operation, &json!({"CommandId": "x".repeat(36)}), "InvalidCommandId");
    }
    let stage = json!({"Filters": [{"key": "ExecutionStage", "value": "Complete"}]});
    assert_eq!(lab.done("ListCommands", &stage)["Commands"][0]["CommandId"], ids[1]);
    lab.refused("ListCommandInvocations", &stage, "InvalidFilterKey");
    let unknown = json!({"CommandId": "00000000-0000-4000-8000-000000000000", "InstanceId": node.id});
    lab.refused("GetCommandInvocation", &unknown, "InvocationDoesNotExist");
    lab.refused("CancelCommand", &json!({"CommandId": unknown["CommandId"]}), "InvalidCommandId");
    let plugin = json!({"CommandId": ids[0], "InstanceId": node.id, "PluginName": "aws:other"});
    lab.refused("GetCommandInvocation", &plugin, "InvalidPluginName");
}

#[test]
fn inventory_is_kept_within_its_limits_and_read_back() {
    let lab = Lab::start();
    let node = Node::new(&lab);
    let item = |name: &str, more: Value| {
        let mut item = json!({
            "TypeName": name, "SchemaVersion": "1.0", "CaptureTime": "2024-10-15T10:00:00Z",
        });
        for (name, value) in more.as_object().unwrap() {
            item[name] = value.clone();
        }
        item
    };
    let put =
        |items: Value| node.client.call("PutInventory", &json!({"InstanceId": node.id, "Items": items}));
    let content = json!({"ContentHash": "h", "Content": [{"Name": "bash"}]});
    let (status, answer) = put(json!([item("AWS:Application", content)]));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(put(json!([item("AWS:Application", json!({"ContentHash": "h"}))])).0, 200);
    let large = vec![json!({"Name": "n".repeat(4000)}); 60];
    for (items, code) in [
        (json!([item("AWS:Application", json!({"ContentHash": "i"}))]), "ItemContentMismatchException"),
        (json!([item("AWS:File", json!({"Content": large}))]), "ItemSizeLimitExceededException"),
        (
            json!([item("AWS:Tag", json!({"Content": []})), item("AWS:Tag", json!({"Content": []}))]),
            "InvalidItemContentException",
        ),
        (json!([item("Other:Thing", json!({"Content": []}))]), "ValidationException"),
    ] {
        assert_eq!(put(items).1["__type"], code);
    }
    let entities = lab.done("GetInventory", &json!({}))["Entities"].clone();
    assert_eq!(entities[0]["Id"], node.id);
    assert_eq!(entities[0]["Data"]["AWS:Application"]["Content"], json!([{"Name": "bash"}]));
    let others =
        json!({"InstanceId": "mi-00000000000000000", "Items": [item("AWS:Tag", json!({"Content": []}))]});
    assert_eq!(node.client.call("PutInventory", &others).1["__type"], "AccessDeniedException");
}

#[test]
fn a_node_has_no_associations() {
    let lab = Lab::start();
    let node = Node::new(&lab);
    let (status, answer) = node.client.call("ListInstanceAssociations", &json!({"InstanceId": node.id}));
    assert_eq!((status, answer), (200, json!({"Associations": []})));
    assert_eq!(lab.done("ListAssociations", &json!({})), json!({"Associations": []}));
}
