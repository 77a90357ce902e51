"""The AWS CLI as its users run it: pages, waits, error messages, and a session through its plugin."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import plugin
from agent_wire import AgentWire
from conftest import Failed
from stream import eventually

TIER = "/ssm/managed-instance/activation-tier"


def test_an_activation_is_made_described_and_deleted(aws):
    made = aws("ssm", "create-activation", "--iam-role", "r", "--registration-limit", "3", "--tags", "Key=env,Value=dev")
    listed = aws("ssm", "describe-activations", "--filters", f"FilterKey=ActivationIds,FilterValues={made['ActivationId']}")
    (found,) = listed["ActivationList"]
    assert (found["RegistrationLimit"], found["Tags"]) == (3, [{"Key": "env", "Value": "dev"}])
    assert aws("ssm", "delete-activation", "--activation-id", made["ActivationId"]) is None
    with pytest.raises(Failed, match=r"An error occurred \(InvalidActivation(Id)?\) when calling the DeleteActivation"):
        aws("ssm", "delete-activation", "--activation-id", made["ActivationId"])


def test_nodes_are_paged_through(aws, lab, activation, node_key):
    for _ in range(7):
        wire = AgentWire(lab, node_key)
        wire.register(activation["ActivationId"], activation["ActivationCode"])
        wire.role_token()
        assert wire.heartbeat().status == 200
    mine = f"Key=ActivationIds,Values={activation['ActivationId']}"
    everything = ("ssm", "describe-instance-information", "--page-size", "5", "--filters", mine)
    first = aws(*everything, "--max-items", "6")
    rest = aws(*everything, "--max-items", "6", "--starting-token", first["NextToken"])
    assert (len(first["InstanceInformationList"]), len(rest["InstanceInformationList"])) == (6, 1)
    assert "NextToken" not in rest
    ids = {node["InstanceId"] for node in first["InstanceInformationList"] + rest["InstanceInformationList"]}
    assert len(ids) == 7


def test_a_nodes_tags_status_and_end(aws, ssm, new_node):
    node = new_node()
    resource = ("--resource-type", "ManagedInstance", "--resource-id", node.id)
    aws("ssm", "add-tags-to-resource", *resource, "--tags", "Key=Name,Value=kitchen")
    assert aws("ssm", "list-tags-for-resource", *resource)["TagList"] == [{"Key": "Name", "Value": "kitchen"}]
    assert aws("ssm", "get-connection-status", "--target", node.id) == {"Target": node.id, "Status": "connected"}
    aws("ssm", "deregister-managed-instance", "--instance-id", node.id)
    with pytest.raises(ssm.exceptions.InvalidInstanceId):
        ssm.deregister_managed_instance(InstanceId=node.id)


def test_a_command_is_sent_waited_for_and_read(aws, new_node):
    node = new_node()
    script = ("--parameters", 'commands=["echo from the shell"]')
    command = aws("ssm", "send-command", "--document-name", "AWS-RunShellScript", "--instance-ids", node.id, *script)["Command"]
    key = ("--command-id", command["CommandId"], "--instance-id", node.id)
    aws("ssm", "wait", "command-executed", *key)
    done = aws("ssm", "get-command-invocation", *key)
    assert (done["Status"], done["ResponseCode"], done["StandardOutputContent"]) == ("Success", 0, "from the shell\n")


def test_a_session_is_started_through_the_plugin(lab, ssm, new_node, tmp_path):
    ssm.update_service_setting(SettingId=TIER, SettingValue="advanced")
    node = new_node()
    program = tmp_path / "session-manager-plugin"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{plugin.__file__}" "$@"\n')
    program.chmod(0o755)
    environment = lab.environment(AWS_CA_BUNDLE=lab.ca)
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    command = [sys.executable, Path(sys.executable).with_name("aws"), "ssm", "start-session", "--target", node.id]
    cli = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        cli.stdin.write("whoami\r")
        cli.stdin.close()
        cli.stdin = None
        session = node.session()
        assert session.read(7) == b"whoami\r"
        session.print("ssm-user\r\n")
        session.wait_until_acknowledged()
        session.complete()
        output, _ = cli.communicate(timeout=60)
    finally:
        cli.kill()
        cli.wait()
    assert cli.returncode == 0
    assert "ssm-user" in output
    session.close()
    eventually(lambda: ssm.describe_sessions(State="History", Filters=[{"key": "Target", "value": node.id}])["Sessions"])


def test_the_settings_and_the_preferences_document(aws):
    setting = aws("ssm", "get-service-setting", "--setting-id", TIER)["ServiceSetting"]
    assert setting["SettingValue"] in ("standard", "advanced")
    content = json.dumps({"schemaVersion": "1.0", "sessionType": "Standard_Stream", "inputs": {"runAsEnabled": False}})
    name = ("--name", "SSM-SessionManagerRunShell")
    aws("ssm", "create-document", *name, "--document-type", "Session", "--content", content)
    assert json.loads(aws("ssm", "get-document", *name)["Content"]) == json.loads(content)


def test_who_am_i_and_what_have_i_done(aws):
    identity = aws("sts", "get-caller-identity")
    assert identity["Arn"].startswith(f"arn:aws:iam::{identity['Account']}:user/")
    attribute = "AttributeKey=EventName,AttributeValue=GetCallerIdentity"
    (event,) = aws("cloudtrail", "lookup-events", "--lookup-attributes", attribute)["Events"]
    assert event["Username"] == identity["Arn"].rsplit("/", 1)[-1]
    assert event["EventSource"] == "sts.amazonaws.com"


def test_a_wrong_secret_ends_with_the_error_that_people_search_for(aws):
    with pytest.raises(Failed, match="InvalidSignatureException"):
        aws("ssm", "describe-activations", AWS_SECRET_ACCESS_KEY="x" * 40)
