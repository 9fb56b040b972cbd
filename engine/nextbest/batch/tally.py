"""What came of many decisions, as sums: those of parts add up to those of the whole."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self, cast

import numpy as np

from nextbest.action.reasons import FunnelStep
from nextbest.assembly import Model
from nextbest.batch.recommendations import expected_cost
from nextbest.model import F64, GATE_OF, I32, I64, U8, Decisions, Gate, Reason, Term

REASONS = max(Reason) + 1


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts and sums over some customers."""

    customers: I64
    """() customers decided for."""
    nothing: I64
    """() customers for whom doing nothing is best."""
    first: I64
    """(actions,) customers to whom each is recommended first."""
    ranked: I64
    """(actions,) customers in whose answer each is."""
    value: F64
    """(actions,) scores, summed, where it is recommended first: expected mutual value less cost; a
    mandatory action's may be negative."""
    cost: F64
    """(actions,) its expected cost there."""
    explained: I64
    """() customers whose reasons are counted."""
    reasons: I64
    """(actions, REASONS) how often each action ended for each `Reason`."""

    @classmethod
    def nobody(cls, actions: int) -> Self:
        """Of no customers."""
        zero, none = np.zeros((), np.int64), np.zeros(actions, np.int64)
        money, reasons = np.zeros(actions), np.zeros((actions, REASONS), np.int64)
        return cls(zero, zero, none, none, money, money, zero, reasons)

    def plus(self, other: Self) -> Self:
        """Of both together."""
        return type(self)(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def document(self) -> dict[str, object]:
        """As plain JSON, which holds every number exactly."""
        return {f.name: getattr(self, f.name).tolist() for f in fields(self)}

    @classmethod
    def read(cls, document: Mapping[str, object]) -> Self:
        """Of what `document` gave."""
        arrays: dict[str, Any] = {
            f.name: np.array(document[f.name], np.float64 if f.name in ("value", "cost") else np.int64)
            for f in fields(cls)
        }
        return cls(**arrays)

    def funnel(self) -> list[FunnelStep]:
        """How many of all actions of those explained came to each gate, and how many it stopped."""
        stopped = dict.fromkeys(Gate, 0)
        totals = cast("list[int]", self.reasons.sum(axis=0).tolist())
        for reason, gate in GATE_OF.items():
            if reason not in (Reason.CHOSEN, Reason.MANDATORY):
                stopped[gate] += totals[reason]
        steps, entered = list[FunnelStep](), sum(totals)
        for gate in Gate:
            steps.append(FunnelStep(gate, entered, stopped[gate]))
            entered -= stopped[gate]
        return steps


def tally_of(model: Model, decisions: Decisions, reasons: U8) -> Tally:
    """Count n decisions and the reasons, (k, actions), of k of them."""
    actions = len(model.rulebook.actions)
    some = decisions.count > 0
    first, terms = decisions.action[some, 0], decisions.terms[some, 0]
    ranked = decisions.action[decisions.action >= 0]
    places = reasons + REASONS * np.arange(actions)
    return Tally(
        customers=np.array(len(some)),
        nothing=np.array(int((~some).sum())),
        first=np.bincount(first, minlength=actions),
        ranked=np.bincount(ranked, minlength=actions),
        value=_sums(first, terms[:, Term.SCORE], actions),
        cost=_sums(first, expected_cost(terms), actions),
        explained=np.array(len(reasons)),
        reasons=np.bincount(places.ravel(), minlength=actions * REASONS).reshape(actions, REASONS),
    )


def _sums(action: I32, amounts: F64, actions: int) -> F64:
    """(actions,) amounts added up by action; a mandatory action's that cannot be computed adds nothing."""
    finite = np.where(np.isfinite(amounts), amounts, 0.0)
    return np.bincount(action, finite, minlength=actions).astype(np.float64)
