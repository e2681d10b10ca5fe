"""What chat and side-by-side have in common: checks, turns of which one tab wins, models that write.

Whoever wants something of the log goes through here, so that consent, ownership, limits and nonces are checked once and
in one way.
"""

from __future__ import annotations

import random
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass

from labeler.chat.consents import Consents
from labeler.chat.desk import MOVED_ON, Decide, Desk, Gesture, Receipt
from labeler.chat.replicas import Replicas
from labeler.chat.replies import Replies, Reply
from labeler.chat.room import with_room
from labeler.chat.views import LOST, Elsewhere, Written
from labeler.core import gestures
from labeler.core.conversation import Conversation
from labeler.core.events import Event, Payload, ReplyFinished, ReplyStarted
from labeler.core.text import chat_messages
from labeler.errors import ConsentNeeded, GestureRefused, NotFound, SeqConflict, StoreError
from labeler.ids import event_id, new_id, text_sha256
from labeler.models import ChatModel, Sampling
from labeler.store import Store
from labeler.store.answering import Answering, Texts
from labeler.study import Study

# A client's nonce holds no colon, so that no client can take the id of an event that the server itself will append.
NONCE = re.compile(r"[A-Za-z0-9_-]{8,64}")
MAX_COMMENT = 2_000
BUSY = "An answer is still being written. Press Stop first, or wait for its end."
UNDER_WAY = "This is on its way to the log already, and has not arrived. Wait some seconds, then try again."
OTHER_PAGE = "That conversation belongs to another page."
NOT_STOPPED = "The server that writes this answer has not stopped it yet. Wait some seconds, then try again."
STOP_SECONDS = 5.0
LET_GO_SECONDS = 3.0
LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Claim:
    """What a page says it saw when a gesture was made; ``conversation_id`` is empty before the first message."""

    conversation_id: str
    turn_seq: int
    nonce: str


@dataclass(frozen=True, slots=True)
class Sight:
    """A conversation, and what is being written in it, by message: by this process or by another replica.

    ``running`` may be true a moment before anything is written: a reply is announced before it is stored.
    """

    conversation: Conversation
    written: Mapping[str, Written]
    running: bool


