"""Comparing a repo with a manifest: every file there, of the right size and sha256, and nothing beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from labeler.errors import HubError
from labeler.export.manifest import Manifest, same_rows
from labeler.hub.patience import Patience, keep_trying
from labeler.hub.repo import DatasetRepo

_SHARD = re.compile(r"(?P<config>[^/]+)/[^/]+\.parquet")


def verify_remote(
    repo: DatasetRepo, manifest: Manifest | None = None, *, patience: Patience | None = None
) -> tuple[str, ...]:
    """What is wrong with what a repo publishes; empty if nothing is.

    The repo's files are compared with the repo's manifest, and that one with ``manifest`` if it is given.

    Raises:
        HubError: the repo cannot be read, or holds no manifest.
    """
    return keep_trying(lambda: _problems(repo, manifest), patience)


def _problems(repo: DatasetRepo, manifest: Manifest | None) -> tuple[str, ...]:
    published = repo.published()
    if published is None:
        raise HubError(f"{repo.repo_id} does not exist on {repo.endpoint}, or this token may not see it")
    if published.manifest is None:
        raise HubError(f"{repo.repo_id} holds no package: there is no manifest in it")
    problems = list(differences(repo, published.manifest, published.head))
    problems += [f"{path} is named by no manifest" for path in strays(published.paths, published.manifest)]
    if manifest is not None and manifest.source_id != published.manifest.source_id:
        problems.append(f"it holds the data of another log (source {published.manifest.source_id})")
    elif manifest is not None and not same_rows(manifest, published.manifest):
        problems.append("its rows are not those of this package; push again")
    return tuple(problems)


def differences(repo: DatasetRepo, manifest: Manifest, revision: str) -> tuple[str, ...]:
    """Files of a manifest that a commit lacks, or holds with another size or sha256."""
    held = repo.held(manifest.files, revision)
    problems = []
    for file in manifest.files:
        if file.path not in held:
            problems.append(f"{file.path} is missing")
        elif not repo.is_the(file, held[file.path], revision):
            problems.append(f"{file.path} has other content than the manifest says")
    return tuple(problems)


def strays(paths: Iterable[str], *manifests: Manifest) -> list[str]:
    """Parquet files in the folders of these manifests that none of them names: a loader would read their rows too."""
    named = {file.path for manifest in manifests for file in manifest.files}
    configs = {file.config for manifest in manifests for file in manifest.files}
    found = [(path, _SHARD.fullmatch(path)) for path in paths]
    return sorted(path for path, shard in found if shard and shard["config"] in configs and path not in named)
