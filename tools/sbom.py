#!/usr/bin/env python3
"""The bill of materials of one binary, as CycloneDX JSON on stdout: sbom.py TRIPLE BINARY

Says what is linked into the binary: the crates that cargo selects for this package and this target (not the workspace's other
members', nor build scripts' and macros'), with the digests of Cargo.lock. The same commit gives the same bytes: no serial
number, no paths, and the only time is SOURCE_DATE_EPOCH. C code goes by the crate that brings it (SQLite by libsqlite3-sys), the
standard library and musl by the compiler's version. cargo-cyclonedx was not taken: it names crates of the workspace by
their absolute paths and writes beside their manifests.
"""

import datetime
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = "bootstrap"


def tree(triple):
    """`cargo tree` line by line: depth, name, version, licence."""
    command = [os.environ.get("CARGO", "cargo"), "tree", "--quiet", "--locked", "--package", PACKAGE, "--target", triple]
    command += ["--edges", "normal,no-proc-macro", "--prefix", "depth", "--format", "\t{p}\t{l}\t"]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    for line in output.splitlines():
        depth, package, licence, _ = line.split("\t")
        # A crate of the workspace is followed by its path.
        name, version = package.split(" ")[:2]
        yield int(depth), name, version.removeprefix("v"), licence


def graph(lines):
    """Crates by reference, and who depends on whom. A crate's dependencies are listed where it comes first."""
    crates, edges, path = {}, {}, []
    for depth, name, version, licence in lines:
        reference = f"pkg:cargo/{name}@{version}"
        crates[reference] = (name, version, licence)
        edges.setdefault(reference, set())
        del path[depth:]
        if path:
            edges[path[-1]].add(reference)
        path.append(reference)
    return crates, edges


def component(reference, crate, checksums):
    """One library. Crates of the workspace have no digest, since they come from no registry."""
    name, version, licence = crate
    entry = {"type": "library", "bom-ref": reference, "name": name, "version": version}
    checksum = checksums.get((name, version))
    if checksum:
        entry["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if licence:
        # Old manifests write `MIT/Apache-2.0`, which SPDX does not know.
        entry["licenses"] = [{"expression": " ".join(licence.replace("/", " OR ").split())}]
    entry["purl"] = reference
    return entry


def bill(triple, binary):
    """The whole document."""
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    checksums = {(package["name"], package["version"]): package.get("checksum") for package in lock["package"]}
    crates, edges = graph(tree(triple))
    (main,) = [reference for reference, crate in crates.items() if crate[0] == PACKAGE]
    subject = component(main, crates.pop(main), checksums)
    digest = hashlib.sha256(pathlib.Path(binary).read_bytes()).hexdigest()
    subject |= {"type": "application", "hashes": [{"alg": "SHA-256", "content": digest}]}
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    time = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    compiler = subprocess.run([os.environ.get("RUSTC", "rustc"), "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout
    commit = os.environ.get("BOOTSTRAP_COMMIT", "unknown")
    properties = {"target": triple, "commit": commit, "rustc": compiler.strip()}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": time,
            "component": subject,
            "properties": [{"name": f"bootstrap:{name}", "value": value} for name, value in properties.items()],
        },
        "components": [component(reference, crate, checksums) for reference, crate in sorted(crates.items())],
        "dependencies": [{"ref": ref, "dependsOn": sorted(needs)} for ref, needs in sorted(edges.items())],
    }


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    json.dump(bill(sys.argv[1], sys.argv[2]), sys.stdout, indent=1)
    print()
