"""Callers that send nonsense get AWS's error shape or are cut off, and the lab lives on."""

import json
import os
import random
import re
import struct
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

import frames
import raw
from agent_wire import open_websocket, signed_call
from stream import LIMIT_SECONDS

TARGET = "AmazonSSM.DescribeActivations"
# The issue's own bound for a thousand agents; a few rude clients must not need more.
MEMORY_LIMIT_KIB = 300 * 1024

NO_OBJECTS = [b"", b"{", b"[]", b"null", b'"text"', b"{]", b'{"MaxResults":', b"\xff\xfe", b'{"a":"\xff"}', b"{}{}"]
NO_OBJECTS += [b"[" * 100_000, b'{"a":' * 100_000]


@pytest.fixture(autouse=True)
def lives_on(lab):
    yield
    assert lab.process.poll() is None, lab.log.read_text()[-2000:]
    assert signed_call(lab, TARGET, b"{}").status == 200
    assert "panicked" not in lab.log.read_text()


@pytest.mark.parametrize(
    "body",
    NO_OBJECTS,
    ids=lambda body: repr(body[:12]),
)
def test_what_is_no_json_object_is_no_request(lab, body):
    answer = signed_call(lab, TARGET, body)
    if body:
        assert (answer.status, answer.error) == (400, "SerializationException")
    assert answer.headers["x-amzn-RequestId"]


@pytest.mark.parametrize("body", [{"NoSuchMember": 1}, {"MaxResults": None, "Filters": None}, {"NoSuchMember": {"deep": [{}]}}])
def test_unknown_members_and_nulls_are_passed_over(lab, body):
    assert signed_call(lab, TARGET, json.dumps(body).encode()).status == 200


def test_numbers_beyond_their_type_are_refused(lab):
    for number in ("1e400", "99999999999999999999999", "1.5", "-1", "true"):
        answer = signed_call(lab, TARGET, b'{"MaxResults":%s}' % number.encode())
        assert answer.status == 400, number
        assert answer.error in ("SerializationException", "ValidationException"), number


