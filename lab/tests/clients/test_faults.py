"""Faults to order by the admin API: each is seen while it is open, felt by callers, and withdrawn."""

import json

import pytest
from botocore.exceptions import ReadTimeoutError

from agent_wire import signed_call

THROTTLED = {"operation": "DescribeActivations", "error": "ThrottlingException", "status": 400}


@pytest.fixture
def order(lab):
    """Orders faults, and withdraws all of them at the end."""

    def place(**fault):
        return lab.admin("POST", "/faults", fault)

    yield place
    lab.admin("DELETE", "/faults")


def open_orders(lab):
    return json.dumps(lab.admin("GET", "/faults"))


def test_a_fault_is_felt_as_often_as_ordered_and_then_over(lab, ssm, refused, order):
    order(**THROTTLED, remaining=2)
    assert "ThrottlingException" in open_orders(lab)
    for _ in range(2):
        refused("ThrottlingException", ssm.describe_activations)
    assert "ActivationList" in ssm.describe_activations()
    assert "ThrottlingException" not in open_orders(lab)


def test_a_fault_of_one_operation_leaves_the_others_alone(ssm, refused, order):
    order(**THROTTLED, remaining=1)
    assert "InstanceInformationList" in ssm.describe_instance_information()
    refused("ThrottlingException", ssm.describe_activations)


def test_a_fault_of_all_operations_is_felt_by_each_until_it_is_withdrawn(lab, ssm, refused, order):
    order(operation="*", error="InternalServerError", status=500, remaining=1000)
    refused("InternalServerError", ssm.describe_activations)
    refused("InternalServerError", ssm.describe_instance_information)
    refused("InternalServerError", ssm.create_activation, IamRole="r")
    lab.admin("DELETE", "/faults")
    assert "InternalServerError" not in open_orders(lab)
    assert "ActivationList" in ssm.describe_activations()


def test_the_sdks_own_retries_get_through_a_throttled_service(lab, order):
    order(**THROTTLED, remaining=2)
    patient = lab.client(retries={"total_max_attempts": 4, "mode": "standard"})
    answer = patient.describe_activations()
    assert answer["ResponseMetadata"]["RetryAttempts"] == 2


def test_slowness_runs_into_the_callers_timeout(lab, ssm, order):
    order(operation="DescribeActivations", delay_ms=5000, remaining=1)
    hasty = lab.client(read_timeout=0.5)
    with pytest.raises(ReadTimeoutError):
        hasty.describe_activations()
    assert "ActivationList" in ssm.describe_activations()


def test_the_agent_plane_has_faults_too(new_node, order):
    node = new_node(connect=False)
    order(operation="RequestManagedInstanceRoleToken", error="MachineFingerprintDoesNotMatch", status=400, remaining=1)
    answer = node.wire.role_token()
    assert (answer.status, answer.error) == (400, "MachineFingerprintDoesNotMatch")
    order(operation="UpdateInstanceInformation", error="ServiceUnavailable", status=503, remaining=1)
    assert node.wire.role_token().status == 200
    answer = node.wire.heartbeat()
    assert (answer.status, answer.error) == (503, "ServiceUnavailable")
    assert node.wire.heartbeat().status == 200


@pytest.mark.parametrize("fault", [{}, {"operation": 1}, {"operation": "*", "status": "many"}, {"operation": "*", "delay_ms": -1}, []])
def test_an_order_that_makes_no_sense_is_refused_and_changes_nothing(lab, fault):
    with pytest.raises(AssertionError, match=r": 4\d\d "):
        lab.admin("POST", "/faults", fault)
    assert signed_call(lab, "AmazonSSM.DescribeActivations", b"{}").status == 200
