"""Value and profit against their oracle and the published examples."""

import json
import math
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive import value as naive

from nextbest.potential import value
from nextbest.potential.value import ProfitTerm, ValueFlag, ValueInput, ValueRate, ValueTerm

VECTORS = {case["name"]: case for case in json.loads(Path("tests/vectors.json").read_text())}
RATES = {
    "point_face": 0.9,
    "redemption_probability": 0.8,
    "quality": 0.25,
    "minute": 1.5,
    "complaint": 100.0,
    "default_margin": 0.3,
    "credibility_years": 0.25,
}
money = st.one_of(st.floats(-1e5, 1e5), st.sampled_from([0.0, -0.0, 5e-324, 50.0, math.nan, math.inf]))
count = st.one_of(st.integers(0, 40).map(float), st.just(math.nan))
finite = st.floats(-1e6, 1e6)


def row(**figures: float) -> np.ndarray:
    """Make one customer's inputs, all others missing."""
    inputs = np.full((1, len(ValueInput)), math.nan)
    for name, figure in figures.items():
        inputs[0, ValueInput[name.upper()]] = figure
    return inputs


def rates(**changes: float) -> np.ndarray:
    """Make the rulebook's rates in the order of `ValueRate`."""
    table = {**RATES, **changes}
    return np.array([table[place.name.lower()] for place in ValueRate])


def counts(*values: float) -> np.ndarray:
    """Make one customer's counts."""
    return np.array([values], np.float64)


def named(inputs: np.ndarray) -> dict[str, float | None]:
    """Write inputs as the oracle takes them."""
    return {place.name.lower(): naive.known(float(inputs[0, place])) for place in ValueInput}


def test_vector_cost_to_serve_and_profit() -> None:
    """The published example: 350 to serve, 60.48 of points, 1,059.52 of profit."""
    case = VECTORS["cost_to_serve_profit"]
    given_, expected = case["in"], case["out"]
    activities = counts(*(given_["n"][name] for name in given_["rates"]))
    inputs = row(
        revenue_net=given_["revenue_net"], cogs=given_["cogs"], points_earned=given_["points_earned"]
    )
    costs = value.cost_to_serve(activities, np.array(list(given_["rates"].values()), np.float64))
    terms = value.profit_terms(
        inputs,
        costs,
        rates(point_face=given_["face"], redemption_probability=given_["redemption_probability"]),
    )
    assert costs[0] == pytest.approx(expected["cts"])
    assert -terms[0, ProfitTerm.POINTS] == pytest.approx(expected["points_cost"])
    assert value.add_terms(terms)[0] == pytest.approx(expected["actual_profit"])


def test_vector_value_for_money() -> None:
    """The published example: 491.50 of value, 1.117 of value for money."""
    case = VECTORS["value_for_money"]
    given_, expected = case["in"], case["out"]
    inputs = row(
        revenue_net=given_["revenue"],
        immediate_rewards=given_["immediate"],
        saved_rewards=given_["saved"],
        satisfaction=given_["satisfaction"],
        minutes=given_["minutes"],
        complaints=given_["complaints"],
    )
    benefits = counts(*(float(n) for n, _ in given_["emotional"]))
    worths = np.array([w for _, w in given_["emotional"]], np.float64)
    set_rates = rates(
        redemption_probability=1.0,
        quality=given_["kappa"],
        minute=given_["value_of_time"],
        complaint=given_["complaint_cost"],
    )
    total = value.add_terms(value.value_terms(inputs, benefits, worths, set_rates))
    assert total[0] == pytest.approx(expected["customer_value"])
    assert value.value_for_money(np.array([given_["revenue"]], np.float64), total)[0] == pytest.approx(
        expected["vfm"]
    )


def test_vector_credibility() -> None:
    """The published example: a fifth of a year leans on the cell's mean."""
    case = VECTORS["credibility"]
    amount, exposure = case["in"]["amount"], case["in"]["exposure_years"]
    found = value.annual_rate(amount, exposure, case["in"]["cell_mean"], case["in"]["k"])
    assert found == pytest.approx(case["out"])


@settings(max_examples=100, deadline=None)
@given(st.lists(money, min_size=9, max_size=9), st.lists(count, max_size=4), st.lists(count, max_size=3))
def test_defaults_equal_the_oracle(
    figures: list[float], activities: list[float], benefits: list[float]
) -> None:
    """Every missing input gets its default and its flag; what is known stays as it is."""
    inputs, first, second = np.array([figures]), counts(*activities), counts(*benefits)
    lists = [[naive.known(n) for n in activities], [naive.known(n) for n in benefits]]
    expected, filled, flags = naive.complete(named(inputs), lists, 0.3)
    found = value.complete(inputs, first, second, 0.3)
    assert {flag.name for flag in ValueFlag(int(found[0]))} == flags
    for place in ValueInput:
        wanted = expected[place.name.lower()]
        assert inputs[0, place] == pytest.approx(math.nan if wanted is None else wanted, nan_ok=True)
    assert [first[0].tolist(), second[0].tolist()] == filled


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.one_of(finite, st.just(math.nan)), min_size=9, max_size=9),
    st.lists(count, min_size=2, max_size=2),
)
def test_components_equal_the_oracle_and_add_up(figures: list[float], benefits: list[float]) -> None:
    """Each component has its sign, and they add up to the total to the last bit."""
    inputs, counted, worths = np.array([figures]), counts(*benefits), np.array([40.0, 75.0])
    value.complete(inputs, np.empty((1, 0)), counted, RATES["default_margin"])
    costs = np.array([123.5])
    profit = value.profit_terms(inputs, costs, rates())
    worth = value.value_terms(inputs, counted, worths, rates())
    by_hand = naive.profit_terms(named(inputs), 123.5, RATES["point_face"], RATES["redemption_probability"])
    assert profit[0].tolist() == pytest.approx([*by_hand, 0.0], nan_ok=True)
    by_hand = naive.value_terms(named(inputs), counted[0].tolist(), worths.tolist(), RATES)
    assert worth[0].tolist() == pytest.approx([*by_hand, 0.0], nan_ok=True, rel=1e-12)
    for terms in (profit, worth):
        total = 0.0
        for term in terms[0].tolist():
            total += term
        assert value.add_terms(terms)[0] == pytest.approx(total, rel=0, abs=0, nan_ok=True)


