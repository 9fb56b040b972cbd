"""All figures of a customer against the naive oracles put together, on random customers with gaps."""

import contextlib
import math
from dataclasses import replace

import numpy as np
import pytest
from tests.builders.hostile import HOSTILE
from tests.builders.random_customers import DAY, LTV, T0, people, rows_of, settings_of
from tests.builders.small import DIRECTORY
from tests.naive import figures as naive

from nextbest.assembly import OUTCOMES, Artifacts, FittedGrid, assemble
from nextbest.errors import ArtifactError, InvalidFact
from nextbest.facts import FIGURE_TYPES, STAGE_NAMES, FactType, Figure
from nextbest.figures import figures_of, valued_of
from nextbest.id_check import id_checks_of
from nextbest.potential.grid import PeerGrid
from nextbest.potential.retention import RetentionModel
from nextbest.rows import RowCodec
from nextbest.rulebook.compile import compile_rulebook

FITTED_AT = T0 - 10 * DAY


@pytest.fixture(scope="module")
def rulebook():
    """The small rulebook."""
    return compile_rulebook(DIRECTORY)


@pytest.fixture(scope="module")
def fitted(rulebook):
    """A model with everything fitted, and the oracle's settings for it."""
    customers = people(1, 150)
    settings = settings_of(
        rulebook,
        bgnbd=(0.9, 5.0, 0.7, 2.6),
        gamma_gamma=(6.0, 4.0, 500.0),
        yearly_discount=0.1,
        step_weeks=26.0,
        steps=6,
        frequency_bound=0.35,
        fitted_at=FITTED_AT,
    )
    settings.grids = naive.fitted_grids(settings, customers, m=30.0)
    codes = np.array([naive.codes_of(settings, facts) for facts, _ in customers])
    worths = [naive.worth(settings, facts) for facts, _ in customers]
    values = np.array([[worth["value"], worth["profit"]] for worth in worths])
    full = np.array([facts.get("exposure_share", 1.0) >= 1.0 for facts, _ in customers])
    grid = PeerGrid.build(
        codes, values, dimensions=settings.peer_dimensions, outcomes=OUTCOMES, m=30.0, full=full
    )
    return assemble(rulebook, Artifacts(ltv=LTV, grid=FittedGrid(grid, FITTED_AT))), settings


RATE = RetentionModel(rate=0.7, contracts=100, renewals=300)
BY_TENURE = replace(RATE, alpha=0.7, beta=3.8)


@pytest.mark.parametrize("retention", [RATE, BY_TENURE], ids=["one rate", "by tenure"])
@pytest.mark.parametrize("ltv", [None, LTV], ids=["contracts only", "buyers too"])
@pytest.mark.parametrize("growth", [0.0, 0.04])
def test_contracts_are_valued_by_tenure(rulebook, ltv, retention, growth):
    """A contract is worth what renewals by tenure give, or one rate where tenure tells nothing (B6)."""
    rulebook = replace(rulebook, strategy=replace(rulebook.strategy, contract_growth=growth))
    model = assemble(rulebook, Artifacts(ltv=ltv, retention=retention))
    buyers = {} if ltv is None else {"bgnbd": (0.9, 5.0, 0.7, 2.6), "gamma_gamma": (6.0, 4.0, 500.0)}
    horizon = {} if ltv is None else {"step_weeks": 26.0, "steps": 6, "frequency_bound": 0.35}
    settings = settings_of(rulebook, retention_rate=0.7, **buyers, **horizon)
    if retention.alpha is not None:
        settings.retention = retention.alpha, retention.beta
    customers = people(21, 60)
    found = figures_of(model, rows_of(rulebook, customers), np.full(60, T0))
    for i, (facts, as_of) in enumerate(customers):
        compare(found[i], naive.figures(settings, facts, as_of=as_of, now=T0), of=facts)


