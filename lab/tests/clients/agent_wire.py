"""The agent's side of Systems Manager, call by call, as the real amazon-ssm-agent was seen to make them.

Nothing here knows the lab. Calls hand back what arrived; judging it is for the tests.
"""

import contextlib
import http.client
import json
import ssl
import uuid
from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import urlsplit
from xml.etree import ElementTree

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from websockets.sync.client import connect

import signing

JSON = "application/x-amz-json-1.1"
AGENT_VERSION = "3.3.987.0"
USER_AGENT = "aws-sdk-go/1.51.20 (go1.22.12; linux; amd64) amazon-ssm-agent/3.3.0.0"
# The agent's own limit for the long poll (Mds.StopTimeoutMillis).
POLL_LIMIT_SECONDS = 20


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self):
        assert self.status == 200, (self.status, self.body)
        return json.loads(self.body)

    @property
    def error(self):
        """The error's name, as the Go SDK takes it from `__type`."""
        assert self.status >= 400, (self.status, self.body)
        return json.loads(self.body)["__type"].rsplit("#", 1)[-1]


def exchange(endpoint, method, target, headers, body=b"", chunked=False, ca=None, timeout=POLL_LIMIT_SECONDS):
    address = urlsplit(endpoint)
    if address.scheme == "https":
        context = ssl.create_default_context(cafile=ca)
        connection = http.client.HTTPSConnection(address.hostname, address.port, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=timeout)
    with contextlib.closing(connection):
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in {"User-Agent": USER_AGENT, **headers}.items():
            connection.putheader(name, value)
        if chunked:
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders([body], encode_chunked=True)
        else:
            connection.endheaders(body)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())


def signed_call(lab, target, body, credentials=None, service="ssm", region=None, skew=0, sent=None, drop=(), timeout=POLL_LIMIT_SECONDS):
    """A call in AWS's JSON protocol; `sent` goes out in place of the body that was signed, headers in `drop` do not."""
    headers = {"Host": urlsplit(lab.endpoint).netloc, "Content-Type": JSON, "X-Amz-Target": target}
    region, skew = region or lab.region, skew + lab.skew
    headers = signing.by_secret(credentials or lab.credentials, service, region, "POST", "/", headers, body, skew)
    headers = {name: value for name, value in headers.items() if name not in drop}
    sent = body if sent is None else sent
    return exchange(lab.endpoint, "POST", "/", {**headers, "Content-Length": str(len(sent))}, sent, timeout=timeout)


def new_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_key_text(key):
    """Base64 of the public key as SubjectPublicKeyInfo, in DER."""
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return b64encode(key.public_key().public_bytes(serialization.Encoding.DER, spki)).decode()


