"""Rows of other people's data sets as conversations to review: the shapes they come in, and the events they become.

    prompt + chosen + rejected      TRL's preference rows; the prompt may stand in front of both instead
    prompt + completion + label     TRL's unpaired rows
    chosen + rejected, plain text   dialogues with "\\n\\nHuman:" and "\\n\\nAssistant:" as in hh-rlhf
    conversation_a + conversation_b arena battles, with winner and the models' names

The label that a row has is the word of whoever labelled it: a first vote, which no reviewer sees.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from labeler.core.bodies import canonical_json
from labeler.core.events import (
    Compared,
    ConversationStarted,
    MessageSent,
    NewEvent,
    Payload,
    ReplyFinished,
    ReplyStarted,
    VoteCast,
    Winner,
)
from labeler.core.standing import NOBODY
from labeler.core.text import normal
from labeler.ids import event_id, sha256_hex, text_sha256

UNKNOWN = "imported"
STRENGTH = 2
_TURN = re.compile(r"\n\n(Human|Assistant):")
_ROLES = {"human": "user", "prompter": "user", "gpt": "assistant", "model": "assistant"}
WINNERS: Mapping[str, Winner] = {
    "model_a": "a",
    "model_b": "b",
    "a": "a",
    "b": "b",
    "tie": "tie",
    "tie (bothbad)": "both_bad",
    "both_bad": "both_bad",
    "bothbad": "both_bad",
}

Message = tuple[str, str]
"""Role and content."""


class Misfit(ValueError):
    """A row that cannot be taken; the text says why, in words that fit behind its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """One row: a prompt that ends with the user's words, one or two answers to it, and what was said of them."""

    prompt: tuple[Message, ...]
    answers: tuple[str, ...]
    models: tuple[str, ...]
    winner: Winner | None = None
    label: bool | None = None
    gold: bool = False


def imported(row: Mapping[str, Any]) -> Imported:
    """Read a row of any shape that is known. Raises Misfit."""
    has = {name for name, value in row.items() if value is not None}
    if {"conversation_a", "conversation_b"} <= has:
        read = _battle(row)
    elif {"chosen", "rejected"} <= has:
        read = _preference(row)
    elif {"completion", "label"} <= has:
        read = _unpaired(row)
    else:
        raise Misfit("no columns that are known: chosen and rejected, completion and label, or two conversations")
    gold = row.get("gold") or False
    if not isinstance(gold, bool):
        raise Misfit("'gold' is true or false")
    return _checked(replace(read, gold=gold))


def _checked(read: Imported) -> Imported:
    _check_prompt(read.prompt)
    texts = [*(text for _, text in read.prompt), *read.answers]
    if not all(text.strip() for text in texts):
        raise Misfit("a message or an answer is empty")
    if len(read.answers) == 2 and normal(read.answers[0]) == normal(read.answers[1]):
        raise Misfit("its two answers are the same")
    if read.gold and read.winner is None and read.label is None:
        raise Misfit("a gold row has to say which answer is right")
    return read


def prompt_in(row: Mapping[str, Any]) -> tuple[Message, ...]:
    """The prompt of a row that has nothing else. Raises Misfit."""
    if row.get("prompt") is None:
        raise Misfit("no column 'prompt'")
    prompt = _messages(row["prompt"], "prompt")
    _check_prompt(prompt)
    if not all(text.strip() for _, text in prompt):
        raise Misfit("a message is empty")
    return prompt


def _check_prompt(prompt: Sequence[Message]) -> None:
    if not prompt or prompt[-1][0] != "user":
        raise Misfit("its prompt does not end with the user's words")
    if any(role == "system" for role, _ in prompt[1:]):
        raise Misfit("a system message stands in the middle of its prompt")
    roles = [role for role, _ in prompt if role != "system"]
    if roles[0] != "user" or any(one == other for one, other in pairwise(roles)):
        raise Misfit("the roles of its prompt do not alternate, beginning with the user")


# ── the shapes ──


def _preference(row: Mapping[str, Any]) -> Imported:
    prompt = _messages(row.get("prompt"), "prompt")
    chosen, rejected = (_messages(row[name], name, last="assistant") for name in ("chosen", "rejected"))
    if not prompt:
        shared = 0
        while shared < min(len(chosen), len(rejected)) - 1 and chosen[shared] == rejected[shared]:
            shared += 1
        prompt, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    answers = _answer(chosen, "chosen"), _answer(rejected, "rejected")
    models = str(row.get("chosen_model") or UNKNOWN), str(row.get("rejected_model") or UNKNOWN)
    # Whoever always finds the better one first learns nothing of the answers.
    if int(sha256_hex(*answers)[:2], 16) % 2:
        return Imported(prompt=prompt, answers=answers[::-1], models=models[::-1], winner="b")
    return Imported(prompt=prompt, answers=answers, models=models, winner="a")


def _unpaired(row: Mapping[str, Any]) -> Imported:
    label = row.get("label")
    if not isinstance(label, bool):
        raise Misfit("'label' is true or false")
    answer = _answer(_messages(row["completion"], "completion", last="assistant"), "completion")
    model = str(row.get("model") or UNKNOWN)
    return Imported(prompt=_messages(row.get("prompt"), "prompt"), answers=(answer,), models=(model,), label=label)


