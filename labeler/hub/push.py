"""Publishing a package: one commit, exactly once, however often it is run and whatever fails.

    read head ─► manifest at that head ─► plan ─► store new shards ─► one commit on top of that head ─► compare
        ▲                                                                    │
        └──────────── 409, 412, 429, 5xx, a broken or missing answer ◄───────┘

What is published is known from the Hub alone: the manifest at the head. The commit names that head as its parent, so it
is applied only if nothing has happened since. After a failure with an unknown outcome the same commit is never sent
again: the push starts over at "read head", and there it shows whether the commit was applied. A request that the
network delivers late meets a head that has moved on, and is refused by the Hub.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete

from labeler.errors import HubError, PackageError
from labeler.export.manifest import MANIFEST_PATH, Manifest, Plan, diff, same_rows
from labeler.export.views import DATASET_INFO_PATH
from labeler.hub import card
from labeler.hub.patience import Patience, keep_trying
from labeler.hub.refusals import Again
from labeler.hub.repo import HARMLESS, README, DatasetRepo, Published
from labeler.hub.steps import Report, Step, silent
from labeler.hub.verify import differences, strays

MOST_OPERATIONS = 20_000


@dataclass(frozen=True, slots=True)
class PushResult:
    """What a push came to.

    ``commit`` is the commit that publishes the package, or None where none was needed or wanted. ``bytes_sent`` counts
    what was put on the wire for shards, by all tries together: with Xet the new chunks (compressed) and their metadata,
    with plain LFS whole files; manifest and card travel inside the commit and are not counted.
    """

    repo: str
    commit: str | None
    bytes_sent: int
    files_added: int
    files_deleted: int
    note: str


def push(
    package: Path,
    repo: DatasetRepo,
    *,
    dry_run: bool = False,
    report: Report = silent,
    patience: Patience | None = None,
) -> PushResult:
    """Make the repo hold the package's rows.

    With ``dry_run`` everything is read and nothing written: no repo, no upload, no commit.

    Raises:
        PackageError: there is no package, or its files are not those of its manifest.
        HubError: the Hub refuses, holds something that is not ours, or cannot be reached for long. Nothing is half
            done: the repo is as it was, or it holds the whole package.
    """
    work = _Push(package, _local_manifest(package), repo, report)
    return keep_trying(work.preview if dry_run else work.attempt, patience, report, lambda: repo.stored)


@dataclass(slots=True)
class _Push:
    package: Path
    local: Manifest
    repo: DatasetRepo
    report: Report
    bytes_sent: int = 0
    in_doubt: bool = field(default=False, init=False)
    """Whether a commit was sent of which nobody knows if it was applied."""
    made: str | None = field(default=None, init=False)
    """The last commit that the Hub said it has made."""

    def preview(self) -> PushResult:
        """What an attempt would do."""
        published = self._read()
        if published is None:
            visibility = "private" if self.repo.private else "public"
            plan, first = diff(None, self.local), f"would create the {visibility} repo {self.repo.repo_id}, and "
        else:
            plan, first = self._plan(published), ""
            if self._up_to_date(published, plan):
                return self._result(None, plan, "up to date")
        return self._result(None, plan, f"{first}would send {_counted(plan)}")

    def attempt(self) -> PushResult:
        """One way from the head to a commit. Raises Again where the way must be gone anew."""
        published = self._read() or self._create()
        plan = self._plan(published)
        target = plan.applied_to(self.local)
        if self._up_to_date(published, plan):
            return self._settled(published, plan)
        operations = self._operations(published, plan, target)
        self.report(Step("commit", f"committing {_counted(plan)}"))
        oid = self._commit(operations, published.head, target)
        self._compare(target, oid)
        return self._result(oid, plan, f"published {_counted(plan)}")

    # ── reading and deciding ──

    def _read(self) -> Published | None:
        self.report(Step("read", f"reading what {self.repo.repo_id} holds"))
        published = self.repo.published()
        if published is not None:
            _check_ours(published, self.local, self.repo)
        return published

    def _create(self) -> Published:
        self.report(Step("create", f"creating {self.repo.repo_id}"))
        self.repo.create()
        published = self._read()
        if published is None:
            raise Again(f"{self.repo.repo_id} was created and cannot be seen yet")
        return published

    def _plan(self, published: Published) -> Plan:
        """The plan against the shards that are really there: one that somebody removed or changed is sent again."""
        manifest = published.manifest
        if manifest is None:
            return diff(None, self.local)
        held = self.repo.held(manifest.files, published.head)
        sound = [file for file in manifest.files if self.repo.is_the(file, held.get(file.path), published.head)]
        plan = diff(replace(manifest, files=tuple(sound)), self.local)
        spoilt = held.keys() - {file.path for file in (*sound, *plan.add)}
        return replace(plan, delete=tuple(sorted({*plan.delete, *spoilt})))

    def _up_to_date(self, published: Published, plan: Plan) -> bool:
        return published.manifest is not None and same_rows(published.manifest, self.local) and not plan.add

    def _settled(self, published: Published, plan: Plan) -> PushResult:
        """Nothing to do; or a commit of ours was applied, although its answer was lost or it could not be looked at."""
        if not (self.made or self.in_doubt) or published.manifest is None:
            return self._result(None, plan, "up to date")
        self._compare(published.manifest, published.head)
        if self.made:
            return self._result(self.made, plan, "published")
        return self._result(published.head, plan, "published; the Hub's answer had been lost")

    # ── writing ──

    def _operations(
        self, published: Published, plan: Plan, target: Manifest
    ) -> list[CommitOperationAdd | CommitOperationDelete]:
        if len(plan.add) + len(plan.delete) + 3 > MOST_OPERATIONS:
            raise HubError(f"{_counted(plan)} are too many for one commit; raise dataset.conversations_per_shard")
        readme = self._card(published, target)
        small = [
            CommitOperationAdd(MANIFEST_PATH, target.to_json().encode()),
            CommitOperationAdd(README, readme.encode()),
        ]
        if (self.package / DATASET_INFO_PATH).is_file():
            small.append(CommitOperationAdd(DATASET_INFO_PATH, _text(self.package / DATASET_INFO_PATH).encode()))
        self.repo.prepare(small)
        self._send(plan)
        shards = [self.repo.addition(self.package, file) for file in plan.add]
        return [*shards, *(CommitOperationDelete(path, is_folder=False) for path in plan.delete), *small]

    def _commit(
        self, operations: list[CommitOperationAdd | CommitOperationDelete], parent: str, target: Manifest
    ) -> str:
        try:
            self.made = self.repo.commit(operations, parent=parent, message=_message(target))
        except Again as trouble:
            self.in_doubt = self.in_doubt or not trouble.nothing_done
            raise
        return self.made

    def _card(self, published: Published, target: Manifest) -> str:
        local, since = _text(self.package / README), card.since_last_push(published.manifest, target)
        try:
            return card.merged(local, published.readme, since)
        except PackageError as error:
            raise HubError(f"the card of {self.repo.repo_id} or of the package cannot be used: {error}") from error

    def _send(self, plan: Plan) -> None:
        def tell(done: int) -> None:
            self.report(Step("send", f"sending {len(plan.add)} files", done, plan.bytes_to_send))

        if plan.add:
            tell(0)
            self.bytes_sent += self.repo.send(self.package, plan.add, tell)

    def _compare(self, target: Manifest, oid: str) -> None:
        self.report(Step("check", "comparing sizes and digests"))
        if problems := self._problems(target, oid):
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise HubError(f"commit {oid[:12]} of {self.repo.repo_id} is not what was pushed: {problems[0]}{more}")

    def _problems(self, target: Manifest, oid: str) -> tuple[str, ...]:
        now = self.repo.published(oid)
        if now is None or now.manifest != target:
            return ("its manifest is not the one that was sent; does a .gitignore in the repo name it?",)
        return differences(self.repo, target, oid)

    def _result(self, commit: str | None, plan: Plan, note: str) -> PushResult:
        return PushResult(self.repo.repo_id, commit, self.bytes_sent, len(plan.add), len(plan.delete), note)


def _check_ours(published: Published, local: Manifest, repo: DatasetRepo) -> None:
    """Refuse what must not be pushed to, before anything is written."""
    name, manifest = repo.repo_id, published.manifest
    if published.private is not repo.private:
        is_, should = ("private", "public") if published.private else ("public", "private")
        raise HubError(
            f"{name} is {is_}, but the study says {should}: change the repo's visibility on the Hub, or dataset.private"
        )
    if manifest is None:
        if foreign := sorted(published.paths - HARMLESS):
            raise HubError(f"{name} already holds files that labeler did not make ({foreign[0]}); use an empty repo")
        return
    if manifest.source_id != local.source_id:
        raise HubError(f"{name} holds the data of another log (source {manifest.source_id}); use another repo")
    if manifest.view != local.view:
        raise HubError(f"{name} holds rows in the view {manifest.view}, not {local.view}; use a repo for each view")
    if manifest.position > local.position and not same_rows(manifest, local):
        raise HubError(
            f"{name} holds a later export (position {manifest.position:,}) than this package ({local.position:,});"
            " export again from the log that is ahead"
        )
    if stray := strays(published.paths, manifest, local):
        raise HubError(f"{name} holds {stray[0]}, which no export made; delete it on the Hub and push again")


def _local_manifest(package: Path) -> Manifest:
    if not (package / MANIFEST_PATH).is_file():
        raise PackageError(f"{package} holds no package; run `labeler export` first")
    return Manifest.from_json(_text(package / MANIFEST_PATH))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise PackageError(f"{path} is missing or cannot be read; export again") from None


def _counted(plan: Plan) -> str:
    gone = f" and remove {len(plan.delete)}" if plan.delete else ""
    return f"{len(plan.add)} files ({plan.bytes_to_send:,} bytes){gone}, {len(plan.keep)} unchanged"


def _message(target: Manifest) -> str:
    rows = sum(count for splits in target.totals.values() for count in splits.values())
    return f"Publish {target.study}: {rows:,} rows, log position {target.position:,}"
