"""Sessions, by a client that speaks as session-manager-plugin does and a node that speaks as the agent does."""

import json
import re
import struct

import pytest

import frames
from plugin import Plugin
from stream import LIMIT_SECONDS, eventually

UNKNOWN = "mi-0123456789abcdef0"


@pytest.fixture(scope="module", autouse=True)
def advanced(ssm):
    """Sessions on hybrid nodes are for the advanced tier."""
    ssm.update_service_setting(SettingId="/ssm/managed-instance/activation-tier", SettingValue="advanced")


@pytest.fixture
def open_session(lab, ssm, node):
    """A started session's three parts: what StartSession said, the client's end, the node's end."""
    ends = []

    def start(lose_inputs=0, ignored=0, **parameters):
        node.lose_inputs = lose_inputs
        session = ssm.start_session(Target=node.id, **parameters)
        client = Plugin(lab.ca, session, ignored=ignored)
        ends.extend([client, node.session(session["SessionId"])])
        return session, *ends[-2:]

    yield start
    for end in ends:
        end.close()


def shown(ssm, state, session_id):
    filters = [{"key": "SessionId", "value": session_id}]
    return next(iter(ssm.describe_sessions(State=state, Filters=filters)["Sessions"]), None)


def wait_until_history(ssm, session_id):
    return eventually(lambda: shown(ssm, "History", session_id))


def test_a_session_starts_with_an_id_a_token_and_a_websockets_url(open_session):
    session, _, at_node = open_session()
    assert 1 <= len(session["SessionId"]) <= 96
    assert session["TokenValue"]
    assert re.match(rf"wss?://[^/]+/v1/data-channel/{re.escape(session['SessionId'])}\?", session["StreamUrl"])
    assert at_node.content["SessionId"] == session["SessionId"]
    assert at_node.content["DocumentContent"]["sessionType"] == "Standard_Stream"
    assert at_node.content["DocumentContent"]["schemaVersion"] == "1.0"
    assert {"DocumentName", "Parameters", "RunAsUser", "SessionOwner"} <= at_node.content.keys()


def test_what_is_typed_arrives_and_what_is_printed_comes_back_in_order(open_session):
    _, client, at_node = open_session()
    for text in ("who", "ami", "\r"):
        client.type(text)
    assert at_node.read(7) == b"whoami\r"
    for number in range(200):
        at_node.print(f"line {number}\r\n")
    expected = b"".join(b"line %d\r\n" % number for number in range(200))
    assert client.read(len(expected)) == expected
    client.wait_until_acknowledged()
    at_node.wait_until_acknowledged()


def test_an_acknowledgement_names_the_frame_that_it_is_for(open_session):
    _, client, at_node = open_session()
    frame = client.type("x")
    client.wait_until_acknowledged()
    named = client.acknowledgements[0]
    assert named["AcknowledgedMessageType"] == "input_stream_data"
    assert (named["AcknowledgedMessageId"], named["AcknowledgedMessageSequenceNumber"]) == (str(frame.id), 0)
    assert at_node.read(1) == b"x"


def test_a_terminals_size_arrives_as_its_own_payload_type(open_session):
    _, client, at_node = open_session()
    client.resize(132, 43)
    frame = at_node.receive()
    assert (frame.payload_type, json.loads(frame.payload)) == (frames.SIZE, {"cols": 132, "rows": 43})


def test_bytes_that_are_no_text_pass_unchanged(open_session):
    _, client, at_node = open_session()
    everything = bytes(range(256)) * 4
    client.send(everything)
    assert at_node.read(len(everything)) == everything
    at_node.send(everything)
    assert client.read(len(everything)) == everything


def test_frames_lost_on_the_way_are_sent_again_until_acknowledged(open_session):
    _, client, at_node = open_session(lose_inputs=1, ignored=1)
    client.type("once")
    assert at_node.read(4) == b"once"
    at_node.print("twice")
    assert client.read(5) == b"twice"
    client.wait_until_acknowledged()
    at_node.wait_until_acknowledged()
    assert at_node.arrived.empty(), "what came twice is taken once"


def test_a_shell_that_ends_closes_the_client_and_the_session(ssm, node, open_session):
    session, client, at_node = open_session()
    at_node.print("logout\r\n")
    assert client.read(8) == b"logout\r\n"
    at_node.complete()
    answer = json.loads(node.hear("agent_task_acknowledge").payload)
    assert answer["TaskId"] == at_node.task_id
    client.wait_until_closed()
    assert client.channel_closed["SessionId"] == session["SessionId"]
    assert wait_until_history(ssm, session["SessionId"])["Status"] == "Terminated"


