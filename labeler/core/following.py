"""From a conversation that is stored, and what a browser shows now, to the events that lie between.

A foreign chat page makes its answers itself and tells nobody. What it shows is compared with the branch that shows
here, and what is new, gone or otherwise becomes events; then both show the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labeler.core import gestures
from labeler.core.conversation import Conversation, Message
from labeler.core.copies import Copy, Said
from labeler.core.events import (
    ConversationCleared,
    MessageSent,
    Payload,
    ReplyFinished,
    ReplyStarted,
    Status,
    TurnUndone,
)
from labeler.errors import GestureRefused
from labeler.ids import text_sha256

# What the sampling of an answer says that was there already when the words before it were edited.
CARRIED = {"carried_over": True}
MOVED = "The chat shows something else than what is recorded. Say something, or reload the page."


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand:
    """What is needed to write down what a foreign page did.

    ``ending`` says how the last answer ended; ``None``: it may still be written, so it is not recorded yet.
    ``answered`` says that the page answered an edit with it: it was not there before. ``whole``: the copy is all there
    is, so that what it lacks is gone.
    """

    ids: Callable[[], str]
    model: str
    ending: Status | None = "complete"
    answered: bool = False
    whole: bool = True


def shown(conversation: Conversation) -> list[Message]:
    """What the conversation's own branch shows: its visible path without answers that have no text."""
    return [message for message in conversation.visible() if not _silent(message)]


def same_chat(conversation: Conversation, copy: Copy) -> bool:
    """Whether a copy can be a later state of this conversation: both begin alike, or one has not begun."""
    path = shown(conversation)
    return not path or not copy.said or (path[0].role, path[0].content) == (copy.said[0].role, copy.said[0].text)


def follow(conversation: Conversation, copy: Copy, hand: Hand) -> list[Payload]:
    """What happened since: after these events the conversation shows what the copy shows.

    An answer that is gone, with nothing in its place, is the one thing that leaves no event: its page is about to
    answer anew.
    """
    return _Steps(conversation, hand).follow(copy)


class _Steps:
    """One walk down the branch that shows, beside the copy."""

    def __init__(self, conversation: Conversation, hand: Hand) -> None:
        self._messages = conversation.messages
        self._hand = hand
        self._path = conversation.visible()
        self._rest = list(self._path)
        self._parent: str | None = None
        self._payloads: list[Payload] = []
        self._system = conversation.started.system_prompt if conversation.started else None

    def follow(self, copy: Copy) -> list[Payload]:
        place = self._agreed(copy.said)
        news = list(copy.said[place:])
        if self._hand.ending is None and news and news[-1].role == "assistant":
            news.pop()
        if place < len(copy.said):
            self._grow(news)
        elif self._hand.whole:
            self._shrink(copy)
        if self._hand.ending in ("stopped", "failed") and copy.said and copy.said[-1].role == "user":
            self._came_to_nothing()
        return self._payloads

    def _agreed(self, said: Sequence[Said]) -> int:
        """Go on while both say the same; returns how far that is."""
        for place, one in enumerate(said):
            while self._rest and _silent(self._rest[0]) and not self._awaited(one):
                self._give_up(self._rest.pop(0))
            if not self._rest or self._awaited(one) or not _alike(self._rest[0], one):
                return place
            self._parent = self._rest.pop(0).id
        return len(said)

    def _awaited(self, one: Said) -> bool:
        """Whether this is the text of the reply that comes next here."""
        return one.role == "assistant" and bool(self._rest) and _pending(self._rest[0])

    def _give_up(self, silent: Message) -> None:
        """The page went on without the answer that was to come here."""
        if _pending(silent):
            self._finish(silent.id, "", "failed")

    def _grow(self, news: Sequence[Said]) -> None:
        twin = None if self._hand.answered else self._twin()
        for number, one in enumerate(news):
            ending: Status = "complete"
            if number == len(news) - 1 and self._hand.ending is not None:
                ending = self._hand.ending
            twin = self._twin_of(twin, one)
            if one.role == "user":
                self._send(one.text)
            elif self._awaited(one):
                self._parent = self._finish(self._rest.pop(0).id, one.text, ending)
            else:
                self._answer(one.text, ending, carried=twin is not None)

    def _shrink(self, copy: Copy) -> None:
        """The copy ends before the branch does."""
        gone = [message for message in self._rest if not _silent(message)]
        if not gone:
            return
        if not copy.said:
            self._payloads.append(ConversationCleared())
        elif gone[0].role == "user":
            self._payloads.append(undone(gone[0], self._path))

    def _came_to_nothing(self) -> None:
        """The page failed before it had answered the last message with anything."""
        assert self._hand.ending is not None
        if not self._rest or not _silent(self._rest[0]):
            self._answer("", self._hand.ending, carried=False)
        elif _pending(self._rest[0]):
            self._finish(self._rest[0].id, "", self._hand.ending)

    # ── what was there before an edit ──

    def _twin(self) -> Message | None:
        """The message that the last one agreed upon was edited from."""
        last = self._messages.get(self._parent or "")
        return self._messages.get(last.edits) if last and last.edits else None

    def _twin_of(self, twin: Message | None, one: Said) -> Message | None:
        """What was said there before the edit, if it is the same again."""
        children = [self._messages[child] for child in twin.children] if twin else []
        return next((child for child in children if _alike(child, one)), None)

    # ── events ──

    def _send(self, text: str) -> None:
        message_id = self._hand.ids()
        self._payloads.append(MessageSent(message_id=message_id, parent_id=self._parent, content=text))
        self._parent = message_id
        self._rest = []

    def _answer(self, text: str, ending: Status, *, carried: bool) -> None:
        assert self._parent is not None
        reply = started(self._hand, self._parent, self._system, carried=carried)
        self._payloads.append(reply)
        self._finish(reply.message_id, text, ending)
        self._parent = reply.message_id
        self._rest = []

    def _finish(self, message_id: str, text: str, ending: Status) -> str:
        self._payloads.append(ReplyFinished(message_id=message_id, content=text, status=ending))
        return message_id