def test_missing_revenue_makes_profit_missing_not_zero() -> None:
    """Nothing reads missing revenue as zero; rewards still have their worth."""
    inputs = row(immediate_rewards=150)
    flags = value.complete(inputs, np.empty((1, 0)), np.empty((1, 0)), 0.3)
    profit = value.add_terms(value.profit_terms(inputs, np.zeros(1), rates()))
    worth = value.add_terms(value.value_terms(inputs, np.empty((1, 0)), np.empty(0), rates()))
    assert ValueFlag.REVENUE_MISSING in ValueFlag(int(flags[0]))
    assert math.isnan(profit[0])
    assert worth[0] == 150
    assert np.isnan(value.value_for_money(inputs[:, ValueInput.REVENUE_NET].copy(), worth)).all()


def test_value_for_money_needs_revenue() -> None:
    """Without revenue above zero there is no ratio, rather than an infinite one."""
    found = value.value_for_money(np.array([0.0, -5.0, math.nan, 100.0]), np.array([1.0, 1.0, 1.0, math.nan]))
    assert np.isnan(found).all()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 1_000), min_size=3, max_size=3), min_size=1, max_size=40),
    st.lists(st.floats(0, 1e4), min_size=3, max_size=3),
)
def test_cost_is_conserved(table: list[list[int]], prices: list[float]) -> None:
    """What is charged to customers is what the activities cost: Σ CTS = Σ N·c."""
    activities, costs = np.array(table, np.float64), np.array(prices)
    per_customer = value.cost_to_serve(activities, costs)
    exact = [float(naive.cost_to_serve(row_, prices)) for row_ in table]
    assert per_customer == pytest.approx(exact, rel=1e-12)
    assert math.fsum(per_customer) == pytest.approx(math.fsum(value.cost_by_activity(activities, costs)))


def test_rates_need_capacity() -> None:
    """An hour of a pool of 480,000 over 96,000 minutes costs 300; without capacity there is no rate."""
    assert value.activity_rates(np.array([60.0, 0.0]), 480_000, 96_000).tolist() == [300, 0]
    assert np.isnan(value.activity_rates(np.array([60.0]), 480_000, 0)).all()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(finite, min_size=4, max_size=4),
    st.one_of(st.floats(-0.5, 1.5), st.just(math.nan)),
    finite,
    st.floats(0.01, 2),
)
def test_short_histories_borrow_from_peers(
    terms: list[float], exposure: float, mean: float, k: float
) -> None:
    """The scaled components add up to the annual rate of the total, and full years stay as they are."""
    table, flags = np.array([[*terms, 0.0]]), np.zeros(1, np.int32)
    before = float(value.add_terms(table)[0])
    total = value.credit_terms(table, np.array([exposure]), np.array([mean]), k, flags)[0]
    expected = naive.annual_rate(before, exposure, mean, k)
    assert value.annual_rate(before, exposure, mean, k) == pytest.approx(expected, rel=1e-12, nan_ok=True)
    assert total == pytest.approx(expected, rel=1e-9, abs=1e-6, nan_ok=True)
    assert total == pytest.approx(reduce(add, table[0].tolist(), 0.0), rel=0, abs=0, nan_ok=True)
    assert bool(flags[0]) == (not exposure >= 1)


@settings(max_examples=100, deadline=None)
@given(money, money, st.lists(st.floats(-100, 100), min_size=4, max_size=4))
def test_mutual_segments_equal_the_oracle(worth: float, profit: float, bounds: list[float]) -> None:
    """Nine segments from two terciles; a missing figure is in none."""
    table = np.sort(np.array(bounds).reshape(2, 2), axis=1)
    found = value.mutual_segments(np.array([worth]), np.array([profit]), table)[0]
    assert found == naive.mutual_segment(
        naive.known(worth), naive.known(profit), table[0].tolist(), table[1].tolist()
    )


def test_mutual_segments_need_bounds() -> None:
    """Without a grid to take terciles from, nobody is in a segment."""
    found = value.mutual_segments(np.ones(3), np.ones(3), np.full((2, 2), math.nan))
    assert found.tolist() == [-1, -1, -1]


def test_terms_have_the_columns_they_are_named_after() -> None:
    """The kernels write as many columns as the enums have members."""
    inputs = np.zeros((2, len(ValueInput)))
    assert value.profit_terms(inputs, np.zeros(2), rates()).shape == (2, len(ProfitTerm))
    assert value.value_terms(inputs, np.empty((2, 0)), np.empty(0), rates()).shape == (2, len(ValueTerm))
