#!/usr/bin/env python3
"""Cuts the operations that the lab serves out of AWS's API models, as the installed botocore carries them.

    python3 lab/models/extract.py [--check]

Writes ssm.json and cloudtrail.json beside this file, without documentation. With --check it only says whether they
are what the installed botocore would give.
"""

import json
import pathlib
import re
import sys

import botocore
from botocore.loaders import Loader

HERE = pathlib.Path(__file__).parent
OPERATIONS = {
    "ssm": """
        AddTagsToResource CancelCommand CreateActivation CreateDocument DeleteActivation DeleteDocument
        DeregisterManagedInstance DescribeActivations DescribeDocument DescribeInstanceInformation
        DescribeInstanceProperties DescribeSessions GetCommandInvocation GetConnectionStatus GetDocument
        GetInventory GetServiceSetting ListAssociations ListCommandInvocations ListCommands ListTagsForResource
        PutInventory RemoveTagsFromResource ResetServiceSetting ResumeSession SendCommand StartSession
        TerminateSession UpdateDocument UpdateDocumentDefaultVersion UpdateManagedInstanceRole
        UpdateServiceSetting
    """,
    "cloudtrail": "LookupEvents",
}
# Patterns that AWS's own answers break: "" before a command has begun, and PT4.2S for how long it took.
LOOSE = ("StringDateTime",)
KEPT = ("type", "required", "members", "member", "key", "value", "enum", "min", "max", "pattern", "sensitive", "error")


def referred(shape):
    for member in shape.get("members", {}).values():
        yield member["shape"]
    for place in ("member", "key", "value"):
        if place in shape:
            yield shape[place]["shape"]


def plain(shape):
    """A shape without documentation and without what other protocols need."""
    kept = {name: shape[name] for name in KEPT if name in shape}
    lengths = re.fullmatch(r"\^\.\{(\d+),(\d+)\}\$", kept.get("pattern", ""))
    if lengths:  # Told as lengths; an automaton that counts to 100,000 would take megabytes.
        kept |= {"min": int(lengths[1]), "max": int(lengths[2]), "pattern": "^.*$"}
    if "members" in kept:
        kept["members"] = {name: member["shape"] for name, member in kept["members"].items()}
    for place in ("member", "key", "value"):
        if place in kept:
            kept[place] = kept[place]["shape"]
    if "error" in kept:
        kept["error"] = {"status": kept["error"].get("httpStatusCode", 400)}
    if shape.get("exception") and "error" not in kept:
        kept["error"] = {"status": 500 if shape.get("fault") else 400}
    return kept


def extract(service):
    model = Loader().load_service_model(service, "service-2")
    operations, shapes, todo = {}, {}, []
    for name in OPERATIONS[service].split():
        operation = model["operations"][name]
        told = {place: operation[place]["shape"] for place in ("input", "output") if place in operation}
        told["errors"] = [error["shape"] for error in operation.get("errors", [])]
        operations[name] = told
        todo += [shape for place, shape in told.items() if place != "errors"] + told["errors"]
    while todo:
        name = todo.pop()
        if name not in shapes:
            shapes[name] = plain(model["shapes"][name])
            if name in LOOSE:
                del shapes[name]["pattern"]
            todo += referred(model["shapes"][name])
    origin = f"AWS's API model of {model['metadata']['serviceFullName']}, Apache-2.0, cut from botocore {botocore.__version__}"
    document = {
        "origin": origin,
        "operations": operations,
        "others": sorted(set(model["operations"]) - set(operations)),
        "shapes": dict(sorted(shapes.items())),
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def main():
    check = sys.argv[1:] == ["--check"]
    for service in OPERATIONS:
        file, text = HERE / f"{service}.json", extract(service)
        if not check:
            file.write_text(text)
        elif file.read_text() != text:
            sys.exit(f"{file} is not what botocore {botocore.__version__} gives; run lab/models/extract.py")


main()
