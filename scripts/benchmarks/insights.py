"""The page "Insights" of a big log: the server time of a view, and what keeping its summaries up to date costs.

The log is simulated: conversations in the chat and side by side, reviewed by others. Its summaries are counted once
from the start, which is the bare thing that everything else stands beside: counting them again after one more vote, and
views of the page over HTTP (the document, and the answer to the gesture that a browser then makes), first of a log that
rests, then of one that grows by a vote before every view, so that newer counts are made beside the page.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from labeler.app import SECRET_FILE, cookie_secret
from labeler.core.events import ConversationStarted, NewEvent, ReplyFinished, VoteCast
from labeler.core.wishes import Wishes
from labeler.ids import event_id, new_id
from labeler.insights.report import report
from labeler.page import Identity
from labeler.simulate import simulate
from labeler.store import Store
from labeler.store.summaries import summary
from labeler.study import Study, parse_study
from scripts.benchmarks.votes import Wire, until_it_answers

MOST_MS = 200.0
SHARE_OF_START = 0.05
ANNOTATORS = 60
EVENTS_A_CONVERSATION = 18.6
AT = "2026-11-28T10:00:00.000000Z"
VIEWS = 60


def study_in(folder: Path) -> Study:
    models = [{"name": name, "kind": "openai", "base_url": "http://127.0.0.1:9/v1", "model": name} for name in "ab"]
    reasons = ["Helpful", "Clear", "Wrong", "Too long", "Unsafe"]
    modes = ["chat", "compare", "review"]
    study = {"name": "bench", "models": models, "modes": modes, "vote_reasons": reasons}
    return parse_study({**study, "database": f"sqlite:///{folder}/log.db"})


# ── the log, and the summaries ──


def count(study: Study, events: int) -> tuple[bool, list[NewEvent]]:
    """Make the log and time its summaries. Returns whether they are kept up to date cheaply, and votes to add."""
    with Store.open(study.database_url) as store:
        store.extend(simulate(round(events / EVENTS_A_CONVERSATION), study=study, annotators=ANNOTATORS))
        start = time.perf_counter()
        first = summary(store, consent_needed=False)
        whole = time.perf_counter() - start
        rate = first.position / whole
        print(f"from the start: {first.position:,} events in {whole:.1f} s, {rate:,.0f} a second", flush=True)
        votes = more_votes(store, VIEWS + 5)
        after = []
        for vote in votes[:5]:
            store.append([vote])
            start = time.perf_counter()
            found = summary(store, consent_needed=False)
            after.append(time.perf_counter() - start)
        share = median(after) / whole
        print(
            f"after one more vote: {1000 * median(after):.0f} ms for {len(found.sums):,} sums, {share:.2%} of the whole"
            f" (at most {SHARE_OF_START:.0%})",
            flush=True,
        )
        for wishes in (Wishes(), Wishes(("length", "style"))):
            start = time.perf_counter()
            report(found.sums, wishes)
            what = " and ".join(wishes.controls) or "nothing"
            print(f"document, controlled for {what}: {1000 * (time.perf_counter() - start):.0f} ms", flush=True)
    return share <= SHARE_OF_START, votes[5:]


def more_votes(store: Store, number: int) -> list[NewEvent]:
    """So many votes, one each on the first answers of as many conversations of the chat."""
    votes: list[NewEvent] = []
    for event in store.of_kind(ConversationStarted.kind):
        stream = store.load(event.conversation_id)
        answers = [one.payload.message_id for one in stream if isinstance(one.payload, ReplyFinished)]
        if answers:
            votes.append(
                NewEvent(
                    event_id=event_id("bench", new_id(), 0),
                    conversation_id=event.conversation_id,
                    seq=len(stream) + 1,
                    at=AT,
                    annotator_id=event.annotator_id,
                    payload=VoteCast(message_id=answers[0], vote=1),
                )
            )
        if len(votes) == number:
            break
    return votes


# ── the page ──


async def view(wire: Wire, cookie: str, session: str) -> float:
    """One view of the page, as a browser makes it. Returns its milliseconds."""
    start = time.perf_counter()
    await wire.ask("GET", "/insights/", cookie=cookie)
    claims = {"kind": "open", "nonce": session, "conversation": None, "turn_seq": 0}
    body = {"data": [claims, None], "fn_index": 0, "session_hash": session, "event_data": None}
    await wire.ask("POST", "/insights/gradio_api/queue/join", json.dumps(body).encode(), cookie)
    stream = Wire(wire.port)
    path = f"/insights/gradio_api/queue/data?session_hash={session}"
    await stream.ask("GET", path, cookie=cookie, until=b"></i>")
    return 1000 * (time.perf_counter() - start)


async def views(port: int, cookie: str, votes: list[NewEvent], store: Store) -> bool:
    """Views of a log that rests, and of one that grows; says and returns whether they are quick enough."""
    await until_it_answers(port)
    await view(Wire(port), cookie, "first")
    await asyncio.sleep(30)  # the first count is there by then
    wire = Wire(port)
    held = True
    for what, added in (("at rest", []), ("growing", votes)):
        took = []
        for number, vote in zip(range(VIEWS), cycle(added or [None])):
            if vote is not None:
                store.append([vote])
            took.append(await view(wire, cookie, f"{what[:2]}{number:08}"))
            await asyncio.sleep(0.2)
        took.sort()
        p95 = took[math.ceil(0.95 * len(took)) - 1]
        held = held and p95 <= MOST_MS
        print(f"a view, log {what}: median {median(took):.0f} ms, p95 {p95:.0f} ms (at most {MOST_MS:.0f})", flush=True)
    wire.close()
    return held


@contextmanager
def served(folder: Path, study: Study) -> Iterator[int]:
    """The page as it is served, in a process of its own. Gives its port."""
    config = folder / "study.yaml"
    config.write_text(json.dumps(study.model_dump(mode="json", exclude_defaults=True)), encoding="utf-8")
    command = [sys.executable, "-m", "labeler", "serve", "--config", str(config), "--port", "0"]
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline().rsplit(":", 1)[1])
        finally:
            process.terminate()


def measure(folder: Path, events: int) -> bool:
    study = study_in(folder)
    cheap, votes = count(study, events)
    with served(folder, study) as port, Store.open(study.database_url) as store:
        identity = Identity(cookie_secret(folder / SECRET_FILE), store.source_id)
        cookie = identity.set_cookie(new_id(), scheme="http").partition(";")[0]
        quick = asyncio.run(views(port, cookie, votes, store))
    return cheap and quick


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench insights", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path(), help="where the log goes, on the disk in question")
    chosen = parser.parse_args()
    with TemporaryDirectory(dir=chosen.folder) as fresh:
        return 0 if measure(Path(fresh).resolve(), chosen.events) else 1


if __name__ == "__main__":
    sys.exit(main())
