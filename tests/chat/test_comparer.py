"""Side by side at the level of the use-cases: real stores, real streams, a scripted model behind three names."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from labeler.chat import Claim, Comparer, PairView, Recorder, Writing
from labeler.chat.draws import Draws
from labeler.core.choosing import Choice, Verdict
from labeler.core.events import Compared, NewEvent, PairDrawn, ReplyStarted
from labeler.errors import ConsentNeeded, GestureRefused, NotFound, SeqConflict
from labeler.models import open_models
from labeler.store import Store, utc_now
from labeler.store.verify import verify_log
from tests.chat.conftest import WAIT, Chat, eventually, study_for
from tests.model_server import Answer, ModelServer

NAMES = ("red", "green", "blue")


class Duel:
    """One annotator's tab on the page Compare, without the browser."""

    def __init__(self, comparer: Comparer, annotator: str = "ann") -> None:
        self.comparer = comparer
        self.annotator = annotator
        self.conversation = ""
        self._nonces = (f"{annotator}-duel-{id(self):x}-{number}" for number in range(10_000))

    def nonce(self) -> str:
        return next(self._nonces)

    def view(self) -> PairView:
        return self.comparer.view(self.annotator, self.conversation)

    def claim(self) -> Claim:
        return Claim(self.conversation, self.view().turn_seq, self.nonce())

    def asks(self, text: str) -> PairView:
        self.conversation = self.comparer.send(self.annotator, self.claim(), text)
        eventually(lambda: not self.view().running)
        return self.view()

    def chooses(self, choice: Choice | None, **more: object) -> None:
        pair = self.view().pair
        assert pair is not None
        verdict = Verdict(choice=choice, **more)  # type: ignore[arg-type]
        self.comparer.choose(self.annotator, self.nonce(), self.conversation, pair.message_id, verdict).result(WAIT)


@pytest.fixture
def writing(server: ModelServer, store: Store) -> Iterator[Writing]:
    spec = {"kind": "openai", "base_url": server.base_url, "model": "scripted", "timeout": 5}
    models = [spec | {"name": name} for name in NAMES]
    study = study_for(server, models=models, modes=["chat", "compare"])
    with open_models(study.models, {}) as opened:
        writing = Writing(study, store, opened, clock=utc_now, chance=random.Random(7))
        yield writing
        Recorder(writing).close()


@pytest.fixture
def comparer(writing: Writing) -> Comparer:
    return Comparer(writing)


@pytest.fixture
def duel(comparer: Comparer) -> Duel:
    return Duel(comparer)


def test_two_different_models_answer_one_question_and_the_draw_is_kept(duel: Duel, store: Store) -> None:
    view = duel.asks("say: Hello")
    assert view.pair is not None
    assert (view.pair.left.text, view.pair.right.text, view.pair.comparable) == ("Hello", "Hello", True)
    payloads = [event.payload for event in store.load(duel.conversation)]
    (drawn,) = [payload for payload in payloads if isinstance(payload, PairDrawn)]
    started = {payload.message_id: payload.model for payload in payloads if isinstance(payload, ReplyStarted)}
    assert started == {drawn.answer_a: drawn.model_a, drawn.answer_b: drawn.model_b}
    assert drawn.model_a != drawn.model_b
    assert (drawn.policy, drawn.propensity) == ("uniform", pytest.approx(1 / 3))
    assert [payload.kind for payload in payloads[:5]] == [
        "conversation_started",
        "message_sent",
        "pair_drawn",
        "reply_started",
        "reply_started",
    ]
    assert verify_log(store).problems == ()


def test_no_model_is_named_before_the_choice(duel: Duel) -> None:
    view = duel.asks("say: Hello")
    assert not any(name in repr(view) for name in NAMES)
    duel.chooses("a")
    pair = duel.view().pair
    assert pair is not None
    assert {pair.left.model, pair.right.model} < set(NAMES)
    duel.chooses(None)
    assert not any(name in repr(duel.view()) for name in NAMES)


def test_a_reply_that_names_its_model_is_flagged_after_the_choice(duel: Duel, server: ModelServer) -> None:
    server.plan(*[Answer(say="I am ChatGPT, trained by OpenAI.")] * 2)
    assert "named_itself=True" not in repr(duel.asks("Who are you?"))
    duel.chooses("same")
    pair = duel.view().pair
    assert pair is not None
    assert (pair.left.named_itself, pair.right.named_itself) == (True, True)