class AgentWire:
    """One agent: its key, its fingerprint, and after `register` its id."""

    def __init__(self, lab, key=None):
        self.lab = lab
        self.key = key or new_key()
        self.fingerprint = str(uuid.uuid4())
        self.id = None
        self.credentials = None
        self.host = urlsplit(lab.endpoint).netloc
        self.tls_host = urlsplit(lab.tls_endpoint).netloc

    def _target(self, target, host):
        return {"Host": host, "Content-Type": JSON, "X-Amz-Target": target}

    def register(self, activation_id, code):
        body = {
            "ActivationCode": code,
            "ActivationId": activation_id,
            "Fingerprint": self.fingerprint,
            "PublicKey": public_key_text(self.key),
            "PublicKeyType": "Rsa",
        }
        body = json.dumps(body).encode()
        headers = {**self._target("AmazonSSM.RegisterManagedInstance", self.host), "Content-Length": str(len(body))}
        answer = exchange(self.lab.endpoint, "POST", "/", headers, body)
        if answer.status == 200:
            self.id = answer.json["InstanceId"]
        return answer

    def _by_key(self, operation, body, key=None, skew=0):
        body = json.dumps(body).encode()
        headers = self._target(f"AmazonSSM.{operation}", self.host)
        headers = signing.by_rsa_key(key or self.key, self.id, self.lab.region, headers, body, skew + self.lab.skew)
        return exchange(self.lab.endpoint, "POST", "/", headers, body, chunked=True)

    def role_token(self, fingerprint=None, key=None, skew=0):
        answer = self._by_key("RequestManagedInstanceRoleToken", {"Fingerprint": fingerprint or self.fingerprint}, key, skew)
        if answer.status == 200:
            self.credentials = answer.json
        return answer

    def update_public_key(self, new, key=None):
        """Signed with the old key; the new one holds from here on."""
        answer = self._by_key("UpdateManagedInstancePublicKey", {"NewPublicKey": public_key_text(new), "NewPublicKeyType": "Rsa"}, key)
        if answer.status == 200:
            self.key = new
        return answer

    def call(self, target, body, service="ssm"):
        """A call with the node's role credentials, `target` as in X-Amz-Target."""
        return signed_call(self.lab, target, json.dumps(body).encode(), self.credentials, service)

    def heartbeat_empty(self, **changes):
        body = {"AgentName": "amazon-ssm-agent", "AgentVersion": AGENT_VERSION, "InstanceId": self.id, "PlatformType": "Linux"}
        return self.call("AmazonSSM.UpdateInstanceInformation", {**body, **changes})

    def heartbeat(self, **changes):
        body = {
            "AgentName": "amazon-ssm-agent",
            "AgentStatus": "Active",
            "AgentVersion": AGENT_VERSION,
            "AvailabilityZone": "",
            "AvailabilityZoneId": "",
            "ComputerName": "pi-kitchen",
            "IPAddress": "192.0.2.17",
            "InstanceId": self.id,
            "PlatformName": "Debian GNU/Linux",
            "PlatformType": "Linux",
            "PlatformVersion": "12",
            "SSMConnectionChannel": "",
        }
        return self.call("AmazonSSM.UpdateInstanceInformation", {**body, **changes})

    def associations(self):
        return self.call("AmazonSSM.ListInstanceAssociations", {"InstanceId": self.id, "MaxResults": 20})

    def mds(self, operation, body):
        return self.call(f"EC2WindowsMessageDeliveryService.{operation}", body, service="ec2messages")

    def get_messages(self):
        request = {"Destination": self.id, "MessagesRequestId": str(uuid.uuid4()), "VisibilityTimeoutInSeconds": 10}
        return self.mds("GetMessages", request)

    def create_channel(self, kind, name, credentials=None, skew=0, **more):
        path = f"/v1/{kind}-channel/{name}"
        body = json.dumps({"MessageSchemaVersion": "1.0", "RequestId": str(uuid.uuid4()), **more}).encode()
        headers = {"Host": self.tls_host, "Content-Length": str(len(body)), "Content-Type": "application/json"}
        credentials = credentials or self.credentials
        headers = signing.by_secret(credentials, "ssmmessages", self.lab.region, "POST", path, headers, body, skew + self.lab.skew)
        return exchange(self.lab.tls_endpoint, "POST", path, headers, body, ca=self.lab.ca)

    def open_channel(self, kind, name, query, token, **opening):
        """The channel's websocket with its opening frame sent."""
        target = f"/v1/{kind}-channel/{name}?{query}"
        headers = signing.by_secret(
            self.credentials, "ssmmessages", self.lab.region, "GET", target, {"Host": self.tls_host}, skew=self.lab.skew
        )
        del headers["Host"]  # the websocket library writes the same one
        socket = open_websocket(f"wss://{self.tls_host}{target}", self.lab.ca, headers)
        request = {"MessageSchemaVersion": "1.0", "RequestId": str(uuid.uuid4()), "TokenValue": token}
        socket.send(json.dumps({**request, **opening}))
        return socket

    def control_channel(self):
        token = channel_token(self.create_channel("control", self.id), "CreateControlChannelResponse")
        opening = {"Cookie": None, "AgentVersion": AGENT_VERSION, "PlatformType": "linux"}
        return self.open_channel("control", self.id, "role=subscribe&stream=input", token, **opening)

    def data_channel(self, session_id):
        opening = {"ClientId": str(uuid.uuid4())}
        token = channel_token(self.create_channel("data", session_id, **opening), "CreateDataChannelResponse")
        return self.open_channel("data", session_id, "role=publish_subscribe", token, **opening)


def channel_token(answer, element):
    assert answer.status == 201, (answer.status, answer.body)
    root = ElementTree.fromstring(answer.body)
    # encoding/xml of Go matches by local name.
    assert root.tag.rsplit("}", 1)[-1] == element
    texts = {child.tag.rsplit("}", 1)[-1]: child.text for child in root}
    assert texts["MessageSchemaVersion"] == "1.0"
    assert texts["TokenValue"]
    return texts["TokenValue"]


def open_websocket(url, ca, headers=None):
    context = ssl.create_default_context(cafile=ca) if url.startswith("wss:") else None
    if context:
        # The library reads and writes in two threads, which OpenSSL does not stand: the tickets that TLS 1.3 sends after its
        # handshake meet the first write, and once in a hundred times that write is lost.
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    return connect(
        url,
        ssl=context,
        additional_headers=headers,
        user_agent_header=None,
        compression=None,
        legacy=True,
        proxy=None,
        ping_interval=None,
        open_timeout=20,
        close_timeout=5,
        max_size=4 * 1024 * 1024,
    )
