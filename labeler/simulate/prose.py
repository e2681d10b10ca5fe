"""Texts for simulated conversations: plain grammar over word lists, with the shapes that chat answers have.

Nothing here means anything. What matters is what a log is made of: openers that repeat, lengths with a long tail,
markdown, code with its indentation, other languages, and enough entropy that files compress as real ones would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random

MAX_SENTENCES = 40
SHORT = 40


@dataclass(frozen=True, slots=True)
class Topic:
    """What a conversation is about; only some topics are answered with code."""

    subject: str
    code: bool = False


TOPICS = (
    Topic("binary search", code=True),
    Topic("a Python decorator", code=True),
    Topic("SQL joins", code=True),
    Topic("git rebase", code=True),
    Topic("a hash map", code=True),
    Topic("regular expressions", code=True),
    Topic("recursion", code=True),
    Topic("a REST interface", code=True),
    Topic("unit tests", code=True),
    Topic("a race condition", code=True),
    Topic("sourdough bread"),
    Topic("learning the violin"),
    Topic("a job interview"),
    Topic("compound interest"),
    Topic("the water cycle"),
    Topic("a rainy weekend in Lisbon"),
    Topic("sleeping better"),
    Topic("the French Revolution"),
    Topic("a vegetable garden"),
    Topic("photosynthesis"),
    Topic("running a first marathon"),
    Topic("moving to another city"),
    Topic("black holes"),
    Topic("a difficult conversation"),
)

_OPENERS = (
    "Explain {} to a beginner.",
    "What is the most common mistake with {}?",
    "Give me three tips about {}.",
    "Write a short introduction to {}",
    "How would you teach {} to a ten-year-old?",
    "can you help me with {}",
    "I have an exam on {} tomorrow. Where do I start?",
    "Compare two approaches to {}.",
    "Why does {} matter?",
    "Make a checklist for {}.",
    "What should I read about {}?",
    "Summarise {} in one sentence.",
    "I tried {} and it did not work. What now?",
    "tell me something surprising about {}",
    "Is {} still relevant today?",
    "Write a friendly e-mail that explains {}.",
    "Draft an outline for a talk on {}.",
    "What are the limits of {}?",
)
_ODD_OPENERS = (
    "hi",
    "Hello!",
    "Bonjour, peux-tu m'expliquer la photosynthèse ? Réponds en français.",
    "Cafe\u0301 or tea? Decide for me.",  # decomposed on purpose: the same text as "Café" once it is normalised
    "Erkläre mir bitte den Zinseszins, möglichst kurz.",
    "请用一句话解释什么是黑洞。",
    "¿Qué hago un fin de semana lluvioso en Lisboa? ☔",
    "اشرح لي دورة الماء",
    "Fix this:\n\n    def area(r):\n        return 3.14 * r ^ 2\n",
    "Translate to Italian: “The early bird catches the worm.”",
    "What is 17 * 23?",
    "<script>alert(1)</script> — what does this line do?",
)
_FOLLOW_UPS = (
    "Can you give an example?",
    "Shorter, please.",
    "Why is that?",
    "And how does this relate to {}?",
    "I do not understand the second point.",
    "What if I have only ten minutes?",
    "ok, thanks! One more thing: what about {}?",
    "Are you sure?",
    "Put it in a table.",
    "Now explain it to an expert.",
    "What would you do first?",
    "Could you rewrite that in simpler words?",
    "go on",
    "Which part is the hardest?",
)
_REPHRASINGS = ("{} Keep it short.", "{} Answer in plain words.", "Please: {}", "{} One paragraph is enough.")
_PRAISE = (
    "Exactly what I asked for.",
    "Clear and kind.",
    "Good, but too long.",
    "The example made it click.",
)
_COMPLAINTS = (
    "The second half repeats the first.",
    "The code does not run.",
    "It did not answer the question.",
    "Wrong facts in the first sentence.",
    "I would have liked an example.",
)

_NOUNS = """
 answer approach argument author balance base border bottleneck branch budget calendar case cause chain change chapter
 choice circle city claim class clock code cost course crowd cycle day decision degree design detail
 direction draft edge effect effort energy engine error evening example exercise fact failure feature field figure flour
 flow form friend function garden goal group growth habit hand harvest heart history hour house idea index input kitchen
 language layer lesson letter level library light limit line list loop machine map market meaning measure member memory
 method middle mind minute model moment morning movement name neighbour network note number object option order outcome
 page part path pattern pause period person picture place plan plant point practice price problem process product
 project proof purpose question rate reader reason record region result rhythm river room root route row rule sample
 scale season sentence series shape side signal silence skill slope soil solution source space speed stage standard step
 stone store story stream structure student study surface system table task teacher team term test theory thread time
 tool topic track train travel tree truth unit use value variable version view voice volume water week weight window
 word work world year
