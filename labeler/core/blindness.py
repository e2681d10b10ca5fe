"""Whether an answer gives away which model wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from labeler.core.conversation import Conversation, Message

# Names of models and of who makes them, as models call themselves.
KNOWN = (
    *("chatgpt", "gpt", "openai", "claude", "anthropic", "gemini", "gemma", "bard", "llama", "mistral", "mixtral"),
    *("qwen", "tongyi", "deepseek", "phi", "command r", "cohere", "grok", "falcon", "yi", "olmo", "tulu", "smollm"),
    *("zephyr", "vicuna", "alpaca", "starling", "nemotron", "granite", "kimi", "hermes", "solar", "glm"),
)
_SELF = re.compile(
    r"\b(i am|i'm|i’m|as an?|my name is|called|this is|trained by|developed by|created by|made by|built by)\b", re.I
)
SHORTEST_NAME = 4
REACH = 80  # characters between who speaks and the name


def names_its_model(answer: str, prompt: str, names: Iterable[str]) -> bool:
    """Whether an answer names its own model.

    Either it says one of ``names`` (the study's name of the model, its id), or it speaks of itself and, close by, of a
    known family of models. What the ``prompt`` spoke of already gives nothing away.
    """
    said, asked = answer.casefold(), prompt.casefold()
    for name in names:
        for part in _parts(name):
            if _says(said, part) and not _says(asked, part):
                return True
    return any(_speaks_of_itself(said, family) and not _says(asked, family) for family in KNOWN)


def named_itself(conversation: Conversation, answer: Message) -> bool:
    """The same of an answer in a conversation; what no model wrote gives none away."""
    started = answer.started
    if started is None or answer.parent_id is None:
        return False
    question = conversation.messages[answer.parent_id].content
    return names_its_model(answer.content, question, (started.model, started.model_id))


@lru_cache(maxsize=1024)
def _parts(name: str) -> frozenset[str]:
    """What a model might call itself: its id without the owner, and the family in front of sizes and versions."""
    own = name.casefold().rpartition("/")[2]
    family = re.split(r"[-_ .:]", own)[0]
    return frozenset(part for part in (own, family, family.rstrip("0123456789")) if len(part) >= SHORTEST_NAME)


@lru_cache(maxsize=1024)
def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![^\W_]){re.escape(name)}(?![^\W\d_])")


def _says(text: str, name: str) -> bool:
    return name in text and _word(name).search(text) is not None  # most texts hold no name: looking for one is quick


def _speaks_of_itself(said: str, family: str) -> bool:
    return family in said and any(
        _SELF.search(said, max(0, found.start() - REACH), found.start()) for found in _word(family).finditer(said)
    )
