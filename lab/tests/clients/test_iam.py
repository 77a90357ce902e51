"""Policies as an operator writes them: dev may, prod may not, and the record shows both."""

import json

import pytest

from lab_process import Lab
from plugin import Plugin

TIER = "/ssm/managed-instance/activation-tier"
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "ssm:StartSession",
            "Resource": ["arn:aws:ssm:*:*:managed-instance/*", "arn:aws:ec2:*:*:instance/*"],
            "Condition": {"StringLike": {"ssm:resourceTag/env": ["dev", "test-*"]}},
        },
        {"Effect": "Allow", "Action": "ssm:StartSession", "Resource": "arn:aws:ssm:*:*:document/SSM-SessionManagerRunShell"},
        {
            "Effect": "Allow",
            "Action": ["ssm:TerminateSession", "ssm:ResumeSession"],
            "Resource": "arn:aws:ssm:*:*:session/${aws:username}-*",
        },
        {"Effect": "Allow", "Action": ["ssm:Describe*", "ssm:GetConnectionStatus"], "Resource": "*"},
        {"Effect": "Allow", "Action": "ssm:ListTagsForResource", "Resource": "*"},
        {
            "Effect": "Deny",
            "Action": "ssm:*",
            "Resource": "*",
            "Condition": {"StringEquals": {"ssm:resourceTag/frozen": "yes"}},
        },
    ],
}

