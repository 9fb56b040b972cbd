"""Figures: one pass gives what the kernels of each part give one after the other.

Bit for bit, but for what follows from lifetime value, which one pass reads from a table.
"""

import numpy as np
import pytest
from tests.builders.rulebooks import CONSENTS, NEEDS, TOPICS, ZONES, write
from tests.builders.worlds import action, documents
from tests.naive.figures_by_arrays import figures_of as one_after_the_other

from nextbest.assembly import Artifacts, assemble
from nextbest.batch.fitting import fit_peer_grid
from nextbest.facts import FactType, Figure
from nextbest.figures import alive_of, figures_of
from nextbest.model import DAY_S, Rows
from nextbest.potential.ltv_parameters import BgNbd, GammaGamma, LtvParameters
from nextbest.rulebook.compile import compile_rulebook
from nextbest.standard_facts import STANDARD_FACTS

NOW = 1.7e9
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
OPEN = {
    fact.name for fact in STANDARD_FACTS if fact.type in (FactType.ENUM, FactType.SET) and not fact.values
}
NAMED = {"consent": CONSENTS, "needs": NEEDS, "blocked_topics": TOPICS, "time_zone": ZONES}
STRATEGY = {
    "value": {
        "activities": {"n_calls": 4.5, "n_visits": 0.6},
        "benefits": {"n_events": 10.0},
        "points": {"face": 0.01, "redemption_probability": 0.8},
    },
    "potential": {"peer_dimensions": ["peer_segment", "household", "behaviour_cluster"]},
    "referral": {"weight": 1, "worth": 40.0},
    "archetype": "brand",
    "price_premium": {"share": 0.04},
    "ceiling_share": 0.3,
    "forgive": {
        "back_probability": {"fact": "n_visits", "times": -0.005, "plus": 0.4, "otherwise": 0.1},
        "back_cost": 5,
        "back_reward": 10,
        "reach": {"fact": "n_calls", "times": 3, "plus": 1},
        "harm_avoided": 0.02,
        "damage_cost": 12,
    },
}


FROM_TABLE = (
    Figure.LTV,
    Figure.LTV_BACK,
    Figure.LTV_WITH_REFERRALS,
    Figure.MULTIPLIER,
    Figure.PRICE_PREMIUM,
    Figure.INVESTMENT_CEILING,
    Figure.EV_WIN_BACK,
)


def compiled(directory, standard):
    """A rulebook with these standard facts, some of them required."""
    quality = {
        "satisfaction": {"weight": 2, "fresh": "200d"},
        "needs": {"weight": 1},
        "joined": {"weight": 1},
    }
    values = {name: list(NAMED.get(name, [f"{name}_{i}" for i in range(4)])) for name in OPEN}
    facts = {
        "standard": standard,
        "values": {name: v for name, v in values.items() if standard == "all" or name in standard},
        "quality": {name: q for name, q in quality.items() if standard == "all" or name in standard},
    }
    write(documents(action(), strategy=STRATEGY) | {"facts.yaml": facts}, directory)
    return compile_rulebook(directory)


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """A rulebook whose catalogue has every standard fact."""
    return compiled(tmp_path_factory.mktemp("all"), "all")


def customers(catalogue, n, *, seed, missing=0.2):
    """Random snapshots: buyers, prospects and contract customers, histories short and long."""
    rng = np.random.default_rng(seed)
    numbers = np.full((n, catalogue.n_numbers), np.nan)
    for fact in catalogue.facts:
        if fact.name in catalogue.columns:
            drawn = np.where(rng.random(n) < missing, np.nan, _drawn(rng, fact, n))
            numbers[:, catalogue.columns[fact.name]] = drawn
    words = rng.integers(0, 1 << 63, (n, catalogue.n_words), np.uint64)
    known = rng.integers(0, 1 << 63, (n, catalogue.n_known_words), np.uint64)
    rows = Rows(NOW - rng.uniform(0, 90, n) * DAY_S, numbers, words, known)
    _set_purchases(rng, catalogue, numbers)
    for array in (rows.as_of, numbers, words, known):
        array.setflags(write=False)
    return rows


