"""A generated rulebook, its customers and their histories: the same for every benchmark that decides.

Everything is drawn from seeds, so two runs measure the same work. Rules read facts of their own
(`d0`, `i0`, `e0`, `b0` …) whose values are spread evenly; figures read the standard facts.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nextbest.assembly import Artifacts
from nextbest.batch.fitting import fit_peer_grid
from nextbest.facts import Catalogue, Fact, FactType
from nextbest.model import DAY_S, EntryKind, Outcome, Rows
from nextbest.potential.ltv_parameters import BgNbd, GammaGamma, LtvParameters
from nextbest.rings import new_entries
from nextbest.rulebook.rulebook import Rulebook

SEED = 20260214
NOW = 1_767_225_600.0
"""2026-01-01, epoch seconds: snapshots are some days older, histories end here."""
CUSTOMERS = 10_000
ENTRIES = 20
"""History entries a customer."""
MISSING = 0.01
LETTERS = tuple("abcdefgh")
PLACEMENTS = ("receipt", "display")
STAGES = ("know_me", "hear_me", "grow_me", "forgive_me")
STANDARD = (
    "consent",
    "peer_segment",
    "household",
    "behaviour_cluster",
    "first_purchase",
    "last_purchase",
    "repeat_purchases",
    "recency_weeks",
    "observed_weeks",
    "mean_repeat_value",
    "revenue_net",
    "margin_rate",
    "discount_share",
    "immediate_rewards",
    "nps_relation",
    "nps_relation_at",
    "satisfaction",
    "satisfaction_at",
    "share_of_wallet",
    "complaint_open",
    "touchpoint_score",
    "touchpoint_score_at",
    "needs",
    "owned_categories",
    "blocked_topics",
    "held_stage",
    "stage_since",
    "up_qualified_since",
)
"""28 standard facts; with the 32 own ones a snapshot holds 60."""
VALUES: Mapping[str, Sequence[str]] = {
    "consent": ("call_centre_marketing", "call_centre_service"),
    "peer_segment": tuple(f"segment_{i}" for i in range(12)),
    "household": ("single", "couple", "family", "shared"),
    "behaviour_cluster": tuple(f"mix_{i}" for i in range(5)),
    "needs": ("fresh", "quick", "cheap", "baby"),
    "owned_categories": tuple(f"category_{i}" for i in range(12)),
    "blocked_topics": ("wine", "tobacco"),
}
CDNOW = LtvParameters(
    bgnbd=BgNbd(0.243, 4.414, 0.793, 2.426),
    gamma_gamma=GammaGamma(6.25, 3.74, 15.44),
    margin=0.3,
    yearly_discount=0.1,
    step_weeks=4.0,
    steps=39,
    standard_errors={},
    log_likelihood=-9582.4,
    gamma_gamma_log_likelihood=0.0,
    penalised=False,
    n=2357,
    n_repeat=946,
    frequency_top_quartile=0.05,
    warnings=(),
)
"""The published fit of CDNOW."""


@dataclass(frozen=True)
class Shape:
    """How large a rulebook is and how its rules look."""

    actions: int
    predicates_a_rule: int
    distinct_predicates: int
    groups: int = 50
    segments: int = 10
    triggers: int = 20
    evidence_a_rule: int = 1
    shared_evidence: int = 20
    contexts_a_rule: int = 0


def write_rulebook(directory: Path, shape: Shape) -> None:
    """Write the rulebook's files. JSON is YAML too, and quick to write."""
    rng = random.Random(SEED)
    pool = _predicates(rng, shape.distinct_predicates)
    evidence = [_conjunction(rng, pool, 1) for _ in range(shape.shared_evidence)]
    files: dict[str, object] = {
        "strategy.yaml": _strategy(shape),
        "facts.yaml": {
            "standard": list(STANDARD),
            "values": {name: list(values) for name, values in VALUES.items()},
            "quality": {"revenue_net": {"weight": 2}, "satisfaction": {"weight": 1, "fresh": "365d"}},
            "facts": [_fact(name) for name in own_facts()],
            "context": [{"name": "basket_value", "type": "double", "description": "value at the till"}],
        },
        "segments.yaml": {
            "segments": [
                {"id": f"segment_{i}", "when": _conjunction(rng, pool, 1)} for i in range(shape.segments)
            ]
        },
        "triggers/triggers.yaml": {
            "triggers": [
                {"id": f"trigger_{i}", "when": _conjunction(rng, pool, 1), "cool_down": "15d"}
                for i in range(shape.triggers)
            ]
        },
        "policies.yaml": {
            "channels": {"pos": {"placements": list(PLACEMENTS)}, "call_centre": {}},
            "limits": [
                {"scope": "channel", "outcome": "rejected", "at_least": 4, "within": "14d", "pause": "30d"}
            ],
        },
        "actions/actions.yaml": {
            "actions": [_action(rng, pool, evidence, shape, i) for i in range(shape.actions)]
        },
    }
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=0))


