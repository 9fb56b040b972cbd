"""What a gate saw and asked for, in words: names of the rule files, and numbers as people read them."""

import datetime as dt
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from nextbest.action.comparison import Decisive
from nextbest.action.speech import Speech
from nextbest.action.wording import (
    HISTORY,
    MANDATORY_WINNER,
    NONE_OF_THEM,
    NOT_KNOWN,
    NOT_TRUE,
    REQUIRED_FACTS,
    TERMS,
    template,
)
from nextbest.behaviour.quality import fact_states, facts_to_collect, quality_tables
from nextbest.facts import STAGE_NAMES, Figure
from nextbest.facts_of import FactsOf
from nextbest.model import DAY_S, Reason, Stage, Trace
from nextbest.rulebook.rulebook import Rulebook
from nextbest.rulebook.strategy import Arbitration
from nextbest.rulebook.zones import zone_named

UNITS: Mapping[Reason, str] = {
    Reason.NOT_YET_VALID: "epoch_seconds",
    Reason.NO_LONGER_VALID: "epoch_seconds",
    Reason.QUIET_HOURS: "hours",
    Reason.TRIGGER_COOLING_DOWN: "days",
    Reason.SNAPSHOT_TOO_OLD: "days",
    Reason.DATA_QUALITY_LOW: "share",
    Reason.SELL_HOLD: "score",
    Reason.NO_VALUE_FOR_CUSTOMER: "money",
    Reason.NOT_RELEVANT: "share",
    Reason.CONTACT_POLICY_PAUSED: "days",
    Reason.CONTACT_POLICY_UNKNOWN: "days",
    Reason.LOCATION_CAP_REACHED: "days",
    Reason.UNFAIR_TO_LOYAL: "money",
    Reason.CAP_REACHED: "count",
    Reason.BUDGET_EXHAUSTED: "money",
    Reason.ABOVE_INVESTMENT_CEILING: "money",
    Reason.STILL_LEARNING: "share",
}
"""Unit of the actual and required values of a reason; that of scores is `Measures.score_unit`."""
SCORED = (
    Reason.WORSE_THAN_DO_NOTHING,
    Reason.BEATEN_IN_GROUP,
    Reason.BEATEN_IN_RANK,
    Reason.DUPLICATE_PLACEMENT,
)
"""Reasons whose values are scores."""

_DATES = (Reason.NOT_YET_VALID, Reason.NO_LONGER_VALID)
_SETS: Mapping[Reason, str] = {Reason.CONSENT_MISSING: "consent", Reason.TOPIC_BLOCKED: "blocked_topics"}
"""The fact that is compared, member by member, with what the action names."""
_TRIGGERS = (Reason.TRIGGER_NOT_FIRED, Reason.TRIGGER_UNKNOWN)
_FALSE = (Reason.TRIGGER_NOT_FIRED, Reason.CONDITION_FALSE)
_READING = (
    *_TRIGGERS,
    Reason.CONDITION_FALSE,
    Reason.CONDITION_UNKNOWN,
    Reason.PROPENSITY_UNKNOWN,
    Reason.SEGMENT_MISMATCH,
)
"""Reasons that lie in facts which expressions read."""
_DAYS_TRIED = 3
"""Until the quiet hours' end has come: today or tomorrow, and a day more where clocks are set."""
_READS = re.compile(r"\bcustomer\.(\w+)|\b(context\.\w+)")