def _drawn(rng, fact, n):
    if fact.type is FactType.ENUM:
        return rng.integers(0, len(fact.values), n).astype(float)
    if fact.type is FactType.TIMESTAMP:
        return NOW - rng.uniform(-30, 900, n) * DAY_S
    low = fact.minimum if fact.minimum is not None else -100.0
    high = fact.maximum if fact.maximum is not None else low + 300.0
    drawn = rng.uniform(low, high, n)
    return np.floor(drawn) if fact.type is FactType.INT else drawn


def _set_purchases(rng, catalogue, numbers):
    """A possible history for most, an impossible or unknown one for some."""
    n = len(numbers)
    x = np.floor(rng.gamma(0.7, 6.0, n))
    observed = rng.uniform(0.5, 150.0, n)
    recency = np.where(x > 0, observed * rng.beta(3, 1, n), 0.0)
    for name, values in (("repeat_purchases", x), ("observed_weeks", observed), ("recency_weeks", recency)):
        if name in catalogue.columns:
            numbers[:, catalogue.columns[name]] = np.where(rng.random(n) < 0.05, np.nan, values)


def check_same(model, rows):
    """Both ways give the same, whatever the other half of the batch."""
    now = np.full(len(rows), NOW)
    together, apart = figures_of(model, rows, now), one_after_the_other(model, rows, now)
    exact = [f for f in Figure if f not in FROM_TABLE]
    different = [f.name for f in exact if not np.array_equal(together[:, f], apart[:, f], equal_nan=True)]
    assert different == []
    for figure in FROM_TABLE:
        np.testing.assert_allclose(together[:, figure], apart[:, figure], rtol=1e-12, atol=1e-9)


def artifacts(rulebook, *, ltv, grid):
    """What is fitted; the grid on customers of its own."""
    fit = fit_peer_grid(rulebook, [customers(rulebook.catalogue, 3000, seed=5)], lambda _: None, m=30.0)
    return Artifacts(ltv=CDNOW if ltv else None, grid=fit.fitted if grid else None)


@pytest.mark.parametrize("grid", [True, False])
@pytest.mark.parametrize("ltv", [True, False])
def test_one_pass_gives_the_same_bits(everything, ltv, grid):
    """Every figure of random customers, whatever is fitted."""
    model = assemble(everything, artifacts(everything, ltv=ltv, grid=grid))
    check_same(model, customers(everything.catalogue, 2000, seed=7))


def test_facts_that_the_catalogue_lacks_are_missing(tmp_path):
    """A catalogue with few facts gives figures from those."""
    few = ["peer_segment", "household", "behaviour_cluster", "revenue_net", "complaint_open", "consent"]
    few += ["nps_relation", "nps_relation_at", "n_calls", "n_visits", "n_events"]
    rulebook = compiled(tmp_path, few)
    model = assemble(rulebook, artifacts(rulebook, ltv=True, grid=True))
    rows = customers(rulebook.catalogue, 500, seed=8)
    check_same(model, rows)
    assert np.isnan(figures_of(model, rows, np.full(500, NOW))[:, Figure.LTV]).all()


def test_one_customer_alone_gets_the_same_figures(everything):
    """The batch that a customer is in changes nothing."""
    model = assemble(everything, artifacts(everything, ltv=True, grid=True))
    rows = customers(everything.catalogue, 50, seed=9)
    together = figures_of(model, rows, np.full(50, NOW))
    for i in range(50):
        part = slice(i, i + 1)
        one = Rows(rows.as_of[part], rows.numbers[part], rows.words[part], rows.known[part])
        alone = figures_of(model, one, np.full(1, NOW))
        assert np.array_equal(alone[0], together[i], equal_nan=True)


def test_alive_is_the_figure(everything):
    """P(alive) for advancing stages is the one that decisions read."""
    model = assemble(everything, artifacts(everything, ltv=True, grid=False))
    rows = customers(everything.catalogue, 300, seed=10)
    figures = figures_of(model, rows, np.full(300, NOW))
    assert np.array_equal(alive_of(model, rows), figures[:, Figure.ALIVE], equal_nan=True)
