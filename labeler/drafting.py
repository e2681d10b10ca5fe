"""A pool of prompts, each answered by several models, to be reviewed: pairs that nobody had to ask for.

A prompt becomes a conversation of its own, stored at once when all its answers are there. Which models answer, and with
which seeds, follows from the prompt alone, so that a run that was broken off goes on where it stopped.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from labeler.chat.replies import Reply, stop, write
from labeler.chat.writing import draw_of
from labeler.core.bodies import canonical_json
from labeler.core.events import ConversationStarted, NewEvent, Payload, ReplyFinished
from labeler.core.imports import Message, Misfit, named, prompt_in, prompt_payloads, system_in, told_by
from labeler.core.standing import NOBODY
from labeler.errors import LabelerError
from labeler.importing import RowsResult, Source, rows_of
from labeler.models import ChatModel
from labeler.store import Store
from labeler.study import Study

MODE = "pool"


@dataclass(slots=True)
class DraftResult(RowsResult):
    """What became of the prompts; ``failed`` counts, by reason, those whose models gave no answer."""

    drafted: int = 0
    failed: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Task:
    """One prompt, and where it stood."""

    place: str
    prompt: tuple[Message, ...]
    conversation_id: str


class Drafting:
    """Answers prompts with the study's models.

    Args:
        answers: how many different models answer each prompt.
        parallel: how many prompts are answered at once.
        clock: says when.

    Raises:
        LabelerError: the study has fewer models than that.
    """

    def __init__(
        self, study: Study, models: Mapping[str, ChatModel], clock: Callable[[], str], *, answers: int, parallel: int
    ) -> None:
        if len(models) < answers:
            raise LabelerError(
                f"{answers} answers to a prompt need {answers} models, and the study has {len(models)};"
                " add one to models, or say --answers"
            )
        self._study = study
        self._models = models
        self._clock = clock
        self._answers = answers
        self._parallel = parallel
        self._replies: dict[int, Reply] = {}

    def run(self, store: Store, source: Source, report: Callable[[int], None]) -> DraftResult:
        """Answer every prompt of a source that was not answered before. ``report`` is told of each that is done with.

        Raises:
            LabelerError: the source cannot be read.
            StoreError: the log cannot be written; what was stored stays, and the same call goes on.
        """
        result = DraftResult(source.name)
        tasks = self._tasks(store, source, result, report)
        with ThreadPoolExecutor(self._parallel, thread_name_prefix="labeler-draft") as pool:
            waiting: dict[Future[list[Payload]], _Task] = {}
            try:
                while True:
                    while len(waiting) < self._parallel and (task := next(tasks, None)) is not None:
                        waiting[pool.submit(self._answered, task)] = task
                    if not waiting:
                        return result
                    for done in wait(waiting, return_when=FIRST_COMPLETED).done:
                        self._take(store, source, result, waiting.pop(done), done.result())
                        report(1)
            except BaseException:
                for reply in list(self._replies.values()):
                    stop(reply)
                pool.shutdown(cancel_futures=True)
                raise

    def _tasks(
        self, store: Store, source: Source, result: DraftResult, report: Callable[[int], None]
    ) -> Iterator[_Task]:
        seen: set[str] = set()
        for place, row in rows_of(source):
            try:
                prompt = prompt_in(row)
            except Misfit as error:
                result.refuse(place, str(error))
                report(1)
                continue
            known = canonical_json({"prompt": [list(one) for one in prompt], "answers": self._answers})
            conversation_id = named("draft", source.name, known)
            if conversation_id in seen or store.last_seq(conversation_id):
                result.known += 1
                report(1)
                continue
            seen.add(conversation_id)
            yield _Task(place, prompt, conversation_id)

    def _take(self, store: Store, source: Source, result: DraftResult, task: _Task, answers: Sequence[Payload]) -> None:
        failed = next((one for one in answers if isinstance(one, ReplyFinished) and one.status != "complete"), None)
        if failed is not None:
            result.tell(result.failed, task.place, failed.error or "the model was stopped")
            return
        system = self._system(task)
        started = ConversationStarted(study=self._study.name, mode=MODE, model="", system_prompt=system)
        asked, _ = prompt_payloads(task.prompt, task.conversation_id, system)
        events: list[NewEvent] = told_by(
            NOBODY + source.name, task.conversation_id, [started, *asked, *answers], self._clock()
        )
        store.append(events)
        result.drafted += 1

    def _system(self, task: _Task) -> str | None:
        return system_in(task.prompt) or self._study.system_prompt

    def _answered(self, task: _Task) -> list[Payload]:
        """The answers of the models that are drawn for a prompt, one after the other; after a failure no more."""
        chance = random.Random(task.conversation_id)
        system = self._system(task)
        _, parent = prompt_payloads(task.prompt, task.conversation_id, system)
        messages = [{"role": role, "content": text} for role, text in task.prompt if role != "system"]
        if system:
            messages.insert(0, {"role": "system", "content": system})
        answers: list[Payload] = []
        for number, name in enumerate(chance.sample(sorted(self._models), self._answers)):
            model = self._models[name]
            sampling = model.sampling(seed=chance.randrange(2**31))
            draw = draw_of(model, f"{task.conversation_id}.answer-{number}", sampling, system)
            reply = Reply(
                conversation_id=task.conversation_id,
                message_id=draw.message_id,
                model=model,
                messages=messages,
                sampling=sampling,
                store_end=_not_by_itself,
            )
            self._replies[id(reply)] = reply
            try:
                write(reply)
            finally:
                del self._replies[id(reply)]
            assert reply.end is not None
            answers += [draw.reply(parent), reply.end]
            if reply.end.status != "complete":
                break
        return answers


def _not_by_itself(end: ReplyFinished) -> None:
    """A drafted answer is stored with its conversation."""
