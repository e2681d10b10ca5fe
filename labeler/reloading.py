"""The study file, read again while its page is served: all of what may change at once is taken, or nothing is.

What decides which events there are and whose, where they go and who may come in stays until a restart; a change there
is named, and the rest of the file is taken all the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from labeler.errors import LabelerError
from labeler.study import Study
from labeler.watching import SILENT, Watch

# What a page may learn while it is open, and what only new conversations read; parts of a section stand with its name.
RENEWED = frozenset(
    {
        "system_prompt",
        "guidelines",
        "vote_reasons",
        "consent.version",
        "consent.text",
        "prompts",
        "limits.message_chars",
        "limits.edit_chars",
        "limits.comment_chars",
        "limits.conversation_messages",
        "limits.conversation_events",
    }
)


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a new reading of a study file means for a page that is being served.

    ``study`` is the one to go on with; ``taken`` and ``waiting`` name the keys that changed: those in force from now
    on, and those that need a restart.
    """

    study: Study
    taken: tuple[str, ...]
    waiting: tuple[str, ...]

    @property
    def line(self) -> str:
        """What is said of it."""
        said = [f"taken from the study file: {', '.join(self.taken)}"] if self.taken else []
        if self.waiting:
            said.append(f"changed there, and needs a restart: {', '.join(self.waiting)}")
        return "; ".join(said) or "the study file says what it said before"


def renewal(served: Study, read: Study) -> Renewal:
    """The study that is served with what may change of the one that was read."""
    changed = tuple(_differences(served, read))
    taken = tuple(key for key in changed if key in RENEWED)
    return Renewal(_with(served, read, taken), taken, tuple(key for key in changed if key not in RENEWED))


def _differences(one: BaseModel, other: BaseModel, prefix: str = "") -> Iterator[str]:
    """The dotted names of what differs. A section that only one of them has is one difference."""
    for name in type(one).model_fields:
        mine, theirs = getattr(one, name), getattr(other, name)
        if isinstance(mine, BaseModel) and type(mine) is type(theirs):
            yield from _differences(mine, theirs, f"{prefix}{name}.")
        elif mine != theirs:
            yield prefix + name


def _with(served: Study, read: Study, keys: Sequence[str]) -> Study:
    updates: dict[str, Any] = {}
    for key in keys:
        section, _, name = key.rpartition(".")
        if section:
            part = updates.get(section, getattr(served, section))
            updates[section] = part.model_copy(update={name: getattr(getattr(read, section), name)})
        else:
            updates[name] = getattr(read, name)
    return served.model_copy(update=updates)


class Reloader:
    """Reads the study file again when it is told to. Safe to call from any thread; readings follow one another.

    Args:
        served: the study as it is served now.
        read: the file as it is now, checked whole; raises LabelerError.
        renew: puts another study into force; raises LabelerError, and then nothing has changed.
        say: gets one line for each reading.
    """

    def __init__(
        self,
        served: Study,
        read: Callable[[], Study],
        renew: Callable[[Study], None],
        say: Callable[[str], None],
        watch: Watch = SILENT,
    ) -> None:
        self._served, self._read, self._renew = served, read, renew
        self._say, self._watch = say, watch
        self._turn = threading.Lock()

    def reload(self) -> bool:
        """Read the file; false if it stays as it was because the file is wrong."""
        with self._turn:
            try:
                found = renewal(self._served, self._read())
                if found.taken:
                    self._renew(found.study)
            except LabelerError as error:
                self._watch.reloaded(False)
                self._say(f"{error}; the study stays as it was")
                return False
            self._served = found.study
        self._watch.reloaded(True)
        self._say(found.line)
        return True

    def reload_soon(self) -> None:
        """Read the file on a thread of its own: whoever calls this, a signal's handler say, must not wait."""
        threading.Thread(target=self.reload, name="labeler-reload", daemon=True).start()