@pytest.mark.parametrize(
    ("growth", "retention", "said"),
    [
        (0.1, BY_TENURE, r"retention by tenure rises to 1, and it reaches 1\.000"),
        (0.2, BY_TENURE, r"and that of contracts renewed 4 times reaches 0\.917"),
        (0.6, RATE, r"the fitted retention 0\.700 is not below 0\.688"),
    ],
)
def test_a_fitted_retention_with_which_growth_diverges_is_refused(rulebook, growth, retention, said):
    """A model in which r(1+g) ≥ 1+d for some tenure is not assembled; what to change is said."""
    rulebook = replace(rulebook, strategy=replace(rulebook.strategy, contract_growth=growth))
    with pytest.raises(ArtifactError, match=said) as raised:
        assemble(rulebook, Artifacts(retention=retention))
    assert f"`lifetime.contract_growth` {growth:g}" in str(raised.value)
    assert str(raised.value).endswith("lower it below the discount rate in strategy.yaml")


def test_growth_below_the_discount_or_below_what_retention_allows_is_taken(rulebook):
    """No retention makes a growth under the discount diverge, and a low one stands a higher growth."""
    for growth, retention in ((0.0999, BY_TENURE), (0.5, RATE), (0.5, None), (-0.3, BY_TENURE)):
        changed = replace(rulebook, strategy=replace(rulebook.strategy, contract_growth=growth))
        assert assemble(changed, Artifacts(retention=retention)).rulebook is changed


def premium_of(model, share, level=1):
    """The model with another price premium; nothing else changes."""
    strategy = replace(model.rulebook.strategy, premium_share=share, premium_level=float(level))
    return assemble(replace(model.rulebook, strategy=strategy), model.artifacts)


@pytest.mark.parametrize(("share", "level"), [(0.05, 1), (0.4, -1)])
def test_a_price_premium_is_the_oracles(fitted, share, level):
    """The premium, lifetime value with it and the ceiling are as written (B15)."""
    model, settings = fitted
    model, settings = (
        premium_of(model, share, level),
        replace(settings, premium_share=share, premium_level=level),
    )
    customers = people(31, 40)
    found = figures_of(model, rows_of(model.rulebook, customers), np.full(40, T0))
    for i, (facts, as_of) in enumerate(customers):
        compare(found[i], naive.figures(settings, facts, as_of=as_of, now=T0), of=facts)
    assert (found[:, Figure.PRICE_PREMIUM] > 0).any()


def test_lifetime_value_rises_with_the_price_premium(fitted):
    """A premium of 0 leaves every other figure as it was, bit for bit; a higher one is never worth less."""
    model, _ = fitted
    rows, now = rows_of(model.rulebook, people(32, 80)), np.full(80, T0)
    plain = figures_of(model, rows, now)
    assert np.isnan(plain[:, Figure.PRICE_PREMIUM]).all()
    others = [figure for figure in Figure if figure is not Figure.PRICE_PREMIUM]
    before = figures_of(premium_of(model, 0.0), rows, now)
    assert before[:, others].tobytes() == plain[:, others].tobytes()
    loyal = ~np.isnan(plain[:, Figure.LTV]) & (before[:, Figure.PRICE_PREMIUM] == 0.0)
    for share in (0.01, 0.2, 1.0):
        after = figures_of(premium_of(model, share), rows, now)
        risen = after[:, Figure.LTV] - before[:, Figure.LTV]
        paid = after[:, Figure.PRICE_PREMIUM] > before[:, Figure.PRICE_PREMIUM]
        assert (risen[loyal & paid] > 0).all()
        assert (risen[loyal & ~paid] == 0).all()
        assert (loyal & paid).any()
        assert np.array_equal(after[:, Figure.MULTIPLIER], plain[:, Figure.MULTIPLIER])
        before = after
        loyal = ~np.isnan(plain[:, Figure.LTV])