def _battle(row: Mapping[str, Any]) -> Imported:
    a, b = (_messages(row[f"conversation_{side}"], f"conversation_{side}") for side in "ab")
    if len(a) != len(b) or a[:-1] != b[:-1]:
        raise Misfit("its two conversations differ before their last answers, so they have no common prompt")
    winner = WINNERS.get(str(row.get("winner")).lower()) if row.get("winner") is not None else None
    if row.get("winner") is not None and winner is None:
        raise Misfit(f"'winner' is {row['winner']!r}; known are {', '.join(WINNERS)}")
    models = str(row.get("model_a") or UNKNOWN), str(row.get("model_b") or UNKNOWN)
    answers = _answer(a[-1:], "conversation_a"), _answer(b[-1:], "conversation_b")
    return Imported(prompt=a[:-1], answers=answers, models=models, winner=winner)


def _answer(messages: Sequence[Message], name: str) -> str:
    if len(messages) != 1 or messages[0][0] != "assistant":
        raise Misfit(f"'{name}' is not one answer to the prompt")
    return messages[0][1]


def _messages(value: object, name: str, last: str = "user") -> tuple[Message, ...]:
    """Messages from a list of them, a dialogue in plain text, or a text alone, which is said by ``last``."""
    if value is None:
        return ()
    if isinstance(value, str):
        return _dialogue(_whole(value)) or ((last, value),)
    if not isinstance(value, Sequence):
        raise Misfit(f"'{name}' is neither a text nor a list of messages")
    return tuple(_message(one, name) for one in value)


def _message(value: object, name: str) -> Message:
    if not isinstance(value, Mapping):
        raise Misfit(f"'{name}' holds something else than messages")
    role, content = value.get("role", value.get("from")), value.get("content", value.get("value"))
    if not isinstance(role, str) or not isinstance(content, str):
        raise Misfit(f"'{name}' holds a message without a role and a text")
    role = _ROLES.get(role.lower(), role.lower())
    if role not in ("system", "user", "assistant"):
        raise Misfit(f"'{name}' holds a message of {role!r}; known are system, user and assistant")
    return role, _whole(content)


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Misfit("a text holds half a character (a lone surrogate)") from None
    return text


def _dialogue(text: str) -> tuple[Message, ...]:
    """The turns of a dialogue in plain text; none if it is no dialogue."""
    if not _TURN.match(text):
        return ()
    parts = _TURN.split(text)[1:]
    roles = {"Human": "user", "Assistant": "assistant"}
    return tuple((roles[role], said.strip()) for role, said in zip(parts[::2], parts[1::2], strict=True))


# ── the events ──


def events_of(row: Imported, *, source: str, study: str, at: str) -> list[NewEvent]:
    """The conversation of a row. The same row of the same source has the same ids, whenever it is read."""
    known = canonical_json(
        {"prompt": [list(one) for one in row.prompt], "answers": list(row.answers), "gold": row.gold}
    )
    conversation_id = named("import", source, known)
    return told_by(NOBODY + source, conversation_id, _payloads(row, conversation_id, study), at)


def named(what: str, source: str, known: str) -> str:
    """The id of the conversation that something known about a source makes."""
    digest = sha256_hex(what, source, known)
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))


def told_by(owner: str, conversation_id: str, payloads: Sequence[Payload], at: str) -> list[NewEvent]:
    """The events of a conversation that nobody held."""
    return [
        NewEvent(
            event_id=event_id(owner, f"import:{conversation_id}", index),
            conversation_id=conversation_id,
            seq=index + 1,
            at=at,
            annotator_id=owner,
            payload=payload,
        )
        for index, payload in enumerate(payloads)
    ]


def _payloads(row: Imported, conversation_id: str, study: str) -> list[Payload]:
    system = system_in(row.prompt)
    mode = "gold" if row.gold else "import"
    started = ConversationStarted(study=study, mode=mode, model="", system_prompt=system)
    asked, parent = prompt_payloads(row.prompt, conversation_id, system)
    payloads: list[Payload] = [started, *asked]
    names = [f"{conversation_id}.{side}" for side in "ab"[: len(row.answers)]]
    for name, model, text in zip(names, row.models, row.answers, strict=True):
        payloads += _reply(name, parent, model, text, system)
    if row.winner is not None:
        strength = STRENGTH if row.winner in ("a", "b") else 0
        payloads.append(
            Compared(message_a=names[0], message_b=names[1], winner=row.winner, strength=strength, position="")
        )
    if row.label is not None:
        payloads.append(VoteCast(message_id=names[0], vote=1 if row.label else -1))
    return payloads


def system_in(prompt: Sequence[Message]) -> str | None:
    """The system message with which a prompt begins, if it does."""
    return prompt[0][1] if prompt[0][0] == "system" else None


def prompt_payloads(prompt: Sequence[Message], conversation_id: str, system: str | None) -> tuple[list[Payload], str]:
    """The messages of a prompt, and the id of the last of them; the ``system`` message stands elsewhere."""
    payloads: list[Payload] = []
    parent: str | None = None
    for number, (role, text) in enumerate(one for one in prompt if one[0] != "system"):
        message_id = f"{conversation_id}.{number}"
        if role == "user":
            payloads.append(MessageSent(message_id=message_id, parent_id=parent, content=text))
        else:
            payloads += _reply(message_id, str(parent), UNKNOWN, text, system)
        parent = message_id
    return payloads, str(parent)


def _reply(message_id: str, parent_id: str, model: str, text: str, system: str | None) -> list[Payload]:
    started = ReplyStarted(
        message_id=message_id,
        parent_id=parent_id,
        model=model,
        model_id=model,
        model_revision=None,
        sampling={},
        system_prompt_sha256=text_sha256(system) if system else None,
    )
    return [started, ReplyFinished(message_id=message_id, content=text, status="complete")]
