"""The use-cases of side by side: ask two models without knowing which, choose, go on from the better answer."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from itertools import combinations

from labeler.chat.desk import Receipt
from labeler.chat.draws import Draws
from labeler.chat.pairs import NO_PAIR, PairView, pair_view_of
from labeler.chat.writing import OTHER_PAGE, Claim, Writing
from labeler.core import choosing
from labeler.core.choosing import PairDraw, Verdict
from labeler.core.conversation import Conversation
from labeler.core.events import ConversationStarted, Payload, Side
from labeler.errors import GestureRefused

MODE = "compare"


class Comparer:
    """What an annotator can do side by side. Safe to call from any thread; raises as ``Writing`` does."""

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        pairs = list(combinations(writing.models, 2))
        self._draws = Draws(writing.store, pairs, writing.study.compare.draw, writing.chance)

    def view(self, annotator_id: str, conversation_id: str) -> PairView:
        """The conversation as this annotator sees it now, running answers with their texts so far.

        Whoever shows it while it runs shows both at one pace: see ``page``.
        """
        if not conversation_id:
            return NO_PAIR
        with self._writing.seen(annotator_id, conversation_id) as sight:
            return pair_view_of(sight.conversation, sight.written, running=sight.running)

    def send(self, annotator_id: str, claim: Claim, text: str) -> str:
        """Say something and let two models answer. Returns the conversation's id; without one, begins one."""
        writing = self._writing
        writing.check_text(text)
        repeated = writing.repeated(annotator_id, claim)
        if repeated or not text.strip():
            return repeated or claim.conversation_id
        if not claim.conversation_id:
            return self._begin(annotator_id, claim.nonce, text)

        def decide(conversation: Conversation) -> list[Payload]:
            return choosing.ask(conversation, writing.ids(), text, self._draw(conversation), self._coin())

        writing.turn(annotator_id, claim, decide)
        return claim.conversation_id

    def try_again(self, annotator_id: str, claim: Claim) -> None:
        """Have the last message answered by two models again, because one of the two answers failed or was stopped."""
        if not self._writing.repeated(annotator_id, claim):
            self._writing.turn(
                annotator_id, claim, lambda conversation: choosing.try_again(conversation, self._draw(conversation))
            )

    def choose(
        self, annotator_id: str, nonce: str, conversation_id: str, message_id: str, verdict: Verdict
    ) -> Future[Receipt]:
        """Choose between the answers to a message. The future resolves after the commit."""
        self._writing.check_comment(verdict.comment)
        reasons = self._writing.known_reasons(verdict.reasons)
        verdict = replace(verdict, reasons=reasons)
        return self._writing.never_conflicting(
            annotator_id,
            nonce,
            conversation_id,
            lambda conversation: choosing.choose(conversation, annotator_id, message_id, verdict),
        )

    # ── draws ──

    def _begin(self, annotator_id: str, nonce: str, text: str) -> str:
        writing = self._writing
        conversation = Conversation(writing.ids())
        # A model is drawn for every turn, so the conversation itself has none.
        started = ConversationStarted(
            study=writing.study.name, mode=MODE, model="", system_prompt=writing.study.system_prompt
        )
        draw = self._pair(started.system_prompt)
        payloads: list[Payload] = [started, *choosing.ask(conversation, writing.ids(), text, draw, "a")]
        writing.begin(conversation, annotator_id, nonce, payloads)
        return conversation.id

    def _draw(self, conversation: Conversation) -> PairDraw:
        if conversation.started is None or conversation.mode != MODE:
            raise GestureRefused(OTHER_PAGE)
        return self._pair(conversation.started.system_prompt)

    def _pair(self, system_prompt: str | None) -> PairDraw:
        writing = self._writing
        names, propensity = self._draws.draw()
        order: Sequence[str] = names if self._coin() == "a" else names[::-1]
        a, b = (writing.draw_from(writing.models[name], system_prompt) for name in order)
        return PairDraw(a=a, b=b, left=self._coin(), policy=self._draws.policy, propensity=propensity)

    def _coin(self) -> Side:
        return "a" if self._writing.chance.random() < 0.5 else "b"
