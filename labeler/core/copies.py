"""What a browser's chat shows, as a foreign chat page sends it: the client's copy, taken as words and nothing more.

Everything in it was sent by the browser and may be forged: it says what somebody claims to have seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from labeler.core.values import value

BETWEEN = "\n\n"


@value()
class Said:
    """What one side said in its turn: a message, or an answer with all the messages that it is made of."""

    role: Literal["user", "assistant"]
    text: str


@value()
class Copy:
    """The client's copy of a chat.

    ``said`` is what is recorded, in order. ``places`` says of each message that the browser shows where it stands in
    ``said``; ``None``: nowhere. ``cut`` is the message from which on nothing is recorded, as it holds more than text.
    """

    said: tuple[Said, ...] = ()
    places: tuple[int | None, ...] = ()
    system: str | None = None
    cut: int | None = None

    def place(self, index: int) -> int | None:
        """Where the message with this index stands in ``said``."""
        return self.places[index] if 0 <= index < len(self.places) else None

    def upto(self, place: int) -> Copy:
        """The same chat, as it was before it came to this place."""
        return Copy(self.said[:place], self.places, self.system, self.cut)

    def with_text(self, place: int, text: str) -> Copy:
        """The same chat with other words in one place."""
        said = list(self.said)
        said[place] = Said(said[place].role, text)
        return Copy(tuple(said), self.places, self.system, self.cut)


def copy_of(messages: object) -> Copy:
    """Read the value of a chatbot.

    Messages of one answer that follow each other are one answer, a blank line between their texts; what has a title
    (thoughts, tools) is no part of it. What is said before the first message of the user answers nothing and is left
    out, empty messages too. The first system message stands apart.
    """
    said: list[Said] = []
    places: list[int | None] = []
    system: str | None = None
    cut: int | None = None
    for index, message in enumerate(messages if isinstance(messages, Sequence) else ()):
        role, text, only_text = _read(message)
        if not only_text:
            cut = index
            break
        if role == "system":
            system = text if system is None and not said else system
        elif text:
            _say(said, role, text)
        # Without a text it is part of what its side is saying, if that is an answer.
        here = bool(said) and said[-1].role == role and (bool(text) or role == "assistant")
        places.append(len(said) - 1 if here else None)
    return Copy(tuple(said), tuple(_with_thoughts(messages, places)), system, cut)


def _say(said: list[Said], role: str, text: str) -> None:
    if role == "user":
        said.append(Said("user", text))
    elif said and said[-1].role == "assistant":
        said[-1] = Said("assistant", said[-1].text + BETWEEN + text)
    elif said:
        said.append(Said("assistant", text))


def _with_thoughts(messages: object, places: Sequence[int | None]) -> list[int | None]:
    """A thumb under an answer that begins with a thought names the thought: it stands where its answer stands."""
    found = list(places)
    for index in range(len(found) - 2, -1, -1):
        if found[index] is None and _role(messages, index) == "assistant" == _role(messages, index + 1):
            found[index] = found[index + 1]
    return found


def _role(messages: object, index: int) -> object:
    message = messages[index] if isinstance(messages, Sequence) else None
    return message.get("role") if isinstance(message, Mapping) else None


def _read(message: object) -> tuple[str, str, bool]:
    """Role and text of a message, and whether it holds nothing else."""
    if not isinstance(message, Mapping):
        return "", "", False
    role, metadata = message.get("role"), message.get("metadata")
    if role not in ("user", "assistant", "system"):
        return "", "", False
    if isinstance(metadata, Mapping) and metadata.get("title"):
        return role, "", True
    text = text_of(message.get("content"))
    return (role, "", False) if text is None else (role, text, True)


def text_of(content: Any) -> str | None:
    """The text of a message's content, a blank line between its parts; ``None`` if it holds anything else."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        text = content.get("text")
        return text if content.get("type", "text") == "text" and isinstance(text, str) else None
    if not isinstance(content, Sequence):
        return None
    parts = [text_of(part) if isinstance(part, Mapping) else None for part in content]
    return None if any(part is None for part in parts) else BETWEEN.join(part for part in parts if part)
