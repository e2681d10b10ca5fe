"""What a study decides about derivation."""

from __future__ import annotations

from dataclasses import dataclass

from labeler.core.text import SystemPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The study file's ``rules`` with the two numbers of ``dataset`` that decide the split; same names, same defaults.

    ``Options(**study.rules.model_dump(), test_percent=study.dataset.test_percent, salt=study.dataset.salt)``
    """

    implicit: bool = False
    sft_from_likes: bool = False
    kto_liked_edits: bool = False
    kto_truncated: bool = False
    max_pairs_per_prompt: int = 4
    misclick_seconds: float = 10.0
    system_prompt: SystemPolicy = "keep"
    min_annotators: int = 1
    min_agreement: float = 0.0
    test_percent: int = 5
    salt: str = "labeler"