def own_facts() -> list[str]:
    """20 doubles, 6 ints, 4 enums and 2 bools; the first letter says which."""
    return [
        *(f"d{i}" for i in range(20)),
        *(f"i{i}" for i in range(6)),
        *(f"e{i}" for i in range(4)),
        *(f"b{i}" for i in range(2)),
    ]


def _fact(name: str) -> dict[str, object]:
    kind = {"d": "double", "i": "int", "e": "enum", "b": "bool"}[name[0]]
    fact: dict[str, object] = {"name": name, "type": kind, "group": "transaction", "description": "drawn"}
    return fact | ({"values": list(LETTERS)} if kind == "enum" else {})


def _predicates(rng: random.Random, count: int) -> list[str]:
    names, pool = own_facts(), dict[str, None]()
    while len(pool) < count:
        pool.setdefault(_predicate(rng, rng.choice(names)))
    return list(pool)


def _predicate(rng: random.Random, name: str) -> str:
    if name[0] == "b":
        return rng.choice(("", "!")) + f"customer.{name}"
    if name[0] == "e":
        letters = ", ".join(f'"{x}"' for x in sorted(rng.sample(LETTERS, rng.randint(2, 6))))
        return f"customer.{name} in [{letters}]"
    number = round(rng.uniform(0, 100), 2) if name[0] == "d" else rng.randint(0, 100)
    return f"customer.{name} {rng.choice(('<', '<=', '>', '>='))} {number}"


def _conjunction(rng: random.Random, pool: Sequence[str], size: int) -> str:
    return " && ".join(rng.sample(pool, size))


def _strategy(shape: Shape) -> dict[str, object]:
    return {
        "id": "generated",
        "currency": "USD",
        "languages": ["en", "da"],
        "goals": [{"id": "g", "measure": "retention", "text": "keep customers"}],
        "priorities": [{"issue": "growth", "text": "grow"}],
        "plan": [{"step": "start", "owner": "agent"}],
        "roles": [
            {"id": "till", "authority": 0, "text": "tills"},
            {"id": "agent", "authority": 2, "text": "agents"},
        ],
        "promises": {"fair": {"en": "we are fair", "da": "vi er fair"}},
        "groups": [{"id": f"group_{i}", "issue": "growth"} for i in range(shape.groups)],
        "potential": {"peer_dimensions": ["peer_segment", "household", "behaviour_cluster"]},
        "ceiling_share": 0.5,
    }


def _action(
    rng: random.Random, pool: Sequence[str], evidence: Sequence[str], shape: Shape, i: int
) -> dict[str, object]:
    kinds = ("open_need", "declared_preference", "own_interest", "peers_uptake", "inbound_topic", "season")
    say = {"en": f"Offer {i} is for you today", "da": f"Tilbud {i} er til dig i dag"}
    staff = {"en": "Reads {customer.d3} of 100 and {customer.i2} visits", "da": "{customer.d3} af 100"}
    offer = {"type": "percent_off", "value": rng.choice((5, 10, 20)), "products": f"set_{i % 40}"}
    action: dict[str, object] = {
        "id": f"action_{i}",
        "desired_action": rng.choice(("cross_sell", "up_sell", "service", "information")),
        "group": f"group_{rng.randrange(shape.groups)}",
        "reason": {"en": "Because you shop here often", "da": "Fordi du ofte handler her"},
        "stages": sorted(rng.sample(STAGES, 3)),
        "when": _conjunction(rng, pool, shape.predicates_a_rule),
        "treatments": {
            "pos/receipt": {"say": say, "staff": staff, "offer": offer},
            "call_centre": {"say": say, "staff": staff, "offer": offer},
        },
        "effect": {
            "customer_gap": round(rng.uniform(0.02, 0.2), 3),
            "profit_gap": round(rng.uniform(0.02, 0.2), 3),
            "recurring": 0.5,
            "yearly": round(rng.uniform(1, 10), 2),
        },
        "cost": {"contact": 0.01, "accepted": round(rng.uniform(0.1, 2), 2)},
        "propensity": {"successes": rng.randint(2, 20), "failures": rng.randint(20, 200)},
        "relevance": {kind: rng.choice(evidence) for kind in kinds[: shape.evidence_a_rule]},
    }
    if rng.random() < 0.2 and shape.segments:
        action["segments"] = [f"segment_{rng.randrange(shape.segments)}" for _ in range(2)]
    if rng.random() < 0.2 and shape.triggers:
        action["triggers"] = [f"trigger_{rng.randrange(shape.triggers)}"]
    if rng.random() < 0.25:
        action["propensity"] = f"customer.d{rng.randrange(20)} * 0.002"
    if shape.contexts_a_rule:
        weights = [{"when": _conjunction(rng, pool, 1), "weight": 10} for _ in range(shape.contexts_a_rule)]
        action["context"] = weights
    return action


