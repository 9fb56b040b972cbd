"""The population that `decide` is measured on: a rulebook whose every gate stops somebody, and customers.

200 actions with 1,000 conditions (of actions, evidence, context weights, segments and triggers), contact
policies of all four scopes, caps, consent, quiet hours, topics, authorities and validity. Everything is drawn
from a seed. Conditions are kept in two forms: as rule files write them and as polars expressions.
"""

import json
import random
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from match import Predicate, predicate
from nextbest.assembly import Artifacts, Model, assemble
from nextbest.batch.fitting import fit_peer_grid
from nextbest.batch.population import contexts_part, histories_part, rows_part
from nextbest.facts import Fact, FactGroup, FactType
from nextbest.model import (
    DAY_S,
    NO_CODE,
    Contexts,
    DecisionState,
    Direction,
    EntryKind,
    Histories,
    Outcome,
    PurchasePhase,
    Ring,
    Rows,
)
from nextbest.rings import new_entries
from nextbest.rulebook.compile import compile_rulebook
from nextbest.rulebook.rulebook import Rulebook
from workload import CDNOW, LETTERS, STAGES, STANDARD, VALUES, customers, own_facts
from workload import NOW as SNAPSHOTS_AT

SEED = 20260307
NOW = SNAPSHOTS_AT + 9.5 * 3600
"""2026-01-01 09:30 UTC, for all customers: a run decides for everybody at one moment."""
ACTIONS, CONDITIONS = 200, 1_000
GROUPS, SEGMENTS, TRIGGERS = 50, 20, 40
ENTRIES = 20
"""History entries a customer."""
CHANNELS = ("email", "sms", "location", "pos")
PLACEMENTS = ("receipt", "display")
ZONES = ("UTC", "Europe/Copenhagen", "America/New_York", "Asia/Kolkata")
TOPICS = ("wine", "tobacco", "credit")
PURPOSES = ("marketing", "service")
CONSENTS = tuple(f"{c}_{p}" for c in CHANNELS[:3] for p in PURPOSES)
THRESHOLDS = {"email": (0.1, 0.3), "sms": (0.2, 0.35), "location": (0.2, 0.4), "pos": (0.2, 0.3)}
WEIGHTS = {"email": 1.0, "sms": 2.0, "location": 2.0, "pos": 0.0}
QUIET = {"sms": (22.0, 8.0), "location": (23.0, 6.0)}
EVIDENCE = {
    "declared_preference": 0.8,
    "open_need": 0.6,
    "inbound_topic": 0.5,
    "own_interest": 0.35,
    "peers_uptake": 0.35,
    "season": 0.15,
}
CUSTOMER_WEIGHT = {"know_me": 0.5, "hear_me": 0.6, "grow_me": 0.7, "forgive_me": 0.7}
PRESSURE_CAP = {"know_me": 4.0, "hear_me": 6.0, "grow_me": 8.0, "forgive_me": 3.0}
PRICES = (0.0, 0.1, 0.2, 0.3)
"""Shadow prices π by stage."""
CONTACT_PRICE = 0.01
QUALITY_FLOOR, HOLD_SCORE, HOLD_DAYS = 0.7, 6, 14
CEILING_SHARE = 0.05
VALUE_OF_TIME = 0.5
AUTHORITIES = {"till": 0, "agent": 2}
LIMITS = (
    {"scope": "channel", "outcome": "rejected", "at_least": 2, "within": "14d", "pause": "10d"},
    {"scope": "all", "outcome": "complained", "at_least": 1, "within": "30d", "pause": "20d"},
)
"""Of every action."""
OUTCOMES = ("accepted", "rejected", "ignored", "clicked", "complained", "opted_out")
OUTCOME_ODDS = (0.25, 0.3, 0.25, 0.15, 0.03, 0.02)
WINDOWS = (("rejected", 30), ("accepted", 60), ("ignored", 14))
"""Conditions over history: fewer than two such outcomes in so many days."""


@dataclass
class Script:
    """The rule files' documents, and what each condition in them is in polars."""

    actions: list[dict]
    segments: list[dict]
    triggers: list[dict]
    peers: dict[str, pl.Expr] = field(default_factory=dict)


def script() -> Script:
    """Draw the rules."""
    draw = _Draw(random.Random(SEED))
    segments = [{"id": f"segment_{i:02}", "when": draw.condition(1)} for i in range(SEGMENTS)]
    triggers = [
        {"id": f"trigger_{i:02}", "when": draw.condition(1), "cool_down": f"{draw.rng.choice((10, 20, 30))}d"}
        for i in range(TRIGGERS)
    ]
    actions = [draw.action(i) for i in range(ACTIONS)]
    return Script(actions, segments, triggers, draw.peers)


