"""Tags of managed nodes, the tier setting, and the connection's status."""

import pytest

from stream import eventually

UNKNOWN = "mi-0123456789abcdef0"
TIER = "/ssm/managed-instance/activation-tier"


def tags(ssm, node):
    return {tag["Key"]: tag["Value"] for tag in ssm.list_tags_for_resource(ResourceType="ManagedInstance", ResourceId=node.id)["TagList"]}


def add(ssm, node, **added):
    listed = [{"Key": key, "Value": value} for key, value in added.items()]
    ssm.add_tags_to_resource(ResourceType="ManagedInstance", ResourceId=node.id, Tags=listed)


def test_a_node_starts_with_the_tags_of_its_activation(ssm, new_node):
    activation = ssm.create_activation(IamRole="r", Tags=[{"Key": "env", "Value": "dev"}])
    assert tags(ssm, new_node(activation=activation, connect=False)) == {"env": "dev"}


def test_tags_are_added_overwritten_and_removed(ssm, new_node):
    node = new_node(connect=False)
    assert tags(ssm, node) == {}
    add(ssm, node, Name="kitchen", env="dev")
    add(ssm, node, env="prod", empty="")
    assert tags(ssm, node) == {"Name": "kitchen", "env": "prod", "empty": ""}
    ssm.remove_tags_from_resource(ResourceType="ManagedInstance", ResourceId=node.id, TagKeys=["env", "no-such"])
    assert tags(ssm, node) == {"Name": "kitchen", "empty": ""}


def test_a_node_takes_fifty_tags_and_no_more(ssm, new_node):
    node = new_node(connect=False)
    add(ssm, node, **{f"key-{number}": "x" for number in range(50)})
    with pytest.raises(ssm.exceptions.TooManyTagsError):
        add(ssm, node, one_more="x")
    assert len(tags(ssm, node)) == 50


def test_an_unknown_node_has_no_tags(ssm, refused):
    resource = {"ResourceType": "ManagedInstance", "ResourceId": UNKNOWN}
    refused("InvalidResourceId", ssm.list_tags_for_resource, **resource)
    refused("InvalidResourceId", ssm.add_tags_to_resource, **resource, Tags=[{"Key": "a", "Value": "b"}])
    refused("InvalidResourceId", ssm.remove_tags_from_resource, **resource, TagKeys=["a"])


def test_a_resource_type_outside_the_model_is_refused(unchecked, refused):
    error = refused("ValidationException", unchecked.list_tags_for_resource, ResourceType="Toaster", ResourceId=UNKNOWN)
    assert error.response["Error"]["Message"]


@pytest.fixture
def default_tier(ssm):
    yield
    ssm.reset_service_setting(SettingId=TIER)


def test_the_tier_is_standard_until_it_is_changed_and_after_it_is_reset(ssm, lab, default_tier):
    account = lab.client("sts").get_caller_identity()["Account"]
    arn = f"arn:aws:ssm:{lab.region}:{account}:servicesetting{TIER}"
    setting = ssm.get_service_setting(SettingId=TIER)["ServiceSetting"]
    assert (setting["SettingId"], setting["SettingValue"], setting["Status"]) == (TIER, "standard", "Default")
    assert setting["ARN"] == arn
    assert ssm.update_service_setting(SettingId=TIER, SettingValue="advanced")["ResponseMetadata"]["HTTPStatusCode"] == 200
    setting = ssm.get_service_setting(SettingId=arn)["ServiceSetting"]
    assert (setting["SettingValue"], setting["Status"]) == ("advanced", "Customized")
    setting = ssm.reset_service_setting(SettingId=arn)["ServiceSetting"]
    assert setting["SettingValue"] == "standard"
    assert ssm.get_service_setting(SettingId=TIER)["ServiceSetting"]["SettingValue"] == "standard"


def test_a_tier_that_there_is_not_is_refused(ssm, default_tier):
    with pytest.raises(ssm.exceptions.ClientError) as caught:
        ssm.update_service_setting(SettingId=TIER, SettingValue="golden")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert ssm.get_service_setting(SettingId=TIER)["ServiceSetting"]["SettingValue"] == "standard"


def test_a_setting_that_there_is_not_is_not_found(ssm, refused):
    for call, more in ((ssm.get_service_setting, {}), (ssm.update_service_setting, {"SettingValue": "x"}), (ssm.reset_service_setting, {})):
        refused("ServiceSettingNotFound", call, SettingId="/ssm/no-such/setting", **more)


def test_the_connection_status_follows_the_control_channel(ssm, new_node):
    node = new_node(connect=False)
    assert ssm.get_connection_status(Target=node.id)["Status"] == "notconnected"
    node.connect()
    # The service learns of both from the wire, not from this call's order.
    eventually(lambda: ssm.get_connection_status(Target=node.id)["Status"] == "connected")
    assert ssm.get_connection_status(Target=node.id)["Target"] == node.id
    node.control.close()
    node.thread.join()
    eventually(lambda: ssm.get_connection_status(Target=node.id)["Status"] == "notconnected")
