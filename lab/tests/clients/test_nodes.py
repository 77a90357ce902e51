"""Managed nodes as the control plane shows them: DescribeInstanceInformation, -Properties, tags, deregistration, role."""

import pytest

from agent_wire import AGENT_VERSION

UNKNOWN = "mi-0123456789abcdef0"
COUNT = 12


@pytest.fixture(scope="module", autouse=True)
def fleet(ssm, new_node):
    """Twelve nodes of two activations; without channels."""
    first = ssm.create_activation(IamRole="RoleOne", RegistrationLimit=50, Tags=[{"Key": "env", "Value": "dev"}])
    second = ssm.create_activation(IamRole="RoleTwo", RegistrationLimit=50, Tags=[{"Key": "env", "Value": "prod"}])
    nodes = [new_node(activation=first if number < 8 else second, connect=False, ComputerName=f"node-{number}") for number in range(COUNT)]
    return {"ids": [node.id for node in nodes], "first": first["ActivationId"], "second": second["ActivationId"]}


@pytest.fixture
def found(ssm):
    def find(*filters):
        """Ids that match filters of the new form."""
        filters = [{"Key": key, "Values": values} for key, values in filters]
        pages = ssm.get_paginator("describe_instance_information").paginate(Filters=filters)
        return {node["InstanceId"] for page in pages for node in page["InstanceInformationList"]}

    return find


def test_a_node_shows_what_it_reported_and_where_it_came_from(ssm, fleet):
    (node,) = ssm.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": fleet["ids"][3:4]}])["InstanceInformationList"]
    assert (node["ComputerName"], node["IPAddress"], node["AgentVersion"]) == ("node-3", "192.0.2.17", AGENT_VERSION)
    assert (node["PlatformType"], node["PlatformName"], node["PlatformVersion"]) == ("Linux", "Debian GNU/Linux", "12")
    assert (node["ActivationId"], node["IamRole"]) == (fleet["first"], "RoleOne")
    assert (node["ResourceType"], node["PingStatus"]) == ("ManagedInstance", "Online")
    assert node["RegistrationDate"] <= node["LastPingDateTime"]


def test_filters_of_the_new_form(fleet, found):
    first, second = set(fleet["ids"][:8]), set(fleet["ids"][8:])
    assert found(("ActivationIds", [fleet["second"]])) == second
    assert found(("ActivationIds", [fleet["first"], fleet["second"]])) == first | second
    assert found(("IamRole", ["RoleOne"])) == first
    assert found(("PingStatus", ["Online"])) == first | second
    assert found(("PingStatus", ["ConnectionLost"])) == set()
    assert found(("PlatformTypes", ["Linux"])) == first | second
    assert found(("PlatformTypes", ["Windows"])) == set()
    assert found(("AgentVersion", [AGENT_VERSION])) == first | second
    assert found(("AgentVersion", ["1.0.0.0"])) == set()
    assert found(("ResourceType", ["ManagedInstance"])) == first | second
    assert found(("ResourceType", ["EC2Instance"])) == set()
    assert found(("tag:env", ["prod"])) == second
    assert found(("tag:env", ["dev", "prod"])) == first | second
    assert found(("tag-key", ["env"])) == first | second
    assert found(("tag-key", ["no-such"])) == set()


def test_filters_are_all_to_match(fleet, found):
    assert found(("IamRole", ["RoleOne"]), ("tag:env", ["prod"])) == set()
    assert found(("IamRole", ["RoleTwo"]), ("InstanceIds", fleet["ids"][9:10])) == set(fleet["ids"][9:10])


def test_filters_of_the_old_form(ssm, fleet):
    def found(key, *values):
        filters = [{"key": key, "valueSet": list(values)}]
        pages = ssm.get_paginator("describe_instance_information").paginate(InstanceInformationFilterList=filters)
        return {node["InstanceId"] for page in pages for node in page["InstanceInformationList"]}

    assert found("InstanceIds", *fleet["ids"][:2]) == set(fleet["ids"][:2])
    assert found("ActivationIds", fleet["second"]) == set(fleet["ids"][8:])
    assert found("PingStatus", "Online") == set(fleet["ids"])
    assert found("PlatformTypes", "Windows") == set()
    assert found("IamRole", "RoleOne") == set(fleet["ids"][:8])