def started(
    hand: Hand, parent_id: str, system: str | None, *, retries: str | None = None, carried: bool = False
) -> ReplyStarted:
    """A reply of the page's own model: what it was drawn with, only the page knows."""
    return ReplyStarted(
        message_id=hand.ids(),
        parent_id=parent_id,
        model=hand.model,
        model_id=hand.model,
        model_revision=None,
        sampling=CARRIED if carried else {},
        system_prompt_sha256=text_sha256(system) if system else None,
        retries=retries,
    )


# ── gestures, on a conversation that shows what the copy shows ──


def node_at(conversation: Conversation, copy: Copy, place: int, line: str = MOVED) -> Message:
    """The message in this place of the copy.

    Raises:
        GestureRefused: with the line, if another one stands there, or none.
    """
    path = shown(conversation)
    if place >= len(path) or not _alike(path[place], copy.said[place]):
        raise GestureRefused(line)
    return path[place]


def retry(conversation: Conversation, copy: Copy, place: int, hand: Hand) -> list[Payload]:
    """The page is about to answer the message in this place again."""
    asked = node_at(conversation, copy, place)
    if asked.role != "user":
        raise GestureRefused(MOVED)
    path = conversation.visible()
    below = path[path.index(asked) + 1 :]
    payloads: list[Payload] = [
        ReplyFinished(message_id=one.id, content="", status="failed") for one in below[:1] if _pending(one)
    ]
    answer = next((one for one in below[:1] if one.role == "assistant" and not _silent(one)), None)
    system = conversation.started.system_prompt if conversation.started else None
    return [*payloads, started(hand, asked.id, system, retries=answer.id if answer else None)]


def undo(conversation: Conversation, copy: Copy, place: int) -> list[Payload]:
    """The message in this place, and all that follows, is taken back."""
    message = node_at(conversation, copy, place)
    if message.role != "user":
        raise GestureRefused(MOVED)
    return [undone(message, conversation.visible())]


def undone(message: Message, path: Sequence[Message]) -> TurnUndone:
    last = path[-1]
    return TurnUndone(message_id=message.id, answer_id=last.id if last.role == "assistant" else None)


def edit(conversation: Conversation, place: int, text: str, hand: Hand) -> list[Payload]:
    """The message or answer in this place now has other words; ``text`` is all of it."""
    path = shown(conversation)
    if place >= len(path):
        raise GestureRefused(MOVED)
    old = path[place]
    if old.role == "assistant":
        return gestures.edit_answer(conversation, old.id, hand.ids(), text)
    if text == old.content:
        return []
    if not text.strip():
        raise GestureRefused("A message cannot be empty.")
    return [MessageSent(message_id=hand.ids(), parent_id=old.parent_id, content=text, edits=old.id)]


def _pending(message: Message) -> bool:
    return message.role == "assistant" and message.status is None


def _silent(message: Message) -> bool:
    return message.role == "assistant" and not message.content


def _alike(message: Message, one: Said) -> bool:
    return (message.role, message.content) == (one.role, one.text)
