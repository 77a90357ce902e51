"""What time does: activations, role tokens and connections end. The lab's clock is moved, and callers sign for it."""

from datetime import datetime, timedelta, timezone

from agent_wire import AgentWire

HOUR = 3600


def ping_status(ssm, node):
    (found,) = ssm.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": [node.id]}])["InstanceInformationList"]
    return found["PingStatus"]


def test_an_activation_expires(lab, ssm, node_key):
    made = ssm.create_activation(IamRole="r", ExpirationDate=datetime.now(timezone.utc) + timedelta(hours=1))
    filters = [{"FilterKey": "ActivationIds", "FilterValues": [made["ActivationId"]]}]
    assert ssm.describe_activations(Filters=filters)["ActivationList"][0]["Expired"] is False
    lab.advance_clock(HOUR + 60)
    assert ssm.describe_activations(Filters=filters)["ActivationList"][0]["Expired"] is True
    answer = AgentWire(lab, node_key).register(made["ActivationId"], made["ActivationCode"])
    assert (answer.status, answer.error) == (400, "ActivationExpired")


def test_silence_loses_the_connection_and_a_heartbeat_brings_it_back(lab, ssm, new_node):
    node = new_node(connect=False)
    assert ping_status(ssm, node) == "Online"
    lab.advance_clock(16 * 60)
    assert ping_status(ssm, node) == "ConnectionLost"
    assert node.wire.heartbeat().status == 200
    assert ping_status(ssm, node) == "Online"


def test_a_role_token_expires_and_the_key_gets_a_new_one(lab, new_node):
    node = new_node(connect=False)
    left = node.wire.credentials["TokenExpirationDate"] - datetime.now(timezone.utc).timestamp() - lab.skew
    # The agent's own expectation: an hour, refreshed at half of it.
    assert abs(left - HOUR) < 120
    lab.advance_clock(HOUR + 60)
    answer = node.wire.heartbeat()
    assert answer.status in (400, 403)
    assert answer.error == "ExpiredTokenException"
    assert b"ExpiredTokenException" in node.wire.create_channel("control", node.id).body
    assert node.wire.role_token().status == 200
    assert node.wire.heartbeat().status == 200


def test_callers_of_the_old_time_are_refused(lab, refused):
    lab.advance_clock(HOUR)
    client = lab.client()
    lab.skew -= HOUR
    try:
        refused("InvalidSignatureException", client.describe_activations)
    finally:
        lab.skew += HOUR
    assert "ActivationList" in client.describe_activations()
