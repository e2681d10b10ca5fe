"""A Hub for tests: the part of the Hugging Face Hub's HTTP contract that data sets need, with true state behind it."""

from __future__ import annotations

from huggingface_hub.utils import _detect_agent

from tests.hub_server.faults import Answer, Fault, Faults, Gate, Hold, Kill, Lost, Reset, Slow, Stall, Zombie
from tests.hub_server.server import HubServer, Seen
from tests.hub_server.state import Account, Change, Commit, Entry, Refused, State

# Once a process, the client asks the public Hub for a list that nothing here needs. Tests stay on this machine.
_detect_agent._registry = {"standardEnvVars": [], "harnesses": {}}

__all__ = [
    "Account",
    "Answer",
    "Change",
    "Commit",
    "Entry",
    "Fault",
    "Faults",
    "Gate",
    "Hold",
    "HubServer",
    "Kill",
    "Lost",
    "Refused",
    "Reset",
    "Seen",
    "Slow",
    "Stall",
    "State",
    "Zombie",
]
