"""What a package holds, and what a push has to change: the manifest and the plan.

The manifest stands in every package as ``_export/manifest.json`` and travels with it to the Hub, where it
is the only record of what is published. It is a pure function of the rows beside it: the same rows give the
same text.

Shards are compared by *rows digest*, never by bytes: another pyarrow writes the same rows as other bytes, and
that alone is no reason to send a shard again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, NoReturn

from labeler.errors import NewerPackage, PackageError

MANIFEST_PATH = "_export/manifest.json"
FORMAT = 1

_HEX = re.compile(r"[0-9a-f]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
SHARD_PATH = re.compile(r"[a-z0-9][a-z0-9_-]*/[a-z0-9_]+-\d{5,}-[0-9a-f]{12}\.parquet")

ShardKey = tuple[str, str, int]
"""Config, split and shard number: what a shard is, whichever rows it holds at the moment."""


@dataclass(frozen=True, slots=True)
class ShardFile:
    """One parquet file. ``path`` is relative to the package and unique; ``bytes`` is its size."""

    path: str
    config: str
    split: str
    shard: int
    rows: int
    bytes: int
    sha256: str
    rows_digest: str

    @property
    def key(self) -> ShardKey:
        return self.config, self.split, self.shard


@dataclass(frozen=True, slots=True)
class Manifest:
    """A package in one value. ``files`` are sorted by path; paths and shard keys are unique.

    ``lineage`` tells the log up to ``position`` from others that began alike; the first manifests had none. ``view``
    is the shape of the rows (``labeler.export.views``).
    """

    source_id: str
    study: str
    position: int
    rules_version: int
    options_digest: str
    pyarrow: str
    conversations_per_shard: int
    files: tuple[ShardFile, ...]
    excluded: Mapping[str, int]
    totals: Mapping[str, Mapping[str, int]]
    lineage: str = ""
    view: str = "trl"
    format: int = FORMAT

    def to_json(self) -> str:
        """The manifest's one text: keys and files sorted, one file a line, a newline at the end."""
        tree = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "files"}
        tree["totals"] = {config: dict(splits) for config, splits in self.totals.items()}
        tree["excluded"] = dict(self.excluded)
        if not self.lineage:
            del tree["lineage"]
        head = json.dumps(tree, sort_keys=True, ensure_ascii=False, indent=1).removesuffix("\n}")
        lines = ",\n".join(
            "  " + json.dumps(asdict(file), sort_keys=True, ensure_ascii=False)
            for file in sorted(self.files, key=_by_path)
        )
        block = f"[\n{lines}\n ]" if lines else "[]"
        return f'{head},\n "files": {block}\n}}\n'

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read a manifest strictly.

        Raises:
            NewerPackage: a later format, or a key that this labeler does not know.
            PackageError: not JSON, no known format, a key missing or of the wrong kind, a path that leaves the
                package, two files for one shard, or totals that are not the files' sums.
        """
        try:
            tree = json.loads(text)
        except (ValueError, RecursionError):
            _refuse("it is not JSON")
        return _parse(tree)


@dataclass(frozen=True, slots=True)
class Plan:
    """What turns the published package into the local one.

    ``add`` are local files to send, ``keep`` are *published* files that already hold the wanted rows,
    ``delete`` are published paths that must go. Each is sorted by path, and no path stands in two of them.
    """

    add: tuple[ShardFile, ...]
    delete: tuple[str, ...]
    keep: tuple[ShardFile, ...]

    @property
    def bytes_to_send(self) -> int:
        return sum(file.bytes for file in self.add)

    def applied_to(self, local: Manifest) -> Manifest:
        """The manifest to publish: the local one, naming the published file wherever a shard is kept."""
        return replace(local, files=tuple(sorted((*self.keep, *self.add), key=_by_path)))


def same_rows(a: Manifest, b: Manifest) -> bool:
    """Whether both hold the same rows of the same source under the same rules and options.

    Position, lineage, pyarrow version, paths and bytes do not count: they may differ where no row does.
    """
    return _identity(a) == _identity(b)


def diff(published: Manifest | None, local: Manifest) -> Plan:
    """What to send, delete and keep, so that the published package holds the local one's rows."""
    old = {file.key: file for file in published.files} if published else {}
    keep = [old[file.key] for file in local.files if file.key in old and old[file.key].rows_digest == file.rows_digest]
    kept = {file.key for file in keep}
    add = [file for file in local.files if file.key not in kept]
    # A path that is written again is replaced, not deleted.
    written = {file.path for file in add}
    gone = [file.path for file in old.values() if file.key not in kept and file.path not in written]
    return Plan(tuple(sorted(add, key=_by_path)), tuple(sorted(gone)), tuple(sorted(keep, key=_by_path)))


