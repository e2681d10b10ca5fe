"""What a Hub keeps: accounts, repos with their history, and content by address.

Everything here is true state behind the HTTP face: commits form a chain, a tree maps paths to entries, blobs are found
by sha256 and nothing is ever half applied. One lock guards it all; a Hub for tests needs no more.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

GITATTRIBUTES = "\n".join(
    f"{pattern} filter=lfs diff=lfs merge=lfs -text" for pattern in ("*.arrow", "*.bin", "*.gz", "*.parquet", "*.zip")
)
MAX_REGULAR_BYTES = 10 * 1024 * 1024

Role = Literal["read", "write", "fineGrained"]


class Refused(Exception):
    """The Hub says no: an HTTP status, a line, and sometimes one of its error codes."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


@dataclass(frozen=True)
class Account:
    """Whose token it is. A fine-grained token may write the repos it names and create none."""

    name: str
    role: Role = "write"
    orgs: tuple[str, ...] = ()
    repos: tuple[str, ...] = ()

    def may_create(self, namespace: str) -> bool:
        return self.role == "write" and namespace in (self.name, *self.orgs)

    def may_read(self, repo_id: str) -> bool:
        if self.role == "fineGrained":
            return repo_id in self.repos
        return repo_id.split("/")[0] in (self.name, *self.orgs)

    def may_write(self, repo_id: str) -> bool:
        return self.role != "read" and self.may_read(repo_id)


@dataclass(frozen=True)
class Entry:
    """One file in a tree. ``sha256`` is of the content, ``blob`` is git's name of what git stores."""

    size: int
    sha256: str
    blob: str
    lfs: bool


@dataclass(frozen=True)
class Commit:
    oid: str
    parent: str | None
    tree: Mapping[str, Entry]
    title: str
    description: str
    author: str
    date: str


@dataclass
class Repo:
    """A dataset repo: its settings, its refs and every commit that a ref still reaches.

    ``objects`` are the large files that some commit has ever named, by sha256, each with its path: they stay when no
    commit names them any more, until somebody deletes them.
    """

    repo_id: str
    private: bool
    refs: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)
    objects: dict[str, str] = field(default_factory=dict)
    gated: str | bool = False
    renames: int = 0

    def resolve(self, revision: str) -> Commit:
        """The commit that a branch, a tag, a full ref or an oid names."""
        for name in (revision, f"refs/heads/{revision}", f"refs/tags/{revision}"):
            if name in self.refs:
                return self.commits[self.refs[name]]
        if revision in self.commits:
            return self.commits[revision]
        raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def history(self, revision: str) -> list[Commit]:
        """Newest first."""
        found, commit = [], self.resolve(revision)
        while True:
            found.append(commit)
            if commit.parent is None or commit.parent not in self.commits:
                return found
            commit = self.commits[commit.parent]


@dataclass(frozen=True)
class Change:
    """What one commit does: whole new entries, and paths that go."""

    title: str
    description: str = ""
    parent: str | None = None
    put: Mapping[str, Entry] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    remove_folders: tuple[str, ...] = ()


def git_blob(content: bytes) -> str:
    """The name git gives a blob."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def pointer(sha256: str, size: int) -> bytes:
    """The text that git keeps in place of a large file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


