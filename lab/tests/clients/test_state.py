"""What a lab knows outlives it, ended or killed; in memory it does not."""

import json

import pytest

from agent_wire import AgentWire
from lab_process import Lab
from stream import eventually

TIER = "/ssm/managed-instance/activation-tier"
NAME = "SSM-SessionManagerRunShell"
CONTENT = json.dumps({"schemaVersion": "1.0", "sessionType": "Standard_Stream", "inputs": {"runAsEnabled": True}})


@pytest.fixture
def start(tmp_path):
    """Starts labs on one directory, the former one ended."""
    started = []

    def run(*extra):
        started.append(Lab(tmp_path, extra=extra))
        return started[-1]

    yield run
    for lab in started:
        lab.stop()


def fill(lab, key):
    """An activation, and a node of it that is Online."""
    ssm = lab.client()
    made = ssm.create_activation(IamRole="r", RegistrationLimit=5, Tags=[{"Key": "env", "Value": "dev"}])
    wire = AgentWire(lab, key)
    wire.register(made["ActivationId"], made["ActivationCode"])
    wire.role_token()
    assert wire.heartbeat().status == 200
    return made, wire


@pytest.mark.parametrize("how", ["ended", "killed"])
def test_a_restart_forgets_nothing(start, node_key, how):
    before = start()
    ssm = before.client()
    made, wire = fill(before, node_key)
    ssm.add_tags_to_resource(ResourceType="ManagedInstance", ResourceId=wire.id, Tags=[{"Key": "Name", "Value": "kitchen"}])
    ssm.update_service_setting(SettingId=TIER, SettingValue="advanced")
    ssm.create_document(Name=NAME, DocumentType="Session", Content=CONTENT)
    command = ssm.send_command(DocumentName="AWS-RunShellScript", InstanceIds=[wire.id], Parameters={"commands": ["true"]})["Command"]
    if how == "killed":
        before.process.kill()
        before.process.wait()
    else:
        assert before.stop() == 0

    after = start()
    ssm = after.client(credentials=before.credentials)
    (found,) = ssm.describe_activations()["ActivationList"]
    assert (found["ActivationId"], found["RegistrationsCount"]) == (made["ActivationId"], 1)
    (node,) = ssm.describe_instance_information()["InstanceInformationList"]
    assert (node["InstanceId"], node["PingStatus"], node["ComputerName"]) == (wire.id, "Online", "pi-kitchen")
    tags = ssm.list_tags_for_resource(ResourceType="ManagedInstance", ResourceId=wire.id)["TagList"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"env": "dev", "Name": "kitchen"}
    assert ssm.get_service_setting(SettingId=TIER)["ServiceSetting"]["SettingValue"] == "advanced"
    assert json.loads(ssm.get_document(Name=NAME)["Content"]) == json.loads(CONTENT)
    assert ssm.list_commands()["Commands"][0]["CommandId"] == command["CommandId"]
    events = after.client("cloudtrail", credentials=before.credentials).lookup_events()["Events"]
    assert "CreateActivation" in {event["EventName"] for event in events}

    # The agent's side: its credentials, its key, and a place left in the activation.
    wire.lab, wire.host = after, after.endpoint.removeprefix("http://")
    assert wire.heartbeat().status == 200
    assert wire.role_token().status == 200
    assert AgentWire(after, node_key).register(made["ActivationId"], made["ActivationCode"]).status == 200


def test_an_ended_lab_lets_its_channels_go(lab, new_node):
    node = new_node()
    lab.stop()
    eventually(lambda: not node.thread.is_alive())


def test_in_memory_a_restart_forgets_everything(start, node_key):
    before = start("--in-memory")
    fill(before, node_key)
    assert before.stop() == 0
    after = start("--in-memory")
    assert after.client(credentials=before.credentials).describe_activations()["ActivationList"] == []