@dataclass(frozen=True)
class Measures:
    """Words for the values of one customer's explanations."""

    rulebook: Rulebook
    facts: FactsOf
    trace: Trace
    channel: int
    placements: Sequence[int]
    """Those asked for; none = any."""
    language: str

    @cached_property
    def speech(self) -> Speech:
        """How numbers and times are told; times where the customer lives, or where the strategy says."""
        zone = self.facts.value("time_zone")
        known = isinstance(zone, str) and zone_named(zone) is not None
        name = zone if known and isinstance(zone, str) else self.rulebook.strategy.time_zone
        return Speech(self.language, self.rulebook.currency, name)

    @property
    def score_unit(self) -> str:
        """Of scores: money, or none where they are classic priorities."""
        return "" if self.rulebook.strategy.arbitration is Arbitration.CLASSIC else "money"

    def unit(self, reason: Reason) -> str:
        """Unit of the values of a reason; empty if they are plain numbers or none."""
        return self.score_unit if reason in SCORED else UNITS.get(reason, "")

    def score(self, value: float) -> str:
        """A score in words."""
        return self.speech.quantity(self.score_unit)(value, 4)

    def texts(
        self, reason: Reason, action: int, actual: float | None, required: float | None
    ) -> tuple[str, str]:
        """What the gate saw and asked for; both empty only where an action was chosen."""
        if reason in _DATES and actual is not None and required is not None:
            return self.speech.moment(actual, minute=math.floor), self.speech.moment(required)
        if reason is Reason.STAGE_MISMATCH and actual is not None:
            return STAGE_NAMES[int(actual)], self._stages(action)
        if actual is not None and required is not None:
            return self.speech.pair(actual, required, self.unit(reason))
        if actual is not None:  # a score that a mandatory action or a full placement leaves no chance
            return self.score(actual), template(MANDATORY_WINNER, self.language)
        if reason in _READING:
            return self._read(reason, action), self.required(reason, action)
        return self._found(reason, action), self.required(reason, action)

    def required(self, reason: Reason, action: int) -> str:
        """What is asked for where it is not a number."""
        if reason in _SETS:
            return ", ".join(self._named(reason, action))
        if reason is Reason.NO_TREATMENT:
            return self._asked()
        if reason is Reason.SEGMENT_MISMATCH:
            return "; ".join(f"{name} ({source})" for name, source in self._segments(action))
        if reason in _TRIGGERS:
            return "; ".join(f"{name} ({source})" for name, source in self._triggers(action))
        if reason is Reason.PROPENSITY_UNKNOWN:
            one = self.rulebook.actions[action]
            return one.propensity_source or one.propensity_model
        return "; ".join(self._expressions(reason, action))

    def facts_read(self, reason: Reason, action: int) -> str:
        """Every fact that the expressions behind a reason read, with its value."""
        return self.facts.quoted(self._expressions(reason, action))

    def lacking(self, reason: Reason, action: int) -> str:
        """What is missing: consents, topics to open, required facts, or facts that expressions read."""
        if reason in _SETS:
            return ", ".join(self._to_change(reason, action))
        if reason is Reason.DATA_QUALITY_LOW:
            return ", ".join(self._to_collect()) or template(REQUIRED_FACTS, self.language)
        names = dict.fromkeys(
            found for text in self._expressions(reason, action) for found in _READS.findall(text)
        )
        missing = [fact for fact, _ in names if fact and self.facts.value(fact) is None]
        contexts = [key for _, key in names if key]
        return ", ".join(missing or contexts) or template(HISTORY, self.language)

    def roles(self, action: int) -> str:
        """Roles that may execute an action, those with the least authority first."""
        needed = int(self.rulebook.action_tables.authority[action])
        able = [role for role in self.rulebook.roles if role.authority >= needed]
        return self._listed([role.id for role in sorted(able, key=lambda role: (role.authority, role.id))])

    def awake_at(self, action: int) -> float:
        """When the quiet hours of an action's channel end where the customer is, epoch seconds."""
        row = self.facts.row
        ends = float(self.trace.required[row, action])
        age = float(self.facts.figures[row, Figure.SNAPSHOT_AGE_DAYS])
        now = float(self.facts.rows.as_of[row]) + age * DAY_S
        here = dt.datetime.fromtimestamp(now, zone_named(self.speech.zone) or dt.UTC)
        midnight = here.replace(hour=0, minute=0, second=0, microsecond=0)
        for day in range(_DAYS_TRIED):
            at = midnight + dt.timedelta(days=day, seconds=math.ceil(3600.0 * ends))
            if at.timestamp() > now:
                return at.timestamp()
        return now

    def _found(self, reason: Reason, action: int) -> str:
        """What the customer or the action has, where it is not a number."""
        if reason in _SETS:
            return self.facts.text(_SETS[reason])
        if reason is Reason.NO_TREATMENT:
            treatments = self.rulebook.action_tables.treatments_of(action)
            return self._listed([self.rulebook.treatments[t].id for t in treatments])
        return ""

    def _read(self, reason: Reason, action: int) -> str:
        """The facts that it lies in; where it lies in no fact, only that it is so."""
        if reason is Reason.SEGMENT_MISMATCH:
            return self._listed(self._own_segments())
        verdict = NOT_TRUE if reason in _FALSE else NOT_KNOWN
        return self.facts_read(reason, action) or template(verdict, self.language)

    def _listed(self, names: Sequence[str]) -> str:
        return ", ".join(names) or template(NONE_OF_THEM, self.language)

    def _asked(self) -> str:
        """The channel, with the placements asked for."""
        channel = self.rulebook.channels[self.channel].id
        places = [self.rulebook.placements[place] for place in self.placements]
        return f"{channel} ({', '.join(places)})" if places else channel

    def _stages(self, action: int) -> str:
        stages = int(self.rulebook.action_tables.stages[action])
        return ", ".join(STAGE_NAMES[s] for s in Stage if stages >> s & 1)

    def _own_segments(self) -> list[str]:
        members = int(self.trace.segments[self.facts.row])
        return [s.id for i, s in enumerate(self.rulebook.segments) if members >> i & 1]

    def _segments(self, action: int) -> list[tuple[str, str]]:
        wanted = int(self.rulebook.action_tables.segments[action])
        return [(s.id, s.source) for i, s in enumerate(self.rulebook.segments) if wanted >> i & 1]

    def _triggers(self, action: int) -> list[tuple[str, str]]:
        triggers = (self.rulebook.triggers[t] for t in self.rulebook.action_tables.triggers_of(action))
        return [(trigger.id, trigger.source) for trigger in triggers]

    def _expressions(self, reason: Reason, action: int) -> list[str]:
        """The expressions that decided on a reason, as written."""
        one = self.rulebook.actions[action]
        if reason is Reason.SEGMENT_MISMATCH:
            return [source for _, source in self._segments(action)]
        if reason in (Reason.CONDITION_FALSE, Reason.CONDITION_UNKNOWN):
            return [one.condition_source]
        if reason is Reason.PROPENSITY_UNKNOWN:
            return [one.propensity_source]
        return [source for _, source in self._triggers(action)]

    def _named(self, reason: Reason, action: int) -> list[str]:
        """The consents that its treatment needs, or the topics that it is about."""
        tables, fact = self.rulebook.action_tables, self.rulebook.catalogue[_SETS[reason]]
        treatment = int(self.trace.treatment[self.facts.row, action])
        is_consent = reason is Reason.CONSENT_MISSING
        named = int(tables.treatment_consent[treatment] if is_consent else tables.topics[action])
        return [value for i, value in enumerate(fact.values) if named >> i & 1]

    def _to_change(self, reason: Reason, action: int) -> list[str]:
        """Consents that are not given, or topics of the action that are blocked."""
        given = self.facts.value(_SETS[reason])
        members = given if isinstance(given, tuple) else ()
        wanted = reason is Reason.TOPIC_BLOCKED
        return [name for name in self._named(reason, action) if (name in members) == wanted]

    def _to_collect(self) -> tuple[str, ...]:
        """Required facts to collect, the weightiest first."""
        rows, row, catalogue = self.facts.rows, self.facts.row, self.rulebook.catalogue
        part = slice(row, row + 1)
        age = self.facts.figures[part, Figure.SNAPSHOT_AGE_DAYS]
        now, tables = rows.as_of[part] + age * DAY_S, quality_tables(catalogue)
        states = fact_states(rows.numbers[part], rows.known[part], rows.as_of[part], now, tables)
        return facts_to_collect(catalogue, states[0])

    def term(self, term: Decisive) -> str:
        """A term of the score as the sentences name it."""
        return template(TERMS[term], self.language)
