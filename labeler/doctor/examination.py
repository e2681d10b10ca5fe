"""All that is looked at, in the order in which it fails people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from labeler.checkup import Check, told, well
from labeler.doctor.machine import clock, room, secret_files
from labeler.doctor.packages import packages
from labeler.errors import HubError
from labeler.hub import repo_here
from labeler.hub.examining import examine_hub
from labeler.models.examining import examine_models
from labeler.store.examining import examine
from labeler.study import Study


def examination(study: Study, environ: Mapping[str, str], here: Path, now: str) -> Iterator[Check]:
    """Check after check, as they are made.

    Args:
        environ: where keys and tokens come from.
        here: the working directory, in which keys and packages lie.
        now: the time by this machine's clock.
    """
    yield from packages()
    found = examine(study.database_url)
    yield from found.checks
    yield from clock(found.newest_at, now)
    yield from room(found.folder, here)
    yield from secret_files(environ, here)
    yield from examine_models(study.models, environ)
    yield from _hub(study, environ)


def _hub(study: Study, environ: Mapping[str, str]) -> Iterator[Check]:
    if study.dataset.repo is None:
        yield well("repo", "the study names none, so there is nothing to look at")
        return
    try:
        repo = repo_here(study.dataset.repo, environ, private=study.dataset.private)
    except HubError as error:
        yield told("token", str(error))
        return
    yield from examine_hub(repo)
