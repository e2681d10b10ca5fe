"""Sending shards to the Hub's storage, ahead of the commit that names them.

Two ways lead there. Xet, the default: a file is cut into chunks by content, and only chunks that the Hub lacks are
sent. Plain LFS, where hf_xet is missing or HF_HUB_DISABLE_XET is set: whole files, unless the Hub has them already.
Until a commit names them, uploaded files can be seen by nobody: one that is broken off leaves nothing to clean up.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, HfApi, constants
from huggingface_hub.utils import build_hf_headers

from labeler.errors import PackageError
from labeler.export.manifest import ShardFile
from labeler.hub.calls import CONNECT_SECONDS, one_call
from labeler.hub.refusals import Place, translated

# One storage token and one list of chunks serve a whole batch; what is lost when one is broken off stays small.
BATCH_FILES = 64
BATCH_BYTES = 256 * 1024 * 1024

Progress = Callable[[int], None]
"""Told how many bytes of files are done, counted from the first file of this call."""


class Uploads:
    """The way from a package to one repo's storage. Remembers what it stored, so that no retry sends it twice."""

    def __init__(self, api: HfApi, place: Place, timeout: float) -> None:
        self._api = api
        self._place = place
        self._timeout = timeout
        self._stored: set[str] = set()
        self._session: Any = None

    @property
    def stored(self) -> int:
        """How many different files this object has stored."""
        return len(self._stored)

    def send(self, package: Path, files: Sequence[ShardFile], progress: Progress) -> int:
        """Store these files. Returns the bytes put on the wire: with Xet, new chunks and their metadata, compressed.

        Raises:
            PackageError: a file is missing or is not the one its manifest names.
            HubError, Again: it could not be stored; what was stored before is remembered.
        """
        missing = [file for file in files if file.sha256 not in self._stored]
        for file in missing:
            _check_size(package, file)
        send = self._send_by_xet if _has_xet() else self._send_by_lfs
        return send(package, missing, progress)

    def operation(self, package: Path, file: ShardFile) -> CommitOperationAdd:
        """A fresh operation for a commit (one is good for one commit only), which sends no stored file again."""
        operation = CommitOperationAdd(file.path, str(package / file.path))
        operation.upload_info.sha256 = bytes.fromhex(file.sha256)
        if file.sha256 in self._stored:
            # What preupload_lfs_files leaves behind. Should a later client read other names, it would ask the storage
            # about the file again, find it there, and commit the same thing.
            operation._upload_mode = "lfs"
            operation._is_uploaded = True
        return operation

    # ── by Xet ──

    def _send_by_xet(self, package: Path, files: Sequence[ShardFile], progress: Progress) -> int:
        sent, done = 0, 0
        for batch in _batches(files):
            with translated(self._place):
                sent += self._send_batch(package, batch, _continued(progress, done))
            self._stored.update(file.sha256 for file in batch)
            done += sum(file.bytes for file in batch)
            progress(done)
        return sent

    def _send_batch(self, package: Path, batch: Sequence[ShardFile], progress: Progress) -> int:
        import hf_xet  # noqa: PLC0415  start-up: a megabyte of native code that only a push needs, absent on some machines

        self._session = self._session or hf_xet.XetSession(_bounded(hf_xet.XetConfig(), self._timeout))
        headers = build_hf_headers(token=self._api.token)
        watch = _Watch(3 * self._timeout, progress)
        commit = self._session.new_upload_commit(
            token_refresh_url=f"{self._api.endpoint}/api/datasets/{self._place.repo_id}/xet-write-token/main",
            token_refresh_headers=headers,
            custom_headers={"user-agent": headers["user-agent"]},
            progress_callback=watch.look,
        )
        watch.abort = commit.abort
        try:
            handles = [
                commit.start_upload_file(str(package / file.path), sha256=hf_xet.COMPUTE_SHA256) for file in batch
            ]
            report = commit.wait_to_finish()
        except BaseException:
            with contextlib.suppress(RuntimeError):  # it may have ended by itself
                commit.abort()
            raise
        for file, handle in zip(batch, handles, strict=True):
            _check_sha256(file, handle.result().xet_info.sha256)
        return int(report.dedup_metrics.total_bytes_uploaded)

    # ── by plain LFS ──

    def _send_by_lfs(self, package: Path, files: Sequence[ShardFile], progress: Progress) -> int:
        sent, done = 0, 0
        for file in files:
            operation = CommitOperationAdd(file.path, str(package / file.path))
            _check_sha256(file, operation.upload_info.sha256.hex())
            # One file a call: a single upload stays in this thread, where its requests are bounded and counted.
            with translated(self._place), one_call(self._timeout) as call:
                self._api.preupload_lfs_files(self._place.repo_id, [operation], repo_type="dataset", free_memory=False)
            # A small file may be of the kind that travels inside the commit: then nothing was stored.
            if operation._is_uploaded:
                self._stored.add(file.sha256)
            sent += call.sent
            done += file.bytes
            progress(done)
        return sent


class _Watch:
    """Ends an upload that has not moved for ``patience`` seconds: not every request inside hf_xet has a timeout."""

    def __init__(self, patience: float, progress: Progress) -> None:
        self.abort: Callable[[], object] | None = None
        self._patience = patience
        self._progress = progress
        self._moved = time.monotonic()
        self._state: tuple[int, int] | None = None

    def look(self, group: Any, _files: Any) -> None:
        """Called by hf_xet ten times a second, in a thread of its own."""
        state = (group.total_bytes_completed, group.total_transfer_bytes_completed)
        if state != self._state:
            self._state, self._moved = state, time.monotonic()
            self._progress(group.total_bytes_completed)
        elif self.abort is not None and time.monotonic() - self._moved > self._patience:
            # Aborting waits for the thread that called us.
            threading.Thread(target=self.abort, daemon=True).start()
            self.abort = None


def _has_xet() -> bool:
    return not constants.HF_HUB_DISABLE_XET and find_spec("hf_xet") is not None


def _continued(progress: Progress, start: int) -> Progress:
    return lambda here: progress(start + here)


def _bounded(config: Any, timeout: float) -> Any:
    """hf_xet's own settings, with less patience: after a failure the push starts again from the head."""
    settings = {
        "client.connect_timeout": f"{int(1000 * min(timeout, CONNECT_SECONDS))}ms",
        "client.read_timeout": f"{int(1000 * timeout)}ms",
        "client.retry_max_attempts": 1,
        "client.retry_base_delay": "500ms",
        "client.retry_max_duration": f"{int(1000 * timeout)}ms",
    }
    for name, value in settings.items():
        config = config.with_config(name, value)
    return config


def _batches(files: Sequence[ShardFile]) -> Iterator[list[ShardFile]]:
    batch: list[ShardFile] = []
    for file in files:
        if batch and (len(batch) == BATCH_FILES or sum(each.bytes for each in batch) + file.bytes > BATCH_BYTES):
            yield batch
            batch = []
        batch.append(file)
    if batch:
        yield batch


def _check_size(package: Path, file: ShardFile) -> None:
    try:
        size = (package / file.path).stat().st_size
    except OSError:
        raise PackageError(f"{package / file.path} is missing or cannot be read; export again") from None
    if size != file.bytes:
        raise PackageError(f"{package / file.path} is not the file its manifest names; export again")


def _check_sha256(file: ShardFile, sha256: str) -> None:
    if sha256 != file.sha256:
        raise PackageError(f"{file.path} is not the file its manifest names; export again")
