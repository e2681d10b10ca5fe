"""Who hears first: a browser runs the listeners of an event one after another, in the order in which it is told them.

Whoever comes after the app hears of a retry when the answer is gone already. So ours are put first, and what browsers
are about to be told is looked at before they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from labeler.errors import AttachRefused

Target = tuple[int, str]
"""The id of a component, and the name of an event of it."""


def put_first(listeners: dict[int, Any], first: Iterable[Any]) -> None:
    """Move these listeners before all others; both keep their own order. ``listeners`` is by id, as Gradio has it."""
    ours = set(map(id, first))
    ordered = sorted(listeners.items(), key=lambda entry: id(entry[1]) not in ours)
    listeners.clear()
    listeners.update(ordered)


def prove_first(dependencies: Sequence[Mapping[str, Any]], ours: Mapping[Target, int]) -> None:
    """Look at what browsers are told.

    Args:
        dependencies: the listeners of a page's configuration, in order.
        ours: for each target, the id of the listener that must come first there.

    Raises:
        AttachRefused: a line that names whoever hears first instead.
    """
    for target, listener in ours.items():
        heard = next((one for one in dependencies if _hears(one, target)), None)
        if heard is None or all(one["id"] != listener for one in dependencies):
            raise AttachRefused(
                f"labeler.attach: nobody hears '{target[1]}' any more; the app has dropped its listeners, attach again"
            )
        if heard["id"] != listener:
            raise AttachRefused(
                f"labeler.attach: the listener '{heard.get('api_name')}' hears '{target[1]}' before labeler does, so"
                " what it changes would be recorded wrongly; attach after it is wired"
            )


def _hears(dependency: Mapping[str, Any], target: Target) -> bool:
    return any(tuple(one) == target for one in dependency["targets"])