def compare(found, expected, *, of):
    """One customer's figures are those of the oracle."""
    for figure in Figure:
        wanted = expected.get(figure.name.lower())
        actual = found[figure]
        if wanted is None or math.isnan(wanted):
            assert math.isnan(actual), (figure.name, actual, of)
        elif FIGURE_TYPES.get(figure, FactType.DOUBLE) is not FactType.DOUBLE:
            assert actual == float(wanted), (figure.name, of)
        else:
            assert actual == pytest.approx(wanted, rel=1e-9, abs=1e-9), (figure.name, of)


@pytest.mark.parametrize("seed", range(2, 8))
def test_figures_are_the_oracles(fitted, rulebook, seed):
    """Every figure of every customer is what the formulas give, and missing where they give none."""
    model, settings = fitted
    customers = people(seed, 25)
    now = T0 + np.arange(25) * DAY
    found = figures_of(model, rows_of(rulebook, customers), now)
    for i, (facts, as_of) in enumerate(customers):
        expected = naive.figures(settings, facts, as_of=as_of, now=float(now[i]))
        compare(found[i], expected, of=facts)


def edges_of(fact):
    """Numbers that a fact may hold and that break formulas: its bounds and what is hostile anywhere."""
    bounds = [float(b) for b in (fact.minimum, fact.maximum) if b is not None]
    numbers = {repr(v): v for v in (*HOSTILE.values(), *bounds, 0.5) if math.isfinite(v) and abs(v) < 1e100}
    return [int(v) if fact.type is FactType.INT and v == int(v) else v for v in numbers.values()]


def hostile_people(catalogue, seed, n):
    """Random customers of whom one fact, each time another, is at an edge that a snapshot may hold."""
    random, codec, found = np.random.default_rng(seed), RowCodec(catalogue), []
    named = [f for f in catalogue.facts if f.name in catalogue.columns and f.type is not FactType.ENUM]
    while len(found) < n:
        fact = named[random.integers(len(named))]
        edges = edges_of(fact)
        ((facts, as_of),) = people(int(random.integers(1 << 30)), 1)
        facts = facts | {fact.name: edges[random.integers(len(edges))]}
        with contextlib.suppress(InvalidFact):
            codec.encode(b"x", as_of, facts)
            found.append((facts, as_of))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_figures_of_a_fact_at_its_edge_are_the_oracles(fitted, rulebook, seed):
    """Zero, denormal, huge, the least and the most: every figure is still what the formulas give."""
    model, settings = fitted
    customers = hostile_people(rulebook.catalogue, seed, 40)
    found = figures_of(model, rows_of(rulebook, customers), np.full(40, T0))
    for i, (facts, as_of) in enumerate(customers):
        compare(found[i], naive.figures(settings, facts, as_of=as_of, now=T0), of=facts)


def test_figures_without_any_fit(rulebook):
    """Before a fit nothing that needs one is known, and everything else is as it will be."""
    model, settings = assemble(rulebook, Artifacts()), settings_of(rulebook)
    customers = people(9, 60)
    found = figures_of(model, rows_of(rulebook, customers), np.full(60, T0))
    for i, (facts, as_of) in enumerate(customers):
        compare(found[i], naive.figures(settings, facts, as_of=as_of, now=T0), of=facts)


def test_nobody_known_at_all(fitted, rulebook):
    """A customer of whom no fact is known has figures too: a stage, level 0 and the rest missing."""
    model, settings = fitted
    found = figures_of(model, rows_of(rulebook, [({}, T0)]), np.array([T0]))
    compare(found[0], naive.figures(settings, {}, as_of=T0, now=T0), of="nobody")
    assert found[0, Figure.STAGE] == STAGE_NAMES.index("know_me")


def test_one_customer_is_as_many(fitted, rulebook):
    """A customer's figures do not depend on who else is in the batch, bit for bit."""
    model, _ = fitted
    customers = people(10, 70)
    together = figures_of(model, rows_of(rulebook, customers), np.full(70, T0))
    codec = RowCodec(rulebook.catalogue)
    for i, (facts, as_of) in enumerate(customers):
        row = codec.encode(b"x", as_of, facts)
        alone = codec.decode_batch([row], id_checks_of([b"x"])).rows
        assert figures_of(model, alone, np.array([T0])).tobytes() == together[i].tobytes()


