"""Why this, why not that: a trace turned into words and data for one customer."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nextbest.action.comparison import decisive_term
from nextbest.action.occasions import occasion
from nextbest.action.propensity_words import PropensityLevel, propensity_sentence
from nextbest.action.wording import SENTENCES, WHAT_WOULD_CHANGE, template
from nextbest.behaviour.quality import fact_states, facts_to_collect, quality_tables
from nextbest.facts import STAGE_NAMES, Figure
from nextbest.facts_of import FactsOf, shown
from nextbest.model import DAY_S, F64, GATE_OF, I32, Decisions, Gate, Reason, Stage, Term, Trace
from nextbest.rulebook.rulebook import Arbitration, Rulebook, Trigger

UNITS: Mapping[Reason, str] = {
    Reason.SNAPSHOT_TOO_OLD: "days",
    Reason.CONTACT_POLICY_PAUSED: "days",
    Reason.LOCATION_CAP_REACHED: "days",
    Reason.DATA_QUALITY_LOW: "share",
    Reason.NO_VALUE_FOR_CUSTOMER: "money",
    Reason.UNFAIR_TO_LOYAL: "money",
    Reason.ABOVE_INVESTMENT_CEILING: "money",
    Reason.WORSE_THAN_DO_NOTHING: "money",
    Reason.QUIET_HOURS: "hours",
    Reason.CAP_REACHED: "count",
    Reason.STILL_LEARNING: "share",
}
"""Unit of the actual and required values of a reason."""

_DATES = (Reason.NOT_YET_VALID, Reason.NO_LONGER_VALID)
_SETS: Mapping[Reason, str] = {Reason.CONSENT_MISSING: "consent", Reason.TOPIC_BLOCKED: "blocked_topics"}
"""The fact that is compared, member by member, with what the action names."""
_RANKED = (Reason.CHOSEN, Reason.MANDATORY)
_FIRST_OF_GROUP = (*_RANKED, Reason.BEATEN_IN_RANK)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Where one action ended, and why."""

    action: int
    treatment: int
    """-1 when no treatment fits the request."""
    placement: int
    """Where it is shown, or would be with room for its rank; else the treatment's own. -1 = none."""
    reason: Reason
    gate: Gate
    actual: float | None
    required: float | None
    actual_text: str
    required_text: str
    unit: str
    sentence: str
    remedy: str
    rank: int | None
    terms: F64 | None
    """(Term,) where the action reached its score."""
    margin: float | None
    """Score that a beaten action lacks to the one that beat it, or to doing nothing; None where a
    mandatory action beat it, which no score does."""
    lost_to: int | None
    decisive: Term | None
    """The term that cost it most: with the winner's (or none at all), its score would rise furthest."""
    levels: Sequence[PropensityLevel]
    """What its propensity rests on."""
    propensity_sentence: str
    """Where its propensity comes from; empty if it was not scored."""
    chance: float | None
    """Probability of being first; None where it was not scored."""


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """How many actions came to a gate and how many it stopped."""

    gate: Gate
    entered: int
    stopped: int


