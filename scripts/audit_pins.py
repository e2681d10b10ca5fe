"""The audit behind scripts/audit: pins and hashes, what is installed, and what is known to be vulnerable.

    python scripts/audit_pins.py [--online] [--strict] [--requirements DIR]

Ends with 1 if something was found, and with --strict also if something could not be looked at.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from packaging.markers import Marker
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PARTS = ("core", "local", "weights", "extras", "test", "check")  # what `scripts/setup check` installs
UNPINNED = {"pip", "setuptools", "wheel", "labeler", "torch"}  # torch: see pyproject.toml
HEADER = re.compile(r"\A# Written by scripts/lock from pyproject\.toml\.\n")
PIN = re.compile(
    r"^(?P<name>[a-z0-9._-]+)==(?P<version>[^\s;]+)(?: ; (?P<marker>[^\\\n]+?))? \\\n"
    r"(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+",
    re.MULTILINE,
)
SERVICE_SECONDS = 300


@dataclass(frozen=True)
class Pin:
    """One pinned package, and whether this Python on this system needs it."""

    name: str
    version: str
    needed: bool


@dataclass(frozen=True)
class Outcome:
    """What one part of the audit came to: ok, FOUND or NOT CHECKED, with its lines."""

    part: str
    state: str
    lines: tuple[str, ...]


def pins_of(path: Path) -> tuple[list[Pin], list[str]]:
    """The pins of a requirements file, and the lines that are none or lack their hashes."""
    text = HEADER.sub("", path.read_text(encoding="utf-8"))
    pins = []
    for pin in PIN.finditer(text):
        needed = pin["marker"] is None or Marker(pin["marker"]).evaluate()
        pins.append(Pin(str(canonicalize_name(pin["name"])), pin["version"], needed))
    left = [line.strip(" \\") for line in PIN.sub("", text).splitlines() if line.strip()]
    return pins, left


def hashes(folder: Path) -> Outcome:
    """Every line of every file is a name, a version and hashes."""
    left = [f"{path.name}: {line}" for path in sorted(folder.glob("*.txt")) for line in pins_of(path)[1]]
    count = sum(len(pins_of(path)[0]) for path in folder.glob("*.txt"))
    if left or not count:
        return Outcome("hashes", "FOUND", tuple(left) or (f"{folder} holds no pins",))
    return Outcome("hashes", "ok", (f"all {count} pins have theirs",))


def installed(folder: Path, found: Mapping[str, str]) -> Outcome:
    """What is installed has the pinned version, and nothing is installed that is not pinned."""
    pins = {pin.name: pin for part in PARTS for pin in _pins_there(folder / f"{part}.txt")}
    needed = [pin for pin in pins.values() if pin.needed]
    lines = [f"{pin.name} is not installed (pinned {pin.version})" for pin in needed if pin.name not in found]
    lines += [
        f"{pin.name} {found[pin.name]} is installed (pinned {pin.version})"
        for pin in needed
        if found.get(pin.name, pin.version) != pin.version
    ]
    lines += [
        f"{name} {found[name]} is installed and not pinned; remove it, or declare it and run scripts/lock"
        for name in sorted(found.keys() - pins.keys() - UNPINNED)
    ]
    if lines:
        return Outcome("installed", "FOUND", tuple(lines))
    return Outcome("installed", "ok", (f"all {len(needed)} are the pinned versions, and there are no others",))


def _pins_there(path: Path) -> list[Pin]:
    return pins_of(path)[0] if path.is_file() else []


def vulnerabilities(folder: Path, *, online: bool, service: tuple[str, ...] = ()) -> Outcome:
    """What advisories know of the pins, by pip-audit, if it is there and its service answers."""
    if not online:
        return Outcome("vulnerabilities", "NOT CHECKED", ("say --online to ask the advisory service",))
    tool = shutil.which("pip-audit")
    if tool is None:
        return Outcome(
            "vulnerabilities", "NOT CHECKED", ("pip-audit is missing; install it with: pipx install pip-audit",)
        )
    named = [part for path in sorted(folder.glob("*.txt")) for part in ("-r", str(path))]
    command = [
        tool,
        "--disable-pip",
        "--require-hashes",
        "--progress-spinner",
        "off",
        "--format",
        "json",
        *service,
        *named,
    ]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SERVICE_SECONDS)
    except subprocess.TimeoutExpired:
        return Outcome("vulnerabilities", "NOT CHECKED", ("the advisory service does not answer",))
    return _judged(asked.stdout, asked.stderr)


def _judged(answer: str, errors: str) -> Outcome:
    try:
        dependencies = json.loads(answer)["dependencies"]
        known = list(_known(dependencies))
        skipped = [f"{each['name']}: {each['skip_reason']}" for each in dependencies if "skip_reason" in each]
    except (ValueError, KeyError, TypeError):
        why = next((line for line in reversed(errors.splitlines()) if line.strip()), "no answer")
        return Outcome("vulnerabilities", "NOT CHECKED", (why.strip()[:300],))
    if known:
        return Outcome("vulnerabilities", "FOUND", tuple(known))
    if skipped or not dependencies:
        return Outcome("vulnerabilities", "NOT CHECKED", tuple(skipped) or ("pip-audit looked at nothing",))
    return Outcome("vulnerabilities", "ok", (f"none is known of {len(dependencies)} pins",))


def _known(dependencies: list[dict[str, object]]) -> Iterator[str]:
    for each in dependencies:
        vulns = each.get("vulns", [])
        assert isinstance(vulns, list)
        for one in vulns:
            mended = ", ".join(one["fix_versions"]) or "no version yet"
            yield f"{each['name']} {each['version']}: {one['id']}, mended in {mended}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--online", action="store_true", help="ask the advisory service, too")
    parser.add_argument("--strict", action="store_true", help="end with 1 if something could not be looked at")
    parser.add_argument("--requirements", type=Path, default=ROOT / "requirements", help="the folder with the pins")
    parser.add_argument("--osv", metavar="URL", help="another advisory service of the OSV kind")
    asked = parser.parse_args()
    found = {str(canonicalize_name(each.metadata["Name"])): each.version for each in distributions()}
    service = ("--vulnerability-service", "osv", "--osv-url", asked.osv) if asked.osv else ()
    outcomes = [
        hashes(asked.requirements),
        installed(asked.requirements, found),
        vulnerabilities(asked.requirements, online=asked.online, service=service),
    ]
    for outcome in outcomes:
        for line in outcome.lines:
            print(f"audit: {outcome.part}: {outcome.state}: {line}")
    bad = {"FOUND", "NOT CHECKED"} if asked.strict else {"FOUND"}
    return int(any(outcome.state in bad for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