def test_components_sum_to_the_figures(fitted, rulebook):
    """Signed components of value and profit add up to the figures, credit from peers included."""
    model, _ = fitted
    rows = rows_of(rulebook, people(11, 80))
    found, valued = figures_of(model, rows, np.full(80, T0)), valued_of(model, rows)
    np.testing.assert_allclose(valued.worth.value, found[:, Figure.ACTUAL_VALUE], rtol=1e-12)
    np.testing.assert_allclose(valued.worth.profit, found[:, Figure.ACTUAL_PROFIT], rtol=1e-12)
    np.testing.assert_allclose(valued.value_for_money, found[:, Figure.VALUE_FOR_MONEY], rtol=1e-12)


def test_potential_reached_closes_the_gap(fitted, rulebook):
    """Who earns at least 95 % of what peers reach has gap 0 and is told so."""
    model, _ = fitted
    customers = [(facts | {"revenue_net": 1e6, "cogs": 0.0}, as_of) for facts, as_of in people(12, 30)]
    found = figures_of(model, rows_of(rulebook, customers), np.full(30, T0))
    assert (found[:, Figure.PROFIT_GAP] == 0.0).all()
    assert (found[:, Figure.PROFIT_REACHED] == 1.0).all()


def test_trust_that_fails_shows_at_once(fitted, rulebook):
    """Whatever stage is held, an open grave complaint decides for Forgive me in one evaluation."""
    model, _ = fitted
    grave = {"complaint_open": True, "complaint_severity": 3, "complaint_at": T0}
    customers = [(facts | grave, as_of) for facts, as_of in people(13, 30)]
    found = figures_of(model, rows_of(rulebook, customers), np.full(30, T0))
    assert (found[:, Figure.STAGE] == STAGE_NAMES.index("forgive_me")).all()


def test_everyone_is_in_exactly_one_stage(fitted, rulebook):
    """Every snapshot has a stage and a level, whatever is missing (C1, C2)."""
    model, _ = fitted
    found = figures_of(model, rows_of(rulebook, people(14, 200)), np.full(200, T0))
    assert set(found[:, Figure.STAGE]) <= set(range(4))
    assert set(found[:, Figure.LEVEL]) <= set(range(-3, 5))


def test_one_left_out_only_if_counted(fitted, rulebook):
    """Only a snapshot that was in the fit is left out of its own peers: a later one is compared with all."""
    model, settings = fitted
    facts, _ = people(1, 1)[0]
    facts = facts | {"exposure_share": 1.0, "revenue_net": 9000.0, "cogs": 100.0}
    for as_of in (FITTED_AT - DAY, FITTED_AT + DAY):
        found = figures_of(model, rows_of(rulebook, [(facts, as_of)]), np.array([T0]))
        compare(found[0], naive.figures(settings, facts, as_of=as_of, now=T0), of=as_of)


def test_fewer_facts_in_the_catalogue(fitted, rulebook):
    """A rulebook that does without most standard facts reads them as missing."""
    kept = {"consent", "revenue_net", "cogs", "last_purchase", "held_stage", "peer_segment", "household"}
    facts = tuple(fact for fact in rulebook.catalogue.facts if fact.name in kept)
    smaller = replace(rulebook, catalogue=type(rulebook.catalogue)(facts))
    model, settings = fitted
    lean = assemble(
        replace(smaller, value=replace(smaller.value, activities=(), benefits=())),
        Artifacts(ltv=LTV, grid=model.artifacts.grid),
    )
    lean_settings = replace(settings, catalogue=smaller.catalogue, activities={}, benefits={})
    customers = [({n: v for n, v in facts.items() if n in kept}, as_of) for facts, as_of in people(15, 30)]
    found = figures_of(lean, rows_of(smaller, customers), np.full(30, T0))
    for i, (facts, as_of) in enumerate(customers):
        compare(found[i], naive.figures(lean_settings, facts, as_of=as_of, now=T0), of=facts)
