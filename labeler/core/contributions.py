"""What one conversation adds to the statistics: counts under keys, which add up over a log in any order.

Whatever is computed of judgements is computed of these sums, so a conversation that changes is taken out as it was and
put in as it is, and nothing else has to be read again.

    pair     week, counts by winner, counts by step      a unit of two answers, and how many said what of it
    vote     week, counts of likes and dislikes          a unit of one answer
    reason   reason, counts of who gave it and who not   a unit, and how many of its judges gave this reason
    battle   models, outcome, annotator, side, contrasts one annotator's word on two models
    rater    annotator, kind, word, counts of the others one annotator's word beside what the others said
    between  two annotators, their words                 two annotators on one unit of two answers
    gold     annotator, right or wrong                   a judgement of which it is certain what is right
    speed    annotator, bucket                           how long a choice took: bucket n is about 1.25 ** n ms
    day      annotator, day                              a judgement on that day
    thumb    annotator, like or dislike                  a vote
    given    reason, what it was given for               a reason
    when     day, what was given                         a like, a dislike or a comparison of that day

A week is named by its Monday.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from itertools import combinations
from math import log

from labeler.core.conversation import Conversation
from labeler.core.judging import (
    STEPS,
    VOTES,
    WINNERS,
    PairJudgement,
    VoteJudgement,
    pair_judgements,
    vote_judgements,
)
from labeler.core.standing import Standing

Key = tuple[str, ...]
BUCKET = log(1.25)
_MIDDLES = {"both_good": "tie"}


def contributions(conversation: Conversation, standing: Standing) -> Counter[Key]:
    """The counts of one conversation; nothing of whoever may not be heard."""
    counts: Counter[Key] = Counter()
    if standing.refusal(conversation.annotator_id) is not None:
        return counts
    pairs: dict[str, list[PairJudgement]] = defaultdict(list)
    for pair in pair_judgements(conversation, standing):
        pairs[pair.unit].append(pair)
    votes: dict[str, list[VoteJudgement]] = defaultdict(list)
    for vote in vote_judgements(conversation, standing):
        votes[vote.unit].append(vote)
    for judged in pairs.values():
        _add_pairs(counts, judged)
    for voted in votes.values():
        _add_votes(counts, voted)
    return counts


def _add_pairs(counts: Counter[Key], judged: Sequence[PairJudgement]) -> None:
    words = {one.annotator: _MIDDLES.get(one.winner, one.winner) for one in judged}
    if _measured_by_gold(counts, judged, {one.annotator: one.winner for one in judged}):
        return
    week = monday(max(one.day for one in judged))
    counts["pair", week, spelled(words.values(), WINNERS), spelled([one.step for one in judged], STEPS)] += 1
    _add_reasons(counts, [one.reasons for one in judged], "comparison")
    _add_raters(counts, words, WINNERS, "pair")
    for first, second in combinations(sorted(words), 2):
        counts["between", first, second, words[first], words[second]] += 1
    for one in judged:
        contrasts = f"{one.side}", f"{one.length:g}", f"{one.style:g}", "named" if one.named else ""
        counts["battle", one.model_a, one.model_b, f"{one.outcome:g}", one.annotator, *contrasts] += 1
        counts["day", one.annotator, one.day] += 1
        counts["when", one.day, "comparison"] += 1
        if one.decision_ms:
            counts["speed", one.annotator, str(round(log(one.decision_ms) / BUCKET))] += 1


def _add_votes(counts: Counter[Key], voted: Sequence[VoteJudgement]) -> None:
    words = {one.annotator: "like" if one.like else "dislike" for one in voted}
    if _measured_by_gold(counts, voted, words):
        return
    counts["vote", monday(max(one.day for one in voted)), spelled(words.values(), VOTES)] += 1
    _add_reasons(counts, [one.reasons for one in voted], "")
    _add_raters(counts, words, VOTES, "vote")
    for one in voted:
        counts["thumb", one.annotator, words[one.annotator]] += 1
        counts["day", one.annotator, one.day] += 1
        counts["when", one.day, words[one.annotator]] += 1
        counts.update(("given", reason, words[one.annotator]) for reason in one.reasons)


def _measured_by_gold(
    counts: Counter[Key], judged: Sequence[PairJudgement | VoteJudgement], words: Mapping[str, str]
) -> bool:
    """Count who was right, where that is certain: the owner's word on gold is no judgement, it is what is right."""
    right = next((words[one.annotator] for one in judged if one.gold and one.owner), None)
    if right is None:
        return False
    others = [one.annotator for one in judged if not one.owner]
    counts.update(("gold", one, "right" if words[one] == right else "wrong") for one in others)
    return True


def _add_reasons(counts: Counter[Key], given: Sequence[tuple[str, ...]], what: str) -> None:
    """Who gives no reason at all says nothing about any of them."""
    spoken = [reasons for reasons in given if reasons]
    for reason in sorted({reason for reasons in spoken for reason in reasons}):
        yes = sum(reason in reasons for reasons in spoken)
        counts["reason", reason, f"{yes},{len(spoken) - yes}"] += 1
        if what:
            counts["given", reason, what] += yes


def _add_raters(counts: Counter[Key], words: Mapping[str, str], categories: Sequence[str], kind: str) -> None:
    if len(words) < 2:
        return
    for annotator, word in words.items():
        others = [said for name, said in words.items() if name != annotator]
        counts["rater", annotator, kind, word, spelled(others, categories)] += 1


def monday(day: str) -> str:
    """The day on which the week of a day begins."""
    found = date.fromisoformat(day)
    return (found - timedelta(days=found.weekday())).isoformat()


def spelled(words: Iterable[str], categories: Sequence[str]) -> str:
    """How many said each, in the order of the categories: ``2,0,1,0``."""
    said = Counter(words)
    return ",".join(str(said[category]) for category in categories)