def customer_ids(n: int) -> list[str]:
    """Names of n customers."""
    return [f"customer-{i:07d}" for i in range(n)]


def customers(catalogue: Catalogue, n: int) -> Rows:
    """Snapshots of n customers under the generated rulebook's catalogue."""
    rng = np.random.default_rng(SEED)
    numbers = np.full((n, catalogue.n_numbers), np.nan)
    words = np.zeros((n, catalogue.n_words), np.uint64)
    known = np.zeros((n, catalogue.n_known_words), np.uint64)
    figures = _figures(rng, n)
    for fact in catalogue.facts:
        present = rng.random(n) >= MISSING
        place = catalogue.bits.get(fact.name)
        if place is not None:
            bits = rng.integers(0, 1 << (1 if fact.type is FactType.BOOL else len(fact.values)), n)
            if fact.name in ("complaint_open", "blocked_topics"):
                bits *= rng.random(n) < 0.05
            words[:, place.word] |= np.where(present, bits, 0).astype(np.uint64) << np.uint64(place.shift)
            known[:, place.known_word] |= present.astype(np.uint64) << np.uint64(place.known_bit)
        elif fact.name in figures:
            numbers[:, catalogue.columns[fact.name]] = figures[fact.name]
        elif (fact.name[1:].isdigit() or fact.type is FactType.ENUM) and fact.name != "held_stage":
            values = np.where(present, _drawn(rng, fact, n), np.nan)
            numbers[:, catalogue.columns[fact.name]] = values
    return Rows(NOW - rng.uniform(0, 5, n) * DAY_S, numbers, words, known)


def _drawn(rng: np.random.Generator, fact: Fact, n: int) -> np.ndarray:
    if fact.type is FactType.ENUM:
        return rng.integers(0, len(fact.values), n).astype(np.float64)
    return rng.integers(0, 100, n).astype(np.float64) if fact.type is FactType.INT else rng.uniform(0, 100, n)


def _figures(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    """What lifetime value, loyalty and value read: plausible, and consistent where it must be."""
    repeats = rng.poisson(rng.gamma(1.5, 6.0, n)).astype(np.float64)
    observed = rng.uniform(20, 104, n)
    recency = np.where(repeats > 0, observed * rng.beta(4, 1, n), 0.0)
    revenue = rng.lognormal(6, 0.7, n)
    return {
        "repeat_purchases": repeats,
        "observed_weeks": observed,
        "recency_weeks": recency,
        "mean_repeat_value": np.where(repeats > 0, revenue / (repeats + 1), np.nan),
        "first_purchase": NOW - observed * 7 * DAY_S,
        "last_purchase": NOW - (observed - recency) * 7 * DAY_S,
        "revenue_net": revenue,
        "margin_rate": rng.uniform(0.15, 0.4, n),
        "discount_share": rng.uniform(0, 0.6, n),
        "immediate_rewards": revenue * rng.uniform(0, 0.2, n),
        "nps_relation": rng.integers(0, 11, n).astype(np.float64),
        "nps_relation_at": NOW - rng.uniform(0, 400, n) * DAY_S,
        "satisfaction": rng.uniform(20, 100, n),
        "satisfaction_at": NOW - rng.uniform(0, 400, n) * DAY_S,
        "share_of_wallet": rng.uniform(0, 1, n),
        "touchpoint_score": rng.integers(3, 11, n).astype(np.float64),
        "touchpoint_score_at": NOW - rng.uniform(10, 60, n) * DAY_S,
    }


def contacts(rulebook: Rulebook, n: int, entries: int = ENTRIES) -> np.ndarray:
    """(n * entries,) contact entries of n customers, each oldest first, with the rulebook's indices.

    Half are contacts and half their outcomes, over the last 120 days.
    """
    rng = np.random.default_rng(SEED + 1)
    total = n * entries
    made = new_entries(total)
    ages = np.sort(rng.uniform(0.01, 120, (n, entries)), axis=1)[:, ::-1]
    made["time"] = (NOW - ages * DAY_S).reshape(-1)
    outcome = rng.random(total) < 0.5
    made["kind"] = np.where(outcome, EntryKind.OUTCOME, EntryKind.CONTACT)
    answers = [Outcome.ACCEPTED, Outcome.REJECTED, Outcome.IGNORED, Outcome.CLICKED]
    made["outcome"] = np.where(outcome, rng.choice(answers, total), 0)
    made["channel"] = rng.integers(0, len(rulebook.channels), total)
    made["direction"] = rng.integers(0, 2, total)
    made["action"] = rng.integers(0, len(rulebook.actions), total)
    made["idempotency_key"] = rng.integers(1, 1 << 63, total)
    return made


def artifacts(rulebook: Rulebook, rows: Rows) -> Artifacts:
    """CDNOW's lifetime value and a grid of these customers; no propensity model."""
    grid = fit_peer_grid(rulebook, [rows], lambda _: None, m=30.0)
    return Artifacts(ltv=CDNOW, grid=grid.fitted)
