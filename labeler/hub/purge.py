"""Taking the past of a repo away: after a push that left something out, nothing of it can be read any more.

What a commit no longer holds, the commits before it still do, and so do tags and branches; and a large file that no
commit names stays in the storage. So, in this order, and each step only once the one before it is done:

    head holds the package ─► other branches and tags go ─► main becomes one commit ─► large files that it does not
    name go ─► look: old commits are not found, no such file is listed, the package is there as before

Two kinds of refs cannot be deleted by any client: those of pull requests, and the Hub's own conversion to parquet. What
they still reach is told, not passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from huggingface_hub import GitRefs, RepoFile
from huggingface_hub.errors import EntryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import LFSFileInfo

from labeler.errors import HubError
from labeler.export.manifest import Manifest, same_rows
from labeler.hub.patience import Patience, keep_trying
from labeler.hub.repo import DatasetRepo, Published
from labeler.hub.steps import Report, Step, silent
from labeler.hub.verify import differences

MAIN = "main"
MOST_CHECKED = 200
"""Old commits are looked up one request each, the newest first; a repo may have thousands."""


@dataclass(frozen=True, slots=True)
class PurgeResult:
    """What is gone, and what is not. Commits by oid, files by sha256.

    ``commits`` are those that were there before, ``checked`` of them were looked up afterwards. ``kept_refs`` could not
    be deleted, ``kept_commits`` and ``kept_files`` can still be read: empty if all is well.
    """

    head: str
    commits: tuple[str, ...]
    checked: int
    refs: tuple[str, ...]
    files: tuple[str, ...]
    kept_refs: tuple[str, ...]
    kept_commits: tuple[str, ...]
    kept_files: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return not (self.kept_commits or self.kept_files)


def purge_history(
    repo: DatasetRepo,
    manifest: Manifest,
    *,
    commits: tuple[str, ...] = (),
    report: Report = silent,
    patience: Patience | None = None,
) -> PurgeResult:
    """Leave of a repo's history only the present state, which must be the package of ``manifest``.

    It can be broken off anywhere and run again. ``commits`` are old ones that an earlier run knew of: after the history
    was rewritten nobody could tell them any more.

    Raises:
        HubError: the repo does not hold that package (push first), the token may not do this, or the Hub cannot be
            reached for long. What is published is untouched.
    """
    work = _Purge(repo, manifest, report, dict.fromkeys(commits))
    return keep_trying(work.attempt, patience, report)


def history_of(repo: DatasetRepo, patience: Patience | None = None) -> tuple[str, ...]:
    """Every commit that a branch or a tag of the repo leads to, the newest of each first; empty without a repo."""

    def look() -> tuple[str, ...]:
        published = repo.published()
        return () if published is None else tuple(dict.fromkeys(_commits(repo, _refs(repo))))

    return keep_trying(look, patience)


@dataclass(slots=True)
class _Purge:
    repo: DatasetRepo
    manifest: Manifest
    report: Report
    commits: dict[str, None]
    refs: dict[str, None] = field(default_factory=dict, init=False)
    files: dict[str, None] = field(default_factory=dict, init=False)

    def attempt(self) -> PurgeResult:
        """One way from the head to the proof. What earlier attempts did is remembered, and not done again."""
        self._tell("reading what there is")
        self._checked()
        refs = _refs(self.repo)
        self.commits |= dict.fromkeys(_commits(self.repo, refs))
        self._drop_refs(refs)
        _squash(self.repo, f"Publish {self.manifest.study}", self._tell)
        published = self._checked()
        wanted = _named_at(self.repo, published.head)
        self._drop_files(wanted)
        return self._proof(published.head, wanted)

    # ── doing ──

    def _drop_refs(self, refs: GitRefs) -> None:
        for branch in refs.branches:
            if branch.name != MAIN:
                self._tell(f"deleting the branch {branch.name}")
                with self.repo.calling():
                    self.repo.api.delete_branch(self.repo.repo_id, repo_type="dataset", branch=branch.name)
                self.refs[branch.ref] = None
        for tag in refs.tags:
            self._tell(f"deleting the tag {tag.name}")
            with self.repo.calling():
                self.repo.api.delete_tag(self.repo.repo_id, repo_type="dataset", tag=tag.name)
            self.refs[tag.ref] = None

    def _drop_files(self, wanted: frozenset[str]) -> None:
        unwanted = _unwanted(self.repo, wanted)
        if unwanted:
            self._tell(f"deleting {len(unwanted):,} large files that no commit needs")
            _delete(self.repo, unwanted)
            self.files |= dict.fromkeys(file.file_oid for file in unwanted)

    # ── looking ──

    def _checked(self) -> Published:
        """The head, which holds the package; else nothing may be taken away."""
        published = self.repo.published()
        if published is None or published.manifest is None or not same_rows(published.manifest, self.manifest):
            raise HubError(f"{self.repo.repo_id} does not hold this package; push it first, then purge its history")
        if problems := differences(self.repo, published.manifest, published.head):
            raise HubError(f"{self.repo.repo_id} is damaged ({problems[0]}); push again, then purge its history")
        return published

    def _proof(self, head: str, wanted: frozenset[str]) -> PurgeResult:
        old = [oid for oid in self.commits if oid != head]
        looked_up = old[:MOST_CHECKED]
        self._tell(f"looking for {len(looked_up):,} old commits")
        refs = _refs(self.repo)
        return PurgeResult(
            head=head,
            commits=tuple(old),
            checked=len(looked_up),
            refs=tuple(self.refs),
            files=tuple(self.files),
            kept_refs=tuple(ref.ref for ref in (*refs.converts, *(refs.pull_requests or ()))),
            kept_commits=tuple(oid for oid in looked_up if self._is_there(oid)),
            kept_files=tuple(file.file_oid for file in _unwanted(self.repo, wanted)),
        )

    def _is_there(self, oid: str) -> bool:
        with self.repo.calling():
            try:
                self.repo.api.dataset_info(self.repo.repo_id, revision=oid)
            except (RevisionNotFoundError, EntryNotFoundError):
                return False
        return True

    def _tell(self, text: str) -> None:
        self.report(Step("purge", text))


def forget_history(repo: DatasetRepo, message: str) -> None:
    """Leave of main its present state alone, and in the storage no large file that it does not name."""
    _squash(repo, message, lambda text: None)
    published = repo.published()
    unwanted = [] if published is None else _unwanted(repo, _named_at(repo, published.head))
    if unwanted:
        _delete(repo, unwanted)


def _squash(repo: DatasetRepo, message: str, tell: Callable[[str], None]) -> None:
    with repo.calling():
        past = repo.api.list_repo_commits(repo.repo_id, repo_type="dataset", revision=MAIN)
    if len(past) > 1:
        tell(f"making one commit of {len(past):,}")
        with repo.calling():
            repo.api.super_squash_history(repo.repo_id, repo_type="dataset", branch=MAIN, commit_message=message)


def _named_at(repo: DatasetRepo, head: str) -> frozenset[str]:
    """The sha256 of every large file of a commit, ours or not."""
    with repo.calling():
        tree = list(repo.api.list_repo_tree(repo.repo_id, repo_type="dataset", revision=head, recursive=True))
    return frozenset(entry.lfs.sha256 for entry in tree if isinstance(entry, RepoFile) and entry.lfs)


def _unwanted(repo: DatasetRepo, wanted: frozenset[str]) -> list[LFSFileInfo]:
    with repo.calling():
        files = list(repo.api.list_lfs_files(repo.repo_id, repo_type="dataset"))
    return [file for file in files if file.file_oid not in wanted]


def _delete(repo: DatasetRepo, files: list[LFSFileInfo]) -> None:
    with repo.calling():
        repo.api.permanently_delete_lfs_files(repo.repo_id, files, repo_type="dataset")


def _refs(repo: DatasetRepo) -> GitRefs:
    with repo.calling():
        return repo.api.list_repo_refs(repo.repo_id, repo_type="dataset", include_pull_requests=True)


def _commits(repo: DatasetRepo, refs: GitRefs) -> Iterator[str]:
    for ref in (*refs.branches, *refs.tags):
        with repo.calling():
            past = repo.api.list_repo_commits(repo.repo_id, repo_type="dataset", revision=ref.name)
        yield from (commit.commit_id for commit in past)
