"""The shipped rulebooks × random customers: real figures, the kernels against the plain-Python decision."""

import math
import random
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from tests.builders.customers import DAY, NOW, CaseGenerator, answers
from tests.builders.worlds import World
from tests.conformance.deciding import compare
from tests.naive.decide import naive_decide
from tests.naive.plain import Entry, History

import nextbest.decide as use_case
from nextbest.facts import FIGURE_TYPES, FactType, Figure
from nextbest.figures import figures_of
from nextbest.rulebook.source import load_source

RULES = Path(__file__).parents[2] / "rules"
SHIPPED = sorted(p.parent.name for p in RULES.glob("*/strategy.yaml"))
CUSTOMERS = 100


class CatalogueGenerator(CaseGenerator):
    """Draws customers by the rulebook's own catalogue."""

    def __init__(self, rng, world):
        super().__init__(rng, world.plain)
        self.rulebook_ = world.rulebook

    def case(self):
        """One customer in one situation, with events that the rulebook may count."""
        drawn, rng, kinds = super().case(), self.rng, self.rulebook_.event_kinds
        now = drawn.request.now
        ages = sorted(
            (rng.choice((0, 3, 7, 10, 14, 40, 60)) for _ in range(rng.choice((0, 2, 9)))), reverse=True
        )
        entries = tuple(Entry(now - age * DAY, "event", event=rng.choice(kinds)) for age in ages)
        lost = now - 20 * DAY if rng.random() < 0.1 else -math.inf
        times = (f.name for f in self.rulebook_.catalogue.facts if f.type is FactType.TIMESTAMP)
        return replace(
            drawn,
            events=History(tuple(e for e in entries if e.time >= lost), lost),
            event_kinds=kinds,
            own_times=tuple(times),
        )

    def facts(self, now):
        """Facts that are known, within their bounds."""
        drawn = {f.name: self.value(f, now) for f in self.rulebook_.catalogue.facts}
        known = {name: value for name, value in drawn.items() if self.rng.random() < 0.8}
        observed = known.get("observed_weeks")
        if observed is None or "repeat_purchases" not in known:
            return {name: v for name, v in known.items() if name not in BUYING}
        known["repeat_purchases"] = max(1, known["repeat_purchases"])
        known["recency_weeks"] = self.rng.uniform(0.1, 1) * observed
        return known

    def value(self, fact, now):
        """Something that the fact may be."""
        rng = self.rng
        if fact.type is FactType.BOOL:
            return rng.random() < 0.3
        if fact.type is FactType.SET:
            return self.some(fact.values, rng.choice((0.2, 0.9, 1.0)))
        if fact.type is FactType.ENUM:
            return rng.choice(fact.values)
        if fact.type is FactType.TIMESTAMP:
            return now - rng.choice((0.5, 5, 14, 40, 200, 600, 2000)) * DAY
        low = 0.0 if fact.minimum is None else fact.minimum
        high = low + rng.choice((1, 20, 500)) if fact.maximum is None else fact.maximum
        if fact.type is FactType.INT:
            return rng.randint(int(low), int(high))
        return round(rng.uniform(low + 0.01, high), 3)

    def contexts(self):
        """Values of the declared keys, some not given."""
        drawn = {key.name: self.value(key, NOW) for key in self.rulebook_.context_facts}
        return {name: value for name, value in drawn.items() if self.rng.random() < 0.7}


BUYING = ("repeat_purchases", "recency_weeks", "observed_weeks", "mean_repeat_value")


def with_drawn_gaps(model, rows, now):
    """The real figures, with gaps and ceilings as a peer grid would give them."""
    figures = figures_of(model, rows, now)
    rng = np.random.default_rng(7)
    for figure, high in ((Figure.VALUE_GAP, 500), (Figure.PROFIT_GAP, 900), (Figure.INVESTMENT_CEILING, 60)):
        figures[:, figure] = np.where(rng.random(len(rows)) < 0.1, np.nan, rng.random(len(rows)) * high)
    return figures


def with_figures(case, row):
    """The case with the figures that the kernels computed."""

    def plain(figure):
        value = float(row[figure])
        if np.isnan(value):
            return None
        kind = FIGURE_TYPES.get(figure)
        return bool(value) if kind is FactType.BOOL else value if kind is None else int(value)

    return replace(case, figures={figure.name.lower(): plain(figure) for figure in Figure})


def without_models(document):
    """The document with a prior in place of every fitted model: those have tests of their own."""
    for entry in document.get("actions", []):
        if isinstance(entry["propensity"], dict) and "model" in entry["propensity"]:
            entry["propensity"] = {"successes": 10, "failures": 90}
    return document


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_rulebooks_decide_as_plain_python_does(name):
    """Every action of random customers ends where their rule files say."""
    world = World({file.path: without_models(file.value) for file in load_source(RULES / name).files})
    generator = CatalogueGenerator(random.Random(name), world)
    cases = [generator.case() for _ in range(CUSTOMERS)]
    learnt = generator.learnt()
    with mock.patch.object(use_case, "figures_of", with_drawn_gaps):
        decisions, trace = use_case.explain(world.model, *world.arguments(cases, learnt))
    chosen = 0
    for row, drawn in enumerate(cases):
        case = with_figures(drawn, decisions.figures[row])
        expected = naive_decide(world.plain, case.customer, case.request, answers(case, world.plain), learnt)
        compare(world, row, decisions, trace, expected)
        chosen += len(expected.ranked)
    assert chosen > CUSTOMERS / 10
