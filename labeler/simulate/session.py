"""An annotator at work in one conversation: what they do next, by chance, through the same gestures as the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from labeler.core import gestures
from labeler.core.conversation import Conversation, Message
from labeler.core.events import ConversationStarted, NewEvent, Payload, ReplyFinished, Status, Winner
from labeler.core.folding import apply
from labeler.ids import event_id
from labeler.simulate import prose
from labeler.simulate.world import (
    HUMAN_STRENGTH,
    MODELS,
    SECOND,
    SPACING,
    Annotator,
    Model,
    World,
    at,
    new_id,
    quality,
)

MAX_TURNS = 6
MAX_RETRIES = 3
TIE_BELOW = 0.35
CHARACTERS_PER_TOKEN = 4
MAX_TOKENS = 512
READING_CHARACTERS_PER_SECOND = 40


@dataclass(frozen=True, slots=True)
class Habits:
    """How often things happen. Each number is a probability, given that the thing can happen at all."""

    another_turn: float = 0.58
    stop_reply: float = 0.03
    reply_fails: float = 0.02
    reply_is_lost: float = 0.002
    same_answer_again: float = 0.02
    slip: float = 0.02
    flip: float = 0.03
    withdraw: float = 0.03
    reason: float = 0.35
    comment: float = 0.25
    retry_bad: float = 0.35
    retry_good: float = 0.05
    retry_failed: float = 0.75
    compare: float = 0.75
    compare_again: float = 0.04
    go_back: float = 0.5
    edit_bad: float = 0.2
    edit_good: float = 0.03
    edit_twice: float = 0.08
    edit_back: float = 0.04
    judge_own_edit: float = 0.12
    rewrite_question: float = 0.04
    undo: float = 0.04
    undo_a_slip: float = 0.004
    vote_late: float = 0.06
    edit_earlier: float = 0.01
    clear: float = 0.05
    reviewed: float = 0.8
    skip: float = 0.04
    flag: float = 0.01
    adjudicated: float = 0.6


HABITS = Habits()
NAMED = {model.name: model for model in MODELS}


class Session:
    """Gestures on one conversation, each applied as it is made. ``history`` is the conversation's whole history."""

    def __init__(self, world: World, number: int) -> None:
        self.rng: Random = world.rng(number)
        self.world = world
        self.person: Annotator = self.rng.choice(world.people)
        self.model = self.rng.choices(MODELS, [model.weight for model in MODELS])[0]
        self.clock = number * SPACING + self.rng.randrange(SPACING)
        self.conversation = Conversation(new_id(self.rng, self.clock))
        self.history: list[list[NewEvent]] = []
        self.text, self.topic = prose.opener(self.rng)
        self.taken_back = ""
        self._nonce = f"{world.key}-{number}"

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def right(self) -> bool:
        """Whether a judgement comes out as the truth has it."""
        return self.chance(self.person.accuracy)

    def store(self, payloads: Sequence[Payload], seconds: float, *, by: str = "") -> None:
        """One gesture, so many seconds after the last; one that changes nothing leaves nothing."""
        annotator_id = by or self.person.id
        self.clock += int(seconds * SECOND)
        if not payloads:
            return
        moment, nonce = at(self.clock), f"{self._nonce}-{len(self.history)}"
        gesture = []
        for index, payload in enumerate(payloads):
            event = NewEvent(
                event_id=event_id(annotator_id, nonce, index),
                conversation_id=self.conversation.id,
                seq=self.conversation.seq + 1,
                at=moment,
                annotator_id=annotator_id,
                payload=payload,
            )
            apply(self.conversation, event)
            gesture.append(event)
        self.history.append(gesture)

    # ── what the model does ──

    def beginning(self, mode: Literal["chat", "compare"], model: str) -> list[Payload]:
        """What comes before everything else; nothing once there is anything."""
        if self.history:
            return []
        study = self.world.study
        return [ConversationStarted(study=study.name, mode=mode, model=model, system_prompt=study.system_prompt)]

    def draw(self, model: Model | None = None) -> gestures.Draw:
        drawn = model or self.model
        return gestures.Draw(
            message_id=self.new_id(),
            model=drawn.name,
            model_id=drawn.model_id,
            model_revision=None,
            sampling={
                "temperature": 0.8,
                "top_p": 0.95,
                "max_tokens": MAX_TOKENS,
                "seed": self.rng.getrandbits(31),
                "stop": [],
            },
            system_prompt_sha256=self.world.system_prompt_sha256,
        )

    def new_id(self) -> str:
        return new_id(self.rng, self.clock)

    def answered(self) -> Message | None:
        """Let the running reply end. ``None`` when it never did: the server died with it."""
        reply = self.conversation.visible()[-1]
        return reply if self.ends(reply) else None

    def ends(self, reply: Message) -> bool:
        """Let a reply end. False when it never did."""
        if self.chance(HABITS.reply_is_lost):
            return False
        text, status = self._words(reply), self._ending()
        if status != "complete":
            text = text[: int(len(text) * self.rng.random())]
        self._finish(reply, text, status)
        return True

    def _ending(self) -> Status:
        draw = self.rng.random()
        if draw < HABITS.stop_reply:
            return "stopped"
        return "failed" if draw < HABITS.stop_reply + HABITS.reply_fails else "complete"

    def _words(self, reply: Message) -> str:
        if reply.retries and self.chance(HABITS.same_answer_again):
            return self.conversation.messages[reply.retries].content
        return prose.answer(self.rng, self.topic)[: MAX_TOKENS * CHARACTERS_PER_TOKEN]

    def _finish(self, reply: Message, text: str, status: Status) -> None:
        tokens = -(-len(text) // CHARACTERS_PER_TOKEN)
        first = 80 + self.rng.randrange(400)
        latency = first + int(1000 * tokens / self.model_of(reply).tokens_per_second)
        finished = ReplyFinished(
            message_id=reply.id,
            content=text,
            status=status,
            finish_reason=("length" if tokens == MAX_TOKENS else "stop") if status == "complete" else None,
            prompt_tokens=8 + sum(len(m.content) for m in self.conversation.path(reply.id)) // CHARACTERS_PER_TOKEN,
            completion_tokens=tokens,
            latency_ms=latency,
            first_token_ms=first if text else None,
            error="The model's server closed the connection." if status == "failed" else None,
        )
        self.store(gestures.finish(self.conversation, finished), latency / 1000)

    # ── what the annotator does ──

    def send(self, text: str) -> Message | None:
        self.taken_back = ""
        payloads = gestures.send(self.conversation, self.new_id(), text, self.draw())
        self.store([*self.beginning("chat", self.model.name), *payloads], 2 + len(text) / 8)
        return self.answered()

    def retry(self) -> Message | None:
        self.store(gestures.retry(self.conversation, self.draw()), 3 + 10 * self.rng.random())
        return self.answered()

    def rewrite(self, message: Message, text: str) -> Message | None:
        rewritten = gestures.edit_message(self.conversation, message.id, self.new_id(), text, self.draw())
        self.store(rewritten, 5 + 20 * self.rng.random())
        return self.answered()

    def edit(self, answer: Message, text: str) -> Message:
        """The rewrite, or the same answer when nothing changed."""
        if not text.strip():
            return answer
        new_id = self.new_id()
        edited = gestures.edit_answer(self.conversation, answer.id, new_id, text)
        self.store(edited, 10 + 60 * self.rng.random())
        return self.conversation.messages[new_id] if edited else answer

    def vote(self, answer: Message, value: int, seconds: float) -> None:
        self.store(gestures.vote(self.conversation, self.person.id, answer.id, value), seconds)

    def reason(self, answer: Message) -> None:
        """Say why."""
        liked = self.conversation.vote_of(self.person.id, answer.id) > 0
        reasons = self.some_reasons(good=liked)
        comment = prose.comment(self.rng, liked) if not reasons or self.chance(HABITS.comment) else ""
        given = gestures.give_reason(self.conversation, self.person.id, answer.id, reasons, comment)
        self.store(given, 4 + 15 * self.rng.random())

    def some_reasons(self, *, good: bool) -> tuple[str, ...]:
        """Good ones are drawn from the first third of the study's reasons, where studies name what is good."""
        known = self.world.study.vote_reasons
        third = max(1, (len(known) + 1) // 3)
        fitting = known[:third] if good else known[third:]
        reasons = self.rng.sample(fitting, min(len(fitting), 1 + self.rng.randrange(2)))
        return tuple(sorted(reasons, key=known.index))

    def compare(self, answer: Message, winner: Winner | None) -> None:
        compared = gestures.compare_retry(self.conversation, self.person.id, answer.id, winner)
        self.store(compared, 3 + 10 * self.rng.random())

    def select(self, answer: Message) -> None:
        self.store(gestures.select(self.conversation, answer.id), 2 + 5 * self.rng.random())

    def undo(self) -> None:
        """Take the last turn back; its text returns to the box."""
        self.taken_back = next((m.content for m in reversed(self.conversation.visible()) if m.role == "user"), "")
        self.store(gestures.undo(self.conversation), 2 + 5 * self.rng.random())

    def clear(self) -> None:
        self.store(gestures.clear(self.conversation), 5)

    # ── what the annotator thinks ──

    def worth(self, answer: Message) -> float:
        """The truth about an answer, which annotators see as well as their accuracy lets them."""
        return quality(HUMAN_STRENGTH if answer.origin == "human_edit" else self.model_of(answer).strength, answer.id)

    def model_of(self, answer: Message) -> Model:
        """Who wrote it; of what a person rewrote, the model of the conversation."""
        return NAMED[answer.started.model] if answer.started else self.model

    def judgement(self, answer: Message) -> int:
        """1 or -1: the truth, or the contrary when the annotator errs."""
        good = self.worth(answer) > 0
        return 1 if good == self.right() else -1

    def better(self, old: Message, new: Message) -> Winner:
        difference = self.worth(new) - self.worth(old)
        if abs(difference) < TIE_BELOW:
            return "tie"
        return "b" if (difference > 0) == self.right() else "a"
