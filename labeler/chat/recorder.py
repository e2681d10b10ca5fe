"""The use-cases of the chat: what an annotator can do.

Every gesture is checked here, not in the page: consent, ownership, existence, limits. Gestures on the tip of a
conversation say what they saw, and of two tabs one wins; votes, reasons and comparisons never conflict.
"""

from __future__ import annotations

import random
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict, dataclass

from labeler.chat.consents import Consents
from labeler.chat.desk import MOVED_ON, Decide, Desk, Gesture, Receipt
from labeler.chat.replies import Replies, Reply
from labeler.chat.views import EMPTY, Listed, Progress, View, title_of, view_of
from labeler.core import gestures
from labeler.core.conversation import Conversation
from labeler.core.events import ConversationStarted, Event, Payload, ReplyFinished, ReplyStarted, Winner
from labeler.core.standing import standing_of
from labeler.core.text import chat_messages
from labeler.errors import ConsentNeeded, GestureRefused, NotFound, SeqConflict
from labeler.ids import event_id, new_id, text_sha256
from labeler.models import ChatModel
from labeler.store import Store
from labeler.study import Consent, Study

# A client's nonce holds no colon, so that no client can take the id of an event that the server itself will append.
NONCE = re.compile(r"[A-Za-z0-9_-]{8,64}")
MAX_COMMENT = 2_000
LISTED = 50
BUSY = "An answer is still being written. Press Stop first, or wait for its end."


@dataclass(frozen=True, slots=True)
class Claim:
    """What a page says it saw when a gesture was made; ``conversation_id`` is empty before the first message."""

    conversation_id: str
    turn_seq: int
    nonce: str


