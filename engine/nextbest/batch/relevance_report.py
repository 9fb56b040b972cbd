"""How relevant each action would be to those it could reach: its ask-likelihood over a population.

An action counts for a customer where it came as far as the relevance gate; what earlier gates stop is
not offered to anybody. An action that most of those people would not have asked for raises an alarm.

Source: domain model, section 8.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from nextbest.assembly import Model
from nextbest.batch.fitting import Progress
from nextbest.batch.operations import no_progress
from nextbest.batch.portraits import EFFORT_ROWS, known_customers, picked, picked_histories
from nextbest.batch.recommendations import Scenario, contexts_of
from nextbest.data.store import Store
from nextbest.decide import explain
from nextbest.model import F64, I64, DecisionState, Direction, Histories, Reason, Rows, Term, Trace
from nextbest.rulebook.rulebook import Rulebook

BINS: Final = 10
"""Ask-likelihoods are counted in tenths: [0, .1), [.1, .2), …, [.9, 1]."""
ALARM_SHARE: Final = 0.5
"""Default share below the channel's threshold from which an action raises an alarm."""


@dataclass(frozen=True, slots=True)
class ActionRelevance:
    """One action in one situation."""

    action: str
    channel: str
    direction: str
    customers: int
    """To whom it came as far as the relevance gate."""
    tenths: tuple[int, ...]
    """(10,) customers by ask-likelihood."""
    mean: float
    below: float
    """Share below the channel's threshold."""
    is_alarming: bool


@dataclass(frozen=True, slots=True)
class RelevanceReport:
    """Relevance by action and situation."""

    customers: int
    alarm_share: float
    actions: tuple[ActionRelevance, ...]
    """Those that came to anybody, the least relevant first."""
    unseen: tuple[str, ...]
    """Actions that never came as far as the gate."""

    def document(self) -> Mapping[str, object]:
        """As plain JSON."""
        return asdict(self)


def relevance_seen(trace: Trace) -> F64:
    """(n, actions) ask-likelihood at the relevance gate; NaN where an action did not come so far."""
    stopped = trace.reason == Reason.NOT_RELEVANT
    return np.where(stopped, trace.actual, trace.terms[:, :, Term.RELEVANCE])


class RelevanceCount:
    """Counts ask-likelihoods batch by batch."""

    def __init__(self, rulebook: Rulebook, over: Scenario) -> None:
        self._rulebook = rulebook
        self._over = over
        shape = (len(over.situations), len(rulebook.actions))
        self._tenths = np.zeros((*shape, BINS), np.int64)
        self._sum = np.zeros(shape)
        self._below = np.zeros(shape, np.int64)
        self._customers = 0

    def add(self, model: Model, rows: Rows, histories: Histories, now: F64) -> None:
        """Add n customers; memory grows with customers × actions, so give some hundred at a time."""
        n, rulebook = len(rows), self._rulebook
        self._customers += n
        state, seed = DecisionState.initial(len(rulebook.actions)), np.zeros(n, np.uint64)
        for place, (channel, direction) in enumerate(self._over.situations):
            contexts = contexts_of(rulebook, n, channel, direction, self._over.role)
            _, trace = explain(model, rows, histories, contexts, state, now, seed, max_results=1)
            self._count(place, relevance_seen(trace), trace.reason == Reason.NOT_RELEVANT)

    def _count(
        self, place: int, relevance: F64, below: np.ndarray[tuple[int, int], np.dtype[np.bool_]]
    ) -> None:
        known = ~np.isnan(relevance)
        action = np.nonzero(known)[1]
        found = relevance[known]
        tenth = np.minimum((found * BINS).astype(np.int64), BINS - 1)
        np.add.at(self._tenths[place], (action, tenth), 1)
        self._sum[place] += np.bincount(action, found, minlength=len(self._rulebook.actions))
        self._below[place] += below.sum(axis=0)

    def report(self, alarm_share: float) -> RelevanceReport:
        """What came of it.

        Args:
            alarm_share: share of customers below the threshold from which an action is alarming.
        """
        lines = [
            self._line(place, action, alarm_share)
            for place in range(len(self._over.situations))
            for action in np.flatnonzero(self._tenths[place].sum(axis=1)).tolist()
        ]
        seen = self._tenths.sum(axis=(0, 2))
        names = [action.id for action in self._rulebook.actions]
        return RelevanceReport(
            customers=self._customers,
            alarm_share=alarm_share,
            actions=tuple(sorted(lines, key=lambda line: (line.mean, line.action, line.channel))),
            unseen=tuple(names[action] for action in np.flatnonzero(seen == 0).tolist()),
        )

    def _line(self, place: int, action: int, alarm_share: float) -> ActionRelevance:
        channel, direction = self._over.situations[place]
        tenths: I64 = self._tenths[place, action]
        count = int(tenths.sum())
        below = int(self._below[place, action]) / count
        return ActionRelevance(
            action=self._rulebook.actions[action].id,
            channel=self._rulebook.channels[channel].id,
            direction=Direction(direction).name.lower(),
            customers=count,
            tenths=tuple(tenths.tolist()),
            mean=float(self._sum[place, action]) / count,
            below=below,
            is_alarming=below >= alarm_share,
        )


async def relevance_of(
    store: Store,
    model: Model,
    over: Scenario,
    *,
    now: float,
    alarm_share: float = ALARM_SHARE,
    progress: Progress = no_progress,
) -> RelevanceReport:
    """Count the ask-likelihoods of all stored customers; nothing is written.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    count = RelevanceCount(model.rulebook, over)
    async for known in known_customers(store, model, now):
        rows = known.batch.rows
        for start in range(0, len(rows), EFFORT_ROWS):
            some = np.arange(start, min(start + EFFORT_ROWS, len(rows)))
            count.add(model, picked(rows, some), picked_histories(known.histories, some), known.now[some])
        progress(len(rows))
    return count.report(alarm_share)