def _identity(manifest: Manifest) -> tuple[object, ...]:
    shards = frozenset((file.key, file.rows_digest) for file in manifest.files)
    return manifest.source_id, manifest.rules_version, manifest.options_digest, shards


def _by_path(file: ShardFile) -> str:
    return file.path


def _refuse(why: str) -> NoReturn:
    raise PackageError(f"{MANIFEST_PATH}: {why}; export again into an empty directory")


def _refuse_newer(why: str) -> NoReturn:
    raise NewerPackage(f"{MANIFEST_PATH}: {why}, so a newer labeler made it; update labeler")


def _parse(tree: Any) -> Manifest:
    if not isinstance(tree, dict):
        _refuse("it is not a JSON object")
    form = tree.get("format")
    if type(form) is int and form > FORMAT:
        _refuse_newer(f"it has format {form}")
    if form != FORMAT:
        _refuse(f"format {form!r} is not {FORMAT}, the one this labeler reads")
    tree.setdefault("lineage", "")
    tree.setdefault("view", "trl")
    _expect_keys(tree, Manifest, "the manifest")
    totals = _object(tree["totals"], "totals")
    manifest = Manifest(
        source_id=_text(tree, "source_id"),
        study=_text(tree, "study"),
        position=_count(tree, "position"),
        rules_version=_count(tree, "rules_version"),
        options_digest=_matching(tree, "options_digest", _HEX),
        pyarrow=_text(tree, "pyarrow"),
        conversations_per_shard=_count(tree, "conversations_per_shard"),
        files=tuple(sorted((_parse_file(entry) for entry in _list(tree, "files")), key=_by_path)),
        excluded=_counts(tree["excluded"], "excluded"),
        totals={config: _counts(splits, "totals") for config, splits in sorted(totals.items())},
        lineage=_text(tree, "lineage", empty=True),
        view=_matching(tree, "view", _NAME),
    )
    _check_files(manifest)
    return manifest


def _parse_file(entry: Any) -> ShardFile:
    if not isinstance(entry, dict):
        _refuse("an entry of 'files' is not an object")
    _expect_keys(entry, ShardFile, "a file")
    file = ShardFile(
        path=_matching(entry, "path", SHARD_PATH),
        config=_matching(entry, "config", _NAME),
        split=_matching(entry, "split", _NAME),
        shard=_count(entry, "shard"),
        rows=_count(entry, "rows"),
        bytes=_count(entry, "bytes"),
        sha256=_matching(entry, "sha256", _SHA256),
        rows_digest=_matching(entry, "rows_digest", _HEX),
    )
    if not file.path.startswith(f"{file.config}/{file.split}-{file.shard:05d}-"):
        _refuse(f"{file.path} does not lie where its config, split and shard say")
    return file


def _check_files(manifest: Manifest) -> None:
    if len({file.key for file in manifest.files}) != len(manifest.files):
        _refuse("two files claim the same shard")
    sums: dict[str, dict[str, int]] = {}
    for file in manifest.files:
        splits = sums.setdefault(file.config, {})
        splits[file.split] = splits.get(file.split, 0) + file.rows
    stated = {config: dict(splits) for config, splits in manifest.totals.items() if splits}
    if sums != stated:
        _refuse("the totals are not the sums of the files")


def _expect_keys(tree: Mapping[str, Any], shape: type[Manifest] | type[ShardFile], what: str) -> None:
    wanted = {field.name for field in fields(shape)}
    for missing in sorted(wanted - tree.keys()):
        _refuse(f"{what} has no '{missing}'")
    for unknown in sorted(tree.keys() - wanted):
        _refuse_newer(f"{what} has an unknown key '{unknown}'")


def _text(tree: Mapping[str, Any], key: str, *, empty: bool = False) -> str:
    value = tree[key]
    if not isinstance(value, str) or not (value or empty):
        _refuse(f"'{key}' is not a text")
    return str(value)


def _matching(tree: Mapping[str, Any], key: str, pattern: re.Pattern[str]) -> str:
    value = _text(tree, key)
    if not pattern.fullmatch(value):
        _refuse(f"'{key}' has an unusable value, {value[:80]!r}")
    return value


def _count(tree: Mapping[str, Any], key: str) -> int:
    value = tree[key]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        _refuse(f"'{key}' is not a whole number from 0 on")
    return int(value)


def _counts(value: Any, key: str) -> dict[str, int]:
    tree = _object(value, key)
    return {name: _count(tree, name) for name in sorted(tree)}


def _list(tree: Mapping[str, Any], key: str) -> Iterable[Any]:
    value = tree[key]
    if not isinstance(value, list):
        _refuse(f"'{key}' is not a list")
    return list(value)


def _object(value: Any, key: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        _refuse(f"'{key}' is not an object")
    return dict(value)
