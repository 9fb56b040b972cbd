"""What captured outcomes mean for propensities: which case each belongs to, and what it says of it.

A case is one action of one decision: a trial as soon as an outcome says that it was tried, a success while
the latest word on it is that it was accepted. So an impression and its acceptance count once, a correction
takes back what it corrects, repeats change nothing, and outcomes may come in any order. Without a decision a
case is one action of one event: what was said to happen at one time in one channel.

Source: domain model, section 9. Oracle: tests/naive/learning.py `case_counts`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from nextbest.model import NO_CODE, Bools, EntryFlag, Outcome
from nextbest.rulebook.strategy import Learning


class Word(IntEnum):
    """What an outcome says of its case. Of the words at one time the highest number counts."""

    TRIED = 0
    """It was tried; says nothing of how it ended."""
    SUCCESS = 1
    FAILURE = 2
    NEVER = 3
    """It was not presented after all: there is no case."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One captured outcome as evidence."""

    case: bytes
    """Identity of the case for the customer: action and decision; without a decision action, channel and
    time, and without a time the outcome's own key."""
    action: int
    """Registry code."""
    word: Word
    time: float
    """Event time, epoch seconds."""
    key: bytes
    """Eight bytes of the outcome's idempotency key: a case hears each outcome once."""


def word_of(learning: Learning, outcome: int) -> Word | None:
    """What an outcome says under the rulebook's rules; None = nothing."""
    if outcome == Outcome.NOT_PRESENTED:
        return Word.NEVER
    sets = (
        (learning.failures, Word.FAILURE),
        (learning.successes, Word.SUCCESS),
        (learning.trials, Word.TRIED),
    )
    return next((word for outcomes, word in sets if outcomes >> outcome & 1), None)


def observations(
    entries: npt.NDArray[np.void], learning: Learning, nothing: int, is_timed: Bools
) -> list[Observation]:
    """The evidence in captured outcomes; staff's overrides and doing nothing are none.

    Args:
        entries: (k,) of `HISTORY_ENTRY` with registry codes.
        learning: which outcomes count.
        nothing: registry code of doing nothing.
        is_timed: (k,) whether the time of an entry was given; otherwise it is when it was captured, and a
            repetition has another one.
    """
    found: list[Observation] = []
    for entry, timed in zip(entries, is_timed.tolist(), strict=True):
        word, action = word_of(learning, int(entry["outcome"])), int(entry["action"])
        overridden = int(entry["flags"]) & EntryFlag.OVERRIDE
        if word is None or overridden or action in (NO_CODE, nothing):
            continue
        key = int(entry["idempotency_key"]).to_bytes(8, "little")
        case = _about(entry, key, timed=timed) + action.to_bytes(4, "little")
        found.append(Observation(case, action, word, float(entry["time"]), key))
    return found


def _about(entry: np.void, key: bytes, *, timed: bool) -> bytes:
    """What an outcome is about: its decision, else the event, else itself."""
    decision = bytes(entry["decision_id"])
    if any(decision):
        return decision
    return b"event-" + entry["time"].tobytes() + entry["channel"].tobytes() if timed else b"alone-" + key


@dataclass(frozen=True, slots=True)
class Place:
    """Where evidence counts; named so that a later rulebook, catalogue or grid still understands it."""

    action: int
    """Registry code."""
    stage: int
    cell: tuple[tuple[str, int], ...]
    """(peer dimension, code) as far as they were known, in the strategy's order."""

    def __str__(self) -> str:
        return f"{self.action}|{self.stage}|{','.join(f'{name}={code}' for name, code in self.cell)}"

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Read what `str` wrote.

        Raises:
            ValueError: it is no such text.
        """
        action, stage, cell = text.split("|")
        pairs = (part.partition("=") for part in cell.split(",") if part)
        return cls(int(action), int(stage), tuple((name, int(code)) for name, _, code in pairs))


Counts = Mapping[Place, tuple[float, float]]
"""Successes and failures by place."""
