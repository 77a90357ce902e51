"""A lab per test module, its clients, the AWS CLI, and simulated nodes. No AWS setting of the user's gets in."""

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

import raw
from agent_wire import new_key
from lab_process import Lab
from node import Node
from stream import eventually

for name in [name for name in os.environ if name.startswith(("AWS_", "BOTO")) or name.lower().endswith("_proxy")]:
    del os.environ[name]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
HOME = tempfile.TemporaryDirectory(prefix="clients-home-")
os.environ["HOME"] = HOME.name


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    started = Lab(tmp_path_factory.mktemp("lab"))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def ssm(lab):
    return lab.client()


@pytest.fixture(scope="module")
def unchecked(lab):
    """A client that sends what it is given, so that the endpoint does the checking."""
    return lab.client(parameter_validation=False)


@pytest.fixture(scope="module")
def activation(ssm):
    return ssm.create_activation(IamRole="service-role/SSMServiceRole", RegistrationLimit=100)


# Keys are slow to make, and the lab cannot tell.
@pytest.fixture(scope="session")
def node_key():
    return new_key()


@pytest.fixture(scope="module")
def new_node(lab, ssm, activation, node_key):
    """Makes nodes that are closed at the end of the module."""
    with ExitStack() as stack:

        def make(**options):
            node = Node(lab, options.pop("activation", activation), key=options.pop("key", node_key), **options)
            stack.callback(node.close)
            if node.control:
                eventually(lambda: ssm.get_connection_status(Target=node.id)["Status"] == "connected")
            return node

        yield make


@pytest.fixture(scope="module")
def node(new_node):
    return new_node()


class Failed(Exception):
    pass


@pytest.fixture(scope="module")
def aws(lab):
    """Runs the AWS CLI: parsed JSON, or `Failed` with what it said."""
    program = Path(sys.executable).with_name("aws")

    def run(*arguments, **environment):
        result = subprocess.run(
            [sys.executable, program, *arguments],
            env=lab.environment(**environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if result.returncode != 0:
            raise Failed(f"{result.returncode} {result.stderr.strip()}")
        return json.loads(result.stdout) if result.stdout.strip() else None

    return run


# Well above any sane server's patience, well below the run's own limit.
SLOW_LIMIT_SECONDS = 60


@pytest.fixture(scope="session", autouse=True)
def slow_clients(request, tmp_path_factory):
    """A lab of their own, and what comes of them by kind. They start first, so that nobody waits for them."""
    if not any(item.path.name == "test_slow_clients.py" for item in request.session.items):
        yield None
        return
    lab = Lab(tmp_path_factory.mktemp("slow"))
    head = b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: AmazonSSM.DescribeActivations\r\n"
    kinds = {
        "headers": (lab.endpoint, head, None),
        "body": (lab.endpoint, head + b"Content-Length: 1000\r\n\r\n", None),
        "chunks": (lab.endpoint, head + b"Transfer-Encoding: chunked\r\n\r\n1000\r\n", None),
        "TLS hello": (lab.tls_endpoint, b"\x16\x03\x01\x02\x00", None),
        "headers in TLS": (lab.tls_endpoint, head, lab.ca),
    }
    with ThreadPoolExecutor(len(kinds)) as pool:
        yield lab, {kind: pool.submit(raw.drip, endpoint, start, SLOW_LIMIT_SECONDS, ca) for kind, (endpoint, start, ca) in kinds.items()}
    lab.stop()


@pytest.fixture(scope="session")
def refused():
    """Asserts that a call fails with that error code, and hands back the error."""

    def check(code, call, *arguments, **parameters):
        with pytest.raises(ClientError) as caught:
            call(*arguments, **parameters)
        error = caught.value
        assert error.response["Error"]["Code"] == code, error
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert status in ((500, 503) if code in ("InternalServerError", "ServiceUnavailable") else (400, 403)), error
        assert error.response["ResponseMetadata"].get("RequestId"), "AWS's every answer has an x-amzn-RequestId"
        return error

    return check