CONFIG = """
[users.alice]
policies = ["dev.json"]

[users.bob]
policies = ["dev.json"]

[users.tagger]
policies = ["tagger.json"]

[users.root]
policies = ["admin.json"]

[users.nobody]
policies = []
"""
# Whoever may tag may not make a node one of dev, and may not take its env away.
TAGGER = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "ssm:*", "Resource": "*"},
        {
            "Effect": "Deny",
            "Action": "ssm:AddTagsToResource",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:RequestTag/env": "dev"}},
        },
        {
            "Effect": "Deny",
            "Action": "ssm:RemoveTagsFromResource",
            "Resource": "*",
            "Condition": {"ForAnyValue:StringEquals": {"aws:TagKeys": "env"}},
        },
        {
            "Effect": "Deny",
            "Action": "ssm:DeregisterManagedInstance",
            "Resource": "*",
            "Condition": {"Bool": {"aws:SecureTransport": "false"}, "IpAddress": {"aws:SourceIp": "127.0.0.0/8"}},
        },
    ],
}
TAGS = {
    "dev": {"env": "dev"},
    "test": {"env": "test-7"},
    "prod": {"env": "prod"},
    "frozen": {"env": "dev", "frozen": "yes"},
    "bare": {},
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    directory = tmp_path_factory.mktemp("iam")
    (directory / "dev.json").write_text(json.dumps(POLICY))
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    (directory / "tagger.json").write_text(json.dumps(TAGGER))
    (directory / "admin.json").write_text(json.dumps(everything))
    (directory / "lab.toml").write_text(CONFIG)
    started = Lab(directory, config=directory / "lab.toml")
    started.credentials = started.user("root")
    yield started
    started.stop()


@pytest.fixture(scope="module", autouse=True)
def advanced(ssm):
    ssm.update_service_setting(SettingId=TIER, SettingValue="advanced")


@pytest.fixture(scope="module")
def users(lab):
    return {name: lab.client(credentials=lab.user(name)) for name in ("alice", "bob", "nobody", "tagger")}


@pytest.fixture(scope="module")
def nodes(ssm, new_node):
    made = {}
    for name, tags in TAGS.items():
        activation = ssm.create_activation(IamRole="r", Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
        made[name] = new_node(activation=activation)
    return made


def events_of(trail, name):
    attributes = [{"AttributeKey": "Username", "AttributeValue": name}]
    found = trail.lookup_events(LookupAttributes=attributes)["Events"]
    return [json.loads(event["CloudTrailEvent"]) for event in found]


@pytest.mark.parametrize("name", ["dev", "test"])
def test_a_session_is_started_where_the_tag_allows_it(lab, users, nodes, name):
    session = users["alice"].start_session(Target=nodes[name].id)
    assert session["SessionId"].startswith("alice-")
    client, at_node = Plugin(lab.ca, session), nodes[name].session(session["SessionId"])
    client.type("hello")
    assert at_node.read(5) == b"hello"
    users["alice"].terminate_session(SessionId=session["SessionId"])
    client.wait_until_closed()
    client.close()
    at_node.close()


@pytest.mark.parametrize("name", ["prod", "bare", "frozen"])
def test_a_session_is_denied_where_the_tag_does_not_or_another_forbids(users, nodes, refused, name):
    error = refused("AccessDeniedException", users["alice"].start_session, Target=nodes[name].id)
    message = error.response["Error"]["Message"]
    assert "ssm:StartSession" in message
    assert ":user/alice" in message


def test_a_tag_that_changes_changes_what_is_allowed(ssm, users, new_node, refused):
    node = new_node(activation=ssm.create_activation(IamRole="r", Tags=[{"Key": "env", "Value": "prod"}]))
    refused("AccessDeniedException", users["alice"].start_session, Target=node.id)
    ssm.add_tags_to_resource(ResourceType="ManagedInstance", ResourceId=node.id, Tags=[{"Key": "env", "Value": "dev"}])
    session = users["alice"].start_session(Target=node.id)
    users["alice"].terminate_session(SessionId=session["SessionId"])


def test_a_document_that_no_statement_names_is_denied(ssm, users, nodes, refused):
    content = json.dumps({"schemaVersion": "1.0", "sessionType": "Standard_Stream", "inputs": {"runAsEnabled": True}})
    ssm.create_document(Name="OtherShell", DocumentType="Session", Content=content)
    refused("AccessDeniedException", users["alice"].start_session, Target=nodes["dev"].id, DocumentName="OtherShell")


def test_ones_own_session_may_be_ended_and_anothers_not(users, nodes, refused):
    session = users["bob"].start_session(Target=nodes["dev"].id)["SessionId"]
    refused("AccessDeniedException", users["alice"].terminate_session, SessionId=session)
    refused("AccessDeniedException", users["alice"].resume_session, SessionId=session)
    assert users["bob"].terminate_session(SessionId=session)["SessionId"] == session


def test_what_no_policy_allows_is_denied(users, nodes, refused):
    refused("AccessDeniedException", users["alice"].create_activation, IamRole="r")
    refused("AccessDeniedException", users["alice"].deregister_managed_instance, InstanceId=nodes["prod"].id)
    refused("AccessDeniedException", users["nobody"].describe_instance_information)
    assert users["alice"].describe_instance_information()["InstanceInformationList"]


def test_a_deny_wins_over_an_allow_on_the_same_resource(users, nodes, refused):
    resource = {"ResourceType": "ManagedInstance"}
    assert users["alice"].list_tags_for_resource(**resource, ResourceId=nodes["prod"].id)["TagList"]
    refused("AccessDeniedException", users["alice"].list_tags_for_resource, **resource, ResourceId=nodes["frozen"].id)


def test_identity_needs_no_policy(lab):
    arn = lab.client("sts", credentials=lab.user("nobody")).get_caller_identity()["Arn"]
    assert arn.endswith(":user/nobody")


def test_the_record_shows_who_was_allowed_what_and_who_was_not(lab, users, nodes, refused):
    session = users["bob"].start_session(Target=nodes["dev"].id)
    refused("AccessDeniedException", users["bob"].start_session, Target=nodes["prod"].id)
    users["bob"].terminate_session(SessionId=session["SessionId"])
    events = events_of(lab.client("cloudtrail"), "bob")
    # The newest comes first, and is meant.
    started = {event["requestParameters"]["target"]: event for event in reversed(events) if event["eventName"] == "StartSession"}
    allowed, refusal = started[nodes["dev"].id], started[nodes["prod"].id]
    assert allowed["userIdentity"]["userName"] == refusal["userIdentity"]["userName"] == "bob"
    assert "errorCode" not in allowed
    assert allowed["responseElements"]["sessionId"] == session["SessionId"]
    assert session["TokenValue"] not in json.dumps(events), "a token in the record is a session for its readers"
    assert refusal["errorCode"] in ("AccessDenied", "AccessDeniedException")
    assert "ssm:StartSession" in refusal["errorMessage"]
    ended = [event for event in events if event["eventName"] == "TerminateSession"]
    assert ended[0]["requestParameters"]["sessionId"] == session["SessionId"]


def test_policies_see_the_tags_that_a_call_brings_and_where_it_comes_from(users, nodes, refused):
    tagger = users["tagger"]
    on = {"ResourceType": "ManagedInstance", "ResourceId": nodes["bare"].id}
    tagger.add_tags_to_resource(**on, Tags=[{"Key": "env", "Value": "prod"}, {"Key": "rack", "Value": "7"}])
    refused("AccessDeniedException", tagger.add_tags_to_resource, **on, Tags=[{"Key": "env", "Value": "dev"}])
    tagger.remove_tags_from_resource(**on, TagKeys=["rack"])
    refused("AccessDeniedException", tagger.remove_tags_from_resource, **on, TagKeys=["rack", "env"])
    refused("AccessDeniedException", tagger.deregister_managed_instance, InstanceId=nodes["bare"].id)
