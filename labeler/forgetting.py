"""Taking back, everywhere: the log, the package, the Hub, and a receipt that says what was done and how it was seen.

    erase from the log ─► export: derived rows go too ─► look for traces ─► push ─► purge the Hub's history ─► receipt

Each step finds out by itself what is left to do, so what was broken off is run again as it was, to the same end. What
the log no longer holds cannot be derived again, so no later export or push can bring it back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from labeler.core.events import Erased
from labeler.errors import HubError, PackageError
from labeler.export.crews import Crew
from labeler.export.exporter import ExportResult, export
from labeler.export.manifest import Manifest
from labeler.export.package import read_manifest
from labeler.export.pseudonyms import Pseudonyms
from labeler.export.shards import write_durably
from labeler.export.traces import traces
from labeler.hub import DatasetRepo, PurgeResult, PushResult, history_of, purge_history, push, verify_remote
from labeler.store import Store
from labeler.store.erasing import Erasure, Subject, erase
from labeler.store.pushes import Landed, note_pushed
from labeler.study import Study

FOLDER = "receipts"
HOLDER = "forget"  # it takes no claim: whoever pushes beside it finds the repo as it leaves it
FORMAT = 1

OUT_OF_REACH = (
    "copies that others have downloaded, and caches of theirs",
    "backups and snapshots of this machine's disk, and dumps of the log that were made before",
    "drafts in the browser of whoever typed them; a page that is open shows it until it is loaded again or used",
)

Report = Callable[[str], None]
"""Told what is being done now."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was erased, where, in which commits, and how that was verified; kept beside the package, never pushed.

    Ids stand under their pseudonyms. ``finished`` is False while something is left to do: the same command goes on.
    ``hub`` is None where nothing was to be done there.
    """

    study: str
    source_id: str
    subject: Subject
    pseudonym: str
    begun_at: str
    finished_at: str | None = None
    events: int = 0
    conversations: tuple[str, ...] = ()
    position: int = 0
    package: Mapping[str, Any] = field(default_factory=dict)
    hub: Mapping[str, Any] | None = None
    verified: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    out_of_reach: tuple[str, ...] = OUT_OF_REACH
    format: int = FORMAT

    @property
    def finished(self) -> bool:
        return self.finished_at is not None

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"finished": self.finished}

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n"


@dataclass(frozen=True, slots=True)
class Wish:
    """Whose data is to go, or which conversation, and why; the reason stays in the tombstones."""

    subject: Subject
    id: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a study's data lies besides its log: the package here, which ``key`` made and ``crew`` can make again, and
    the repo there if it is to be reached too, with its history if ``purge`` says so. ``siblings`` are the packages of
    other views: each a study that differs in its view, and a folder."""

    package: Path
    key: bytes = field(repr=False)
    repo: DatasetRepo | None = None
    purge: bool = False
    crew: Crew | None = None
    siblings: Sequence[tuple[Study, Path]] = ()


def forget(
    store: Store,
    study: Study,
    wish: Wish,
    place: Place,
    *,
    clock: Callable[[], str],
    report: Report = lambda text: None,
) -> tuple[Receipt, Path]:
    """Erase what an annotator gave, or a conversation, from the log and from all that was derived. Gives the receipt
    and the file that holds it.

    Raises:
        LogError: nobody and nothing has this id. Nothing has changed.
        StoreError, PackageError, HubError: a step failed; those before it stand, and the same call goes on from there.
    """
    return _Forgetting(store, study, wish, place, Pseudonyms.of(place.key, study.name), report).run(clock)


