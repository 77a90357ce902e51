"""Run Command end to end: the control plane by boto3, the node by its wire."""

import hashlib
import json
import uuid
from datetime import datetime, timedelta, timezone

import pytest
from botocore.exceptions import WaiterError

from stream import eventually

DOCUMENT = "AWS-RunShellScript"
UNKNOWN_NODE = "mi-0123456789abcdef0"
QUICK = {"Delay": 0.05, "MaxAttempts": 400}


@pytest.fixture(scope="module")
def run(ssm, node):
    def start(*lines, instance_ids=None, **more):
        instance_ids = instance_ids or [node.id]
        return ssm.send_command(DocumentName=DOCUMENT, InstanceIds=instance_ids, Parameters={"commands": list(lines)}, **more)["Command"]

    return start


@pytest.fixture(scope="module")
def finished(ssm, node):
    def wait(command, instance_id=None):
        """The invocation's final state, by the SDK's own waiter, which calls a failed command an error."""
        key = {"CommandId": command["CommandId"], "InstanceId": instance_id or node.id}
        try:
            ssm.get_waiter("command_executed").wait(**key, WaiterConfig=QUICK)
        except WaiterError as error:
            if "terminal failure" not in str(error):
                raise
        return ssm.get_command_invocation(**key)

    return wait


def test_a_script_runs_on_the_node_and_its_output_comes_back(run, finished, node):
    command = run("echo to-out", "echo to-err >&2", Comment="a greeting")
    assert (command["DocumentName"], command["Comment"], command["InstanceIds"]) == (DOCUMENT, "a greeting", [node.id])
    assert command["Status"] in ("Pending", "InProgress")
    assert command["Parameters"]["commands"] == ["echo to-out", "echo to-err >&2"]
    assert uuid.UUID(command["CommandId"])
    done = finished(command)
    assert (done["Status"], done["StatusDetails"], done["ResponseCode"]) == ("Success", "Success", 0)
    assert (done["StandardOutputContent"], done["StandardErrorContent"]) == ("to-out\n", "to-err\n")
    assert (done["PluginName"], done["DocumentName"], done["Comment"]) == ("aws:runShellScript", DOCUMENT, "a greeting")


def test_a_failing_script_fails_with_its_exit_code(run, finished):
    done = finished(run("echo before", "exit 3"))
    assert (done["Status"], done["StatusDetails"], done["ResponseCode"]) == ("Failed", "Failed", 3)
    assert done["StandardOutputContent"] == "before\n"


def test_the_waiter_of_the_sdk_raises_for_a_failed_command(ssm, run, node):
    key = {"CommandId": run("exit 1")["CommandId"], "InstanceId": node.id}
    with pytest.raises(WaiterError, match="terminal failure"):
        ssm.get_waiter("command_executed").wait(**key, WaiterConfig=QUICK)


def test_output_is_cut_after_what_aws_keeps(run, finished):
    done = finished(run("printf 'x%.0s' $(seq 30000)", "printf 'y%.0s' $(seq 10000) >&2"))
    assert done["StandardOutputContent"] == "x" * 24_000
    assert done["StandardErrorContent"] == "y" * 8_000


def test_the_job_arrives_as_the_real_agent_parses_it(run, finished, node):
    while not node.heard.empty():
        node.heard.get_nowait()
    command = run("true")
    job = json.loads(node.hear("agent_job").payload)
    assert job["JobId"] == f"aws.ssm.{command['CommandId']}.{node.id}"
    assert job["Topic"] == f"aws.ssm.sendCommand.{node.id}"
    assert job["SchemaVersion"] == 1
    content = json.loads(job["Content"])
    assert (content["CommandId"], content["DocumentName"]) == (command["CommandId"], DOCUMENT)
    assert content["Parameters"]["commands"] == ["true"]
    assert content["CloudWatchOutputEnabled"] == "false"
    assert {"DocumentContent", "OutputS3KeyPrefix", "OutputS3BucketName", "CloudWatchLogGroupName"} <= content.keys()
    acknowledgement = json.loads(node.hear("agent_job_reply_ack").payload)
    assert acknowledgement["jobId"] == job["JobId"]
    assert uuid.UUID(acknowledgement["acknowledgedMessageId"])
    finished(command)


