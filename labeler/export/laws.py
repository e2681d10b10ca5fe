"""What every published row must hold: the laws that a trainer would break on, or worse, would not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from labeler.core.laws import answer_problem, prompt_problem
from labeler.core.text import ChatMessage
from labeler.export.manifest import ShardFile
from labeler.export.schemas import TRAINER_CONFIGS
from labeler.export.views import CANONICAL, chats_of, known_view, text_problem
from labeler.study import View

_NEEDED = (
    *("record_id", "group_key", "prompt", "messages", "chosen", "rejected", "completion"),
    *("label", "strength", "margin"),
)

Chat = Sequence[ChatMessage]
Row = dict[str, Any]


class Laws:
    """Takes the rows of a package in, table by table, and tells which laws they break.

    Raises:
        PackageError: nobody knows the package's view.
    """

    def __init__(self, view: str = CANONICAL) -> None:
        self.view = known_view(view)
        self._records: dict[str, set[bytes]] = {}  # as bytes: a large package has millions
        self._splits: dict[bytes, str] = {}

    def broken_by(self, file: ShardFile, table: pa.Table) -> Iterator[str]:
        """One line for each broken law of each row."""
        if file.config not in TRAINER_CONFIGS:
            return
        for row in table.select([name for name in _NEEDED if name in table.column_names]).to_pylist():
            for problem in (*_row_problems(file.config, row, self.view), *self._set_problems(file, row)):
                yield f"{file.path}: row {row['record_id'][:12]}: {problem}"

    def _set_problems(self, file: ShardFile, row: Row) -> Iterator[str]:
        """What only shows beside the other rows: a record that stands twice, an opener in both splits."""
        record, seen = _short(row["record_id"]), self._records.setdefault(file.config, set())
        if record in seen:
            yield "stands twice"
        seen.add(record)
        if self._splits.setdefault(_short(row["group_key"]), file.split) != file.split:
            yield "its opener is in both splits"


def _short(digest: str) -> bytes:
    """What stands for a SHA-256 in memory; a damaged row may hold any text in its place."""
    return hashlib.blake2b(digest.encode(), digest_size=16).digest()


def _row_problems(config: str, row: Row, view: View) -> Iterator[str]:
    if view == "text":
        if problem := text_problem(row):
            yield problem
    else:
        yield from _chat_problems(chats_of(config, row, view))
    if config == "reward" and row["margin"] != row["strength"] / 3:
        yield "margin is not strength / 3"


def _chat_problems(chats: Mapping[str, Chat]) -> Iterator[str]:
    if problem := prompt_problem(chats["prompt"]):
        yield problem
    for side in ("chosen", "rejected", "completion"):
        if side in chats and not _is_answer(chats[side]):
            yield f"{side} is not one assistant message with a text"
    if "chosen" in chats and chats["chosen"] == chats["rejected"]:
        yield "chosen is rejected"


def _is_answer(answer: Chat) -> bool:
    return len(answer) == 1 and answer[0]["role"] == "assistant" and answer_problem(answer[0]["content"]) is None
