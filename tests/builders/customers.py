"""Random customers, histories and requests for generated rulebooks: as arrays and as plain Python."""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

import numpy as np
from tests.builders.rulebooks import CONSENTS, INTENTS, NEEDS, OUTCOMES, TOPICS, ZONES
from tests.naive import gates
from tests.naive.contact import is_cut, within
from tests.naive.decision_tables import key_holds
from tests.naive.expressions import UNKNOWN, Instant, Situation, evaluate
from tests.naive.forgive import CAUSES, MODES
from tests.naive.plain import STAGES, Answers, Customer, Entry, History, Learnt, Request

from nextbest.facts import FactType, Figure
from nextbest.id_check import id_check, id_checks_of
from nextbest.model import (
    NO_CODE,
    NO_NAME,
    Contexts,
    DecisionState,
    Direction,
    EntryFlag,
    EntryKind,
    Histories,
    Outcome,
    PurchasePhase,
    Ring,
    placements_asked,
)
from nextbest.rings import new_entries
from nextbest.rows import RowCodec
from nextbest.rulebook.expressions import parse
from nextbest.standard_facts import STANDARD_FACTS

NOW = 1_700_000_000.0
"""2023-11-14 22:13:20 UTC."""
DAY = 86400.0
EDGES = (0, 1, 7, 14, 15, 28, 30, 60, 67, 70)
"""Ages in days at which some window ends."""
PHASES = ("unspecified", "before_visit", "browsing", "before_payment", "at_payment", "after_purchase")


@dataclass
class Case:
    """One customer in one situation, as plain Python."""

    facts: dict
    figures: dict
    as_of: float
    history: History
    request: Request
    contexts: dict
    """Declared keys that the request gives."""
    phase: str = "unspecified"
    events: History = field(default_factory=History)
    """Business events, which lie in a ring of their own."""
    event_kinds: tuple[str, ...] = ()
    own_times: tuple[str, ...] = ()
    """Timestamps among the rulebook's own facts."""

    @property
    def customer(self):
        """As the decision oracle takes it."""
        return Customer(
            figures=self.figures,
            as_of=self.as_of,
            consent=self.facts.get("consent"),
            blocked_topics=self.facts.get("blocked_topics"),
            touchpoint_score=self.facts.get("touchpoint_score"),
            touchpoint_at=self.facts.get("touchpoint_score_at"),
            time_zone=self.facts.get("time_zone"),
            history=self.history,
        )