class _Draw:
    """Draws conditions and actions."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        kinds = {"d": FactType.DOUBLE, "i": FactType.INT, "e": FactType.ENUM, "b": FactType.BOOL}
        facts = [
            Fact(
                name=name,
                type=kinds[name[0]],
                group=FactGroup.TRANSACTION,
                values=LETTERS if name[0] == "e" else (),
            )
            for name in own_facts()
        ]
        pool: dict[str, Predicate] = {}
        while len(pool) < 1_500:
            drawn = predicate(rng, rng.choice(facts))
            pool.setdefault(drawn.ours, drawn)
        for outcome, days in WINDOWS:
            ours = f'count(history.contacts, {days}, entry.outcome == "{outcome}") < 2'
            pool[ours] = Predicate(ours, pl.col(f"{outcome}_{days}") < 2)
        self._windows = list(pool)[-len(WINDOWS) :]
        self._pool = pool
        self._names = list(pool)
        self.peers: dict[str, pl.Expr] = {}

    def condition(self, size: int, sign: str = "&&") -> str:
        """Join `size` predicates by and, or by or, each combination once."""
        while True:
            names = self.rng.sample(self._names, size)
            if self.rng.random() < 0.02:
                names[0] = self.rng.choice(self._windows)
            text = f" {sign} ".join(names)
            if text not in self.peers:
                break
        peer = self._pool[names[0]].theirs
        for name in names[1:]:
            other = self._pool[name].theirs
            peer = peer & other if sign == "&&" else peer | other
        self.peers[text] = peer
        return text

    def strength(self) -> str:
        """Evidence by degrees."""
        name = f"customer.d{self.rng.randrange(20)}"
        text = f"{name} / 100.0"
        self.peers[text] = (pl.col(name[9:]) / 100.0).clip(0.0, 1.0)
        return text

    def some(self, chance: float, entry: dict, key: str, value: object) -> None:
        """Give the entry the value so often."""
        if self.rng.random() < chance:
            entry[key] = value

    def action(self, i: int) -> dict:
        """One action."""
        rng = self.rng
        desired = rng.choice(("cross_sell", "up_sell", "communication", "service", "information"))
        kinds = rng.sample(list(EVIDENCE), 2)
        text = {"say": f"Offer {i} is for you today"}
        entry: dict = {
            "id": f"action_{i:03}",
            "desired_action": desired,
            "purpose": "service" if desired in ("service", "information") else "marketing",
            "group": f"group_{rng.randrange(GROUPS)}",
            "reason": "For you",
            "stages": sorted(rng.sample(STAGES, 3)),
            "when": self.condition(*rng.choice(((2, "||"), (2, "||"), (2, "||"), (1,), (2,)))),
            "treatments": dict.fromkeys(self.places(i), text),
            "effect": self.effect(),
            "cost": {"contact": 0.01, "accepted": round(rng.uniform(0.1, 3), 2)},
            "propensity": {"successes": rng.randint(2, 20), "failures": rng.randint(20, 200)},
            "relevance": {
                kind: self.strength() if rng.random() < 0.1 else self.condition(1) for kind in kinds
            },
            "context": [{"when": self.condition(1), "weight": rng.choice((-50, 10, 25))} for _ in range(2)],
            "lever": rng.choice((-30, 0, 0, 20, 50)),
            "priority": rng.choice((0, 0, 1)),
        }
        if rng.random() < 0.25:
            entry["propensity"] = f"customer.d{rng.randrange(20)} * 0.002"
        self.some(0.2, entry, "segments", [f"segment_{k:02}" for k in rng.sample(range(SEGMENTS), 3)])
        self.some(0.2, entry, "triggers", [f"trigger_{k:02}" for k in rng.sample(range(TRIGGERS), 2)])
        self.some(0.15, entry, "topics", [rng.choice(TOPICS)])
        self.some(0.05, entry, "authority", 2)
        if i % 20 == 6:
            entry["valid"] = {"from": "2026-02-01"} if i % 40 == 6 else {"through": "2025-12-24"}
        self.some(0.1, entry, "max_snapshot_age", "3d")
        self.some(0.1, entry, "uplift", {"base": 0.01})
        self.some(0.1, entry, "need", "create")
        self.some(0.1, entry, "intent", "inside_out")
        self.some(0.3, entry, "caps", [{"at_most": 1, "within": rng.choice(("30d", "60d"))}])
        if i % 100 == 50:
            entry |= {"mandatory": True, "when": self.condition(3)}
        if rng.random() < 0.5:
            entry["limits"] = [
                {
                    "scope": rng.choice(("action", "group")),
                    "outcome": "rejected",
                    "at_least": 1,
                    "within": "15d",
                    "pause": "30d",
                }
            ]
        if rng.random() < 0.3:
            entry["benefit_group"] = f"benefit_{rng.randrange(20)}"
            worth = rng.choice((2, 5, 10, 20))
            entry["reward"] = {"type": "monetary", "timing": "immediate", "worth": worth}
        return entry

    def places(self, i: int) -> list[str]:
        """Everywhere, but for some actions not by text message, or at the till on its receipt alone."""
        dropped = {3: ("sms", "location"), 7: ("pos/display",)}.get(i % 10, ())
        return [k for k in ("email", "sms", "location", "pos/receipt", "pos/display") if k not in dropped]

    def effect(self) -> dict:
        """What both sides gain."""
        rng = self.rng
        effect: dict = {
            "customer_gap": round(rng.uniform(0.02, 0.2), 3),
            "profit_gap": round(rng.uniform(0.02, 0.2), 3),
            "yearly": round(rng.uniform(-2, 10), 2),
        }
        self.some(0.2, effect, "once", 5.0)
        self.some(0.1, effect, "minutes", 3.0)
        self.some(0.1, effect, "horizon", "short")
        if rng.random() < 0.2:
            effect["ltv"] = rng.choice((10.0, -5.0))
        else:
            effect["recurring"] = 0.5
        return effect


def write(rules: Script, directory: Path) -> None:
    """Write the rule files. JSON is YAML too, and quick to write."""
    stages = {s: {"customer_weight": CUSTOMER_WEIGHT[s], "pressure_cap": PRESSURE_CAP[s]} for s in STAGES}
    files: dict[str, object] = {
        "strategy.yaml": {
            "id": "population",
            "currency": "USD",
            "languages": ["en"],
            "goals": [{"id": "g", "measure": "retention", "text": "keep customers"}],
            "priorities": [{"issue": "growth", "text": "grow"}],
            "plan": [{"step": "start", "owner": "agent"}],
            "roles": [{"id": r, "authority": a, "text": r} for r, a in AUTHORITIES.items()],
            "promises": {"fair": "we are fair"},
            "stages": stages,
            "groups": [{"id": f"group_{i}"} for i in range(GROUPS)],
            "value": {"value_of_time": VALUE_OF_TIME},
            "potential": {"peer_dimensions": ["peer_segment", "household", "behaviour_cluster"]},
            "ceiling_share": CEILING_SHARE,
            "data_quality": {"floor": QUALITY_FLOOR},
            "sell_hold": {"score": HOLD_SCORE, "within": f"{HOLD_DAYS}d"},
        },
        "facts.yaml": {
            "standard": [*STANDARD, "time_zone"],
            "values": {name: list(values) for name, values in VALUES.items()}
            | {"consent": list(CONSENTS), "blocked_topics": list(TOPICS), "time_zone": list(ZONES)},
            "quality": {"revenue_net": {"weight": 2}, "satisfaction": {"weight": 1, "fresh": "365d"}},
            "facts": [_fact(name) for name in own_facts()],
        },
        "segments.yaml": {"segments": rules.segments},
        "triggers/triggers.yaml": {"triggers": rules.triggers},
        "policies.yaml": {
            "channels": {name: _channel(name) for name in CHANNELS},
            "relevance": EVIDENCE,
            "limits": list(LIMITS),
        },
        "actions/actions.yaml": {"actions": rules.actions},
    }
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))


def _channel(name: str) -> dict[str, object]:
    inbound, outbound = THRESHOLDS[name]
    entry: dict[str, object] = {
        "placements": list(PLACEMENTS) if name == "pos" else [],
        "threshold": {"inbound": inbound, "outbound": outbound},
        "pressure_weight": WEIGHTS[name],
        "location_bound": name == "location",
    }
    if name in QUIET:
        entry["quiet_hours"] = {"start": QUIET[name][0], "end": QUIET[name][1]}
    return entry if name != "pos" else entry | {"consent": []}


def _fact(name: str) -> dict[str, object]:
    kind = {"d": "double", "i": "int", "e": "enum", "b": "bool"}[name[0]]
    fact: dict[str, object] = {"name": name, "type": kind, "group": "transaction", "description": "drawn"}
    return fact | ({"values": list(LETTERS)} if kind == "enum" else {})


@dataclass(frozen=True)
class Population:
    """n customers as `decide` takes them."""

    rows: Rows
    histories: Histories
    contexts: Contexts
    now: np.ndarray
    seed: np.ndarray

    def __len__(self) -> int:
        return len(self.now)

    def part(self, first: int, last: int) -> "Population":
        """Some of them."""
        return Population(
            rows_part(self.rows, first, last),
            histories_part(self.histories, first, last),
            contexts_part(self.contexts, first, last),
            self.now[first:last],
            self.seed[first:last],
        )


def population(rulebook: Rulebook, n: int) -> Population:
    """Draw n customers, their histories and the situations to decide for."""
    rows = customers(rulebook.catalogue, n)
    rng = np.random.default_rng(SEED)
    place = rulebook.catalogue.bits["consent"]
    for _ in range(2):
        # seven consents of eight, where a fair coin gave four
        bits = rng.integers(0, 1 << len(CONSENTS), n).astype(np.uint64)
        rows.words[:, place.word] |= bits << np.uint64(place.shift)
    return Population(
        rows, _histories(rulebook, n), _contexts(rulebook, n), np.full(n, NOW), np.zeros(n, np.uint64)
    )


def _histories(rulebook: Rulebook, n: int) -> Histories:
    """Half contacts and half outcomes, whole seconds of 120 days; every tenth customer's begin too late."""
    rng = np.random.default_rng(SEED + 1)
    total = n * ENTRIES
    made = new_entries(total)
    ages = np.sort(rng.integers(60, 120 * int(DAY_S), (n, ENTRIES)), axis=1)[:, ::-1]
    made["time"] = (NOW - ages).reshape(-1)
    outcome = rng.random(total) < 0.5
    made["kind"] = np.where(outcome, EntryKind.OUTCOME, EntryKind.CONTACT)
    codes = np.array([Outcome[name.upper()] for name in OUTCOMES], np.uint8)
    made["outcome"] = np.where(outcome, rng.choice(codes, total, p=OUTCOME_ODDS), 0)
    made["channel"] = rng.integers(0, len(CHANNELS), total)
    made["direction"] = np.where(made["channel"] == rulebook.channel_index["pos"], 0, 1)
    made["action"] = rng.integers(0, ACTIONS, total)
    named = ~outcome & (rng.random(total) < 0.5)
    made["trigger"] = np.where(named, rng.integers(0, TRIGGERS, total), NO_CODE)
    made["idempotency_key"] = rng.integers(1, 1 << 63, total)
    lost = np.where(rng.random(n) < 0.1, NOW - rng.integers(30, 200, n) * DAY_S, -np.inf)
    ring = Ring(made, np.arange(0, total + 1, ENTRIES, dtype=np.int64), lost)
    return Histories(ring, Histories.empty(n).events)