def test_the_chosen_answer_is_what_the_models_are_told_next(duel: Duel, server: ModelServer) -> None:
    duel.asks("Tell me.\nwords: 3")
    before = duel.view().pair
    assert before is not None
    duel.chooses("b_much")
    view = duel.asks("say: And then")
    assert [line.text for line in view.past] == ["Tell me.\nwords: 3", before.right.text, "say: And then"]
    for request in server.requests[-2:]:
        assert [one["content"] for one in request.body["messages"]] == [line.text for line in view.past]


def test_a_choice_is_stored_with_its_reasons_in_the_studys_order(duel: Duel, store: Store) -> None:
    duel.asks("say: Hello")
    duel.chooses("a", reasons=("Too long", "Correct"), comment="So.")
    compared = store.load(duel.conversation)[-1].payload
    assert isinstance(compared, Compared)
    assert (compared.reasons, compared.comment) == (("Correct", "Too long"), "So.")
    with pytest.raises(GestureRefused, match="not one of this study's"):
        duel.chooses("a", reasons=("Invented",))


def test_one_failure_is_recorded_and_no_comparison_and_one_goes_on(duel: Duel, store: Store) -> None:
    view = duel.asks("times: 1\nfault: 500\nsay: Hello")
    assert view.pair is not None
    assert sorted((view.pair.left.status, view.pair.right.status)) == ["complete", "failed"]
    assert not view.pair.comparable
    with pytest.raises(GestureRefused, match="nothing to compare"):
        duel.chooses("a")
    view = duel.asks("say: Go on")
    assert [line.text for line in view.past][1] == "Hello"
    assert "compared" not in [event.payload.kind for event in store.load(duel.conversation)]


def test_after_two_failures_the_question_is_answered_by_another_pair(duel: Duel) -> None:
    duel.asks("times: 2\nfault: 500\nsay: Hello")
    with pytest.raises(GestureRefused, match="Try again"):
        duel.asks("say: Go on")
    duel.comparer.try_again(duel.annotator, duel.claim())
    eventually(lambda: not duel.view().running)
    pair = duel.view().pair
    assert pair is not None
    assert (pair.left.text, pair.right.text, pair.comparable) == ("Hello", "Hello", True)


def test_stop_ends_both_answers(duel: Duel, writing: Writing) -> None:
    duel.conversation = duel.comparer.send("ann", duel.claim(), "words: 400\npace: 20")
    eventually(lambda: all(reply.text() for reply in writing.replies.of(duel.conversation).values()))
    assert len(writing.replies.of(duel.conversation)) == 2
    Recorder(writing).stop("ann", duel.conversation)
    pair = duel.view().pair
    assert pair is not None
    assert (pair.left.status, pair.right.status) == ("stopped", "stopped")
    assert not duel.view().running


def test_of_two_tabs_one_sends(duel: Duel) -> None:
    duel.asks("say: Hello")
    duel.chooses("a")
    claim = duel.claim()
    duel.asks("say: From here")
    with pytest.raises(SeqConflict):
        duel.comparer.send("ann", Claim(claim.conversation_id, claim.turn_seq, duel.nonce()), "say: From there")


def test_the_same_gesture_twice_asks_once(duel: Duel, store: Store) -> None:
    claim = Claim("", 0, duel.nonce())
    duel.conversation = duel.comparer.send("ann", claim, "say: Hello")
    assert duel.comparer.send("ann", claim, "say: Hello") == duel.conversation
    eventually(lambda: not duel.view().running)
    assert [event.payload.kind for event in store.load(duel.conversation)].count("message_sent") == 1


def test_nobody_chooses_in_anothers_conversation(duel: Duel, comparer: Comparer) -> None:
    view = duel.asks("say: Hello")
    assert view.pair is not None
    other = Duel(comparer, "bob")
    other.conversation = duel.conversation
    with pytest.raises(NotFound):
        comparer.choose("bob", other.nonce(), duel.conversation, view.pair.message_id, Verdict(choice="a"))
    with pytest.raises(NotFound):
        other.view()