def test_terminate_session_closes_both_ends(ssm, open_session):
    session, client, at_node = open_session()
    assert ssm.terminate_session(SessionId=session["SessionId"])["SessionId"] == session["SessionId"]
    client.wait_until_closed()
    at_node.wait_until_closed()
    assert client.channel_closed["SessionId"] == session["SessionId"]
    done = wait_until_history(ssm, session["SessionId"])
    assert done["Status"] == "Terminated"
    assert done["StartDate"] <= done["EndDate"]
    assert shown(ssm, "Active", session["SessionId"]) is None
    with pytest.raises(ssm.exceptions.ClientError):
        ssm.resume_session(SessionId=session["SessionId"])


def test_the_clients_own_flag_to_terminate_reaches_the_node(open_session):
    _, client, at_node = open_session()
    client.terminate()
    frame = at_node.receive()
    assert (frame.payload_type, frame.payload) == (frames.FLAG, struct.pack(">I", 2))


def test_a_session_is_resumed_and_nothing_is_lost(lab, ssm, open_session):
    session, client, at_node = open_session()
    client.type("before")
    assert at_node.read(6) == b"before"
    client.wait_until_acknowledged()
    client.close()
    at_node.print("while nobody listened")
    again = ssm.resume_session(SessionId=session["SessionId"])
    assert again["SessionId"] == session["SessionId"]
    assert again["TokenValue"]
    resumed = Plugin(lab.ca, again, sent=client.next_sequence, expected=client.expected)
    try:
        assert resumed.read(21) == b"while nobody listened"
        resumed.type("after")
        assert at_node.read(5) == b"after"
    finally:
        resumed.close()


def test_a_made_up_token_opens_nothing(lab, ssm, node):
    session = ssm.start_session(Target=node.id)
    intruder = Plugin(lab.ca, {**session, "TokenValue": "made-up"})
    intruder.wait_until_closed()
    intruder.close()
    assert intruder.arrived.empty()
    ssm.terminate_session(SessionId=session["SessionId"])


def test_sessions_are_described_and_filtered(lab, ssm, node, open_session):
    session, _, _ = open_session(Reason="to look around")
    eventually(lambda: (shown(ssm, "Active", session["SessionId"]) or {}).get("Status") == "Connected")
    found = shown(ssm, "Active", session["SessionId"])
    assert (found["Target"], found["Reason"]) == (node.id, "to look around")
    assert found["Owner"] == lab.client("sts").get_caller_identity()["Arn"]
    assert shown(ssm, "History", session["SessionId"]) is None

    def ids(state, *filters):
        filters = [{"key": key, "value": value} for key, value in filters]
        pages = ssm.get_paginator("describe_sessions").paginate(State=state, Filters=filters)
        return {entry["SessionId"] for page in pages for entry in page["Sessions"]}

    mine = session["SessionId"]
    assert mine in ids("Active", ("Target", node.id))
    assert ids("Active", ("Target", UNKNOWN)) == set()
    assert mine in ids("Active", ("Owner", found["Owner"]))
    assert mine in ids("Active", ("Status", "Connected"))
    assert mine not in ids("Active", ("Status", "Failed"))
    assert mine in ids("Active", ("InvokedAfter", "2020-01-01T00:00:00Z"))
    assert mine not in ids("Active", ("InvokedBefore", "2020-01-01T00:00:00Z"))


def test_only_connected_nodes_take_sessions(ssm, refused, new_node):
    node = new_node()
    refused("TargetNotConnected", ssm.start_session, Target=UNKNOWN)
    node.control.close()
    node.thread.join(LIMIT_SECONDS)
    eventually(lambda: ssm.get_connection_status(Target=node.id)["Status"] == "notconnected")
    refused("TargetNotConnected", ssm.start_session, Target=node.id)


def test_sessions_that_cannot_be_are_modelled_errors(ssm, refused, node):
    refused("DoesNotExistException", ssm.resume_session, SessionId="nobody-0123456789abcdef0")
    refused("InvalidDocument", ssm.start_session, Target=node.id, DocumentName="No-Such-Document")
    refused("InvalidNextToken", ssm.describe_sessions, State="Active", NextToken="made-up")


def test_the_standard_tier_has_no_sessions_on_hybrid_nodes(ssm, node):
    tier = "/ssm/managed-instance/activation-tier"
    ssm.reset_service_setting(SettingId=tier)
    try:
        with pytest.raises(ssm.exceptions.ClientError) as caught:
            ssm.start_session(Target=node.id)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    finally:
        ssm.update_service_setting(SettingId=tier, SettingValue="advanced")