class CaseGenerator:
    """Draws customers and requests."""

    def __init__(self, rng, rulebook):
        self.rng = rng
        self.rulebook = rulebook

    def case(self):
        """One customer in one situation."""
        rng = self.rng
        now = NOW + rng.choice((0, 0, 3600 * rng.randint(-48, 48), rng.randint(-200_000, 200_000) / 4))
        as_of = now - rng.choice((0, 3600, DAY, 7 * DAY, 8.5 * DAY, 40 * DAY, -3600))
        return Case(
            facts=self.facts(now),
            figures=self.figures(now, as_of),
            as_of=as_of,
            history=self.history(now),
            request=self.request(now),
            contexts=self.contexts(),
            phase=rng.choice(PHASES),
        )

    def contexts(self):
        """Values of the declared keys, some not given."""
        drawn = {"intent": self.rng.choice(INTENTS), "urgency": self.rng.choice((0.0, 0.5, 0.9, 1.5))}
        return {name: value for name, value in drawn.items() if self.rng.random() < 0.8}

    def some(self, values, chance=0.5):
        """A random subset."""
        return frozenset(v for v in values if self.rng.random() < chance)

    def facts(self, now):
        """Facts that are known."""
        rng = self.rng
        drawn = {
            "consent": self.some(CONSENTS, rng.choice((0.5, 1.0, 1.0, 1.0))),
            "time_zone": rng.choice(ZONES),
            "needs": self.some(NEEDS),
            "blocked_topics": self.some(TOPICS, 0.2),
            "touchpoint_score": rng.choice((2, 3, 6, 7, 10)),
            "touchpoint_score_at": now - rng.choice((0, 1, 7, 13.9, 14, 30, -1)) * DAY,
            "discount_share": rng.choice((0.0, 0.2, 0.5, round(rng.random(), 3))),
            "satisfaction": rng.choice((0.0, 40.0, 50.0, 90.0, 100.0)),
            "complaint_open": rng.random() < 0.3,
            "nps_relation": rng.choice((0, 6, 9)),
            "revenue_net": rng.choice((0.0, 100.0, 1000.0)),
        }
        return {name: value for name, value in drawn.items() if rng.random() < 0.85}

    def figures(self, now, as_of):
        """Figures that gates and scores read; None = missing."""
        rng = self.rng

        def maybe(value):
            return value if rng.random() < 0.85 else None

        return {
            "stage": rng.randint(0, 3),
            "level": rng.randint(-3, 4),
            "multiplier": rng.choice((1.0, 1.0, round(rng.uniform(1, 6), 3), None)),
            "value_gap": maybe(rng.choice((0.0, 50.0, 400.0, round(rng.uniform(0, 2000), 2)))),
            "profit_gap": maybe(rng.choice((0.0, 100.0, round(rng.uniform(0, 1000), 2)))),
            "profit_reached": maybe(rng.choice((0.0, 0.0, 1.0))),
            "data_quality": maybe(rng.choice((0.1, 0.4, 0.8, 1.0))),
            "investment_ceiling": maybe(rng.choice((0.0, 5.0, 100.0, 1e6))),
            "snapshot_age_days": (now - as_of) / DAY,
        }

    def history(self, now):
        """Contacts and outcomes around every edge of a window, some in the future."""
        rng = self.rng
        count = rng.choice((0, 0, 1, 3, 10, 25))
        entries = sorted((self.entry(now) for _ in range(count)), key=lambda e: e.time)
        lost = -math.inf
        if rng.random() < 0.2:
            lost = rng.choice((math.inf, now - rng.choice(EDGES) * DAY, now - rng.uniform(0, 120) * DAY))
            entries = [e for e in entries if e.time >= lost]
        return History(tuple(entries), lost)

    def entry(self, now):
        """One entry."""
        rng = self.rng
        channels = list(self.rulebook.channels)
        bound = [name for name in channels if self.rulebook.channels[name].location_bound]
        age = rng.choice((rng.choice(EDGES), rng.randint(-2, 400) / 4, rng.randint(0, 80) / 4))
        contact = rng.random() < 0.5
        known = rng.random() < 0.95
        return Entry(
            time=now - age * DAY + rng.choice((0, 0, 0.25, -0.25)),
            kind="contact" if contact else "outcome",
            channel=rng.choice((*channels, *bound)) if rng.random() < 0.95 else None,
            direction=rng.choice(("inbound", "outbound", "outbound")),
            outcome="presented"
            if contact
            else rng.choice((*OUTCOMES[1:], "ignored", "rejected", "opted_out", "not_presented")),
            action=rng.choice(self.rulebook.actions).id if known else None,
            trigger=rng.choice(list(self.rulebook.triggers)) if contact and rng.random() < 0.4 else None,
        )

    def request(self, now):
        """One request."""
        rng = self.rng
        bound = [name for name, c in self.rulebook.channels.items() if c.location_bound]
        channel = rng.choice((*self.rulebook.channels, *bound))
        places = self.placements(channel if rng.random() < 0.8 else None)
        mightiest = max(self.rulebook.roles, key=self.rulebook.roles.get)
        return Request(
            channel=channel,
            direction=rng.choice(("inbound", "outbound")),
            now=now,
            placements=self.preferred(places) if rng.random() < 0.5 else (),
            role=rng.choice((None, *self.rulebook.roles, mightiest, mightiest)),
            seed=rng.getrandbits(64),
        )

    def placements(self, channel):
        """Placements for which actions have treatments in the channel; None = in any."""
        every = [t for a in self.rulebook.actions for t in a.treatments]
        treatments = [t for t in every if channel in (None, t.channel)]
        return sorted({t.placement for t in treatments if t.placement is not None})

    def preferred(self, places):
        """Some placements in any order of preference."""
        wanted = sorted(self.some(places, 0.7))
        self.rng.shuffle(wanted)
        return tuple(wanted)

    def learnt(self):
        """Outcomes so far and prices."""
        rng = self.rng
        outcomes = {
            (action.id, stage): (float(rng.randint(0, 20)), float(rng.randint(0, 200)))
            for action in self.rulebook.actions
            for stage in STAGES
            if rng.random() < 0.3
        }
        prices = tuple(rng.choice((0.0, 0.0, 0.5, 2.0)) for _ in STAGES)
        return Learnt(outcomes=outcomes, prices=prices, contact_price=rng.choice((0.0, 0.0, 0.7)))


@lru_cache(maxsize=4096)
def _parsed(source):
    """The syntax tree, which evaluation leaves as it is."""
    return parse(source)


def answers(case, rulebook):
    """What the expression oracle says of every expression, cool-downs included."""
    triggers = {}
    at = situation(case, triggers)
    for name, trigger in rulebook.triggers.items():
        truth = evaluate(_parsed(trigger.key), trigger.key, at)
        suppressed = gates.is_suppressed(rulebook, name, case.customer, case.request)
        triggers[name] = False if suppressed else truth

    def value(key):
        source = str(key)
        found = evaluate(_parsed(source), source, at)
        return None if found is UNKNOWN else found

    return Answers(lambda key: key_holds(key, rulebook.tables, value))


