"""The exchanges of a real agent, replayed by a client that was written from what is known of the wire and nothing else."""

import re
import struct
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

import frames
from agent_wire import AgentWire, exchange, new_key


@pytest.fixture
def agent(lab, activation, node_key):
    """Registered, with no role token yet."""
    wire = AgentWire(lab, node_key)
    assert wire.register(activation["ActivationId"], activation["ActivationCode"]).status == 200
    return wire


@pytest.fixture
def trusted(agent):
    assert agent.role_token().status == 200
    return agent


@pytest.fixture(scope="module", autouse=True)
def long_poll(lab, activation, node_key):
    """Polls from the start, so that the others need not wait. Past the real agent's 20 s the call raises."""
    wire = AgentWire(lab, node_key)
    wire.register(activation["ActivationId"], activation["ActivationCode"])
    wire.role_token()
    with ThreadPoolExecutor(1) as pool:
        yield wire, pool.submit(wire.get_messages)


def described(ssm, wire):
    (found,) = ssm.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": [wire.id]}])["InstanceInformationList"]
    return found


def test_registering_needs_no_signature_and_yields_a_lower_case_id(agent):
    assert re.fullmatch(r"mi-[0-9a-f]{17}", agent.id)


def test_errors_of_registering_have_the_shape_that_the_go_sdk_parses(lab, activation, node_key):
    wire = AgentWire(lab, node_key)
    answer = wire.register(activation["ActivationId"], "A" * 20)
    assert (answer.status, answer.error) == (400, "InvalidActivation")
    assert answer.headers["Content-Type"] == "application/x-amz-json-1.1"
    assert answer.headers["x-amzn-RequestId"]
    answer = wire.register(str(uuid.uuid4()), activation["ActivationCode"])
    assert (answer.status, answer.error) == (400, "InvalidActivation")


def test_an_activation_takes_no_more_registrations_than_its_limit(lab, ssm, node_key):
    limited = ssm.create_activation(IamRole="r", RegistrationLimit=1)
    assert AgentWire(lab, node_key).register(limited["ActivationId"], limited["ActivationCode"]).status == 200
    answer = AgentWire(lab, node_key).register(limited["ActivationId"], limited["ActivationCode"])
    assert (answer.status, answer.error) == (400, "RegistrationLimitExceeded")


def test_a_chunked_role_token_request_signed_with_the_registered_key_is_answered_with_all_five_members(agent):
    token = agent.role_token().json
    assert {"AccessKeyId", "SecretAccessKey", "SessionToken", "TokenExpirationDate", "UpdateKeyPair"} <= token.keys()
    assert isinstance(token["TokenExpirationDate"], int | float)
    assert token["TokenExpirationDate"] > time.time()
    assert token["UpdateKeyPair"] is False


def test_a_role_token_is_refused_to_another_key(agent):
    answer = agent.role_token(key=new_key())
    assert answer.status in (400, 403)
    assert answer.error


def test_a_role_token_is_refused_to_another_fingerprint(agent):
    answer = agent.role_token(fingerprint=str(uuid.uuid4()))
    assert (answer.status, answer.error) == (400, "MachineFingerprintDoesNotMatch")


@pytest.mark.parametrize("skew", [-6 * 60, 6 * 60])
def test_a_role_token_request_of_another_time_is_refused(agent, skew):
    assert agent.role_token(skew=skew).error == "InvalidSignatureException"


def test_after_a_key_rotation_only_the_new_key_is_taken(lab, agent):
    lab.admin("POST", "/renew-key", {"instance_id": agent.id})
    assert agent.role_token().json["UpdateKeyPair"] is True
    old, new = agent.key, new_key()
    assert agent.update_public_key(new).json == {}
    assert agent.role_token().json["UpdateKeyPair"] is False
    assert agent.role_token(key=old).status in (400, 403)


def test_a_node_is_online_after_its_first_heartbeats(ssm, trusted):
    assert trusted.heartbeat_empty().json == {}
    assert trusted.heartbeat().json == {}
    node = described(ssm, trusted)
    assert (node["PingStatus"], node["PlatformType"], node["ResourceType"]) == ("Online", "Linux", "ManagedInstance")
    assert (node["ComputerName"], node["IPAddress"], node["PlatformVersion"]) == ("pi-kitchen", "192.0.2.17", "12")
    assert abs(node["LastPingDateTime"].timestamp() - time.time()) < 120


def test_a_node_cannot_report_for_another(trusted):
    assert trusted.heartbeat(InstanceId="mi-0123456789abcdef0").status in (400, 403)


def test_the_call_for_associations_has_its_empty_list(trusted):
    assert trusted.associations().json["Associations"] == []


def test_an_operation_that_there_is_not_gets_the_error_that_the_agent_falls_back_on(trusted):
    assert trusted.call("AmazonSSM.NoSuchOperation", {}).error == "UnknownOperationException"


def test_the_control_channel_answers_201_in_xml_opens_and_answers_pings(trusted):
    channel = trusted.control_channel()
    with channel:
        for _ in range(2):
            assert channel.ping(b"keepalive").wait(10), "no pong: the agent would reconnect"


def test_the_control_channel_of_another_node_is_refused(lab, activation, node_key, trusted):
    other = AgentWire(lab, node_key)
    other.register(activation["ActivationId"], activation["ActivationCode"])
    answer = trusted.create_channel("control", other.id)
    assert answer.status in (400, 403)
    assert b"AccessDeniedException" in answer.body


def test_the_control_channel_is_refused_to_an_unsigned_and_to_a_late_caller(lab, trusted):
    path = f"/v1/control-channel/{trusted.id}"
    answer = exchange(lab.tls_endpoint, "POST", path, {"Host": trusted.tls_host, "Content-Length": "2"}, b"{}", ca=lab.ca)
    assert answer.status in (400, 403)
    assert trusted.create_channel("control", trusted.id, skew=-600).status in (400, 403)


def test_a_frame_is_laid_out_byte_by_byte_as_the_agent_does():
    id = uuid.UUID("00010203-0405-0607-0809-0a0b0c0d0e0f")
    data = frames.Frame("agent_job", b"{}", sequence=-2, payload_type=1, flags=3, created=0x0102030405060708, id=id).encode()
    assert data[:4] == b"\0\0\0\x74"
    assert data[4:36] == b"agent_job" + b" " * 23
    assert data[36:40] == b"\0\0\0\1"
    assert data[40:48] == bytes(range(1, 9))
    assert data[48:56] == b"\xff" * 7 + b"\xfe"
    assert data[56:64] == struct.pack(">Q", 3)
    assert data[64:80] == bytes(range(8, 16)) + bytes(range(8)), "the low half of the UUID comes first"
    # SHA-256 of `{}`, from sha256sum.
    assert data[80:112].hex() == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert data[112:] == b"\0\0\0\1\0\0\0\2{}"
    assert frames.decode(data).id == id


def test_the_long_poll_comes_back_empty_before_the_agent_gives_up(long_poll):
    agent, poll = long_poll
    answer = poll.result().json
    assert (answer["Messages"], answer["Destination"]) == ([], agent.id)
    assert answer["MessagesRequestId"]
