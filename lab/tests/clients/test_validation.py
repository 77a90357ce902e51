"""Every constraint of AWS's API model, broken one at a time; the cases come from botocore's own copy of the model."""

import json

import botocore.session
import pytest

from agent_wire import signed_call

MODEL = botocore.session.Session().get_service_model("ssm")
OPERATIONS = """
    CreateActivation DescribeActivations DeleteActivation DescribeInstanceInformation DescribeInstanceProperties
    DeregisterManagedInstance UpdateManagedInstanceRole AddTagsToResource RemoveTagsFromResource ListTagsForResource
    GetServiceSetting UpdateServiceSetting ResetServiceSetting GetConnectionStatus
    SendCommand GetCommandInvocation ListCommands ListCommandInvocations CancelCommand
    StartSession ResumeSession TerminateSession DescribeSessions
    CreateDocument GetDocument UpdateDocument
""".split()

# Values that satisfy a pattern.
EXAMPLES = {
    "ActivationId": "01234567-89ab-cdef-0123-456789abcdef",
    "AttachmentIdentifier": "attachment",
    "CommandId": "01234567-89ab-cdef-0123-456789abcdef",
    "DocumentARN": "AWS-RunShellScript",
    "DocumentName": "SSM-SessionManagerRunShell",
    "DocumentVersion": "1",
    "InstanceId": "mi-0123456789abcdef0",
    "ManagedInstanceId": "mi-0123456789abcdef0",
    "MaxConcurrency": "1",
    "MaxErrors": "1",
    "TargetType": "/AWS::EC2::Instance",
}
# What no pattern of the model takes: most refuse the first; `.+` refuses blanks or line ends.
BAD_FOR_PATTERN = {"^(?!\\s*$).+": "   ", "^.{1,256}$": "a\nb", "^.{1,100000}$": "a\nb"}


def valid(shape):
    kind = shape.type_name
    if kind == "structure":
        return {name: valid(shape.members[name]) for name in shape.required_members}
    if kind == "list":
        return [valid(shape.member)] * max(shape.metadata.get("min", 1), 1)
    if kind == "map":
        return {valid(shape.key): valid(shape.value)}
    if kind in ("integer", "long"):
        return max(shape.metadata.get("min", 1), 1)
    if kind == "boolean":
        return True
    if kind == "timestamp":
        return 1_700_000_000
    if shape.enum:
        return shape.enum[0]
    return EXAMPLES.get(shape.name, "x" * max(shape.metadata.get("min", 1), 1))


def broken(shape):
    """(what is wrong, value, error code) for each way to break `shape`."""
    kind, limits = shape.type_name, shape.metadata
    wrong_type = "a string" if kind in ("structure", "list", "map") else ["a list"]
    yield "the wrong type", wrong_type, "SerializationException"
    yield from {"structure": broken_structure, "list": broken_list, "map": broken_map, "string": broken_string}.get(kind, nothing)(shape)
    if kind in ("integer", "long"):
        if "min" in limits:
            yield "too small", limits["min"] - 1, "ValidationException"
        if "max" in limits:
            yield "too large", limits["max"] + 1, "ValidationException"


def nothing(_):
    return ()


def broken_structure(shape):
    whole = valid(shape)
    for name in shape.required_members:
        yield f"no {name}", {key: value for key, value in whole.items() if key != name}, "ValidationException"
    for name, member in shape.members.items():
        for what, value, code in broken(member):
            yield f"{name}: {what}", {**whole, name: value}, code


def broken_list(shape):
    if shape.metadata.get("min", 0) > 0:
        yield "too few", [], "ValidationException"
    if "max" in shape.metadata:
        yield "too many", [valid(shape.member)] * (shape.metadata["max"] + 1), "ValidationException"
    for what, value, code in broken(shape.member):
        yield f"[0] {what}", [value], code


def broken_map(shape):
    for what, value, code in broken_string(shape.key):
        yield f"key {what}", {value: valid(shape.value)}, code
    for what, value, code in broken(shape.value):
        yield f"value {what}", {valid(shape.key): value}, code


def broken_string(shape):
    limits = shape.metadata
    if limits.get("min", 0) > 0:
        yield "too short", valid(shape)[: limits["min"] - 1], "ValidationException"
    if "max" in limits:
        yield "too long", "x" * (limits["max"] + 1), "ValidationException"
    if shape.enum:
        yield "not of the enum", "Toaster", "ValidationException"
    elif "pattern" in limits:
        bad = BAD_FOR_PATTERN.get(limits["pattern"], "<>{}")
        yield "not of the pattern", bad.ljust(limits.get("min", 0), bad[0]), "ValidationException"


@pytest.fixture(scope="module")
def send_raw(lab):
    """Sends any JSON as an operation's input and hands back the error's code."""

    def send(operation, value):
        answer = signed_call(lab, f"AmazonSSM.{operation}", json.dumps(value).encode())
        return answer.error if answer.status >= 400 else f"status {answer.status}"

    return send


def test_the_cases_are_not_empty():
    counts = {name: len(list(broken_structure(MODEL.operation_model(name).input_shape))) for name in OPERATIONS}
    assert min(counts.values()) >= 3, counts
    assert sum(counts.values()) > 300


@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_constraint_of_the_model_is_checked(send_raw, operation):
    wrong = []
    for what, value, expected in broken_structure(MODEL.operation_model(operation).input_shape):
        got = send_raw(operation, value)
        if got != expected:
            wrong.append(f"{what}: {got} and not {expected}")
    assert not wrong, "\n".join(wrong)
