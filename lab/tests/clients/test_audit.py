"""Who did what: CloudTrail's LookupEvents over the calls of this endpoint."""

import json
from datetime import datetime, timedelta, timezone

import pytest


@pytest.fixture(scope="module")
def trail(lab):
    return lab.client("cloudtrail")


def events(trail, **parameters):
    pages = trail.get_paginator("lookup_events").paginate(**parameters)
    return [event for page in pages for event in page["Events"]]


def by(key, value):
    return {"LookupAttributes": [{"AttributeKey": key, "AttributeValue": value}]}


def test_a_call_becomes_an_event_with_who_what_and_when(lab, ssm, trail):
    made = ssm.create_activation(IamRole="audited", Description="for the record")
    arn = lab.client("sts").get_caller_identity()["Arn"]
    (event,) = events(trail, **by("EventName", "CreateActivation"))
    assert (event["EventName"], event["EventSource"]) == ("CreateActivation", "ssm.amazonaws.com")
    assert event["Username"] == arn.rsplit("/", 1)[-1]
    assert event["AccessKeyId"] == lab.credentials["AccessKeyId"]
    assert event["ReadOnly"] == "false"
    assert abs(event["EventTime"] - datetime.now(timezone.utc)) < timedelta(minutes=2)
    whole = json.loads(event["CloudTrailEvent"])
    assert (whole["eventID"], whole["eventName"], whole["eventSource"]) == (event["EventId"], "CreateActivation", "ssm.amazonaws.com")
    assert (whole["awsRegion"], whole["sourceIPAddress"]) == (lab.region, "127.0.0.1")
    assert whole["userIdentity"]["arn"] == arn
    assert "Boto3" in whole["userAgent"]
    assert (whole["requestParameters"]["iamRole"], whole["requestParameters"]["description"]) == ("audited", "for the record")
    assert "errorCode" not in whole
    assert made["ActivationCode"] not in json.dumps(event, default=str), "the code is told once, to its maker"


def test_a_failed_call_has_its_error_code(ssm, trail):
    with pytest.raises(ssm.exceptions.ClientError):
        ssm.delete_activation(ActivationId="01234567-89ab-cdef-0123-456789abcdef")
    (event,) = events(trail, **by("EventName", "DeleteActivation"))
    whole = json.loads(event["CloudTrailEvent"])
    assert whole["errorCode"] in ("InvalidActivationId", "InvalidActivation")
    assert whole["requestParameters"]["activationId"] == "01234567-89ab-cdef-0123-456789abcdef"


def test_what_only_reads_says_so(ssm, trail):
    ssm.describe_activations()
    (event,) = events(trail, **by("EventName", "DescribeActivations"))
    assert event["ReadOnly"] == "true"
    names = {event["EventName"] for event in events(trail, **by("ReadOnly", "false"))}
    assert "DescribeActivations" not in names


def test_events_are_found_by_each_attribute(lab, ssm, trail):
    ssm.create_activation(IamRole="r")
    username = lab.client("sts").get_caller_identity()["Arn"].rsplit("/", 1)[-1]
    event = events(trail, **by("EventName", "CreateActivation"))[0]
    for key, value in (
        ("EventId", event["EventId"]),
        ("Username", username),
        ("AccessKeyId", lab.credentials["AccessKeyId"]),
        ("EventSource", "ssm.amazonaws.com"),
    ):
        assert event["EventId"] in {found["EventId"] for found in events(trail, **by(key, value))}, key
        assert events(trail, **by(key, "no-such")) == [], key


def test_the_newest_event_comes_first_and_pages_hold_each_once(ssm, trail):
    for number in range(7):
        ssm.create_activation(IamRole=f"page-{number}")
    pages = list(trail.get_paginator("lookup_events").paginate(**by("EventName", "CreateActivation"), PaginationConfig={"PageSize": 3}))
    assert all(len(page["Events"]) <= 3 for page in pages)
    found = [event for page in pages for event in page["Events"]]
    assert len({event["EventId"] for event in found}) == len(found) >= 7
    roles = [json.loads(event["CloudTrailEvent"])["requestParameters"]["iamRole"] for event in found]
    assert roles[:7] == [f"page-{number}" for number in reversed(range(7))]


def test_events_are_found_by_time(ssm, trail):
    ssm.create_activation(IamRole="r")
    now = datetime.now(timezone.utc)
    name = by("EventName", "CreateActivation")
    assert events(trail, **name, StartTime=now - timedelta(hours=1), EndTime=now + timedelta(hours=1))
    assert events(trail, **name, StartTime=now - timedelta(hours=2), EndTime=now - timedelta(hours=1)) == []


def test_lookups_that_cannot_be_are_modelled_errors(lab, trail, refused):
    now = datetime.now(timezone.utc)
    refused("InvalidTimeRangeException", trail.lookup_events, StartTime=now, EndTime=now - timedelta(hours=1))
    refused("InvalidNextTokenException", trail.lookup_events, NextToken="made-up")
    unchecked = lab.client("cloudtrail", parameter_validation=False)
    for size in (0, 51):
        with pytest.raises(trail.exceptions.ClientError) as caught:
            unchecked.lookup_events(MaxResults=size)
        assert caught.value.response["Error"]["Code"] in ("InvalidMaxResultsException", "ValidationException")