def test_targets_pick_nodes_by_tag(ssm, finished, new_node):
    activation = ssm.create_activation(IamRole="r", RegistrationLimit=9, Tags=[{"Key": "rack", "Value": "b"}])
    picked = {new_node(activation=activation).id, new_node(activation=activation).id}
    targets = [{"Key": "tag:rack", "Values": ["b"]}]
    command = ssm.send_command(DocumentName=DOCUMENT, Targets=targets, Parameters={"commands": ["echo hello"]})["Command"]
    assert command["Targets"] == targets
    for node_id in picked:
        assert finished(command, node_id)["Status"] == "Success"
    found = ssm.list_command_invocations(CommandId=command["CommandId"], Details=True)["CommandInvocations"]
    assert {invocation["InstanceId"] for invocation in found} == picked
    assert [plugin["Output"] for invocation in found for plugin in invocation["CommandPlugins"]] == ["hello\n"] * 2
    (whole,) = ssm.list_commands(CommandId=command["CommandId"])["Commands"]
    assert (whole["Status"], whole["TargetCount"], whole["CompletedCount"], whole["ErrorCount"]) == ("Success", 2, 2, 0)


def test_a_running_command_is_cancelled(ssm, run, node):
    command = run("echo started", "exec sleep 600")
    node_knows = f"aws.ssm.{command['CommandId']}.{node.id}"
    eventually(lambda: node_knows in node.running)
    ssm.cancel_command(CommandId=command["CommandId"], InstanceIds=[node.id])
    key = {"CommandId": command["CommandId"], "InstanceId": node.id}
    eventually(lambda: ssm.get_command_invocation(**key)["Status"] not in ("Pending", "InProgress", "Cancelling"))
    assert ssm.get_command_invocation(**key)["Status"] == "Cancelled"
    assert ssm.list_commands(CommandId=command["CommandId"])["Commands"][0]["Status"] == "Cancelled"


def test_commands_are_listed_and_filtered(ssm, run, finished, new_node):
    node = new_node()
    commands = [run(f"exit {code}", instance_ids=[node.id]) for code in (0, 0, 5)]
    for command in commands:
        finished(command, node.id)
    ids = [command["CommandId"] for command in commands]

    def found(operation, result, *filters, **more):
        filters = {"Filters": [{"key": key, "value": value} for key, value in filters]} if filters else {}
        pages = ssm.get_paginator(operation).paginate(InstanceId=node.id, **filters, **more)
        return {entry["CommandId"] for page in pages for entry in page[result]}

    past, future = (datetime.now(timezone.utc) + timedelta(hours=hours) for hours in (-1, 1))
    past, future = past.strftime("%Y-%m-%dT%H:%M:%SZ"), future.strftime("%Y-%m-%dT%H:%M:%SZ")
    for operation, result in (("list_commands", "Commands"), ("list_command_invocations", "CommandInvocations")):
        assert found(operation, result, PaginationConfig={"PageSize": 2}) == set(ids)
        assert found(operation, result, ("Status", "Failed")) == {ids[2]}
        assert found(operation, result, ("Status", "Success")) == set(ids[:2])
        assert found(operation, result, ("DocumentName", DOCUMENT)) == set(ids)
        assert found(operation, result, ("DocumentName", "AWS-Other")) == set()
        assert found(operation, result, ("InvokedAfter", past), ("InvokedBefore", future)) == set(ids)
        assert found(operation, result, ("InvokedAfter", future)) == set()


def test_a_command_waits_for_a_node_without_a_channel(ssm, run, finished, new_node):
    node = new_node(connect=False)
    command = run("echo late", instance_ids=[node.id])
    assert ssm.get_command_invocation(CommandId=command["CommandId"], InstanceId=node.id)["Status"] in ("Pending", "InProgress", "Delayed")
    node.connect()
    assert finished(command, node.id)["StandardOutputContent"] == "late\n"


