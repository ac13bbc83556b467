#!/usr/bin/env python3
"""Prints the licences of the crates that are inside the programs and libraries: licences.py [CARGO-METADATA-ARGUMENT...]

Anybody who distributes the binaries must distribute these texts with them. They come from the sources of the crates, which exist after a
build.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("licen", "copying", "notice", "copyright")


def host():
    """The default target of the compiler."""
    told = subprocess.run(["rustc", "-vV"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return next(line.split()[1] for line in told.splitlines() if line.startswith("host:"))


def packages():
    """The crates that are built into something, by name."""
    arguments = sys.argv[1:] or ["--filter-platform", host()]
    command = [os.environ.get("CARGO", "cargo"), "metadata", "--format-version", "1", "--locked", *arguments]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    waiting, inside = [metadata["resolve"]["root"]], set()
    while waiting:
        one = waiting.pop()
        if one not in inside:
            inside.add(one)
            normal = (d for d in nodes[one]["deps"] if any(kind["kind"] is None for kind in d["dep_kinds"]))
            waiting.extend(d["pkg"] for d in normal)
    inside.remove(metadata["resolve"]["root"])
    return sorted((p for p in metadata["packages"] if p["id"] in inside), key=lambda p: (p["name"], p["version"]))


def texts(package):
    """The licence files of a crate. If it offers a choice between MIT and another licence, only that of MIT."""
    folder = Path(package["manifest_path"]).parent
    files = sorted(f for f in folder.iterdir() if f.is_file() and f.name.lower().startswith(NAMES))
    mit = [f for f in files if "mit" in f.name.lower()]
    return [f.read_text(encoding="utf-8", errors="replace").rstrip() for f in mit or files]


def main():
    found, users = packages(), {}
    print("Crates inside the programs and libraries of Torc, and their licences\n")
    for package in found:
        print(f"{package['name']} {package['version']}: {package['license']}")
        for text in texts(package):
            users.setdefault(text, []).append(package["name"])
    for text, names in users.items():
        print(f"\n{'=' * 79}\n{', '.join(names)}\n{'=' * 79}\n\n{text}")


main()