@dataclass(slots=True)
class _Forgetting:
    store: Store
    study: Study
    wish: Wish
    place: Place
    names: Pseudonyms
    report: Report

    def run(self, clock: Callable[[], str]) -> tuple[Receipt, Path]:
        self.report("erasing from the log")
        erasure = erase(self.store, self.wish.subject, self.wish.id, at=clock(), reason=self.wish.reason)
        self.report("deriving the package without it")
        exported = export(self.store, self.study, self.place.package, key=self.place.key, crew=self.place.crew)
        receipt, path = self._begun(clock())
        receipt = self._erased(receipt, erasure, exported)
        _write(receipt, path)
        manifest = self._without_traces(erasure, self.place.package)
        for study, package in self.place.siblings:
            self.report(f"deriving {package} without it")
            export(self.store, study, package, key=self.place.key, crew=self.place.crew)
            self._without_traces(erasure, package)
        if self.place.repo is not None:
            receipt = self._known_commits(receipt, self.place.repo)
            _write(receipt, path)
            receipt = self._published(receipt, self.place.repo, manifest)
            self._noted(receipt, self.place.repo, clock())
        receipt = replace(receipt, verified=tuple(self._verified(receipt)), left=tuple(_left(receipt, self.place)))
        if not _unfinished(receipt):
            receipt = replace(receipt, finished_at=clock())
        _write(receipt, path)
        return receipt, path

    # ── the log and the package ──

    def _begun(self, now: str) -> tuple[Receipt, Path]:
        """The receipt of a run that was broken off, or a new one."""
        folder, pseudonym = self.place.package / FOLDER, self._pseudonym()
        for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
            found = _read(path)
            if found and not found.finished and (found.subject, found.pseudonym) == (self.wish.subject, pseudonym):
                return found, path
        stamp = "".join(character for character in now[:19] if character.isdigit())
        path = folder / f"{stamp}-{self.wish.subject}-{pseudonym[:8]}.json"
        return Receipt(self.study.name, self.store.source_id, self.wish.subject, pseudonym, now), path

    def _erased(self, receipt: Receipt, erasure: Erasure, exported: ExportResult) -> Receipt:
        return replace(
            receipt,
            events=receipt.events + erasure.events,
            conversations=tuple(self.names.conversations[one] for one in erasure.conversations),
            position=erasure.position,
            package={
                "position": exported.position,
                "rows": exported.rows,
                "shards_written": exported.shards_written + receipt.package.get("shards_written", 0),
            },
        )

    def _without_traces(self, erasure: Erasure, package: Path) -> Manifest:
        """The manifest of a package, in which no row rests on anything that was erased."""
        self.report(f"looking for traces in {package}")
        manifest = read_manifest(package)
        assert manifest is not None, "it was just exported"
        erased = {one: self.store.load(one) for one in erasure.conversations}
        gone = {
            "event": {self.names.events[e.event_id] for stream in erased.values() for e in stream if _is_tombstone(e)},
            "conversation": {
                self.names.conversations[one] for one, stream in erased.items() if all(map(_is_tombstone, stream))
            },
            "annotator": {self._pseudonym()} if self.wish.subject == "annotator" else set(),
        }
        if found := next(traces(package, manifest, gone), None):
            raise PackageError(f"{package}: {found}; this is a fault of labeler: delete the folder, and run again")
        return manifest

    # ── the Hub ──

    def _known_commits(self, receipt: Receipt, repo: DatasetRepo) -> Receipt:
        """Old commits are written down before they go: afterwards nobody could tell which ones to look for."""
        self.report(f"reading the history of {repo.repo_id}")
        known = dict.fromkeys([*(receipt.hub or {}).get("old_commits", ()), *history_of(repo)])
        return replace(receipt, hub={"repo": repo.repo_id, "endpoint": repo.endpoint, "old_commits": list(known)})

    def _published(self, receipt: Receipt, repo: DatasetRepo, manifest: Manifest) -> Receipt:
        assert receipt.hub is not None
        pushed = push(self.place.package, repo, report=lambda step: self.report(step.text))
        hub = dict(receipt.hub) | _told(pushed)
        if self.place.purge:
            known = tuple(hub["old_commits"])
            purged = purge_history(repo, manifest, commits=known, report=lambda step: self.report(step.text))
            hub |= {"old_commits": list(purged.commits), "purge": _purge_told(purged)}
        if problems := verify_remote(repo, manifest):
            raise HubError(f"{repo.repo_id}: {problems[0]}; run this again")
        return replace(receipt, hub=hub)

    def _noted(self, receipt: Receipt, repo: DatasetRepo, now: str) -> None:
        """Pushers and who looks after them know of it, as of any push: which commit is the head, and since when."""
        assert receipt.hub is not None
        head = receipt.hub["purge"]["head"] if "purge" in receipt.hub else receipt.hub["commit"]
        note_pushed(self.store, repo.address, HOLDER, Landed(now, receipt.package["position"], head), next_at=None)

    def _verified(self, receipt: Receipt) -> Iterator[str]:
        yield self.store.erased
        yield "package: no row names a pseudonym of what was erased"
        for _, package in self.place.siblings:
            yield f"{package}: nor does one here"
        if receipt.hub:
            yield f"{receipt.hub['repo']}: its files are those of the package, by size and sha256"
            if purge := receipt.hub.get("purge"):
                yield f"history: {purge['checked']} of {len(receipt.hub['old_commits'])} old commits were looked up"

    def _pseudonym(self) -> str:
        names = self.names.annotators if self.wish.subject == "annotator" else self.names.conversations
        return names[self.wish.id]


def _is_tombstone(event: Any) -> bool:
    return isinstance(event.payload, Erased)


def _told(pushed: PushResult) -> dict[str, Any]:
    return {"commit": pushed.commit, "note": pushed.note}


def _purge_told(purged: PurgeResult) -> dict[str, Any]:
    return {
        "head": purged.head,
        "checked": purged.checked,
        "refs_deleted": list(purged.refs),
        "files_deleted": list(purged.files),
        "refs_kept": list(purged.kept_refs),
        "commits_kept": list(purged.kept_commits),
        "files_kept": list(purged.kept_files),
    }


def _left(receipt: Receipt, place: Place) -> Iterator[str]:
    """What is known to be left, and what to do about it."""
    for study, package in place.siblings:
        again = f"run this again with --view {study.dataset.view} --repo ID --push --purge-history"
        yield f"published copies of {package}, if there are any: {again}"
    if receipt.hub is None:
        yield "published copies, if there are any: run this again with --push --purge-history"
        return
    purge = receipt.hub.get("purge")
    if purge is None:
        yield f"older revisions of {receipt.hub['repo']} still hold it: run this again with --push --purge-history"
        return
    if purge["refs_kept"]:
        yield f"refs that no client can delete ({', '.join(purge['refs_kept'])}): close them, and ask the Hub's support"
    yield from _unfinished(receipt)


def _unfinished(receipt: Receipt) -> list[str]:
    """What a purge was asked for and did not come to."""
    purge = (receipt.hub or {}).get("purge") or {}
    kept = [f"commit {oid} can still be read" for oid in purge.get("commits_kept", ())]
    return kept + [f"file {sha256} is still in the storage" for sha256 in purge.get("files_kept", ())]


def _write(receipt: Receipt, path: Path) -> None:
    write_durably(path, receipt.to_json().encode("utf-8"))


def _read(path: Path) -> Receipt | None:
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        lists: Sequence[str] = ("conversations", "verified", "left", "out_of_reach")
        return Receipt(**{**tree, **{name: tuple(tree[name]) for name in lists}})
    except (OSError, ValueError, TypeError, KeyError):
        return None  # nothing of ours; it is left alone
