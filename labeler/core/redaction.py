"""Taking personal data and secrets out of a conversation before anything is derived from it.

A finder (``labeler.redaction``) says where they stand; here is what becomes of them. The conversation itself is
changed, before the rules read it, so a text is the same wherever it goes on to: prompt, chosen, rejected, messages.
Within a conversation one value has one placeholder, and two values have two.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from operator import not_
from typing import Literal, NamedTuple, TypeVar

from labeler.core.conversation import Conversation
from labeler.core.records import (
    Candidate,
    Demonstration,
    Derived,
    Exclusion,
    PreferencePair,
    Prompt,
    UnpairedPreference,
)
from labeler.core.rules.book import REASONS
from labeler.ids import text_sha256

# Grows when the same hits become other texts.
REDACTOR_VERSION = 1

Policy = Literal["replace", "block", "keep"]
PERSONAL_DATA = "personal_data"
# What stands for a text that cannot be cleaned: every placeholder makes a new hit with what is around it.
WITHHELD = "<WITHHELD>"
_ROUNDS = 3
_NOT_IN_VALUE = re.compile(r"[\W_]+")


class Span(NamedTuple):
    """A hit: ``text[start:end]`` in code points, and what it is (``EMAIL``, ``SECRET``, ...)."""

    start: int
    end: int
    kind: str


Name = tuple[str, str]
R = TypeVar("R", PreferencePair, UnpairedPreference, Demonstration)

Find = Callable[[Sequence[str]], Mapping[str, Sequence[Span]]]
"""Texts to their hits, some of which may overlap. Every text that was asked for is in the answer."""


class Hit(NamedTuple):
    """A hit in a conversation, with all a reviewer needs. ``restored``: a reviewer said that it is none."""

    text: str
    span: Span
    placeholder: str
    restored: bool

    @property
    def value(self) -> str:
        return self.text[self.span.start : self.span.end]


def apart(spans: Iterable[Span]) -> list[Span]:
    """Hits in order and without overlaps: those that overlap become one, of the kind of the longest."""
    kept: list[Span] = []
    longest = 0
    for span in sorted(spans):
        length = span.end - span.start
        if kept and span.start < kept[-1].end:
            kind = span.kind if length > longest else kept[-1].kind
            kept[-1] = Span(kept[-1].start, max(kept[-1].end, span.end), kind)
            longest = max(longest, length)
        else:
            kept.append(span)
            longest = length
    return kept


def value_name(kind: str, value: str) -> Name:
    """What makes two hits one: an address in capitals is the same address, a number with spaces the same number."""
    return kind, value if kind == "SECRET" else _NOT_IN_VALUE.sub("", value).casefold()


def texts_of(conversation: Conversation) -> list[str]:
    """Every text of a conversation that may be published, each once, in the order of the log."""
    started = conversation.started
    texts = [started.system_prompt] if started and started.system_prompt else []
    dated = [(message.seq, message.content) for message in conversation.messages.values()]
    dated += [(fact.seq, fact.comment) for fact in conversation.reasons]
    dated += [(fact.seq, fact.compared.comment) for fact in conversation.comparisons if fact.compared]
    return list(dict.fromkeys([*texts, *(text for _, text in sorted(dated, key=lambda one: one[0]) if text)]))


def hits_in(conversation: Conversation, find: Find, kinds: frozenset[str]) -> list[Hit]:
    """Every hit of these kinds, in the order in which they stand in the log."""
    return _Names(conversation, find, kinds).hits_in(texts_of(conversation))


def redact(conversation: Conversation, policy: Policy, kinds: frozenset[str], find: Find) -> Redacted:
    """Do with the hits of a conversation what the policy says, in place.

    ``replace``: placeholders, numbered by kind. ``block``: messages with a hit are barred, and all that rests on them;
    comments with one are left out. ``keep``: nothing.
    """
    names = _Names(conversation, find, kinds)
    found = Counter(hit.span.kind for hit in names.hits_in(texts_of(conversation)) if not hit.restored)
    if found and policy == "replace":
        conversation.opener = conversation.messages[conversation.roots[0]].content if conversation.roots else None
        _rewrite(conversation, names.clean)
    elif found and policy == "block":
        _block(conversation, names)
    return Redacted(found, policy, names)


@dataclass(frozen=True, slots=True)
class Redacted:
    """What was done to one conversation: ``found`` counts its hits by kind, without those that a reviewer restored."""

    found: Counter[str]
    _policy: Policy
    _names: _Names

    def recheck(self, derived: Derived) -> None:
        """Look the records over again as they would be published, and take out what holds a hit.

        One may still show where two texts were joined. What is taken out goes to the ledger.
        """
        derived.redacted.update(self.found)
        if self._policy == "keep":
            return
        self._names.look_at(_published(derived))
        derived.messages[:] = [
            row._replace(content=WITHHELD) if self._names.any_in([row.content]) else row for row in derived.messages
        ]
        for pair in _taken_out(derived.pairs, self._holds_one, ("chosen", "rejected")):
            _leave_out(derived, pair.chosen, pair.rejected)
        for unpaired in _taken_out(derived.unpaired, self._holds_one, ("completion",)):
            _leave_out(derived, unpaired.completion)
        for shown in _taken_out(derived.demonstrations, self._holds_one, ("completion",)):
            _leave_out(derived, shown.completion)

    def _holds_one(self, prompt: Prompt, answers: Iterable[Candidate]) -> bool:
        texts = [message["content"] for message in prompt.messages]
        return self._names.any_in([*texts, *(answer.content for answer in answers)])


def _published(derived: Derived) -> list[str]:
    """Every text of the records and of the messages."""
    pairs, singles = derived.pairs, [(one.prompt, one.completion) for one in derived.unpaired]
    singles += [(one.prompt, one.completion) for one in derived.demonstrations]
    prompts = {id(prompt): prompt for prompt in (*(pair.prompt for pair in pairs), *(prompt for prompt, _ in singles))}
    texts = [message["content"] for prompt in prompts.values() for message in prompt.messages]
    texts += [answer.content for pair in pairs for answer in (pair.chosen, pair.rejected)]
    texts += [answer.content for _, answer in singles]
    return texts + [row.content for row in derived.messages]


def _leave_out(derived: Derived, *answers: Candidate) -> None:
    ids = tuple(answer.message_id for answer in answers)
    derived.ledger.append(Exclusion(ids, REASONS[PERSONAL_DATA][0], PERSONAL_DATA))


def _taken_out(
    records: list[R], holds_one: Callable[[Prompt, Iterable[Candidate]], bool], sides: tuple[str, ...]
) -> list[R]:
    verdicts = [holds_one(record.prompt, [getattr(record, side) for side in sides]) for record in records]
    out = list(compress(records, verdicts))
    if out:
        records[:] = compress(records, map(not_, verdicts))
    return out


class _Names:
    """The placeholders of one conversation, given in the order of the log, and what its reviewers restored."""

    def __init__(self, conversation: Conversation, find: Find, kinds: frozenset[str]) -> None:
        self._find, self._kinds = find, kinds
        self._seen: dict[str, list[Span]] = {}
        self._numbers: dict[Name, int] = {}
        self._restored = _restored(conversation)

    def hits_in(self, texts: Sequence[str]) -> list[Hit]:
        self.look_at(texts)
        return [self._hit(text, span) for text in texts for span in self._seen[text]]

    def look_at(self, texts: Iterable[str]) -> None:
        """Have many texts searched at once: a finder's memory is slow to ask for one after the other."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self._seen]
        if fresh:
            for text, spans in self._find(fresh).items():
                self._seen[text] = apart(span for span in spans if span.kind in self._kinds)

    def _hit(self, text: str, span: Span) -> Hit:
        name = value_name(span.kind, text[span.start : span.end])
        return Hit(text, span, self._placeholder(name), name in self._restored)

    def _placeholder(self, name: Name) -> str:
        kind = name[0]
        if name not in self._numbers:
            self._numbers[name] = 1 + sum(other == kind for other, _ in self._numbers)
        return f"<{kind}_{self._numbers[name]}>"

    def any_in(self, texts: Sequence[str]) -> bool:
        return any(not hit.restored for hit in self.hits_in(texts))

    def clean(self, text: str) -> str:
        """The text with placeholders. A placeholder may make a hit with its neighbours, so it is looked at again."""
        for _ in range(_ROUNDS):
            hits = [hit for hit in self.hits_in([text]) if not hit.restored]
            if not hits:
                return text
            for hit in reversed(hits):
                text = text[: hit.span.start] + hit.placeholder + text[hit.span.end :]
        return WITHHELD if self.any_in([text]) else text