def test_a_huge_body_is_refused_or_cut_off(lab):
    head = b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: AmazonSSM.DescribeActivations\r\n"
    megabyte = b"x" * (1 << 20)
    answer = raw.answer_to(lab.endpoint, head + b"Content-Length: 67108864\r\n\r\n", *[megabyte] * 64)
    assert raw.status_of(answer) in (0, 400, 403, 413)
    chunk = b"%x\r\n%s\r\n" % (len(megabyte), megabyte)
    answer = raw.answer_to(lab.endpoint, head + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 64)
    assert raw.status_of(answer) in (0, 400, 403, 413)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\0" * 1000,
        b"GET\r\n\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnot-a-length\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nshort",
        b"POST / HTTP/1.1\r\n" + b"X-Many: y\r\n" * 5000 + b"\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"y" * (1 << 21) + b"\r\n\r\n",
        b"POST /" + b"p" * (1 << 20) + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello",
    ],
    ids=lambda text: repr(text[:40]),
)
def test_what_is_no_http_is_answered_with_an_error_or_cut_off(lab, request_bytes):
    assert raw.status_of(raw.answer_to(lab.endpoint, request_bytes, more_to_come=False)) in (0, *range(400, 500))
    raw.answer_to(lab.tls_endpoint, request_bytes, more_to_come=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", b"AWS4-HMAC-SHA256"),
        ("Authorization", b"AWS4-HMAC-SHA256 Credential=, SignedHeaders=, Signature="),
        ("Authorization", b"AWS4-HMAC-SHA256 Credential=a/b/c/d/e/f/g, SignedHeaders=host, Signature=zz"),
        ("Authorization", b"AWS4-HMAC-SHA256 Credential=AKIA/20260230/r/ssm/aws4_request, SignedHeaders=host;host, Signature=00"),
        ("Authorization", b"AWS4-HMAC-SHA256 " + b"Signature=" * 500),
        ("Authorization", b"Basic dXNlcjpwYXNz"),
        ("Authorization", b"\xf0\x9f\x92\xa3"),
        ("X-Amz-Date", b"yesterday"),
        ("X-Amz-Date", b"99999999T999999Z"),
        ("X-Amz-Target", b"\xff"),
        ("X-Amz-Target", b"." * 1000),
    ],
    ids=str,
)
def test_headers_that_are_nonsense_are_client_errors(lab, name, value):
    headers = {"Host": b"x", "Content-Type": b"application/x-amz-json-1.1", "X-Amz-Target": TARGET.encode(), "Content-Length": b"2"}
    headers[name] = value
    lines = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in headers.items())
    answer = raw.answer_to(lab.endpoint, b"POST / HTTP/1.1\r\nConnection: close\r\n" + lines + b"\r\n{}")
    assert 400 <= raw.status_of(answer) < 500
    assert "__type" in json.loads(answer.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("path", ["/", "/nowhere", "/v1/control-channel/", "/v1/data-channel/../..", "/%00", "/v1/control-channel/%ff"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_other_methods_and_paths_are_client_errors(lab, method, path):
    answer = raw.answer_to(lab.endpoint, f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert 400 <= raw.status_of(answer) < 500


def nonsense():
    """Frames that no agent would send."""
    good = frames.Frame("agent_job_reply", b'{"jobId":"x","content":"{}"}').encode()
    yield from (good[:length] for length in (0, 1, 3, 4, 36, 64, 115, 116, 119, 120, len(good) - 1))
    yield good + b"more"
    yield struct.pack(">I", 0xFFFFFFFF) + good[4:]
    yield struct.pack(">I", 0) + good[4:]
    yield good[:116] + struct.pack(">I", 0xFFFFFFFF) + good[120:]
    yield good[:4] + b"\xff" * 32 + good[36:]
    yield good[:80] + b"\0" * 32 + good[112:]
    for kind in ("agent_job_reply", "agent_job_ack", "agent_task_complete", "acknowledge", "output_stream_data", "no_such_type", ""):
        for payload in (b"", b"{", b"[]", b"\xff", b'{"jobId":1}', b'{"TaskId":"unknown"}', b'{"jobId":"aws.ssm..","content":"{"}'):
            yield frames.Frame(kind, payload, sequence=-1, payload_type=0xFFFFFFFF).encode()
    yield random.Random(7).randbytes(5000)


def send_all(channel, messages):
    """As many as the other side will have."""
    for message in messages:
        try:
            channel.send(message)
        except ConnectionClosed:
            return False
    return True


def test_nonsense_on_the_control_channel_ends_at_most_that_channel(new_node, node):
    rude = new_node(connect=False)
    for message in [*nonsense(), "text", "{}", "\0"]:
        with rude.wire.control_channel() as channel:
            send_all(channel, [message] * 3)
    with rude.wire.control_channel() as channel:
        send_all(channel, nonsense())
    assert node.control.ping(b"keepalive").wait(LIMIT_SECONDS), "the neighbour's channel is not touched"


def test_a_message_without_end_is_cut_off(new_node):
    rude = new_node(connect=False)
    with rude.wire.control_channel() as channel:
        assert not send_all(channel, [b"x" * (4 << 20)] * 64)


@pytest.mark.parametrize("opening", ["", "{", "{}", "[]", '{"TokenValue":""}', '{"TokenValue":"made-up"}', b"\0\1\2", "x" * 100_000])
def test_an_opening_that_is_none_opens_nothing(lab, ssm, node, opening):
    ssm.update_service_setting(SettingId="/ssm/managed-instance/activation-tier", SettingValue="advanced")
    session = ssm.start_session(Target=node.id)
    with open_websocket(session["StreamUrl"], lab.ca) as channel:
        send_all(channel, [opening])
        with pytest.raises(ConnectionClosed):
            channel.recv(LIMIT_SECONDS)
    ssm.terminate_session(SessionId=session["SessionId"])


def test_two_hundred_idle_connections_leave_room_for_others(lab):
    idle = [raw.connected(lab.endpoint) for _ in range(200)]
    try:
        assert signed_call(lab, TARGET, b"{}").status == 200
    finally:
        for connection in idle:
            connection.close()


def test_after_all_that_the_lab_is_still_small(lab):
    status = Path(f"/proc/{lab.process.pid}/status")
    if os.path.exists(status):
        (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())
        assert int(peak) < MEMORY_LIMIT_KIB