@dataclass(frozen=True, slots=True)
class Explainer:
    """Explains the actions of one customer of a traced decision."""

    rulebook: Rulebook
    facts: FactsOf
    decisions: Decisions
    trace: Trace
    channel: int
    language: str
    levels: Callable[[int], Sequence[PropensityLevel]] | None = None
    """What was captured of an action (an index), level by level; None = nobody asked."""
    chances: F64 | None = None
    """(A + 1,) probability of each action to be first, see `selection`; None = nobody asked."""

    def candidate(self, action: int) -> Candidate:
        """Say where `action` (an index) ended, with what its gate saw and asked for."""
        row = self.facts.row
        reason = Reason(int(self.trace.reason[row, action]))
        terms = self.trace.terms[row, action]
        scored = None if np.isnan(terms[Term.SCORE]) else terms
        winner = self._winner(action, reason)
        actual, required = self._number(self.trace.actual, action), self._number(self.trace.required, action)
        levels = () if self.levels is None else self.levels(action)
        texts = {"actual": self._actual_text(reason, actual), "required": self._required_text(reason, action)}
        return Candidate(
            action=action,
            treatment=int(self.trace.treatment[row, action]),
            placement=self._placement(action),
            reason=reason,
            gate=GATE_OF[reason],
            actual=actual,
            required=required,
            actual_text=texts["actual"],
            required_text=texts["required"],
            unit=UNITS.get(reason, ""),
            sentence=self._sentence(reason, action, texts, scored, winner),
            remedy=self._remedy(reason),
            rank=self._rank(action),
            terms=scored,
            margin=self._margin(reason, scored, winner),
            lost_to=winner,
            decisive=self._decisive(reason, scored, winner),
            levels=levels,
            propensity_sentence=""
            if scored is None
            else propensity_sentence(self.rulebook, action, scored, levels, self.language),
            chance=None if scored is None or self.chances is None else float(self.chances[action]),
        )

    def _placement(self, action: int) -> int:
        """Its place among those asked for; without one, that of its treatment."""
        row = self.facts.row
        given, treatment = int(self.trace.placement[row, action]), int(self.trace.treatment[row, action])
        return given if given >= 0 or treatment < 0 else self.rulebook.treatments[treatment].placement

    def _holders(self, action: int) -> dict[int, int]:
        """By placement that an action could have been shown in: who has it."""
        row = self.facts.row
        places, given = int(self.trace.open[row, action]), self.trace.placement[row]
        return {int(given[a]): int(a) for a in np.flatnonzero(given >= 0) if places >> int(given[a]) & 1}

    def _remedy(self, reason: Reason) -> str:
        """What would have to change; of a low data quality, the facts that are missing or stale."""
        if reason not in WHAT_WOULD_CHANGE:
            return ""
        words = template(WHAT_WOULD_CHANGE[reason], self.language)
        return words.format(lacking=", ".join(self._lacking())) if "{" in words else words

    def _lacking(self) -> tuple[str, ...]:
        """Required facts to collect, the weightiest first."""
        rows, row, catalogue = self.facts.rows, self.facts.row, self.rulebook.catalogue
        part = slice(row, row + 1)
        age = self.facts.figures[part, Figure.SNAPSHOT_AGE_DAYS]
        now, tables = rows.as_of[part] + age * DAY_S, quality_tables(catalogue)
        states = fact_states(rows.numbers[part], rows.known[part], rows.as_of[part], now, tables)
        return facts_to_collect(catalogue, states[0])

    def funnel(self) -> tuple[FunnelStep, ...]:
        """Count how many actions entered and were stopped by each gate, in gate order."""
        reasons = [Reason(int(r)) for r in self.trace.reason[self.facts.row]]
        stopped = [GATE_OF[r] for r in reasons if r not in _RANKED]
        steps: list[FunnelStep] = []
        entered = len(reasons)
        for gate in Gate:
            here = stopped.count(gate)
            steps.append(FunnelStep(gate, entered, here))
            entered -= here
        return tuple(steps)

    def _number(self, trace: F64, action: int) -> float | None:
        value = float(trace[self.facts.row, action])
        return None if np.isnan(value) else value

    def _ranked(self) -> I32:
        row = self.facts.row
        return self.decisions.action[row, : int(self.decisions.count[row])]

    def _rank(self, action: int) -> int | None:
        places = np.flatnonzero(self._ranked() == action)
        return int(places[0]) + 1 if len(places) else None

    def _winner(self, action: int, reason: Reason) -> int | None:
        if reason is Reason.BEATEN_IN_RANK:
            return int(self._ranked()[-1])
        if reason is Reason.DUPLICATE_PLACEMENT:
            return self._last_holder(action)
        if reason is not Reason.BEATEN_IN_GROUP:
            return None
        groups, reasons = self.rulebook.action_tables.group, self.trace.reason[self.facts.row]
        members = np.flatnonzero(groups == groups[action])
        return next(int(a) for a in members if reasons[a] in _FIRST_OF_GROUP)

    def _last_holder(self, action: int) -> int:
        """Of those that have its places, the one that it came closest to."""
        scores, mandatory = (
            self.trace.terms[self.facts.row, :, Term.SCORE],
            self.rulebook.action_tables.mandatory,
        )
        holders = self._holders(action).values()
        return min(holders, key=lambda a: (bool(mandatory[a]), float(scores[a]), a))

    def _margin(self, reason: Reason, terms: F64 | None, winner: int | None) -> float | None:
        if terms is None:
            return None
        if reason is Reason.WORSE_THAN_DO_NOTHING:
            return -float(terms[Term.SCORE])
        if winner is None or self.rulebook.action_tables.mandatory[winner]:
            return None
        return float(self.trace.terms[self.facts.row, winner, Term.SCORE] - terms[Term.SCORE])

    def _decisive(self, reason: Reason, terms: F64 | None, winner: int | None) -> Term | None:
        if terms is None or self._margin(reason, terms, winner) is None:
            return None
        other = None if winner is None else self.trace.terms[self.facts.row, winner]
        classic = self.rulebook.strategy.arbitration is Arbitration.CLASSIC
        return decisive_term(terms, other, classic=classic)

    def _actual_text(self, reason: Reason, actual: float | None) -> str:
        if reason in _SETS:
            return self.facts.text(_SETS[reason])
        if actual is None:
            return ""
        if reason is Reason.STAGE_MISMATCH:
            return STAGE_NAMES[int(actual)]
        if reason in _DATES:
            return _date(actual)
        return shown(actual)

    def _required_text(self, reason: Reason, action: int) -> str:
        tables = self.rulebook.action_tables
        if reason in _SETS:
            return self._members(reason, action)
        if reason is Reason.STAGE_MISMATCH:
            stages = int(tables.stages[action])
            return ", ".join(STAGE_NAMES[s] for s in Stage if stages >> s & 1)
        if reason is Reason.SEGMENT_MISMATCH:
            wanted = int(tables.segments[action])
            return ", ".join(s.id for i, s in enumerate(self.rulebook.segments) if wanted >> i & 1)
        if reason in (Reason.TRIGGER_NOT_FIRED, Reason.TRIGGER_UNKNOWN, Reason.TRIGGER_COOLING_DOWN):
            return "; ".join(f"{t} ({source})" for t, source in self._triggers(action))
        if reason in (Reason.CONDITION_FALSE, Reason.CONDITION_UNKNOWN):
            return self.rulebook.actions[action].condition_source
        required = self._number(self.trace.required, action)
        if required is None:
            return ""
        return _date(required) if reason in _DATES else shown(required)

    def _members(self, reason: Reason, action: int) -> str:
        """The consents that its treatment needs, or the topics that it is about."""
        tables, fact = self.rulebook.action_tables, self.rulebook.catalogue[_SETS[reason]]
        treatment = int(self.trace.treatment[self.facts.row, action])
        is_consent = reason is Reason.CONSENT_MISSING
        named = int(tables.treatment_consent[treatment] if is_consent else tables.topics[action])
        return ", ".join(value for i, value in enumerate(fact.values) if named >> i & 1)

    def _triggers(self, action: int) -> list[tuple[str, str]]:
        triggers = (self.rulebook.triggers[t] for t in self.rulebook.action_tables.triggers_of(action))
        return [(trigger.id, trigger.source) for trigger in triggers]

    def _sentence(
        self,
        reason: Reason,
        action: int,
        texts: Mapping[str, str],
        terms: F64 | None,
        winner: int | None,
    ) -> str:
        expressions = [source for _, source in self._triggers(action)]
        if reason in (Reason.CONDITION_FALSE, Reason.CONDITION_UNKNOWN):
            expressions = [self.rulebook.actions[action].condition_source]
        sentence = template(SENTENCES[reason], self.language).format(
            actual=texts["actual"],
            required=texts["required"],
            facts=self.facts.quoted(expressions),
            channel=self.rulebook.channels[self.channel].id,
            score="" if terms is None else shown(float(terms[Term.SCORE])),
            winner="" if winner is None else self.rulebook.actions[winner].id,
            places=self._taken(action) if reason is Reason.DUPLICATE_PLACEMENT else "",
        )
        because = occasion(self._fired(action), self.facts, self.language)
        return f"{sentence}; {because}" if because else sentence

    def _taken(self, action: int) -> str:
        """The places that an action could have been shown in, each with the action that has it."""
        names, actions = self.rulebook.placements, self.rulebook.actions
        holders = sorted(self._holders(action).items())
        return ", ".join(f"{names[place]} ({actions[holder].id})" for place, holder in holders)

    def _fired(self, action: int) -> list[Trigger]:
        """The triggers of an action that have fired and do not cool down."""
        triggers = self.rulebook.action_tables.triggers_of(action)
        return [self.rulebook.triggers[t] for t in triggers if self.decisions.has_fired(t, self.facts.row)]


def _date(seconds: float) -> str:
    if not np.isfinite(seconds):
        return ""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="minutes")