def _restored(conversation: Conversation) -> set[Name]:
    """The values that the last review of each calls no hit. A value is restored wherever it stands, or prompt and
    answers would differ in it."""
    if not conversation.reviews:
        return set()
    texts = {text_sha256(text): text for text in texts_of(conversation)}
    verdicts = {
        value_name(review.span_kind, texts[review.text_sha256][review.start : review.end]): review.restored
        for review in conversation.reviews
        if review.text_sha256 in texts
    }
    return {name for name, restored in verdicts.items() if restored}


# ── what becomes of a conversation ──


def _rewrite(conversation: Conversation, clean: Callable[[str], str]) -> None:
    started = conversation.started
    if started is not None and started.system_prompt:
        conversation.started = replace(started, system_prompt=clean(started.system_prompt))
    for message in conversation.messages.values():
        message.content = clean(message.content)
    _rewrite_comments(conversation, clean)


def _rewrite_comments(conversation: Conversation, clean: Callable[[str], str]) -> None:
    conversation.reasons = [replace(fact, comment=clean(fact.comment)) for fact in conversation.reasons]
    conversation.comparisons = [
        replace(fact, compared=replace(fact.compared, comment=clean(fact.compared.comment))) if fact.compared else fact
        for fact in conversation.comparisons
    ]


def _block(conversation: Conversation, names: _Names) -> None:
    started = conversation.started
    everything = started is not None and bool(started.system_prompt) and names.any_in([str(started.system_prompt)])
    conversation.blocked = {
        message.id: PERSONAL_DATA
        for message in conversation.messages.values()
        if everything or names.any_in([message.content])
    }
    _rewrite_comments(conversation, lambda comment: "" if names.any_in([comment]) else comment)