def test_the_two_forms_do_not_mix(ssm):
    with pytest.raises(ssm.exceptions.ClientError) as caught:
        ssm.describe_instance_information(
            Filters=[{"Key": "PingStatus", "Values": ["Online"]}],
            InstanceInformationFilterList=[{"key": "PingStatus", "valueSet": ["Online"]}],
        )
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.mark.parametrize(
    ("code", "key", "value"),
    [
        ("InvalidFilterKey", "NoSuchKey", "x"),
        ("InvalidInstanceId", "InstanceIds", UNKNOWN),
        ("InvalidInstanceInformationFilterValue", "PingStatus", "Sideways"),
    ],
)
def test_filters_that_are_wrong_are_modelled_errors(ssm, refused, code, key, value):
    refused(code, ssm.describe_instance_information, Filters=[{"Key": key, "Values": [value]}])


@pytest.mark.parametrize(("size", "pages"), [(5, 3), (11, 2), (50, 1), (None, 2)])
def test_pages_hold_what_was_asked_for_and_ten_by_default(ssm, fleet, size, pages):
    paging = {"PageSize": size} if size else {}
    answers = list(ssm.get_paginator("describe_instance_information").paginate(PaginationConfig=paging))
    assert len([answer for answer in answers if answer["InstanceInformationList"]]) == pages
    ids = [node["InstanceId"] for answer in answers for node in answer["InstanceInformationList"]]
    assert sorted(ids) == sorted(fleet["ids"])


@pytest.mark.parametrize("size", [0, 4, 51])
def test_pages_smaller_than_5_or_larger_than_50_are_refused(unchecked, refused, size):
    refused("ValidationException", unchecked.describe_instance_information, MaxResults=size)


@pytest.mark.parametrize("call", ["describe_instance_information", "describe_instance_properties"])
def test_a_token_that_the_service_did_not_give_is_invalid(ssm, refused, call):
    refused("InvalidNextToken", getattr(ssm, call), NextToken="made-up")


def properties(ssm, **parameters):
    pages = ssm.get_paginator("describe_instance_properties").paginate(**parameters)
    return {node["InstanceId"]: node for page in pages for node in page["InstanceProperties"]}


def test_properties_show_the_same_nodes(ssm, fleet):
    nodes = properties(ssm, PaginationConfig={"PageSize": 5})
    assert set(nodes) == set(fleet["ids"])
    node = nodes[fleet["ids"][9]]
    assert (node["ComputerName"], node["ActivationId"], node["IamRole"]) == ("node-9", fleet["second"], "RoleTwo")
    assert (node["PingStatus"], node["ResourceType"], node["PlatformType"]) == ("Online", "ManagedInstance", "Linux")


def test_properties_are_filtered_in_both_forms(ssm, fleet):
    old = [{"key": "InstanceIds", "valueSet": fleet["ids"][:3]}]
    assert set(properties(ssm, InstancePropertyFilterList=old)) == set(fleet["ids"][:3])
    new = [{"Key": "IamRole", "Values": ["RoleTwo"], "Operator": "Equal"}]
    assert set(properties(ssm, FiltersWithOperator=new)) == set(fleet["ids"][8:])
    new = [{"Key": "IamRole", "Values": ["RoleTwo"], "Operator": "NotEqual"}]
    assert set(properties(ssm, FiltersWithOperator=new)) == set(fleet["ids"][:8])
    new = [{"Key": "AgentVersion", "Values": ["3."], "Operator": "BeginWith"}]
    assert set(properties(ssm, FiltersWithOperator=new)) == set(fleet["ids"])


def test_properties_of_an_unknown_node_are_an_error(ssm, refused):
    unknown = [{"key": "InstanceIds", "valueSet": [UNKNOWN]}]
    refused("InvalidInstanceId", ssm.describe_instance_properties, InstancePropertyFilterList=unknown)
    unknown = [{"Key": "NoSuchKey", "Values": ["x"]}]
    refused("InvalidFilterKey", ssm.describe_instance_properties, FiltersWithOperator=unknown)


def test_a_nodes_role_is_changed(ssm, new_node, found, refused):
    node = new_node(connect=False)
    ssm.update_managed_instance_role(InstanceId=node.id, IamRole="service-role/Other")
    assert found(("IamRole", ["service-role/Other"])) == {node.id}
    refused("InvalidInstanceId", ssm.update_managed_instance_role, InstanceId=UNKNOWN, IamRole="r")
    ssm.deregister_managed_instance(InstanceId=node.id)


def test_a_deregistered_node_is_gone_and_its_key_worth_nothing(ssm, new_node, found, refused):
    node = new_node(connect=False)
    ssm.deregister_managed_instance(InstanceId=node.id)
    assert node.id not in found()
    refused("InvalidInstanceId", ssm.describe_instance_information, Filters=[{"Key": "InstanceIds", "Values": [node.id]}])
    refused("InvalidInstanceId", ssm.deregister_managed_instance, InstanceId=node.id)
    assert node.wire.role_token().status in (400, 403)
    assert node.wire.heartbeat().status in (400, 403)
