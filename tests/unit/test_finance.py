"""Finance of an action: the given figures, the oracle, and absent instead of infinite."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive import finance as naive

from nextbest.potential import finance
from nextbest.potential.finance import FinanceColumn, Rates

VECTORS = {v["name"]: v for v in json.loads((Path(__file__).parents[1] / "vectors.json").read_text())}
RATES = Rates(hurdle=0.1, wacc=0.08, tax=0.22)
NAMES = ("ROI", "ROMI", "RI", "NOPAT", "EP", "EVA", "payback_months")

money = st.one_of(st.floats(-1e7, 1e7).map(lambda v: round(v, 2)), st.just(0.0))
actions = st.lists(
    st.tuples(money, money, money, money, st.floats(0, 1), st.integers(0, 10).map(float)), max_size=6
)


def absent_as_nan(figures):
    """The oracle's figures in column order, NaN for None."""
    return [math.nan if figures[name] is None else figures[name] for name in NAMES]


def oracle_rates():
    """Rates by the oracle's names."""
    return {"hurdle": RATES.hurdle, "wacc": RATES.wacc, "tax": RATES.tax}


def test_figures_give_the_vector():
    """All seven figures of the action in `finance` are as given."""
    v = VECTORS["finance"]["in"]
    amounts = np.array([[v["dGM"], v["C"], v["K"], v["dRev"], v["cm"], v["n_y"]]], dtype=np.float64)
    rates = Rates(hurdle=v["h"], wacc=v["w"], tax=v["t"]).to_array()
    figures = finance.finance_rows(amounts, rates)[0]
    assert dict(zip(NAMES, figures.tolist(), strict=True)) == pytest.approx(
        VECTORS["finance"]["out"], rel=1e-12
    )


@settings(max_examples=100, deadline=None)
@given(actions)
def test_figures_equal_the_oracle(amounts):
    """Each action's figures, and those of all together, are the formulas', absent ones included."""
    rows = np.array(amounts, dtype=np.float64).reshape(-1, 6)
    expected = np.array([absent_as_nan(naive.figures(*a, **oracle_rates())) for a in amounts]).reshape(-1, 7)
    np.testing.assert_allclose(finance.finance_rows(rows, RATES.to_array()), expected, rtol=1e-9, atol=1e-6)
    together = absent_as_nan(naive.portfolio(amounts, **oracle_rates()))
    result = finance.portfolio_figures(rows, RATES.to_array())
    if math.fsum(a[1] for a in amounts) != 0 and abs(math.fsum(a[1] for a in amounts)) < 1e-3:
        return  # the sum of the costs is only rounding: its ratios have no digits to compare
    np.testing.assert_allclose(result, together, rtol=1e-6, atol=1e-3)


def test_a_zero_denominator_makes_a_figure_absent():
    """No cost: no ROI and no ROMI; no margin: no payback; no years: no EVA; the rest is there."""
    figures = finance.finance_rows(np.array([[0.0, 0.0, 100.0, 50.0, 0.3, 0.0]]), RATES.to_array())
    value = finance.action_finance(figures[0])
    assert (value.roi, value.romi, value.payback_months, value.economic_value_added) == (None,) * 4
    assert value.residual_income == pytest.approx(-10.0)
    assert value.nopat == 0.0
    assert value.economic_profit == pytest.approx(-8.0)


@pytest.mark.parametrize("margin", [0.0, -5.0, math.nan])
def test_a_margin_that_never_pays_back_has_no_payback(margin):
    """Payback is absent unless the margin is above 0."""
    assert math.isnan(finance.payback_months(margin, 100.0))


def test_a_denormal_cost_gives_no_infinite_return():
    """A quotient that overflows is absent as well."""
    figures = finance.finance_rows(np.array([[1e10, 5e-324, 0.0, 1e10, 1.0, 1.0]]), RATES.to_array())[0]
    assert math.isnan(figures[FinanceColumn.ROI])
    assert math.isnan(figures[FinanceColumn.ROMI])


@pytest.mark.parametrize("unknown", range(6))
def test_an_unknown_amount_leaves_only_what_does_not_rest_on_it(unknown):
    """NaN in an amount makes exactly the figures absent that read it."""
    amounts = np.array([[1800.0, 600.0, 2000.0, 6000.0, 0.3, 3.0]])
    amounts[0, unknown] = math.nan
    figures = finance.finance_rows(amounts, RATES.to_array())[0]
    absent = {name for name, value in zip(NAMES, figures.tolist(), strict=True) if math.isnan(value)}
    read_by = (
        {"ROI", "RI", "NOPAT", "EP", "EVA", "payback_months"},
        set(NAMES),
        {"RI", "EP", "EVA"},
        {"ROMI"},
        {"ROMI"},
        {"EVA"},
    )
    assert absent == read_by[unknown]


def test_a_portfolio_of_one_is_the_action():
    """Figures of all actions together are the action's own when it is alone."""
    amounts = np.array([[1800.0, 600.0, 2000.0, 6000.0, 0.3, 3.0]])
    np.testing.assert_allclose(
        finance.portfolio_figures(amounts, RATES.to_array()),
        finance.finance_rows(amounts, RATES.to_array())[0],
    )
