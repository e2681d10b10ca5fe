"""A reviewer's look at what was found, and their word that a hit is none: an event of the log, like every judgement."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from labeler.core.conversation import Conversation
from labeler.core.events import NewEvent, SpanReviewed
from labeler.core.folding import replay
from labeler.core.redaction import Hit, hits_in
from labeler.errors import LogError, SeqConflict, StudyError
from labeler.ids import event_id, text_sha256
from labeler.redaction.finders import finder_of
from labeler.redaction.scanner import Scanner
from labeler.store import Store, event_of
from labeler.store.beginning import STUDY_ANNOTATOR
from labeler.study import Redaction, Study

_CONTEXT = 24
_DIGEST_CHARS = 16
_HIT_ID = re.compile(rf"(?P<conversation>.+):(?P<digest>[0-9a-f]{{{_DIGEST_CHARS}}}):(?P<start>\d+)-(?P<end>\d+)")
_SAVE_EVERY = 1000


@dataclass(frozen=True, slots=True)
class FoundHit:
    """A hit under the name by which a reviewer can speak of it."""

    conversation_id: str
    hit: Hit

    @property
    def id(self) -> str:
        span = self.hit.span
        return f"{self.conversation_id}:{text_sha256(self.hit.text)[:_DIGEST_CHARS]}:{span.start}-{span.end}"

    @property
    def context(self) -> tuple[str, str, str]:
        """A little of what stands before it, the hit, and a little of what stands behind, each on one line."""
        text, span = self.hit.text, self.hit.span
        parts = (text[max(0, span.start - _CONTEXT) : span.start], self.hit.value, text[span.end : span.end + _CONTEXT])
        return parts[0].replace("\n", " "), parts[1].replace("\n", " "), parts[2].replace("\n", " ")


def redaction_of(study: Study) -> Redaction:
    """
    Raises:
        StudyError: the study looks for nothing.
    """
    if study.redaction is None:
        raise StudyError(
            "the study looks for no personal data: set key 'redaction' in the study file (replace or block)"
        )
    return study.redaction


def found_hits(store: Store, study: Study) -> Iterator[FoundHit]:
    """Every hit in the log, conversation after conversation. What nobody has scanned is scanned now, and remembered.

    Raises:
        StudyError: the study looks for nothing, or its finder is not installed.
        StoreError, LogError: the log cannot be read.
    """
    spec = redaction_of(study)
    scanner, position = Scanner(store, finder_of(spec.finder)), store.position()
    for first in range(0, store.conversation_count(position), _SAVE_EVERY):
        for conversation_id, rows in store.shard_rows(first, first + _SAVE_EVERY, position):
            try:
                conversation = replay(conversation_id, [event_of(conversation_id, row) for row in rows])
            except LogError:
                continue  # no export reads it either; labeler verify names it
            for hit in hits_in(conversation, scanner.find, frozenset(spec.kinds)):
                yield FoundHit(conversation_id, hit)
        scanner.save()


def review(store: Store, study: Study, hit_id: str, *, restored: bool, at: str) -> FoundHit:
    """Say that a hit is none, or that it is one after all. Its value is shown, or not, wherever it stands in the
    conversation, from the next export on.

    Raises:
        StudyError: the study looks for nothing, or its finder is not installed.
        LogError: no hit has this id.
        StoreError: the database cannot be written.
    """
    spec, place = redaction_of(study), _HIT_ID.fullmatch(hit_id)
    if place is None:
        raise LogError(f"'{hit_id}' is no hit; labeler redaction list names them")
    while True:
        stream = store.load(place["conversation"])
        found = _hit_at(replay(place["conversation"], stream), hit_id, spec, store) if stream else None
        if found is None:
            raise LogError(f"'{hit_id}' is no hit of this log; labeler redaction list names them")
        if found.hit.restored is restored:
            return found
        try:
            store.append([_reviewed(found, stream[-1].seq + 1, restored, at)])
        except SeqConflict:
            continue  # somebody annotates it right now: look again
        return FoundHit(found.conversation_id, found.hit._replace(restored=restored))


def _reviewed(found: FoundHit, seq: int, restored: bool, at: str) -> NewEvent:
    span = found.hit.span
    return NewEvent(
        event_id=event_id(STUDY_ANNOTATOR, f"review:{found.id}:{seq}", 0),
        conversation_id=found.conversation_id,
        seq=seq,
        at=at,
        annotator_id=STUDY_ANNOTATOR,
        payload=SpanReviewed(
            text_sha256=text_sha256(found.hit.text),
            start=span.start,
            end=span.end,
            span_kind=span.kind,
            restored=restored,
        ),
    )


def _hit_at(conversation: Conversation, hit_id: str, spec: Redaction, store: Store) -> FoundHit | None:
    scanner = Scanner(store, finder_of(spec.finder))
    hits = (FoundHit(conversation.id, hit) for hit in hits_in(conversation, scanner.find, frozenset(spec.kinds)))
    return next((hit for hit in hits if hit.id == hit_id), None)
