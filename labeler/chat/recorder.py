"""The use-cases of the chat: what an annotator can do.

Every gesture is checked here, not in the page: consent, ownership, existence, limits. Gestures on the tip of a
conversation say what they saw, and of two tabs one wins; votes, reasons and comparisons never conflict.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress

from labeler.chat.desk import Gesture, Receipt
from labeler.chat.views import EMPTY, Listed, Progress, View, title_of, view_of
from labeler.chat.writing import OTHER_PAGE, Claim, Writing, check_nonce
from labeler.core import gestures
from labeler.core.conversation import Conversation
from labeler.core.events import ConversationStarted, Event, Payload, Winner
from labeler.core.standing import standing_of
from labeler.errors import GestureRefused, NotFound
from labeler.study import Consent, Study

LISTED = 50
MODE = "chat"


class Recorder:
    """What an annotator can do. Safe to call from any thread.

    Methods raise GestureRefused (and its kinds), SeqConflict, EventConflict or StoreError, each with a line for the
    page; then nothing was stored.
    """

    def __init__(self, writing: Writing) -> None:
        self.writing = writing

    def at_hand(self, annotator_id: str, conversation_id: str) -> bool:
        """Whether a gesture there can be decided at once, with nothing read before and nobody waited for."""
        return self.writing.at_hand(annotator_id, conversation_id)

    # ── what is shown ──

    def view(self, annotator_id: str, conversation_id: str) -> View:
        """The conversation as this annotator sees it now, a running answer with its text so far."""
        if not conversation_id:
            return EMPTY
        with self.writing.seen(annotator_id, conversation_id) as sight:
            return view_of(sight.conversation, sight.written, running=sight.running)

    def running(self, annotator_id: str, conversation_id: str) -> bool:
        """Whether an answer is being written there."""
        with self.writing.seen(annotator_id, conversation_id) as sight:
            return sight.running

    def conversations(self, annotator_id: str, most: int = LISTED, mode: str = MODE) -> tuple[list[Listed], bool]:
        """The annotator's conversations of a mode, latest activity first, without cleared ones; and whether there are
        more."""
        listed: list[Listed] = []
        begun = self.writing.store.conversations_of(annotator_id, mode)
        for ids in (begun[first : first + LISTED] for first in range(0, len(begun), LISTED)):
            openers = self.writing.store.openers(ids)
            self.writing.desk.look_again(*ids)
            for conversation_id in ids:
                with self.writing.desk.owned(annotator_id, conversation_id) as conversation:
                    if conversation.cleared or conversation_id not in openers:
                        continue
                    if len(listed) == most:
                        return listed, True
                    listed.append(Listed(conversation_id, title_of(openers[conversation_id]), conversation.changed_at))
        return listed, False

    def opened(self, annotator_id: str, conversation_id: str, mode: str = MODE) -> str:
        """Go to a conversation, as it is in the log now. Returns its id, or none when it was cleared or belongs to the
        page of another mode.

        Raises:
            NotFound: it is not there, not theirs, or erased.
        """
        if not conversation_id:
            return ""
        self.writing.desk.look_again(conversation_id)
        with self.writing.desk.owned(annotator_id, conversation_id) as conversation:
            return "" if conversation.cleared or conversation.mode != mode else conversation_id

    def latest(self, annotator_id: str, mode: str = MODE) -> str:
        """The conversation to open first: the last one used in this mode, or none when that one was cleared."""
        last = self.writing.store.conversations_of(annotator_id, mode, limit=1)
        return self.opened(annotator_id, last[0], mode) if last else ""

    def progress(self, annotator_id: str) -> Progress:
        """Counts of what the annotator has done so far."""
        kinds = self.writing.store.tally(annotator_id)
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
        return len(self.writing.store.conversations_of(former_id))

    def adopt(self, annotator_id: str, former_id: str) -> int:
        """Take over what the same person began as ``former_id``. Returns how many conversations; a second time none.

        Who ``former_id`` is, the caller has proven.
        """
        self.writing.check_consent(annotator_id)
        if not self.adoptable(annotator_id, former_id):
            return 0
        adopted = [
            self._adopted(annotator_id, former_id, one) for one in self.writing.store.conversations_of(former_id)
        ]
        return sum(bool(events.result()) for events in adopted)

    def _adopted(self, annotator_id: str, former_id: str, conversation_id: str) -> Future[list[Event]]:
        def decide(conversation: Conversation) -> list[Payload]:
            return gestures.adopt(conversation, annotator_id)

        # Named like no client's nonce, so each is adopted once whoever asks again.
        nonce = f"adopt:{conversation_id}"
        return self.writing.desk.append(Gesture(annotator_id, nonce, conversation_id, decide, owner=former_id))

    def _standing(self, annotator_id: str) -> bool:
        """Whether nothing that this annotator gave was taken back or excluded: another id is no way around that."""
        standing = standing_of(self.writing.store.load(annotator_id), consent_needed=False)
        return standing.refusal(annotator_id) is None

    # ── gestures on the tip: of two tabs one wins ──

    def send(self, annotator_id: str, claim: Claim, text: str) -> str:
        """Say something and let the model answer. Returns the conversation's id; without one, begins one."""
        self.writing.check_text(text)
        repeated = self.writing.repeated(annotator_id, claim)
        if repeated or not text.strip():
            return repeated or claim.conversation_id
        if not claim.conversation_id:
            return self._begin(annotator_id, claim.nonce, text)
        self.writing.turn(
            annotator_id,
            claim,
            lambda conversation: gestures.send(conversation, self.writing.ids(), text, self._draw(conversation)),
        )
        return claim.conversation_id

    def retry(self, annotator_id: str, claim: Claim) -> None:
        """Answer the last message again, with a fresh seed."""
        if not self.writing.repeated(annotator_id, claim):
            self.writing.turn(
                annotator_id, claim, lambda conversation: gestures.retry(conversation, self._draw(conversation))
            )

    def edit(self, annotator_id: str, claim: Claim, message_id: str, text: str) -> None:
        """Rewrite an answer, or one's own message, which is then answered again."""
        self.writing.check_rewrite(text)

        def decide(conversation: Conversation) -> list[Payload]:
            if gestures.message_in(conversation, message_id).role == "assistant":
                return gestures.edit_answer(conversation, message_id, self.writing.ids(), text)
            self.writing.check_text(text)
            return gestures.edit_message(conversation, message_id, self.writing.ids(), text, self._draw(conversation))

        if not self.writing.repeated(annotator_id, claim):
            self.writing.turn(annotator_id, claim, decide)

    def undo(self, annotator_id: str, claim: Claim) -> str:
        """Take the last turn back. Returns the text of its message, for the box."""
        given_back = ""

        def decide(conversation: Conversation) -> list[Payload]:
            nonlocal given_back
            said = [message for message in conversation.visible() if message.role == "user"]
            given_back = said[-1].content if said else ""
            return gestures.undo(conversation)

        if not self.writing.repeated(annotator_id, claim):
            self.writing.turn(annotator_id, claim, decide)
        return given_back

    def clear(self, annotator_id: str, claim: Claim) -> None:
        """Close the conversation; a running answer is stopped first."""
        if claim.conversation_id and not self.writing.repeated(annotator_id, claim):
            self.stop(annotator_id, claim.conversation_id)
            self.writing.turn(annotator_id, claim, gestures.clear)

    def select(self, annotator_id: str, claim: Claim, message_id: str) -> None:
        """Turn to another sibling. It expects nothing: the last one stands."""
        self.writing.never_conflicting(
            annotator_id,
            claim.nonce,
            claim.conversation_id,
            lambda conversation: gestures.select(conversation, message_id),
        ).result()

    def stop(self, annotator_id: str, conversation_id: str) -> None:
        """End a running answer with the text so far; nothing runs: nothing happens."""
        with self.writing.desk.owned(annotator_id, conversation_id):
            pass
        self.writing.stop(conversation_id)

    def renew(self, study: Study) -> None:
        """Go on with the same study in other words."""
        self.writing.renew(study)

    def close(self) -> None:
        """Store all running answers as stopped."""
        self.writing.close()

    # ── gestures that never conflict ──

    def vote(self, annotator_id: str, nonce: str, conversation_id: str, message_id: str, value: int) -> Future[Receipt]:
        """Like (1), dislike (-1) or withdraw (0). The future resolves after the commit."""
        return self.writing.never_conflicting(
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
        self.writing.check_comment(comment)
        chosen = self.writing.known_reasons(reasons)
        return self.writing.never_conflicting(
            annotator_id,
            nonce,
            conversation_id,
            lambda conversation: gestures.give_reason(conversation, annotator_id, message_id, chosen, comment.strip()),
        )

    def compare(
        self, annotator_id: str, nonce: str, conversation_id: str, message_id: str, winner: Winner | None
    ) -> Future[Receipt]:
        """Answer "Was this answer better?" about a retry: ``b`` better, ``a`` worse, ``tie``, or None to withdraw."""
        return self.writing.never_conflicting(
            annotator_id,
            nonce,
            conversation_id,
            lambda conversation: gestures.compare_retry(conversation, annotator_id, message_id, winner),
        )

    # ── consent ──

    def consent_needed(self, annotator_id: str) -> Consent | None:
        """The study's consent text, unless this annotator has accepted this version."""
        return self.writing.consents.needed(annotator_id)

    def give_consent(self, annotator_id: str, nonce: str, version: str) -> None:
        """Accept the consent text that was shown."""
        check_nonce(nonce)
        self.writing.consents.give(annotator_id, nonce, version)

    def withdraw_consent(self, annotator_id: str, nonce: str) -> None:
        """Take consent back: nothing more is collected, and nothing of theirs is exported from now on."""
        check_nonce(nonce)
        for conversation_id in self.writing.replicas.answered(annotator_id):
            with suppress(NotFound):
                self.stop(annotator_id, conversation_id)
        self.writing.consents.withdraw(annotator_id, nonce)

    # ── turns and replies ──

    def _begin(self, annotator_id: str, nonce: str, text: str) -> str:
        conversation = Conversation(self.writing.ids())
        models = list(self.writing.models.values())
        model = self.writing.chance.choices(models, [each.weight for each in models])[0]
        started = ConversationStarted(
            study=self.writing.study.name, mode=MODE, model=model.name, system_prompt=self.writing.study.system_prompt
        )
        draw = self.writing.draw_from(model, started.system_prompt)
        payloads: list[Payload] = [started, *gestures.send(conversation, self.writing.ids(), text, draw)]
        self.writing.begin(conversation, annotator_id, nonce, payloads)
        return conversation.id

    def _draw(self, conversation: Conversation) -> gestures.Draw:
        if conversation.mode != MODE:
            raise GestureRefused(OTHER_PAGE)
        name = conversation.started.model if conversation.started else ""
        model = self.writing.models.get(name)
        if model is None:
            raise GestureRefused(f"The model '{name}' is no longer part of this study. Begin a new conversation.")
        return self.writing.draw_from(model, conversation.started.system_prompt if conversation.started else None)