def _contexts(rulebook: Rulebook, n: int) -> Contexts:
    """Mostly e-mail, some text messages and location pushes, every fifth a customer at the till."""
    rng = np.random.default_rng(SEED + 2)
    codes = np.array([rulebook.channel_index[name] for name in CHANNELS], np.int32)
    channel = rng.choice(codes, n, p=(0.5, 0.2, 0.1, 0.2))
    till = channel == rulebook.channel_index["pos"]
    return Contexts(
        channel=channel,
        direction=np.where(till, Direction.INBOUND, Direction.OUTBOUND).astype(np.int32),
        placements=np.zeros(n, np.uint64),  # one action a placement is nothing that Polars would do
        preference=np.empty((n, 0), np.int32),
        phase=np.full(n, PurchasePhase.UNSPECIFIED, np.int32),
        role=np.where(till, 0, 1).astype(np.int32),
        numbers=np.empty((n, 0)),
    )


def compiled(rules: Script, directory: Path) -> Rulebook:
    """The rulebook of the drawn rules.

    Raises:
        AssertionError: it has fewer conditions than promised.
    """
    write(rules, directory)
    rulebook = compile_rulebook(directory)
    conditions = rulebook.program.n_conditions
    assert conditions >= CONDITIONS, f"{conditions} conditions instead of {CONDITIONS}"
    return rulebook


def model_of(rulebook: Rulebook, rows: Rows) -> Model:
    """The rulebook with a grid of these customers, and CDNOW's lifetime value over three years."""
    grid = fit_peer_grid(rulebook, [rows], lambda _: None, m=30.0)
    return assemble(rulebook, Artifacts(ltv=CDNOW, grid=grid.fitted))


def state() -> DecisionState:
    """Nothing learnt yet, but prices."""
    return DecisionState(np.zeros((ACTIONS, len(STAGES), 2)), np.array(PRICES), CONTACT_PRICE)