"""
_ADJECTIVES = """
 accurate ancient ordinary basic bold brief bright broad busy calm careful central cheap clear clever cold common
 complete complex constant correct curious deep dense different direct distant early easy empty equal exact familiar
 fast final fine firm first flat formal fresh full general gentle good great hard heavy hidden honest huge ideal
 important internal large late light local long loud main modern narrow natural neat new old open original particular
 patient plain practical precise private quick quiet rare raw recent regular rich rough round safe separate serious
 shallow sharp short silent simple single slow small smooth soft solid sparse stable steady strange strict strong
 subtle sudden tidy tiny true typical useful usual vague warm whole wide young
"""
_VERBS = """
 absorbs accepts adjusts answers balances begins breaks brings builds carries catches changes checks closes collects
 compares completes connects contains copies covers creates crosses decides defines describes divides draws
 drives ends enters explains extends fills finds finishes follows gathers gives grows guides helps hides holds ignores
 improves includes joins keeps lacks leaves limits links loses makes marks matches measures meets misses moves
 needs notices offers opens orders passes prepares produces proves pulls raises reaches reads reduces reflects
 removes repeats replaces returns reveals saves separates serves shapes shares shows shrinks signals solves
 splits starts states stops supports takes teaches tests touches uses wants warms
"""
_ADVERBS = """
 almost already also always barely calmly carefully clearly closely completely directly easily evenly exactly finally
 first gently gradually hardly however instead largely later mostly naturally nearly never now often once only openly
 partly perhaps quickly quietly rarely really seldom simply slowly soon steadily still suddenly then together usually
 well wholly
