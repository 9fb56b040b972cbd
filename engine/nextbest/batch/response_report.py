"""Do people answer what is relevant to them? Responses to logged decisions, by their ask-likelihood.

A contact is an action of a logged decision that an outcome was captured for; it was answered if any of its
outcomes says that the customer accepted, or that their problem was solved. Contacts are put in order of
the ask-likelihood that the decision saw, and cut into tenths of equal size.

Source: domain model, section 8.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from loyalty.nextbest.v1 import decision_pb2
from nextbest.batch.fitting import Progress
from nextbest.batch.operations import no_progress, translation
from nextbest.data.decision_log import LogEntry
from nextbest.data.store import Store
from nextbest.decision_record import DecisionRecord
from nextbest.model import F64, EntryFlag, EntryKind, Histories, Outcome, Term
from nextbest.potential.peers import wilson_low
from nextbest.rings import HistoryCodec
from nextbest.rulebook.rulebook import Rulebook

TENTHS: Final = 10
Z: Final = 1.959964
"""Normal quantile of a 95 % interval."""
ANSWERS: Final = frozenset({Outcome.ACCEPTED, Outcome.PROBLEM_SOLVED})
NO_CONTACT: Final = frozenset({Outcome.NOT_PRESENTED})

Offered = Mapping[tuple[bytes, str], float]
"""Ask-likelihood by decision id and action."""


@dataclass(frozen=True, slots=True)
class Tenth:
    """Contacts of one tenth."""

    lowest: float
    """Least ask-likelihood among them."""
    highest: float
    contacts: int
    answered: int
    low: float
    """Lower end of the share's 95 % Wilson interval."""
    high: float

    @property
    def share(self) -> float:
        """Answered contacts among all."""
        return self.answered / self.contacts


@dataclass(frozen=True, slots=True)
class ResponseReport:
    """Answers per contact by ask-likelihood."""

    decisions: int
    """Logged decisions looked at, fallback decisions left out."""
    contacts: int
    answered: int
    unscored: int
    """Contacts of actions without an ask-likelihood, such as mandatory ones: in no tenth."""
    tenths: tuple[Tenth, ...]
    """The least relevant first; fewer than ten where there are fewer contacts."""

    def document(self) -> Mapping[str, object]:
        """As plain JSON."""
        return asdict(self)


class Responses:
    """Gathers contacts batch by batch; 9 bytes a contact."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._names = [action.id for action in rulebook.actions]
        self._relevance: list[float] = []
        self._answered: list[bool] = []
        self._decisions = 0

    def add(self, records: Sequence[DecisionRecord], histories: Histories) -> None:
        """Add decisions and the histories of their customers, in the same order."""
        self._decisions += len(records)
        ring = histories.contacts
        for i, record in enumerate(records):
            offered = offered_by(record)
            entries = ring.entries[ring.starts[i] : ring.starts[i + 1]]
            for relevance, answered in self._contacts(record.decision_id, offered, entries):
                self._relevance.append(relevance)
                self._answered.append(answered)

    def _contacts(
        self, decision_id: bytes, offered: Mapping[str, float], entries: np.ndarray
    ) -> Iterable[tuple[float, bool]]:
        """Ask-likelihood of each contact of a decision, and whether it was answered."""
        seen: dict[str, bool] = defaultdict(bool)
        for entry in entries[entries["kind"] != EntryKind.EVENT]:
            outcome, action = Outcome(int(entry["outcome"])), int(entry["action"])
            name = self._names[action] if action < len(self._names) else ""
            own = entry["decision_id"].tobytes() == decision_id and name in offered
            if own and outcome not in NO_CONTACT and not int(entry["flags"]) & EntryFlag.OVERRIDE:
                seen[name] |= outcome in ANSWERS
        return [(offered[name], answered) for name, answered in seen.items()]

    def report(self) -> ResponseReport:
        """What came of it."""
        relevance, answered = np.array(self._relevance), np.array(self._answered, bool)
        known = ~np.isnan(relevance)
        order = np.argsort(relevance[known], kind="stable")
        parts = np.array_split(order, TENTHS)
        return ResponseReport(
            decisions=self._decisions,
            contacts=len(relevance),
            answered=int(answered.sum()),
            unscored=int((~known).sum()),
            tenths=tuple(_tenth(relevance[known][p], answered[known][p]) for p in parts if len(p)),
        )


def offered_by(record: DecisionRecord) -> Mapping[str, float]:
    """Ask-likelihood of each ranked action of a decision by name, NaN = it was not asked for one."""
    answer = decision_pb2.DecideResponse.FromString(record.answer)
    terms = record.ranking.terms
    return {
        result.action: float(terms[place, Term.RELEVANCE])
        for place, result in enumerate(answer.results[: len(terms)])
    }


def _tenth(relevance: F64, answered: np.ndarray) -> Tenth:
    n, have = len(relevance), int(answered.sum())
    return Tenth(
        lowest=float(relevance[0]),
        highest=float(relevance[-1]),
        contacts=n,
        answered=have,
        low=wilson_low(have, n, Z),
        high=1.0 - wilson_low(n - have, n, Z),
    )


async def responses_of(
    store: Store,
    rulebook: Rulebook,
    batches: AsyncIterator[list[LogEntry]],
    *,
    progress: Progress = no_progress,
) -> ResponseReport:
    """Read what became of logged decisions; nothing is written.

    Args:
        store: Where the histories are.
        rulebook: Names the actions of the histories.
        batches: From `DecisionLogStore.scan`.
        progress: Takes the number of decisions read since the last call.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    codec = HistoryCodec(await translation(store.names, rulebook))
    responses = Responses(rulebook)
    async for batch in batches:
        records = [entry.record for entry in batch if entry.record.degraded is None]
        if records:
            found = await store.histories.read_many([record.customer_id for record in records], codec)
            responses.add(records, found.histories)
        progress(len(batch))
    return responses.report()