class Recorder:
    """What an annotator can do. Safe to call from any thread.

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
        self._study = study
        self._store = store
        self._models = models
        self._ids = ids
        self._chance = chance or secrets.SystemRandom()
        self._desk = Desk(store, clock)
        self._consents = Consents(study.consent, store, clock)
        self._replies = Replies()

    # ── what is shown ──

    def view(self, annotator_id: str, conversation_id: str) -> View:
        """The conversation as this annotator sees it now, a running answer with its text so far."""
        if not conversation_id:
            return EMPTY
        with self._desk.owned(annotator_id, conversation_id) as conversation:
            reply = self._replies.of(conversation_id)
            return view_of(conversation, reply, running=self._replies.busy(conversation_id))

    def running(self, annotator_id: str, conversation_id: str) -> bool:
        """Whether an answer is being written there."""
        with self._desk.owned(annotator_id, conversation_id):
            return self._replies.busy(conversation_id)

    def conversations(self, annotator_id: str, most: int = LISTED) -> tuple[list[Listed], bool]:
        """The annotator's conversations, latest activity first, without cleared ones; and whether there are more."""
        listed: list[Listed] = []
        begun = self._store.conversations_of(annotator_id)
        for ids in (begun[first : first + LISTED] for first in range(0, len(begun), LISTED)):
            openers = self._store.openers(ids)
            for conversation_id in ids:
                with self._desk.owned(annotator_id, conversation_id) as conversation:
                    if conversation.cleared or conversation_id not in openers:
                        continue
                    if len(listed) == most:
                        return listed, True
                    listed.append(Listed(conversation_id, title_of(openers[conversation_id]), conversation.changed_at))
        return listed, False

    def opened(self, annotator_id: str, conversation_id: str) -> str:
        """Go to a conversation, as it is in the log now. Returns its id, or none when it was cleared.

        Raises:
            NotFound: it is not there, not theirs, or erased.
        """
        if not conversation_id:
            return ""
        self._desk.look_again(conversation_id)
        with self._desk.owned(annotator_id, conversation_id) as conversation:
            return "" if conversation.cleared else conversation_id

    def latest(self, annotator_id: str) -> str:
        """The conversation to open first: the last one used, or none when that one was cleared."""
        last = self._store.conversations_of(annotator_id, limit=1)
        return self.opened(annotator_id, last[0]) if last else ""

    def progress(self, annotator_id: str) -> Progress:
        """Counts of what the annotator has done so far."""
        kinds = self._store.tally(annotator_id)
        return Progress(
            conversations=kinds.get("conversation_started", 0),
            answers=kinds.get("reply_finished", 0),
            votes=kinds.get("vote_cast", 0),
            edits=kinds.get("answer_edited", 0),
            comparisons=kinds.get("compared", 0),
        )

    # ── what one began before one signed in ──

    def adoptable(self, annotator_id: str, former_id: str) -> int:
        """How many conversations of ``former_id`` the annotator may take over: none if that one took anything back."""
        if former_id == annotator_id or not self._standing(former_id):
            return 0
        return len(self._store.conversations_of(former_id))

    def adopt(self, annotator_id: str, former_id: str) -> int:
        """Take over what the same person began as ``former_id``. Returns how many conversations; a second time none.

        Who ``former_id`` is, the caller has proven.
        """
        self._check_consent(annotator_id)
        if not self.adoptable(annotator_id, former_id):
            return 0
        adopted = [self._adopted(annotator_id, former_id, one) for one in self._store.conversations_of(former_id)]
        return sum(bool(events.result()) for events in adopted)

    def _adopted(self, annotator_id: str, former_id: str, conversation_id: str) -> Future[list[Event]]:
        def decide(conversation: Conversation) -> list[Payload]:
            return gestures.adopt(conversation, annotator_id)

        # Named like no client's nonce, so each is adopted once whoever asks again.
        nonce = f"adopt:{conversation_id}"
        return self._desk.append(Gesture(annotator_id, nonce, conversation_id, decide, owner=former_id))

    def _standing(self, annotator_id: str) -> bool:
        """Whether nothing that this annotator gave was taken back or excluded: another id is no way around that."""
        standing = standing_of(self._store.load(annotator_id), consent_needed=False)
        return standing.refusal(annotator_id) is None

    # ── gestures on the tip: of two tabs one wins ──

    def send(self, annotator_id: str, claim: Claim, text: str) -> str:
        """Say something and let the model answer. Returns the conversation's id; without one, begins one."""
        self._check_text(text)
        repeated = self._repeated(annotator_id, claim)
        if repeated or not text.strip():
            return repeated or claim.conversation_id
        if not claim.conversation_id:
            return self._begin(annotator_id, claim.nonce, text)
        self._turn(
            annotator_id,
            claim,
            lambda conversation: gestures.send(conversation, self._ids(), text, self._draw(conversation)),
        )
        return claim.conversation_id

    def retry(self, annotator_id: str, claim: Claim) -> None:
        """Answer the last message again, with a fresh seed."""
        if not self._repeated(annotator_id, claim):
            self._turn(annotator_id, claim, lambda conversation: gestures.retry(conversation, self._draw(conversation)))

    def edit(self, annotator_id: str, claim: Claim, message_id: str, text: str) -> None:
        """Rewrite an answer, or one's own message, which is then answered again."""
        self._check_text(text)

        def decide(conversation: Conversation) -> list[Payload]:
            if gestures.message_in(conversation, message_id).role == "assistant":
                return gestures.edit_answer(conversation, message_id, self._ids(), text)
            return gestures.edit_message(conversation, message_id, self._ids(), text, self._draw(conversation))

        if not self._repeated(annotator_id, claim):
            self._turn(annotator_id, claim, decide)

    def undo(self, annotator_id: str, claim: Claim) -> str:
        """Take the last turn back. Returns the text of its message, for the box."""
        given_back = ""

        def decide(conversation: Conversation) -> list[Payload]:
            nonlocal given_back
            said = [message for message in conversation.visible() if message.role == "user"]
            given_back = said[-1].content if said else ""
            return gestures.undo(conversation)

        if not self._repeated(annotator_id, claim):
            self._turn(annotator_id, claim, decide)
        return given_back

    def clear(self, annotator_id: str, claim: Claim) -> None:
        """Close the conversation; a running answer is stopped first."""
        if claim.conversation_id and not self._repeated(annotator_id, claim):
            self.stop(annotator_id, claim.conversation_id)
            self._turn(annotator_id, claim, gestures.clear)

    def select(self, annotator_id: str, claim: Claim, message_id: str) -> None:
        """Turn to another sibling. It expects nothing: the last one stands."""
        self._never_conflicting(
            annotator_id,
            claim.nonce,
            claim.conversation_id,
            lambda conversation: gestures.select(conversation, message_id),
        ).result()

    def stop(self, annotator_id: str, conversation_id: str) -> None:
        """End a running answer with the text so far; nothing runs: nothing happens."""
        with self._desk.owned(annotator_id, conversation_id):
            pass
        self._replies.stop(conversation_id)

    def close(self) -> None:
        """Store all running answers as stopped."""
        self._replies.close()

    # ── gestures that never conflict ──

    def vote(self, annotator_id: str, nonce: str, conversation_id: str, message_id: str, value: int) -> Future[Receipt]:
        """Like (1), dislike (-1) or withdraw (0). The future resolves after the commit."""
        return self._never_conflicting(
            annotator_id,
            nonce,
            conversation_id,
            lambda conversation: gestures.vote(conversation, annotator_id, message_id, value),
        )

    def reason(
        self,
        annotator_id: str,
        nonce: str,
        conversation_id: str,
        message_id: str,
        reasons: Sequence[str],
        comment: str,
    ) -> Future[Receipt]:
        """Say why: some of the study's reasons, and a comment."""
        self._check_text(comment, MAX_COMMENT)
        chosen = tuple(reason for reason in self._study.vote_reasons if reason in reasons)
        if len(chosen) != len(set(reasons)):
            raise GestureRefused("That reason is not one of this study's. Reload the page.")
        return self._never_conflicting(
            annotator_id,
            nonce,
            conversation_id,
            lambda conversation: gestures.give_reason(conversation, annotator_id, message_id, chosen, comment.strip()),
        )

    def compare(
        self, annotator_id: str, nonce: str, conversation_id: str, message_id: str, winner: Winner | None
    ) -> Future[Receipt]:
        """Answer "Was this answer better?" about a retry: ``b`` better, ``a`` worse, ``tie``, or None to withdraw."""
        return self._never_conflicting(
            annotator_id,
            nonce,
            conversation_id,
            lambda conversation: gestures.compare_retry(conversation, annotator_id, message_id, winner),
        )

    def _never_conflicting(
        self, annotator_id: str, nonce: str, conversation_id: str, decide: Decide
    ) -> Future[Receipt]:
        self._check(annotator_id, nonce)
        appended = self._desk.append(Gesture(annotator_id, nonce, conversation_id, decide))
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

    # ── consent ──

    def consent_needed(self, annotator_id: str) -> Consent | None:
        """The study's consent text, unless this annotator has accepted this version."""
        return self._consents.needed(annotator_id)

    def give_consent(self, annotator_id: str, nonce: str, version: str) -> None:
        """Accept the consent text that was shown."""
        _check_nonce(nonce)
        self._consents.give(annotator_id, nonce, version)

    def withdraw_consent(self, annotator_id: str, nonce: str) -> None:
        """Take consent back: nothing more is collected, and nothing of theirs is exported from now on."""
        _check_nonce(nonce)
        for conversation_id in self._replies.conversations():
            with suppress(NotFound):
                self.stop(annotator_id, conversation_id)
        self._consents.withdraw(annotator_id, nonce)

    # ── checks ──

    def _check(self, annotator_id: str, nonce: str) -> None:
        _check_nonce(nonce)
        self._check_consent(annotator_id)

    def _check_consent(self, annotator_id: str) -> None:
        if self._consents.needed(annotator_id):
            raise ConsentNeeded("Read and accept the consent text first; until then nothing is collected.")

    def _check_text(self, text: str, limit: int | None = None) -> None:
        most = limit or self._study.max_message_chars
        if len(text) > most:
            raise GestureRefused(f"That is too long: {len(text):,} characters, at most {most:,} fit.")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise GestureRefused("That text holds half a character (a lone surrogate). Type it again.") from error

    def _repeated(self, annotator_id: str, claim: Claim) -> str:
        """The conversation in which this very gesture was stored before, or an empty string."""
        self._check(annotator_id, claim.nonce)
        before = self._store.find(event_id(annotator_id, claim.nonce, 0))
        return before.conversation_id if before else ""

    # ── turns and replies ──

    def _begin(self, annotator_id: str, nonce: str, text: str) -> str:
        conversation = Conversation(self._ids())
        models = list(self._models.values())
        model = self._chance.choices(models, [each.weight for each in models])[0]
        started = ConversationStarted(
            study=self._study.name, mode="chat", model=model.name, system_prompt=self._study.system_prompt
        )
        draw = self._draw_from(model, started.system_prompt)
        payloads: list[Payload] = [started, *gestures.send(conversation, self._ids(), text, draw)]
        with self._replies.announced(conversation.id):
            stored = self._store.append(self._desk.new_events(conversation, annotator_id, nonce, payloads))
            self._start_reply(stored)
        return conversation.id

    def _turn(self, annotator_id: str, claim: Claim, decide: Decide) -> None:
        """Append a gesture on the tip; if it begins a reply, let the model write once the gesture is stored."""

        def checked(conversation: Conversation) -> list[Payload]:
            if conversation.turn_seq != claim.turn_seq:
                raise SeqConflict(MOVED_ON)
            return decide(conversation)

        with self._replies.announced(claim.conversation_id) as free:
            if not free:
                raise GestureRefused(BUSY)
            gesture = Gesture(annotator_id, claim.nonce, claim.conversation_id, checked, tries=1)
            self._start_reply(self._desk.append(gesture).result())

    def _draw(self, conversation: Conversation) -> gestures.Draw:
        name = conversation.started.model if conversation.started else ""
        model = self._models.get(name)
        if model is None:
            raise GestureRefused(f"The model '{name}' is no longer part of this study. Begin a new conversation.")
        return self._draw_from(model, conversation.started.system_prompt if conversation.started else None)

    def _draw_from(self, model: ChatModel, system_prompt: str | None) -> gestures.Draw:
        sampling = asdict(model.sampling(seed=self._chance.randrange(2**31)))
        return gestures.Draw(
            message_id=self._ids(),
            model=model.name,
            model_id=model.model_id,
            model_revision=model.revision,
            sampling=sampling | {"stop": list(sampling["stop"])},
            system_prompt_sha256=text_sha256(system_prompt) if system_prompt else None,
        )

    def _start_reply(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event.payload, ReplyStarted):
                self._replies.start(self._reply(event, event.payload))

    def _reply(self, event: Event, started: ReplyStarted) -> Reply:
        with self._desk.owned(event.annotator_id, event.conversation_id) as conversation:
            prompt = conversation.started.system_prompt if conversation.started else None
            messages = chat_messages(conversation.path(started.parent_id), prompt)
        model = self._models[started.model]

        def store_end(end: ReplyFinished) -> None:
            gesture = Gesture(
                event.annotator_id,
                f"end:{end.message_id}",
                event.conversation_id,
                lambda conversation: gestures.finish(conversation, end),
            )
            self._desk.append(gesture).result()

        return Reply(
            conversation_id=event.conversation_id,
            message_id=started.message_id,
            model=model,
            messages=messages,
            sampling=model.sampling(seed=int(started.sampling["seed"])),
            store_end=store_end,
        )


def _check_nonce(nonce: str) -> None:
    if not NONCE.fullmatch(nonce):
        raise GestureRefused("That gesture has no usable nonce. Reload the page.")