"""

# A byte picks a word: every list is cycled to 256 entries, so that no draw needs a bound.
_WORDS = {
    code: tuple((words.split() * 256)[:256])
    for code, words in {"n": _NOUNS, "a": _ADJECTIVES, "v": _VERBS, "d": _ADVERBS}.items()
}
_PATTERNS = (
    ("The %s %s %s the %s.", "anvn"),
    ("In practice a %s %s %s %s every %s.", "anvan"),
    ("%s, the %s of the %s %s a %s %s.", "dnnvan"),
    ("Think of the %s as a %s %s that %s the %s.", "nanvn"),
    ("If the %s %s the %s, the %s %s %s it.", "nvnnvd"),
    ("A %s %s and a %s %s are not the same %s.", "anann"),
    ("It %s %s the %s, which is why the %s %s looks so %s.", "dvnana"),
    ("Most people see the %s first and the %s %s much %s.", "nand"),
    ("There is one exception: a %s %s %s %s the %s.", "andvn"),
    ("Without the %s, no %s %s the %s %s.", "nnvan"),
    ("In most cases the %s %s is %s, and the %s is not.", "anan"),
    ("Start with the %s %s and let the %s follow.", "ann"),
    ("What %s the %s is the %s, not the %s.", "vnnn"),
    ("The %s is %s, the %s %s, and the %s %s both.", "nanvnv"),
    ("You can check this yourself: the %s %s %s the %s %s.", "nvdan"),
    ("Note that *%s* here means the %s %s of the %s.", "nann"),
)
_INTROS = (
    "Good question.",
    "Sure! Here is how I think about {}.",
    "In short: {} is simpler than it looks.",
    "There are several ways to look at {}.",
    "Let's take {} step by step.",
    "**{}** deserves a careful answer.",
    "I'm happy to help with {}.",
    "It depends on what you expect from {}.",
)
_CLOSINGS = (
    "I hope that helps!",
    "Let me know if you want an example.",
    "Would you like me to go deeper into {}?",
    "That is the core of {}.",
    "When in doubt, keep it simple.",
)
_CODE_BLOCKS = """python
def find(values, wanted):
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) // 2
        if values[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low
---
sql
SELECT author, count(*) AS books
  FROM library
  JOIN authors USING (author_id)
 GROUP BY author
HAVING count(*) > 1;
---
sh
git fetch origin
git rebase --onto origin/main HEAD~3
---
python
from functools import wraps


def traced(function):
    @wraps(function)
    def inner(*args):
        print(function.__name__, args)
        return function(*args)

    return inner
---
js
const counts = new Map();
for (const word of words) {
  counts.set(word, (counts.get(word) ?? 0) + 1);
}
---
python
def test_an_empty_basket_costs_nothing():
    assert total([]) == 0"""
_CODE = tuple(f"```{block}\n```" for block in _CODE_BLOCKS.split("\n---\n"))


@cache
def openers() -> tuple[tuple[str, Topic], ...]:
    """Every opener there is, with its topic: several hundred, the most frequent first."""
    plain = [(form.format(topic.subject), topic) for form in _OPENERS for topic in TOPICS]
    Random("openers").shuffle(plain)
    odd = [(text, TOPICS[index % len(TOPICS)]) for index, text in enumerate(_ODD_OPENERS)]
    return tuple(odd[:2] + plain[:40] + odd[2:] + plain[40:])


def opener(rng: Random) -> tuple[str, Topic]:
    """An opener, the early ones of the list far more often than the late ones."""
    known = openers()
    return known[int(len(known) * rng.random() ** 2.2)]


def follow_up(rng: Random, topic: Topic) -> str:
    """What an annotator says after the first answer: mostly short, now and then with something pasted."""
    text = rng.choice(_FOLLOW_UPS).format(topic.subject)
    if rng.random() < 0.04:
        text += "\n\n> " + "\n> ".join(sentences(rng, 3 + rng.randrange(12)))
    return text


def rephrased(rng: Random, text: str) -> str:
    """One's own message, written again."""
    return rng.choice(_REPHRASINGS).format(text.rstrip())


def comment(rng: Random, liked: bool) -> str:
    return rng.choice(_PRAISE if liked else _COMPLAINTS)


def sentences(rng: Random, count: int) -> list[str]:
    """Grammatical nonsense, about 60 characters each."""
    drawn = rng.randbytes(count * 8)
    made = []
    for start in range(0, count * 8, 8):
        pattern, slots = _PATTERNS[drawn[start] % len(_PATTERNS)]
        words = tuple([_WORDS[slot][byte] for slot, byte in zip(slots, drawn[start + 1 : start + 8], strict=False)])
        text = pattern % words
        made.append(text if pattern[0] != "%" else text[0].upper() + text[1:])
    return made


def answer(rng: Random, topic: Topic) -> str:
    """A model's answer: terse, prose, a list, code or a table, with a long tail of lengths."""
    count = min(MAX_SENTENCES, 1 + int(rng.lognormvariate(1.9, 0.65)))
    body = sentences(rng, count)
    if count <= 2:
        return " ".join(body)
    shape = rng.random()
    blocks = _shape(shape, topic)(rng, body)
    if shape < 0.7:
        blocks.insert(0, rng.choice(_INTROS).format(topic.subject))
    if rng.random() < 0.3:
        blocks.append(rng.choice(_CLOSINGS).format(topic.subject))
    return "\n\n".join(blocks)


def _shape(draw: float, topic: Topic) -> Callable[[Random, list[str]], list[str]]:
    if topic.code and draw < 0.35:
        return _with_code
    if draw < 0.6:
        return _paragraphs
    if draw < 0.9:
        return _bullets
    return _steps if draw < 0.97 else _table


def _paragraphs(rng: Random, body: Sequence[str]) -> list[str]:
    size = 3 + rng.randrange(3)
    return [" ".join(body[start : start + size]) for start in range(0, len(body), size)]


def _with_code(rng: Random, body: Sequence[str]) -> list[str]:
    blocks = _paragraphs(rng, body)
    blocks.insert(rng.randrange(len(blocks)) + 1, rng.choice(_CODE))
    return blocks


def _bullets(rng: Random, body: Sequence[str]) -> list[str]:
    return [body[0], "\n".join(f"- {line}" for line in body[1:])]


def _steps(rng: Random, body: Sequence[str]) -> list[str]:
    return ["## Steps", "\n".join(f"{number}. {line}" for number, line in enumerate(body, start=1))]


def _table(rng: Random, body: Sequence[str]) -> list[str]:
    rows = "\n".join(f"| {number} | {line} |" for number, line in enumerate(body, start=1))
    return [f"| | |\n| --: | --- |\n{rows}"]


def revised(rng: Random, text: str, topic: Topic) -> str:
    """An answer as a person would rewrite it: white space only, a touch, a good part, or all of it."""
    draw = rng.random()
    if len(text) < SHORT or draw > 0.75:
        return answer(rng, topic)
    if draw < 0.03:
        return text + "\n" if rng.random() < 0.5 else text.replace(". ", ".  ", 1)
    if draw < 0.4:
        return f"{text.rstrip()} {sentences(rng, 1)[0]}"
    kept = text[: len(text) // 2].rpartition(".")[0] or text[: len(text) // 2]
    return f"{kept}. {' '.join(sentences(rng, 2))}"
