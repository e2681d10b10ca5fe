"""What a figure was measured on: without it a number says nothing."""

from __future__ import annotations

import os
import platform
import sqlite3
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

SYNCS = 200
PACKAGES = ("gradio", "sqlalchemy", "pyarrow", "datasets", "huggingface_hub")


def described() -> str:
    """The machine, its load, its disk and the versions that matter, in four lines."""
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    return "\n".join(
        (
            f"{_processor()}, {os.cpu_count()} cores, {gigabytes:.0f} GB, {platform.platform(terse=True)}",
            f"load before: {load}",
            f"disk: {_syncs_a_second():,.0f} fdatasync a second in {tempfile.gettempdir()}",
            f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {versions}",
        )
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except FileNotFoundError:
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _syncs_a_second() -> float:
    """How often this disk can promise that something is on it: what bounds single commits."""
    with tempfile.TemporaryFile() as file:
        begin = time.perf_counter()
        for _ in range(SYNCS):
            file.write(b"\0" * 512)
            file.flush()
            os.fdatasync(file.fileno())
        return SYNCS / (time.perf_counter() - begin)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
