"""What is installed, beside what was tested: the pins of a checkout, or the ranges that the package itself declares."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from labeler.checkup import Check, failed, warned, well

NAME = "packages"
PINNED = ("core.txt", "local.txt")
SHOWN = 3
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)(?: ; (?P<marker>[^\\\n]+?))? \\$", re.M)


def packages(checkout: Path = Path(__file__).parents[2]) -> Iterator[Check]:
    """Whether what is installed is what was tested. A pin that another system needs is passed over."""
    missing = [name for name, found in _declared().items() if found is None]
    if missing:
        yield failed(NAME, f"not installed: {_some(missing)}", "run scripts/setup or: pip install labeler")
    wrong = [f"{name} {found} (wants {wanted})" for name, found, wanted in _out_of_range()]
    if wrong:
        yield failed(NAME, f"out of range: {_some(wrong)}", "run scripts/setup or: pip install --upgrade labeler")
    if missing or wrong:
        return
    pins = pins_in(checkout / "requirements")
    if not pins:
        yield well(NAME, "all are in the ranges that labeler declares; no pins are here to compare with")
        return
    other = [f"{name} {found} (pinned {pin})" for name, pin in pins.items() if (found := _installed(name)) != pin]
    if other:
        yield warned(NAME, f"not as tested: {_some(other)}", "run scripts/setup for the pinned versions")
    else:
        yield well(NAME, f"all {len(pins)} are the pinned versions")


def pins_in(folder: Path) -> dict[str, str]:
    """The pinned versions that this Python on this system needs; none where there is no such folder."""
    pins: dict[str, str] = {}
    for path in (folder / name for name in PINNED if (folder / name).is_file()):
        for pin in _PIN.finditer(path.read_text(encoding="utf-8")):
            wanted = Requirement(f"{pin['name']}=={pin['version']}" + (f" ; {pin['marker']}" if pin["marker"] else ""))
            if wanted.marker is None or wanted.marker.evaluate():
                pins[canonicalize_name(pin["name"])] = pin["version"]
    return pins


def _wanted() -> Iterator[Requirement]:
    for text in requires("labeler") or ():
        wanted = Requirement(text)
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            yield wanted


def _declared() -> Mapping[str, str | None]:
    return {wanted.name: _installed(wanted.name) for wanted in _wanted()}


def _out_of_range() -> Iterator[tuple[str, str, str]]:
    for wanted in _wanted():
        found = _installed(wanted.name)
        if found is not None and not wanted.specifier.contains(found, prereleases=True):
            yield wanted.name, found, str(wanted.specifier)


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _some(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