class Writing:
    """A study at work: its log, its models, and the conversations in use. Safe to call from any thread.

    Methods raise GestureRefused (and its kinds), SeqConflict, EventConflict or StoreError, each with a line for the
    page; then nothing was stored.
    """

    def __init__(
        self,
        study: Study,
        store: Store,
        models: Mapping[str, ChatModel],
        *,
        clock: Callable[[], str],
        ids: Callable[[], str] = new_id,
        chance: random.Random | None = None,
    ) -> None:
        self.study = study
        self._reasons = frozenset(study.vote_reasons)
        self.store = store
        self.models = models
        self.ids = ids
        self.chance = chance or secrets.SystemRandom()
        self.desk = Desk(store, clock)
        self.consents = Consents(study.consent, store, clock)
        self.replies = Replies(self._let_go)
        self._turning: dict[str, str] = {}
        self.replicas = Replicas(store, self.replies, self._end_lost)

    def close(self) -> None:
        """Store all running answers as stopped, and say that nothing is written here any more."""
        self.replies.close()
        self.replicas.close()

    # ── what is shown ──

    @contextmanager
    def seen(self, annotator_id: str, conversation_id: str) -> Iterator[Sight]:
        """What there is to be seen of a conversation, locked. Raises NotFound."""
        elsewhere = self._elsewhere(annotator_id, conversation_id)
        with self.desk.owned(annotator_id, conversation_id) as conversation:
            busy = self.replies.busy(conversation_id)
            written: dict[str, Written] = dict(self.replies.of(conversation_id))
            if elsewhere is not None and not busy:
                running = [one for one in _unfinished(conversation) if one in elsewhere.texts or not elsewhere.texts]
                written = {one: Elsewhere(elsewhere.texts.get(one, "")) for one in running}
            yield Sight(conversation, written, busy or bool(written))

    def _elsewhere(self, annotator_id: str, conversation_id: str) -> Answering | None:
        """What another replica writes there. Who writes is asked first, and then the log: the end of an answer is
        stored before its writer lets go."""
        if self.replies.busy(conversation_id):
            return None
        with self.desk.owned(annotator_id, conversation_id) as conversation:
            if not _unfinished(conversation):
                return None
        found = self.replicas.elsewhere(conversation_id)
        self.desk.look_again(conversation_id)
        return found

    def renew(self, study: Study) -> None:
        """Go on with the same study in other words: what begins from now on is checked and begun by those."""
        self._reasons |= frozenset(study.vote_reasons)  # first: a page that was just loaded offers them
        self.study = study
        self.consents.renew(study.consent)

    # ── checks ──

    def at_hand(self, annotator_id: str, conversation_id: str) -> bool:
        """Whether consent and conversation are known without a look into the log."""
        return self.consents.at_hand(annotator_id) and self.desk.at_hand(conversation_id)

    def check(self, annotator_id: str, nonce: str) -> None:
        check_nonce(nonce)
        self.check_consent(annotator_id)

    def check_consent(self, annotator_id: str) -> None:
        if self.consents.needed(annotator_id):
            raise ConsentNeeded("Read and accept the consent text first; until then nothing is collected.")

    def check_text(self, text: str) -> None:
        check_text(text, self.study.limits.message_chars)

    def check_rewrite(self, text: str) -> None:
        check_text(text, self.study.limits.edit_chars)

    def check_comment(self, text: str) -> None:
        check_text(text, self.study.limits.comment_chars)

    def known_reasons(self, reasons: Sequence[str]) -> tuple[str, ...]:
        """The reasons in the study's own order; behind them those that a page which is still open was loaded with."""
        if not set(reasons) <= self._reasons:
            raise GestureRefused("That reason is not one of this study's. Reload the page.")
        own = tuple(reason for reason in self.study.vote_reasons if reason in reasons)
        return own + tuple(sorted(set(reasons) - set(own)))

    def repeated(self, annotator_id: str, claim: Claim) -> str:
        """The conversation in which this very gesture was stored before, or an empty string."""
        self.check(annotator_id, claim.nonce)
        before = self.store.find(event_id(annotator_id, claim.nonce, 0))
        return before.conversation_id if before else ""

    # ── gestures that never conflict ──

    def never_conflicting(self, annotator_id: str, nonce: str, conversation_id: str, decide: Decide) -> Future[Receipt]:
        self.check(annotator_id, nonce)
        appended = self.desk.append(Gesture(annotator_id, nonce, conversation_id, with_room(decide, self.study.limits)))
        receipt: Future[Receipt] = Future()
        receipt.set_running_or_notify_cancel()  # whoever gives up waiting takes nothing back

        def settle(done: Future[list[Event]]) -> None:
            error = done.exception()
            if error is not None:
                receipt.set_exception(error)
                return
            events = done.result()
            receipt.set_result(Receipt(tuple(e.event_id for e in events), events[-1].position if events else None))

        appended.add_done_callback(settle)
        return receipt

    # ── turns and replies ──

    def begin(self, conversation: Conversation, annotator_id: str, nonce: str, payloads: Sequence[Payload]) -> None:
        """Store the first events of a conversation, and let the models write."""
        with self._turned(conversation.id, event_id(annotator_id, nonce, 0)):
            stored = self.store.append(self.desk.new_events(conversation, annotator_id, nonce, payloads))
            self._start_replies(stored)

    def turn(self, annotator_id: str, claim: Claim, decide: Decide) -> None:
        """Append a gesture on the tip; if it begins a reply, let the model write once the gesture is stored."""

        def checked(conversation: Conversation) -> list[Payload]:
            if conversation.turn_seq != claim.turn_seq:
                raise SeqConflict(MOVED_ON)
            return roomy(conversation)

        roomy = with_room(decide, self.study.limits)
        with self.desk.owned(annotator_id, claim.conversation_id):
            pass  # nobody holds up what is somebody else's
        try:
            with self._turned(claim.conversation_id, event_id(annotator_id, claim.nonce, 0)):
                # Decided again it still sees whether the tip has moved: what came first may have failed, or be a vote.
                gesture = Gesture(annotator_id, claim.nonce, claim.conversation_id, checked)
                self._start_replies(self.desk.append(gesture).result())
        except (GestureRefused, SeqConflict):
            if not self.repeated(annotator_id, claim):
                raise
            # Delivered before, and stored since this one was begun: it was in nobody's way but its own.

    def stop(self, conversation_id: str) -> None:
        """End running answers with the texts so far, wherever they are written. Nothing runs: nothing happens.

        Raises:
            StoreError: an end could not be stored; it stays and is tried again.
            GestureRefused: another replica does not stop.
        """
        self.replies.stop(conversation_id)
        if self.replicas.elsewhere(conversation_id) is None:
            return
        self.replicas.wish_stop(conversation_id)
        deadline = time.monotonic() + STOP_SECONDS
        while self.replicas.elsewhere(conversation_id) is not None:
            if time.monotonic() > deadline:
                raise GestureRefused(NOT_STOPPED)
            time.sleep(LOOK_SECONDS)
        self.desk.look_again(conversation_id)

    def _taken(self, conversation_id: str) -> bool:
        """Whether this replica is the one that writes there now. One that has ended its answers is about to let go."""
        deadline = time.monotonic() + LET_GO_SECONDS
        while not self.replicas.take(conversation_id):
            if time.monotonic() > deadline or self._answered_now(conversation_id):
                return False
            time.sleep(LOOK_SECONDS)
        return True

    def _answered_now(self, conversation_id: str) -> bool:
        """Whether the log has answers there whose end it has not."""
        owner = self.desk.owner(conversation_id)
        if owner is None:
            return False
        with self.desk.owned(owner, conversation_id) as conversation:
            return bool(_unfinished(conversation))

    @contextmanager
    def _turned(self, conversation_id: str, turn: str) -> Iterator[None]:
        """Hold a conversation, here and among replicas, while a turn is stored and its replies start.

        ``turn`` is the id of its first event. What is refused must not be stored later: a turn that is delivered again
        while it is under way, here or elsewhere, fails in a way that asks for another try.
        """
        with self.replies.announced(conversation_id) as free:
            if not free:
                raise StoreError(UNDER_WAY) if self._turning.get(conversation_id) == turn else GestureRefused(BUSY)
            self._turning[conversation_id] = turn
            try:
                # If the store does not say whether it was taken, a later beat lets go of it: whoever waits has waited
                # long enough.
                if not self._taken(conversation_id):
                    raise GestureRefused(BUSY) if self._answered_now(conversation_id) else StoreError(UNDER_WAY)
                try:
                    yield
                finally:
                    if not self.replies.of(conversation_id):
                        self.replicas.let_go(conversation_id)
            finally:
                del self._turning[conversation_id]

    def draw_from(self, model: ChatModel, system_prompt: str | None) -> gestures.Draw:
        sampling = model.sampling(seed=self.chance.randrange(2**31))
        return draw_of(model, self.ids(), sampling, system_prompt)

    def _start_replies(self, events: Sequence[Event]) -> None:
        replies = []
        for event in events:
            if isinstance(event.payload, ReplyStarted):
                replies.append(self._reply(event, event.payload))
        self.replies.start(replies)

    def _reply(self, event: Event, started: ReplyStarted) -> Reply:
        with self.desk.owned(event.annotator_id, event.conversation_id) as conversation:
            prompt = conversation.started.system_prompt if conversation.started else None
            messages = chat_messages(conversation.path(started.parent_id), prompt)
        model = self.models[started.model]

        def store_end(end: ReplyFinished) -> None:
            self._store_end(event.conversation_id, end)

        return Reply(
            conversation_id=event.conversation_id,
            message_id=started.message_id,
            model=model,
            messages=messages,
            sampling=model.sampling(seed=int(started.sampling["seed"])),
            store_end=store_end,
            watch=self.store.watch,
        )

    def _store_end(self, conversation_id: str, end: ReplyFinished) -> None:
        """Store how a reply ended, once, whoever says so; what was erased meanwhile has no end."""
        owner = self.desk.owner(conversation_id)
        if owner is None:
            return
        gesture = Gesture(
            owner, f"end:{end.message_id}", conversation_id, lambda conversation: gestures.finish(conversation, end)
        )
        with suppress(NotFound):
            self.desk.append(gesture).result()

    def _let_go(self, conversation_id: str) -> None:
        self.replicas.let_go(conversation_id)

    def _end_lost(self, conversation_id: str, texts: Texts) -> None:
        """End what a dead replica was writing."""
        owner = self.desk.owner(conversation_id)
        if owner is None:
            return
        with suppress(NotFound):
            with self.desk.owned(owner, conversation_id) as conversation:
                lost = _unfinished(conversation)
            for message_id in lost:
                end = ReplyFinished(
                    message_id=message_id, content=texts.get(message_id, ""), status="failed", error=LOST
                )
                self._store_end(conversation_id, end)


def _unfinished(conversation: Conversation) -> list[str]:
    """The answers whose end is not in the log."""
    return [one.id for one in conversation.messages.values() if one.status is None]


def draw_of(model: ChatModel, message_id: str, sampling: Sampling, system_prompt: str | None) -> gestures.Draw:
    """What is kept of a reply before it starts."""
    drawn = asdict(sampling)
    return gestures.Draw(
        message_id=message_id,
        model=model.name,
        model_id=model.model_id,
        model_revision=model.revision,
        sampling=drawn | {"stop": list(drawn["stop"])},
        system_prompt_sha256=text_sha256(system_prompt) if system_prompt else None,
    )


def check_text(text: str, most: int) -> None:
    if len(text) > most:
        raise GestureRefused(f"That is too long: {len(text):,} characters, at most {most:,} fit.")
    if "\0" in text:
        raise GestureRefused("That text holds a NUL character. Leave it out.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise GestureRefused("That text holds half a character (a lone surrogate). Type it again.") from error


def check_nonce(nonce: str) -> None:
    if not NONCE.fullmatch(nonce):
        raise GestureRefused("That gesture has no usable nonce. Reload the page.")