def situation(case, triggers):
    """What expressions read."""
    times = {*(f.name for f in STANDARD_FACTS if f.type is FactType.TIMESTAMP), *case.own_times}
    facts = {name: Instant(Fraction(v)) if name in times else v for name, v in case.facts.items()}
    figures = {name: value for name, value in case.figures.items() if value is not None}
    for name, members in (("stage", STAGES), ("forgive_mode", MODES), ("forgive_cause", CAUSES)):
        if name in figures:
            figures[name] = members[figures[name]]
    context = {
        "channel": case.request.channel,
        "direction": case.request.direction,
        "phase": case.phase,
        "role": case.request.role,
        "placement": frozenset(case.request.placements) or None,
        **case.contexts,
    }
    return Situation(
        customer={**facts, **figures},
        context={name: value for name, value in context.items() if value is not None},
        trigger=triggers,
        now=Fraction(case.request.now),
        windows=counts(case),
    )


def counts(case):
    """The window counts that generated conditions may ask for, by their source."""
    found = {}
    for days in (7, 30, 60):
        for outcome in OUTCOMES:
            source = f'count(history.contacts, {days}, entry.outcome == "{outcome}")'
            entries = [
                e
                for e in case.history.entries
                if e.outcome == outcome and within(e, case.request.now, days * DAY)
            ]
            cut = is_cut(case.history, case.request.now - days * DAY)
            found[source] = UNKNOWN if cut else len(entries)
    return found | event_counts(case)


def event_counts(case):
    """How many of each kind of event there were, by the source that asks."""
    found = {}
    for days in (7, 14, 60):
        cut = is_cut(case.events, case.request.now - days * DAY)
        recent = [e.event for e in case.events.entries if within(e, case.request.now, days * DAY)]
        for event in case.event_kinds:
            source = f'count(history.events, {days}, entry.event == "{event}")'
            found[source] = UNKNOWN if cut else recent.count(event)
    return found


def rows_of(cases, rulebook):
    """Snapshots, through the bytes that a store would hold."""
    codec = RowCodec(rulebook.catalogue)
    ids = [f"customer-{i}".encode() for i in range(len(cases))]
    stored = [codec.encode(i, case.as_of, case.facts) for i, case in zip(ids, cases, strict=True)]
    if len(cases) == 1:
        return codec.decode_one(stored[0], id_check(ids[0]))[0]
    return codec.decode_batch(stored, id_checks_of(ids)).rows


def figures_of(cases):
    """(n, Figure), NaN = missing."""
    figures = np.full((len(cases), len(Figure)), np.nan)
    for row, case in zip(figures, cases, strict=True):
        for name, value in case.figures.items():
            row[Figure[name.upper()]] = np.nan if value is None else value
    return figures


def histories_of(cases, rulebook):
    """Rings with the rulebook's own codes."""
    contacts = [case.history for case in cases]
    return Histories(ring_of(contacts, rulebook), ring_of([case.events for case in cases], rulebook))


def ring_of(histories, rulebook):
    """One ring of every customer."""
    entries = [entry for history in histories for entry in history.entries]
    codes = new_entries(len(entries))
    for code, entry in zip(codes, entries, strict=True):
        code["time"] = entry.time
        code["kind"] = EntryKind[entry.kind.upper()]
        code["channel"] = rulebook.channel_index.get(entry.channel, NO_NAME)
        code["direction"] = Direction[entry.direction.upper()]
        code["outcome"] = 0 if entry.outcome is None else Outcome[entry.outcome.upper()]
        code["action"] = rulebook.action_index.get(entry.action, NO_CODE)
        code["trigger"] = rulebook.trigger_index.get(entry.trigger, NO_CODE)
        code["event_kind"] = NO_CODE if entry.event is None else rulebook.event_kinds.index(entry.event)
        code["flags"] = EntryFlag.OVERRIDE if entry.time % 5 == 0 else 0
    starts = np.cumsum([0, *(len(history.entries) for history in histories)], dtype=np.int64)
    return Ring(codes, starts, np.array([history.truncated_before for history in histories]))


def contexts_of(cases, rulebook):
    """Situations as codes."""
    requests = [case.request for case in cases]
    places = placements_asked([[rulebook.placement_index[p] for p in r.placements] for r in requests])
    numbers = [[coded(key, case.contexts.get(key.name)) for key in rulebook.context_facts] for case in cases]
    return Contexts(
        channel=np.array([rulebook.channel_index[r.channel] for r in requests], np.int32),
        direction=np.array([Direction[r.direction.upper()] for r in requests], np.int32),
        placements=places.members,
        preference=places.order,
        phase=np.array([PurchasePhase[case.phase.upper()] for case in cases], np.int32),
        role=np.array([rulebook.role_index.get(r.role, -1) for r in requests], np.int32),
        numbers=np.array(numbers, np.float64).reshape(len(cases), len(rulebook.context_facts)),
    )


def coded(key, value):
    """A context value as the kernels take it."""
    if value is None:
        return np.nan
    return float(key.values.index(value) if key.type is FactType.ENUM else value)


def state_of(learnt, rulebook):
    """State as arrays."""
    posteriors = np.zeros((len(rulebook.actions), len(STAGES), 2))
    for (action, stage), outcomes in learnt.outcomes.items():
        posteriors[rulebook.action_index[action], STAGES.index(stage)] = outcomes
    return DecisionState(posteriors, np.array(learnt.prices), learnt.contact_price)
