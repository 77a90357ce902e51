"""Who may speak at all: SigV4 as AWS judges it, on every service of the one endpoint."""

import json
import re

import pytest

from agent_wire import signed_call


def call(lab, **changes):
    return signed_call(lab, changes.pop("target", "AmazonSSM.DescribeActivations"), changes.pop("body", b"{}"), **changes)


def test_a_signature_by_hand_is_taken(lab):
    assert call(lab).json["ActivationList"] == []


@pytest.mark.parametrize("skew", [-301, 301])
def test_more_than_five_minutes_off_is_refused(lab, skew):
    # A call takes time: the late one stays late, the early one gets a margin.
    assert call(lab, skew=skew + (30 if skew > 0 else 0)).error == "InvalidSignatureException"


@pytest.mark.parametrize("skew", [-240, 240])
def test_less_than_five_minutes_off_is_taken(lab, skew):
    assert call(lab, skew=skew).status == 200


def test_a_wrong_secret_is_refused(lab, refused):
    wrong = {**lab.credentials, "SecretAccessKey": "x" * 40}
    refused("InvalidSignatureException", lab.client(credentials=wrong).describe_activations)


def test_an_unknown_key_is_refused(lab, refused):
    wrong = {**lab.credentials, "AccessKeyId": "AKIAIOSFODNN7EXAMPLE"}
    refused("UnrecognizedClientException", lab.client(credentials=wrong).describe_activations)


def test_a_token_that_no_service_gave_is_refused(lab, refused):
    wrong = {**lab.credentials, "SessionToken": "made-up"}
    refused("UnrecognizedClientException", lab.client(credentials=wrong).describe_activations)


def test_another_region_or_service_is_refused(lab):
    assert call(lab, region="us-west-2").error == "InvalidSignatureException"
    assert call(lab, service="sqs").error == "InvalidSignatureException"


def test_a_body_that_was_not_signed_is_refused(lab):
    assert call(lab, sent=b'{"MaxResults":1}').error == "InvalidSignatureException"


def test_no_signature_is_refused(lab):
    answer = call(lab, drop=("Authorization", "X-Amz-Date"))
    assert answer.status in (400, 403)
    assert answer.error in ("MissingAuthenticationToken", "MissingAuthenticationTokenException")


def test_half_a_signature_is_refused(lab):
    assert call(lab, drop=("X-Amz-Date",)).error in ("IncompleteSignature", "IncompleteSignatureException")


@pytest.mark.parametrize("target", ["AmazonSSM.NoSuchOperation", "NoSuchService.DescribeActivations", "nonsense"])
def test_a_target_that_there_is_not_is_unknown(lab, target):
    assert call(lab, target=target).error == "UnknownOperationException"


def test_tls_serves_the_same(lab):
    made = lab.client(tls=True).create_activation(IamRole="r")
    filters = [{"FilterKey": "ActivationIds", "FilterValues": [made["ActivationId"]]}]
    assert len(lab.client().describe_activations(Filters=filters)["ActivationList"]) == 1


def test_a_caller_learns_who_it_is(lab):
    identity = lab.client("sts").get_caller_identity()
    assert re.fullmatch(r"\d{12}", identity["Account"])
    assert re.fullmatch(rf"arn:aws:iam::{identity['Account']}:user/[\w+=,.@/-]+", identity["Arn"])
    assert identity["UserId"]


def test_a_node_learns_that_it_is_its_role(lab, node):
    account = lab.client("sts").get_caller_identity()["Account"]
    identity = lab.client("sts", credentials=node.wire.credentials).get_caller_identity()
    assert identity["Arn"] == f"arn:aws:sts::{account}:assumed-role/SSMServiceRole/{node.id}"
    assert identity["UserId"].endswith(f":{node.id}")


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("InvalidClientTokenId", {"AccessKeyId": "AKIAIOSFODNN7EXAMPLE"}),
        ("SignatureDoesNotMatch", {"SecretAccessKey": "x" * 40}),
    ],
)
def test_sts_has_its_own_names_for_bad_credentials(lab, refused, code, wrong):
    refused(code, lab.client("sts", credentials={**lab.credentials, **wrong}).get_caller_identity)


def test_boto3_with_a_skewed_clock_is_refused(lab, refused):
    client = lab.client()
    lab.skew = 600
    try:
        refused("InvalidSignatureException", client.describe_activations)
    finally:
        lab.skew = 0


def test_a_nodes_role_may_not_use_the_control_plane(lab, node, refused):
    client = lab.client(credentials=node.wire.credentials)
    refused("AccessDeniedException", client.create_activation, IamRole="r")
    command = {"DocumentName": "AWS-RunShellScript", "InstanceIds": [node.id], "Parameters": {"commands": ["id"]}}
    refused("AccessDeniedException", client.send_command, **command)


def test_errors_carry_json_and_a_request_id(lab):
    answer = call(lab, region="us-west-2")
    assert answer.headers["Content-Type"] == "application/x-amz-json-1.1"
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", answer.headers["x-amzn-RequestId"])
    assert "__type" in json.loads(answer.body)
