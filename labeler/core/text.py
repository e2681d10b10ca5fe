"""Texts as models and trainers see them: chat messages, normal forms, prompt keys and the split."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Literal

import orjson

from labeler.core.conversation import Message

Split = Literal["train", "test"]
SystemPolicy = Literal["keep", "merge", "drop"]
ChatMessage = dict[str, str]


def nfc(text: str) -> str:
    """NFC; most texts are plain ASCII, which is NFC already."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def normal(text: str) -> str:
    """NFC with every run of white space as one space: what counts as "the same text"."""
    return " ".join(nfc(text).split())


def chat_messages(
    path: Iterable[Message], system_prompt: str | None, system: SystemPolicy = "keep"
) -> list[ChatMessage]:
    """Messages with ``role`` and ``content`` only, as templates want them.

    Empty answers are dropped and neighbours of one role are merged, so that roles alternate; the system prompt is the
    first message (keep), the beginning of the first user message (merge), or left out (drop, or nothing but spaces).
    """
    messages: list[ChatMessage] = []
    lead = system_prompt if system_prompt and system_prompt.strip() and system != "drop" else None
    if lead and system == "keep":
        messages.append({"role": "system", "content": lead})
        lead = None
    for message in path:
        if message.role == "assistant" and not message.content.strip():
            continue
        content = message.content
        if lead and message.role == "user":
            content, lead = f"{lead}\n\n{content}", None
        if messages and messages[-1]["role"] == message.role:
            messages[-1]["content"] += f"\n\n{content}"
        else:
            messages.append({"role": message.role, "content": content})
    return messages


def prompt_key(prompt: Sequence[ChatMessage]) -> str:
    """SHA-256 of the prompt's canonical JSON, texts in NFC: equal prompts meet across conversations."""
    canonical = [[message["role"], nfc(message["content"])] for message in prompt]
    return sha256(orjson.dumps(canonical)).hexdigest()


def opener_form(text: str) -> str:
    """The form of a first user message that decides its split: NFC, casefolded, spaces collapsed."""
    return " ".join(nfc(text).casefold().split())


def split_of(opener: str, salt: str, test_percent: int) -> Split:
    """Which split an opener belongs to: a function of its text alone, stable as the data grows."""
    return split_of_form(opener_form(opener), salt, test_percent)


def split_of_form(form: str, salt: str, test_percent: int) -> Split:
    """The same for an opener that is in its form already."""
    bucket = int(sha256((salt + form).encode()).hexdigest(), 16) % 100
    return "test" if bucket < test_percent else "train"