def test_an_agent_that_only_polls_gets_its_command(ssm, run, new_node):
    node = new_node(connect=False)
    command = run("echo polled", instance_ids=[node.id])
    (message,) = node.wire.get_messages().json["Messages"]
    assert (message["Destination"], message["Topic"]) == (node.id, f"aws.ssm.sendCommand.{node.id}")
    assert message["MessageId"] == f"aws.ssm.{command['CommandId']}.{node.id}"
    assert message["CreatedDate"]
    if message.get("PayloadDigest"):
        assert message["PayloadDigest"] == hashlib.sha256(message["Payload"].encode()).hexdigest()
    content = json.loads(message["Payload"])
    assert content["Parameters"]["commands"] == ["echo polled"]
    assert node.wire.mds("AcknowledgeMessage", {"MessageId": message["MessageId"]}).status == 200
    reply = json.dumps(node.reply_payload(content, "Success", 0, "polled\n"))
    body = {"MessageId": message["MessageId"], "Payload": reply, "ReplyId": str(uuid.uuid4())}
    assert node.wire.mds("SendReply", body).status == 200
    assert node.wire.mds("DeleteMessage", {"MessageId": message["MessageId"]}).status == 200
    done = ssm.get_command_invocation(CommandId=command["CommandId"], InstanceId=node.id)
    assert (done["Status"], done["StandardOutputContent"]) == ("Success", "polled\n")


def test_an_agent_that_fails_a_message_fails_the_command(ssm, run, new_node):
    node = new_node(connect=False)
    command = run("true", instance_ids=[node.id])
    (message,) = node.wire.get_messages().json["Messages"]
    body = {"MessageId": message["MessageId"], "FailureType": "InternalHandlerException"}
    assert node.wire.mds("FailMessage", body).status == 200
    assert ssm.get_command_invocation(CommandId=command["CommandId"], InstanceId=node.id)["Status"] == "Failed"


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("InvalidInstanceId", {"InstanceIds": [UNKNOWN_NODE]}),
        ("InvalidDocument", {"DocumentName": "No-Such-Document"}),
        ("InvalidDocumentVersion", {"DocumentVersion": "999"}),
        ("InvalidParameters", {"Parameters": {}}),
        ("InvalidParameters", {"Parameters": {"commands": ["true"], "noSuchParameter": ["x"]}}),
    ],
)
def test_commands_that_cannot_be_are_modelled_errors(ssm, refused, node, code, changes):
    whole = {"DocumentName": DOCUMENT, "InstanceIds": [node.id], "Parameters": {"commands": ["true"]}}
    refused(code, ssm.send_command, **{**whole, **changes})


def test_a_node_named_twice_is_refused(ssm, refused, node):
    whole = {"DocumentName": DOCUMENT, "InstanceIds": [node.id, node.id], "Parameters": {"commands": ["true"]}}
    refused("DuplicateInstanceId", ssm.send_command, **whole)


def test_a_command_for_nobody_is_refused(ssm):
    with pytest.raises(ssm.exceptions.ClientError) as caught:
        ssm.send_command(DocumentName=DOCUMENT, Parameters={"commands": ["true"]})
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_looking_for_what_there_is_not(ssm, refused, run, finished, node):
    unknown = str(uuid.uuid4())
    refused("InvocationDoesNotExist", ssm.get_command_invocation, CommandId=unknown, InstanceId=node.id)
    refused("InvalidCommandId", ssm.cancel_command, CommandId=unknown)
    command = run("true")
    finished(command)
    key = {"CommandId": command["CommandId"], "InstanceId": node.id}
    refused("InvocationDoesNotExist", ssm.get_command_invocation, **{**key, "InstanceId": UNKNOWN_NODE})
    refused("InvalidPluginName", ssm.get_command_invocation, **key, PluginName="aws:noSuchPlugin")
    for call in (ssm.list_commands, ssm.list_command_invocations):
        refused("InvalidNextToken", call, NextToken="made-up")
