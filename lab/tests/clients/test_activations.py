"""Hybrid activations, by boto3."""

import re
from datetime import datetime, timedelta, timezone

import pytest

from agent_wire import AgentWire

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
UNKNOWN = "01234567-89ab-cdef-0123-456789abcdef"


def listed(ssm, activation_id):
    filters = [{"FilterKey": "ActivationIds", "FilterValues": [activation_id]}]
    return ssm.describe_activations(Filters=filters)["ActivationList"]


def test_an_activation_has_an_id_and_a_code_that_the_agent_takes(ssm):
    made = ssm.create_activation(IamRole="SSMServiceRole")
    assert re.fullmatch(UUID, made["ActivationId"])
    assert 20 <= len(made["ActivationCode"]) <= 250


def test_an_activation_is_described_as_it_was_made_and_never_with_its_code(ssm):
    expires = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=7)
    tags = [{"Key": "env", "Value": "dev"}, {"Key": "empty", "Value": ""}]
    made = ssm.create_activation(
        IamRole="service-role/Hybrid",
        DefaultInstanceName="pi",
        Description="the kitchen's",
        RegistrationLimit=7,
        ExpirationDate=expires,
        Tags=tags,
    )
    (found,) = listed(ssm, made["ActivationId"])
    assert (found["IamRole"], found["DefaultInstanceName"], found["Description"]) == ("service-role/Hybrid", "pi", "the kitchen's")
    assert (found["RegistrationLimit"], found["RegistrationsCount"], found["Expired"]) == (7, 0, False)
    assert found["ExpirationDate"] == expires
    assert sorted(found["Tags"], key=lambda tag: tag["Key"]) == sorted(tags, key=lambda tag: tag["Key"])
    assert abs(found["CreatedDate"] - datetime.now(timezone.utc)) < timedelta(minutes=2)
    assert made["ActivationCode"] not in str(found)


def test_by_default_an_activation_is_for_one_node_and_24_hours(ssm):
    (found,) = listed(ssm, ssm.create_activation(IamRole="r")["ActivationId"])
    assert found["RegistrationLimit"] == 1
    assert abs(found["ExpirationDate"] - found["CreatedDate"] - timedelta(hours=24)) < timedelta(minutes=1)


@pytest.mark.parametrize("days", [31, -1])
def test_an_activation_ends_in_the_future_within_30_days(ssm, days):
    expires = datetime.now(timezone.utc) + timedelta(days=days)
    with pytest.raises(ssm.exceptions.ClientError) as caught:
        ssm.create_activation(IamRole="r", ExpirationDate=expires)
    assert caught.value.response["Error"]["Code"] in ("ValidationException", "InvalidParameters")


def test_activations_are_filtered_by_role_and_by_name(ssm):
    one = ssm.create_activation(IamRole="filter/One", DefaultInstanceName="alpha")["ActivationId"]
    two = ssm.create_activation(IamRole="filter/Two", DefaultInstanceName="alpha")["ActivationId"]

    def found(key, *values):
        filters = [{"FilterKey": key, "FilterValues": list(values)}]
        return {activation["ActivationId"] for activation in ssm.describe_activations(Filters=filters)["ActivationList"]}

    assert found("IamRole", "filter/One") == {one}
    assert found("DefaultInstanceName", "alpha") == {one, two}
    assert found("ActivationIds", one, two) == {one, two}
    assert found("DefaultInstanceName", "nobody") == set()


def test_the_paginator_walks_all_activations_once(ssm):
    made = {ssm.create_activation(IamRole="paged")["ActivationId"] for _ in range(7)}
    filters = [{"FilterKey": "IamRole", "FilterValues": ["paged"]}]
    pages = list(ssm.get_paginator("describe_activations").paginate(Filters=filters, PaginationConfig={"PageSize": 3}))
    assert all(len(page["ActivationList"]) <= 3 for page in pages)
    found = [activation["ActivationId"] for page in pages for activation in page["ActivationList"]]
    assert len(found) == 7
    assert set(found) == made


def test_a_token_that_the_service_did_not_give_is_invalid(ssm, refused):
    refused("InvalidNextToken", ssm.describe_activations, NextToken="made-up")


def test_a_deleted_activation_is_gone_and_takes_no_agent(lab, ssm, node_key):
    made = ssm.create_activation(IamRole="r")
    ssm.delete_activation(ActivationId=made["ActivationId"])
    assert listed(ssm, made["ActivationId"]) == []
    answer = AgentWire(lab, node_key).register(made["ActivationId"], made["ActivationCode"])
    assert (answer.status, answer.error) == (400, "InvalidActivation")
    with pytest.raises((ssm.exceptions.InvalidActivation, ssm.exceptions.InvalidActivationId)):
        ssm.delete_activation(ActivationId=made["ActivationId"])


def test_deleting_an_unknown_activation_is_a_modelled_error(ssm):
    with pytest.raises((ssm.exceptions.InvalidActivation, ssm.exceptions.InvalidActivationId)):
        ssm.delete_activation(ActivationId=UNKNOWN)


def test_deleting_an_activation_leaves_its_nodes_registered(lab, ssm, node_key):
    made = ssm.create_activation(IamRole="r")
    wire = AgentWire(lab, node_key)
    wire.register(made["ActivationId"], made["ActivationCode"])
    ssm.delete_activation(ActivationId=made["ActivationId"])
    assert wire.role_token().status == 200


def test_registrations_are_counted(lab, ssm, node_key):
    made = ssm.create_activation(IamRole="r", RegistrationLimit=3)
    for _ in range(2):
        AgentWire(lab, node_key).register(made["ActivationId"], made["ActivationCode"])
    (found,) = listed(ssm, made["ActivationId"])
    assert found["RegistrationsCount"] == 2
