"""The command for whoever wonders why something does not work, or wants to know before people come."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

from labeler.cli.opening import study_of
from labeler.cli.options import DEFAULT_CONFIG, Config, Database, Json
from labeler.errors import LabelerError
from labeler.terminal import show, show_json


def doctor(config: Config = DEFAULT_CONFIG, database: Database = None, as_json: Json = False) -> None:
    """Look at everything that a study needs, and say what to do.

    Packages, database, clock, disk, keys, models, token and repo. Nothing is changed; a remote model is asked for one
    token. Ends with 1 if anything failed.
    """
    study = study_of(config, database)
    from labeler.doctor import examination  # noqa: PLC0415 - as every room
    from labeler.store import utc_now  # noqa: PLC0415 - SQLAlchemy takes longer than --version may

    checks = []
    for check in examination(study, os.environ, Path.cwd(), utc_now()):
        checks.append(check)
        if not as_json:
            show(str(check))
    bad = [check.name for check in checks if check.level == "fail"]
    if as_json:
        show_json({"ok": not bad, "checks": [asdict(check) for check in checks]})
    if bad:
        names = ", ".join(dict.fromkeys(bad))
        raise LabelerError(
            f"{len(bad)} of {len(checks)} checks failed ({names}); what to do stands with each, on stdout"
        )