class State:
    """All of the Hub's memory. With a directory, it survives the process."""

    def __init__(self, directory: Path | None = None, accounts: Mapping[str, Account] | None = None) -> None:
        self.lock = threading.RLock()
        self.accounts: dict[str, Account] = dict(accounts or {"hf_test": Account("tester")})
        self.repos: dict[str, Repo] = {}
        self._blobs: dict[str, bytes] = {}
        self._directory = directory
        if directory is not None:
            (directory / "objects").mkdir(parents=True, exist_ok=True)
            self._load(directory / "repos.json")

    # ── content ──

    def keep(self, content: bytes) -> str:
        """Store content and give its sha256."""
        sha256 = hashlib.sha256(content).hexdigest()
        with self.lock:
            if self._directory is None:
                self._blobs[sha256] = content
            elif not (target := self._directory / "objects" / sha256).exists():
                _write_whole(target, content)
        return sha256

    def has(self, sha256: str) -> bool:
        with self.lock:
            if self._directory is None:
                return sha256 in self._blobs
            return (self._directory / "objects" / sha256).exists()

    def content(self, sha256: str) -> bytes:
        with self.lock:
            if self._directory is None:
                return self._blobs[sha256]
            return (self._directory / "objects" / sha256).read_bytes()

    def spoil(self, sha256: str) -> None:
        """Other bytes of the same number are served from now on, under the sha256 of the right ones."""
        with self.lock:
            spoilt = bytes(byte ^ 0xFF for byte in self.content(sha256))
            if self._directory is None:
                self._blobs[sha256] = spoilt
            else:
                (self._directory / "objects" / sha256).write_bytes(spoilt)

    def drop(self, sha256: str) -> None:
        with self.lock:
            self._blobs.pop(sha256, None)
            if self._directory is not None:
                (self._directory / "objects" / sha256).unlink(missing_ok=True)

    def keep_xorb(self, name: str, content: bytes) -> None:
        """Store a packed run of chunks under its own name, which is not a sha256."""
        with self.lock:
            if self._directory is None:
                self._blobs[f"xorb-{name}"] = content
            else:
                _write_whole(self._directory / "objects" / f"xorb-{name}", content)

    def xorb(self, name: str) -> bytes | None:
        """A packed run of chunks, or None if it was never sent."""
        return self.content(f"xorb-{name}") if self.has(f"xorb-{name}") else None

    def regular(self, content: bytes) -> Entry:
        return Entry(len(content), self.keep(content), git_blob(content), lfs=False)

    def large(self, sha256: str, size: int) -> Entry:
        """An entry for content that was uploaded before; refused if it was not, or has another size."""
        if not self.has(sha256):
            raise Refused(400, f"LFS pointer pointed to a file that does not exist: {sha256}")
        if len(self.content(sha256)) != size:
            raise Refused(400, f"LFS object {sha256} has another size than {size}")
        return Entry(size, sha256, git_blob(pointer(sha256, size)), lfs=True)

    # ── repos ──

    def create(self, repo_id: str, *, private: bool, author: str = "tester") -> Repo:
        with self.lock:
            if repo_id in self.repos:
                raise Refused(409, "You already created this dataset repo")
            repo = self.repos[repo_id] = Repo(repo_id, private)
            attributes = self.regular(GITATTRIBUTES.encode())
            self._append(repo, "refs/heads/main", Change("initial commit", put={".gitattributes": attributes}), author)
            return repo

    def repo(self, repo_id: str) -> Repo:
        try:
            return self.repos[repo_id]
        except KeyError:
            raise Refused(404, "Repository not found", "RepoNotFound") from None

    def delete(self, repo_id: str) -> None:
        with self.lock:
            del self.repos[self.repo(repo_id).repo_id]
            self.save()

    def commit(self, repo_id: str, branch: str, change: Change, author: str = "tester") -> Commit:
        """Apply one change on top of a branch, or refuse it whole (412 when its parent is no longer the head)."""
        with self.lock:
            repo = self.repo(repo_id)
            head = repo.resolve(branch)
            if change.parent is not None and not head.oid.startswith(change.parent):
                raise Refused(412, "A commit has happened since. Please refresh and try again.")
            ref = branch if branch.startswith("refs/") else f"refs/heads/{branch}"
            if ref not in repo.refs:
                raise Refused(400, f"{branch} is not a branch")
            return self._append(repo, ref, change, author)

    def squash(self, repo_id: str, branch: str, message: str, author: str) -> Commit:
        """One commit without a past takes the branch's place; what no ref reaches is gone."""
        with self.lock:
            repo = self.repo(repo_id)
            tree = repo.resolve(branch).tree
            ref = f"refs/heads/{branch}"
            repo.refs.pop(ref)
            commit = self._append(repo, ref, Change(message, put=tree), author)
            self.collect(repo)
            return commit

    def collect(self, repo: Repo) -> None:
        """Forget the commits that no ref reaches."""
        reached = {commit.oid for ref in repo.refs for commit in repo.history(ref)}
        repo.commits = {oid: commit for oid, commit in repo.commits.items() if oid in reached}
        self.save()

    def _append(self, repo: Repo, ref: str, change: Change, author: str) -> Commit:
        parent = repo.refs.get(ref)
        tree = dict(repo.commits[parent].tree) if parent else {}
        for path in change.remove:
            if path not in tree:
                raise Refused(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
            del tree[path]
        for folder in change.remove_folders:
            for path in [path for path in tree if path.startswith(folder.rstrip("/") + "/")]:
                del tree[path]
        tree.update(change.put)
        _check_no_file_is_a_folder(tree)
        commit = _sealed(parent, tree, change, author, repo.renames)
        repo.renames += 1
        repo.commits[commit.oid] = commit
        repo.refs[ref] = commit.oid
        repo.objects.update({entry.sha256: path for path, entry in change.put.items() if entry.lfs})
        self.save()
        return commit

    def expunge(self, repo: Repo, doomed: set[str], *, rewrite_history: bool) -> None:
        """Delete large files for good. Commits that name them lose those paths, or keep a name that leads nowhere."""
        with self.lock:
            if rewrite_history:
                for oid, commit in list(repo.commits.items()):
                    tree = {path: entry for path, entry in commit.tree.items() if entry.sha256 not in doomed}
                    repo.commits[oid] = replace(commit, tree=tree)
            for sha256 in doomed:
                repo.objects.pop(sha256, None)
                self.drop(sha256)
            self.save()

    def served(self) -> Iterator[bytes]:
        """Every byte that somebody can still get: what any commit holds, and every large file in the storage. (Packed
        chunks are not among them: nothing gives those out.)"""
        with self.lock:
            for repo in self.repos.values():
                entries = [entry for commit in repo.commits.values() for entry in commit.tree.values()]
                for sha256 in {*repo.objects, *(entry.sha256 for entry in entries)}:
                    yield self.content(sha256)

    # ── persistence ──

    def save(self) -> None:
        if self._directory is None:
            return
        _write_whole(self._directory / "repos.json", json.dumps({k: asdict(v) for k, v in self.repos.items()}).encode())

    def _load(self, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            for repo_id, tree in json.loads(path.read_text()).items():
                commits = {oid: _commit_from(each) for oid, each in tree.pop("commits").items()}
                self.repos[repo_id] = replace(Repo(repo_id, True), **{**tree, "commits": commits})


def upload_mode(repo: Repo, revision: str, path: str, size: int, sample: bytes) -> Literal["lfs", "regular"]:
    """Large and binary files go to the large file storage, as the repo's .gitattributes and their look say."""
    by_name = any(fnmatch(path.rsplit("/", 1)[-1], line.split()[0]) for line in GITATTRIBUTES.splitlines())
    return "lfs" if by_name or size > MAX_REGULAR_BYTES or b"\0" in sample else "regular"


def _check_no_file_is_a_folder(tree: Mapping[str, Entry]) -> None:
    folders = {path[:at] for path in tree for at in _slashes(path)}
    if clash := folders & tree.keys():
        raise Refused(400, f"{sorted(clash)[0]} is a file and a folder")


def _slashes(path: str) -> Iterator[int]:
    at = path.find("/")
    while at >= 0:
        yield at
        at = path.find("/", at + 1)


def _sealed(parent: str | None, tree: Mapping[str, Entry], change: Change, author: str, count: int) -> Commit:
    # The counter keeps two equal commits apart, as git's timestamps do.
    seal = repr((parent, sorted((path, entry.blob) for path, entry in tree.items()), change.title, author, count))
    date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    oid = hashlib.sha1(seal.encode()).hexdigest()
    return Commit(oid, parent, tree, change.title, change.description, author, date)


def _commit_from(tree: dict[str, Any]) -> Commit:
    entries = {path: Entry(**entry) for path, entry in tree.pop("tree").items()}
    return Commit(tree=entries, **tree)


def _write_whole(target: Path, content: bytes) -> None:
    """All of it or nothing: a killed server leaves no half file."""
    draft = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}")
    draft.write_bytes(content)
    draft.replace(target)
