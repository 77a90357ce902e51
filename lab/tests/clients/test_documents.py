"""The session preferences, which are a document named SSM-SessionManagerRunShell."""

import json

import pytest

NAME = "SSM-SessionManagerRunShell"
PREFERENCES = {
    "schemaVersion": "1.0",
    "description": "Document to hold regional settings for Session Manager",
    "sessionType": "Standard_Stream",
    "inputs": {
        "s3BucketName": "",
        "s3KeyPrefix": "",
        "s3EncryptionEnabled": True,
        "cloudWatchLogGroupName": "",
        "cloudWatchEncryptionEnabled": True,
        "idleSessionTimeout": "20",
        "maxSessionDuration": "",
        "cloudWatchStreamingEnabled": True,
        "kmsKeyId": "",
        "runAsEnabled": False,
        "runAsDefaultUser": "",
        "shellProfile": {"windows": "", "linux": "exec bash"},
    },
}
OTHER = {**PREFERENCES, "inputs": {**PREFERENCES["inputs"], "idleSessionTimeout": "5"}}


@pytest.fixture(scope="module", autouse=True)
def created(ssm):
    with pytest.raises(ssm.exceptions.InvalidDocument):
        ssm.update_document(Name=NAME, Content=json.dumps(PREFERENCES))
    whole = {"Name": NAME, "Content": json.dumps(PREFERENCES), "DocumentType": "Session", "DocumentFormat": "JSON"}
    return ssm.create_document(**whole)["DocumentDescription"]


def test_a_document_is_described_as_it_was_made(created):
    assert (created["Name"], created["DocumentType"], created["DocumentFormat"]) == (NAME, "Session", "JSON")
    assert (created["SchemaVersion"], created["DocumentVersion"]) == ("1.0", "1")
    assert (created["LatestVersion"], created["DefaultVersion"]) == ("1", "1")
    assert created["Status"] in ("Creating", "Active")
    assert (created["HashType"], len(created["Hash"])) == ("Sha256", 64)


def test_a_document_is_got_with_its_content(ssm):
    document = ssm.get_document(Name=NAME, DocumentVersion="1")
    assert json.loads(document["Content"]) == PREFERENCES
    assert (document["Name"], document["DocumentType"], document["DocumentVersion"]) == (NAME, "Session", "1")


def test_a_name_is_taken_once(ssm, refused):
    refused("DocumentAlreadyExists", ssm.create_document, Name=NAME, Content=json.dumps(OTHER), DocumentType="Session")


def test_an_update_is_a_new_version_and_the_old_one_stays(ssm, refused):
    described = ssm.update_document(Name=NAME, Content=json.dumps(OTHER), DocumentVersion="$LATEST")["DocumentDescription"]
    assert (described["DocumentVersion"], described["LatestVersion"]) == ("2", "2")
    assert json.loads(ssm.get_document(Name=NAME, DocumentVersion="$LATEST")["Content"]) == OTHER
    assert json.loads(ssm.get_document(Name=NAME, DocumentVersion="1")["Content"]) == PREFERENCES
    refused("DuplicateDocumentContent", ssm.update_document, Name=NAME, Content=json.dumps(OTHER), DocumentVersion="$LATEST")


@pytest.mark.parametrize("content", ["not JSON", "[]", "{}"])
def test_content_that_is_no_document_is_refused(ssm, content):
    with pytest.raises((ssm.exceptions.InvalidDocumentContent, ssm.exceptions.InvalidDocumentSchemaVersion)):
        ssm.update_document(Name=NAME, Content=content, DocumentVersion="$LATEST")


def test_looking_for_what_there_is_not(ssm, refused):
    refused("InvalidDocument", ssm.get_document, Name="No-Such-Document")
    refused("InvalidDocumentVersion", ssm.get_document, Name=NAME, DocumentVersion="999")