def test_nothing_is_asked_before_consent(server: ModelServer, store: Store) -> None:
    spec = {"kind": "openai", "base_url": server.base_url, "model": "scripted"}
    models = [spec | {"name": name} for name in NAMES]
    study = study_for(server, models=models, modes=["compare"], consent={"version": "1", "text": "May we?"})
    with open_models(study.models, {}) as opened:
        comparer = Comparer(Writing(study, store, opened, clock=utc_now))
        with pytest.raises(ConsentNeeded):
            Duel(comparer).asks("say: Hello")


def test_chat_and_compare_keep_their_conversations_apart(duel: Duel, writing: Writing, store: Store) -> None:
    recorder = Recorder(writing)
    duel.asks("say: Side by side")
    chat = Chat(recorder, store)
    chat.ask("say: Chatting")
    assert [one.id for one in recorder.conversations("ann", mode="compare")[0]] == [duel.conversation]
    assert [one.id for one in recorder.conversations("ann")[0]] == [chat.conversation_id]
    assert recorder.latest("ann", "compare") == duel.conversation
    assert recorder.latest("ann") == chat.conversation_id
    assert recorder.opened("ann", duel.conversation) == ""
    with pytest.raises(GestureRefused, match="another page"):
        duel.comparer.send("ann", Claim(chat.conversation_id, chat.view().turn_seq, duel.nonce()), "say: Hello")
    with pytest.raises(GestureRefused, match="another page"):
        recorder.send("ann", Claim(duel.conversation, duel.view().turn_seq, duel.nonce()), "say: Hello")


# ── draws ──

PAIRS = [("red", "green"), ("red", "blue"), ("green", "blue")]


def drawn(store: Store, pair: tuple[str, str], number: int) -> None:
    payload = PairDrawn(
        message_id="q",
        answer_a="a",
        answer_b="b",
        model_a=pair[1],
        model_b=pair[0],
        left="a",
        policy="least_seen",
        propensity=0.5,
    )
    stream = f"stream{number}"
    at = "2026-11-28T10:00:00.000000Z"
    store.append(
        [NewEvent(event_id=f"e{number}", conversation_id=stream, seq=1, at=at, annotator_id="ann", payload=payload)]
    )


def test_uniform_draws_every_pair_alike_and_says_so(store: Store) -> None:
    draws = Draws(store, PAIRS, "uniform", random.Random(1))
    seen = Counter(draws.draw() for _ in range(3000))
    assert set(seen) == {(pair, 1 / 3) for pair in PAIRS}
    assert min(seen.values()) > 900


def test_the_least_seen_pair_is_likelier_by_the_chance_that_is_kept(store: Store) -> None:
    for number in range(3):
        drawn(store, PAIRS[0], number)
    draws = Draws(store, PAIRS, "least_seen", random.Random(1))
    expected = {PAIRS[0]: 0.25 / 2.25, PAIRS[1]: 1 / 2.25, PAIRS[2]: 1 / 2.25}
    seen = Counter(draws.draw() for _ in range(4000))
    assert {pair: propensity for pair, propensity in seen} == {key: pytest.approx(one) for key, one in expected.items()}
    for pair, share in expected.items():
        assert abs(sum(count for (one, _), count in seen.items() if one == pair) / 4000 - share) < 0.03


def test_what_others_draw_meanwhile_counts(store: Store) -> None:
    draws = Draws(store, PAIRS[:2], "least_seen", random.Random(1))
    assert draws.draw()[1] == 0.5
    for number in range(9):
        drawn(store, PAIRS[0], number)
    chances = dict(draws.draw() for _ in range(50))
    assert chances == {PAIRS[0]: pytest.approx(0.1 / 1.1), PAIRS[1]: pytest.approx(1 / 1.1)}


def test_sides_are_drawn_at_random(comparer: Comparer, writing: Writing) -> None:
    lefts = Counter(comparer._pair(None).left for _ in range(400))
    firsts = Counter(comparer._pair(None).a.model for _ in range(900))
    assert 150 < lefts["a"] < 250
    assert all(200 < count < 400 for count in firsts.values())


def test_a_study_with_one_model_compares_nothing(server: ModelServer, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="compare needs two models or more"):
        study_for(server, modes=["compare"])
