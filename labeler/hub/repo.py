"""One data set repo on the Hub: reading what is published, and the few writes that a push is made of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, RepoFile, hf_hub_url
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

from labeler.errors import HubError, NewerPackage, PackageError
from labeler.export.manifest import MANIFEST_PATH, Manifest, ShardFile
from labeler.hub.calls import hook_in, one_call
from labeler.hub.quiet import quiet
from labeler.hub.refusals import Again, Place, translated
from labeler.hub.upload import Progress, Uploads

README = "README.md"
# What a repo may hold and still count as empty: none of it is data.
HARMLESS = frozenset({README, ".gitattributes", ".gitignore", "LICENSE", "LICENSE.md", "LICENSE.txt"})
PATHS_A_CALL = 500
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file at some commit. ``sha256`` is known for large files only; git names the others by ``blob``."""

    path: str
    size: int
    blob: str
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Published:
    """What a repo holds at one commit, ``head``. Nothing in it is newer or older than that commit.

    ``manifest`` is None where no package was pushed yet; ``paths`` are all files of the repo, ``readme`` may be empty.
    """

    head: str
    private: bool
    paths: frozenset[str]
    manifest: Manifest | None
    readme: str


class DatasetRepo:
    """A data set repo, and how to reach it.

    Making one hooks timeouts into the HTTP client that ``huggingface_hub`` shares between all code of a process; they
    act inside this class only (see ``labeler.hub.calls``). Nothing is requested until a method is called.

    Args:
        repo_id: ``owner/name``.
        endpoint: the Hub's address; None: HF_ENDPOINT, else the public Hub.
        token: None: HF_TOKEN, else what ``hf auth login`` kept. It is handed to ``huggingface_hub`` and nowhere else,
            without white space around it, as a file that it was read from may have left there.
        private: what the repo must be, and is made as. A repo that is otherwise is never pushed to.
        timeout: seconds for each request to be answered.

    Raises:
        HubError: the token has characters that no header can carry.
    """

    def __init__(
        self,
        repo_id: str,
        *,
        endpoint: str | None = None,
        token: str | None = None,
        private: bool = True,
        timeout: float = 60.0,
    ) -> None:
        hook_in()
        self.private = private
        self.api = HfApi(endpoint=endpoint, token=_usable(token))
        self._timeout = timeout
        self._place = Place(repo_id, self.api.endpoint)
        self._uploads = Uploads(self.api, self._place, timeout)

    @property
    def repo_id(self) -> str:
        return self._place.repo_id

    @property
    def endpoint(self) -> str:
        return self._place.endpoint

    @property
    def address(self) -> str:
        """Where people look at it."""
        return f"{self.endpoint}/datasets/{self.repo_id}"

    def __repr__(self) -> str:
        return f"DatasetRepo({self.repo_id!r}, endpoint={self.endpoint!r}, private={self.private})"

    # ── reading ──

    def published(self, revision: str | None = None) -> Published | None:
        """The head (or a commit) and what is published there; None if there is no such repo, or none this token sees.

        Raises:
            HubError: the Hub refuses, or the manifest there cannot be read.
        """
        with self.calling():
            try:
                found = self.api.dataset_info(self.repo_id, revision=revision)
            except GatedRepoError:
                raise
            except RepositoryNotFoundError:
                return None
        if found.sha is None or found.private is None:
            raise Again(f"{self.endpoint} does not say what {self.repo_id} holds")
        manifest = self.text(MANIFEST_PATH, found.sha)
        return Published(
            head=found.sha,
            private=found.private,
            paths=frozenset(sibling.rfilename for sibling in found.siblings or ()),
            manifest=None if manifest is None else self._manifest(manifest),
            readme=self.text(README, found.sha) or "",
        )

    def held(self, files: Sequence[ShardFile], revision: str) -> dict[str, RemoteFile]:
        """Those of the files that the repo holds at a commit, by path."""
        found: dict[str, RemoteFile] = {}
        paths = [file.path for file in files]
        for start in range(0, len(paths), PATHS_A_CALL):
            batch = paths[start : start + PATHS_A_CALL]
            with self.calling():
                entries = self.api.get_paths_info(self.repo_id, batch, repo_type="dataset", revision=revision)
            for entry in entries:
                if isinstance(entry, RepoFile):
                    sha256 = entry.lfs.sha256 if entry.lfs else None
                    found[entry.path] = RemoteFile(entry.path, entry.size, entry.blob_id, sha256)
        return found

    def is_the(self, file: ShardFile, remote: RemoteFile | None, revision: str) -> bool:
        """Whether the repo's file is the one a manifest names. Reads the file itself if the Hub gives no sha256."""
        if remote is None or remote.size != file.bytes:
            return False
        if remote.sha256 is not None:
            return remote.sha256 == file.sha256
        content = self._content(file.path, revision)
        return content is not None and hashlib.sha256(content).hexdigest() == file.sha256

    def download(self, path: str, revision: str, to: Path) -> bool:
        """Write a file at a commit to ``to``, never from a cache. False if the repo has no such file."""
        url = hf_hub_url(self.repo_id, path, repo_type="dataset", revision=revision, endpoint=self.endpoint)
        with self.calling():
            try:
                with get_session().stream("GET", url, headers=build_hf_headers(token=self.api.token)) as response:
                    if response.status_code >= HTTPStatus.BAD_REQUEST:
                        response.read()
                    hf_raise_for_status(response)
                    with to.open("wb") as out:
                        for chunk in response.iter_bytes(_CHUNK):
                            out.write(chunk)
            except EntryNotFoundError:
                return False
            except HfHubHTTPError as error:
                if not _is_plain_404(error):
                    raise
                return False
        return True

    def text(self, path: str, revision: str) -> str | None:
        """A small file at a commit, as text; None if it is not there."""
        content = self._content(path, revision)
        return None if content is None else content.decode("utf-8", "replace")

    # ── writing ──

    def create(self) -> None:
        """Make the repo, private or public as this object says. One that exists is left as it is."""
        with self.calling():
            try:
                self.api.create_repo(self.repo_id, repo_type="dataset", private=self.private, exist_ok=True)
            except HfHubHTTPError as error:
                status = error.response.status_code
                if status not in (402, 403, 404):
                    raise
                line = "does not exist, and this token may not create it; have it created, or use a token that may"
                raise HubError(f"{self._place} {line}") from error

    def prepare(self, operations: Sequence[CommitOperationAdd]) -> None:
        """Ask the Hub how small files travel; a token that may not write is refused here, before any data is sent."""
        with self.calling():
            self.api.preupload_lfs_files(self.repo_id, operations, repo_type="dataset", free_memory=False)

    @property
    def stored(self) -> int:
        """How many shards ``send`` has stored; it never falls."""
        return self._uploads.stored

    def send(self, package: Path, files: Sequence[ShardFile], progress: Progress) -> int:
        """Store shards ahead of the commit. Returns the bytes put on the wire."""
        with quiet():
            return self._uploads.send(package, files, progress)

    def addition(self, package: Path, file: ShardFile) -> CommitOperationAdd:
        """The operation that puts a shard, stored or not, into a commit."""
        return self._uploads.operation(package, file)

    def commit(
        self, operations: Sequence[CommitOperationAdd | CommitOperationDelete], *, parent: str, message: str
    ) -> str:
        """All operations as one commit on top of ``parent``, or none of them. Returns its oid."""
        with self.calling():
            made = self.api.create_commit(
                self.repo_id, operations, commit_message=message, repo_type="dataset", parent_commit=parent
            )
        return made.oid

    # ── how ──

    @contextmanager
    def calling(self) -> Iterator[None]:
        """One call of ``api``: bounded, tried once, and any error of it told in one line."""
        with translated(self._place), one_call(self._timeout), quiet():
            yield

    def _manifest(self, text: str) -> Manifest:
        try:
            return Manifest.from_json(text)
        except NewerPackage as error:
            raise HubError(f"{self.repo_id}: {error} and push again") from error
        except PackageError as error:
            why = str(error).partition(";")[0]
            raise HubError(
                f"{self.repo_id}: {why}; restore that file from the repo's history and push again"
            ) from error

    def _content(self, path: str, revision: str) -> bytes | None:
        """A file at a commit, never from a cache; None if it is not there."""
        url = hf_hub_url(self.repo_id, path, repo_type="dataset", revision=revision, endpoint=self.endpoint)
        with self.calling():
            try:
                response = get_session().get(url, headers=build_hf_headers(token=self.api.token))
                hf_raise_for_status(response)
            except EntryNotFoundError:
                return None
            except HfHubHTTPError as error:
                if not _is_plain_404(error):
                    raise
                return None
            return response.content


def _usable(token: str | None) -> str | None:
    """The token as a header can carry it. One that none can is refused here: a client that failed over it would quote
    it, and all of it, in its error."""
    token = (token or "").strip()
    if not (token.isascii() and token.isprintable()):
        raise HubError("what HF_TOKEN holds is no token: it has characters that no header can carry; set it anew")
    return token or None


def _is_plain_404(error: HfHubHTTPError) -> bool:
    """Whether a Hub says "not there" without saying what: the public one always names it, others may not."""
    return error.response.status_code == 404 and "X-Error-Code" not in error.response.headers


def repo_here(name: str, environ: Mapping[str, str], *, private: bool = True) -> DatasetRepo:
    """A repo on the Hub of an environment (HF_ENDPOINT), with its token (HF_TOKEN).

    Raises:
        HubError: that is no repo's name.
    """
    if "/" not in name:
        raise HubError(f"'{name}' is not a repo name; write it as owner/name")
    endpoint, token = environ.get("HF_ENDPOINT") or None, environ.get("HF_TOKEN") or None
    return DatasetRepo(name, endpoint=endpoint, token=token, private=private)
