"""Why this, why not that: a trace turned into words and data for one customer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nextbest.action.comparison import Decisive, decisive_term
from nextbest.action.measures import SCORED, Measures
from nextbest.action.occasions import occasion
from nextbest.action.propensity_words import PropensityLevel, propensity_sentence
from nextbest.action.remedies import REMEDIES, SET_BACK, WITHOUT_END
from nextbest.action.remedies import WITHOUT_MARGIN as REMEDIES_WITHOUT_MARGIN
from nextbest.action.wording import CAP_NOT_KNOWN, DRAWN, LOST_BY, SENTENCES, WITHOUT_MARGIN, template
from nextbest.facts_of import FactsOf
from nextbest.model import F64, GATE_OF, I32, Decisions, Gate, Reason, Term, Trace
from nextbest.rulebook.rulebook import Rulebook, Trigger
from nextbest.rulebook.strategy import Arbitration

_RANKED = (Reason.CHOSEN, Reason.MANDATORY)
_FIRST_OF_GROUP = (*_RANKED, Reason.BEATEN_IN_RANK)
_UNKNOWN = (Reason.TRIGGER_UNKNOWN, Reason.CONDITION_UNKNOWN, Reason.PROPENSITY_UNKNOWN)
_LACKING = (Reason.CONSENT_MISSING, Reason.TOPIC_BLOCKED, Reason.DATA_QUALITY_LOW, *_UNKNOWN)
"""Reasons that something is missing for, which the remedy names."""
_QUOTING = (*_UNKNOWN, Reason.TRIGGER_NOT_FIRED, Reason.CONDITION_FALSE, Reason.SEGMENT_MISMATCH)
"""Reasons that lie in facts, which the sentence quotes."""


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
    """For people, in the language asked for."""
    unit: str
    opens: float | None
    """Epoch seconds, whole, from which its gate lets it through if only time passes; None = time alone
    does not, or nobody can tell when."""
    sentence: str
    remedy: str
    """What would have to change; empty for one that was chosen."""
    rank: int | None
    terms: F64 | None
    """(Term,) where the action reached its score."""
    margin: float | None
    """Score that a beaten action lacks to the one that beat it, or to doing nothing; None where a
    mandatory action beat it, which no score does."""
    lost_to: int | None
    decisive: Decisive | None
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


@dataclass(frozen=True)
class Explainer:
    """Explains the actions of one customer of a traced decision."""

    rulebook: Rulebook
    facts: FactsOf
    decisions: Decisions
    trace: Trace
    channel: int
    language: str
    placements: Sequence[int] = ()
    """Those asked for; none = any."""
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
        levels = () if self.levels is None else self.levels(action)
        winner = self._winner(action, reason)
        margin, decisive = self._margin(reason, scored, winner), self._decisive(reason, scored, winner)
        actual, required = self._numbers(reason, action, winner)
        texts = self._measures.texts(reason, action, actual, required) if reason not in _RANKED else ("", "")
        words = self._words(reason, action, texts, scored, winner, margin, decisive)
        return Candidate(
            action=action,
            treatment=int(self.trace.treatment[row, action]),
            placement=self._placement(action),
            reason=reason,
            gate=GATE_OF[reason],
            actual=actual,
            required=required,
            actual_text=texts[0],
            required_text=texts[1],
            unit=self._measures.unit(reason),
            opens=self._opens(reason, action),
            sentence=self._sentence(reason, action, words, margin),
            remedy=self._remedy(reason, action, words, margin),
            rank=self._rank(action),
            terms=scored,
            margin=margin,
            lost_to=winner,
            decisive=decisive,
            levels=levels,
            propensity_sentence=""
            if scored is None
            else propensity_sentence(self.rulebook, action, scored, levels, self.language),
            chance=None if scored is None or self.chances is None else float(self.chances[action]),
        )

    @cached_property
    def _measures(self) -> Measures:
        return Measures(
            self.rulebook, self.facts, self.trace, self.channel, tuple(self.placements), self.language
        )

    def _words(
        self,
        reason: Reason,
        action: int,
        texts: tuple[str, str],
        terms: F64 | None,
        winner: int | None,
        margin: float | None,
        decisive: Decisive | None,
    ) -> dict[str, str]:
        """What the templates of a reason may ask for, but for what takes looking up."""
        said = self._measures
        lost_by = "" if decisive is None else template(LOST_BY, self.language)
        return {
            "actual": texts[0],
            "required": texts[1],
            "score": "" if terms is None else said.score(float(terms[Term.SCORE])),
            "winner": "" if winner is None else self.rulebook.actions[winner].id,
            "margin": "" if margin is None else said.score(margin),
            "term": "" if decisive is None else lost_by.format(term=said.term(decisive)),
            "places": self._taken(action) if reason is Reason.DUPLICATE_PLACEMENT else "",
        }

    def _sentence(self, reason: Reason, action: int, words: Mapping[str, str], margin: float | None) -> str:
        texts = SENTENCES[reason]
        if reason is Reason.CAP_REACHED and self._is_below(action):
            texts = CAP_NOT_KNOWN
        if margin is None:
            texts = WITHOUT_MARGIN.get(reason, texts)
        elif margin < 0.0:
            texts = DRAWN
        facts = self._measures.facts_read(reason, action) if reason in _QUOTING else ""
        sentence = template(texts, self.language).format(facts=facts, **words).removesuffix("; ")
        because = occasion(self._fired(action), self.facts, self.language)
        return f"{sentence}; {because}" if because else sentence

    def _is_below(self, action: int) -> bool:
        """Whether what a gate saw is less than its bound."""
        row = self.facts.row
        return bool(self.trace.actual[row, action] < self.trace.required[row, action])

    def _remedy(self, reason: Reason, action: int, words: Mapping[str, str], margin: float | None) -> str:
        """What would have to change."""
        if reason in _RANKED:
            return ""
        opens = self._opens(reason, action)
        texts = REMEDIES[reason] if opens is not None else WITHOUT_END.get(reason, REMEDIES[reason])
        if margin is None:
            texts = REMEDIES_WITHOUT_MARGIN.get(reason, texts)
        elif margin < 0.0:
            texts = SET_BACK
        return template(texts, self.language).format(**words, **self._to_change(reason, action, opens))

    def _to_change(self, reason: Reason, action: int, opens: float | None) -> dict[str, str]:
        """What only remedies ask for."""
        said = self._measures
        short = -float(self.trace.actual[self.facts.row, action])
        return {
            "opens": "" if opens is None else said.speech.moment(opens),
            "lacking": said.lacking(reason, action) if reason in _LACKING else "",
            "roles": said.roles(action) if reason is Reason.AUTHORITY_LACKING else "",
            "short": said.speech.money(short) if reason is Reason.NO_VALUE_FOR_CUSTOMER else "",
            "mature": said.speech.number(self.rulebook.strategy.learning.mature_at),
        }

    def _opens(self, reason: Reason, action: int) -> float | None:
        if reason is Reason.QUIET_HOURS:
            return self._measures.awake_at(action)
        opens = float(self.trace.opens[self.facts.row, action])
        return float(np.ceil(opens)) if np.isfinite(opens) else None

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

    def _numbers(self, reason: Reason, action: int, winner: int | None) -> tuple[float | None, float | None]:
        """What the gate saw and asked for; scores, where it came to those."""
        row, scores = self.facts.row, self.trace.terms[self.facts.row, :, Term.SCORE]
        actual, required = float(self.trace.actual[row, action]), float(self.trace.required[row, action])
        if reason in SCORED and winner is not None:
            mandatory = self.rulebook.action_tables.mandatory[winner]
            actual, required = float(scores[action]), np.nan if mandatory else float(scores[winner])
        return (None if np.isnan(actual) else actual), (None if np.isnan(required) else required)

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

    def _decisive(self, reason: Reason, terms: F64 | None, winner: int | None) -> Decisive | None:
        if terms is None or self._margin(reason, terms, winner) is None:
            return None
        other = None if winner is None else self.trace.terms[self.facts.row, winner]
        classic = self.rulebook.strategy.arbitration is Arbitration.CLASSIC
        return decisive_term(terms, other, classic=classic)

    def _taken(self, action: int) -> str:
        """The places that an action could have been shown in, each with the action that has it."""
        names, actions = self.rulebook.placements, self.rulebook.actions
        holders = sorted(self._holders(action).items())
        return ", ".join(f"{names[place]} ({actions[holder].id})" for place, holder in holders)

    def _fired(self, action: int) -> list[Trigger]:
        """The triggers of an action that have fired and do not cool down."""
        triggers = self.rulebook.action_tables.triggers_of(action)
        return [self.rulebook.triggers[t] for t in triggers if self.decisions.has_fired(t, self.facts.row)]
