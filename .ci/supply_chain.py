#!/usr/bin/env python3
"""Checks licences, bans and sources of all dependencies against deny.toml, as `cargo deny check` would, but not advisories.

Needs cargo and Python 3.11, and no network once cargo has fetched the dependencies.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main():
    rules = tomllib.loads((ROOT / "deny.toml").read_text())
    packages = dependencies(rules["graph"]["targets"])
    problems = list(wrong(packages, rules))
    for name, versions in duplicates(packages):
        print(f"warning: {name} in {len(versions)} versions: {', '.join(versions)}")
    for problem in problems:
        print(f"error: {problem}")
    print("advisories not checked: no package registry has their database; run `cargo deny check advisories` before a release")
    print(f"{len(packages)} dependencies checked, {len(problems)} problems")
    sys.exit(1 if problems else 0)


def dependencies(targets):
    """The packages that are not the workspace's own, for any of the targets."""
    found = {}
    for target in targets:
        command = ["cargo", "metadata", "--format-version", "1", "--filter-platform", target]
        metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
        used = {node["id"] for node in metadata["resolve"]["nodes"]} - set(metadata["workspace_members"])
        found |= {package["id"]: package for package in metadata["packages"] if package["id"] in used}
    return sorted(found.values(), key=lambda package: (package["name"], package["version"]))


def wrong(packages, rules):
    allowed = set(rules["licenses"]["allow"])
    banned = {ban["crate"]: ban["reason"] for ban in rules["bans"]["deny"]}
    registries = {f"registry+{url}" for url in rules["sources"]["allow-registry"]}
    for package in packages:
        name = f"{package['name']} {package['version']}"
        if not permits(package["license"], allowed):
            yield f"{name} has the licence {package['license']}"
        if package["name"] in banned:
            yield f"{name} is banned: {banned[package['name']]}"
        if package["source"] not in registries:
            yield f"{name} comes from {package['source']}"


def permits(expression, allowed):
    """Whether an SPDX expression can be satisfied with the allowed licences; `/` is the old spelling of OR."""
    if not expression:
        return False
    tokens = re.findall(r"[()]|[^\s()/]+|/", expression)
    tokens = ["OR" if token == "/" else token for token in tokens]

    def either():
        value = both()
        while tokens[:1] == ["OR"]:
            tokens.pop(0)
            value = both() or value
        return value

    def both():
        value = one()
        while tokens[:1] == ["AND"]:
            tokens.pop(0)
            value = one() and value
        return value

    def one():
        token = tokens.pop(0)
        if token == "(":
            value = either()
            tokens.pop(0)
            return value
        if tokens[:1] == ["WITH"]:
            token = f"{token} WITH {tokens[1]}"
            del tokens[:2]
        return token in allowed

    return either()


def duplicates(packages):
    versions = defaultdict(list)
    for package in packages:
        versions[package["name"]].append(package["version"])
    return [(name, found) for name, found in versions.items() if len(found) > 1]


if __name__ == "__main__":
    main()
