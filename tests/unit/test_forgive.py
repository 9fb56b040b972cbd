"""What is done in Forgive me, and what is learnt from it."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive import forgive as naive
from tests.unit.behaviour_rows import as_float, maybe

from nextbest.behaviour.forgive import (
    ForgiveInput,
    ForgiveMode,
    forgive_mode,
    forgive_modes,
    forgive_term,
)
from nextbest.behaviour.index import default_stage_parameters

PARAMETERS = default_stage_parameters()
NAMES = tuple(column.name.lower() for column in ForgiveInput)
MONEY = maybe(st.sampled_from([0.0, 1.0, 5.0, 100.0]) | st.floats(0, 1e4))
CASES = st.fixed_dictionaries(
    {name: maybe(st.floats(0, 1)) if "prob" in name or "harm" in name else MONEY for name in NAMES}
)


def choose(case):
    """Mode and both expected values of one case."""
    matrix = np.array([[as_float(case[name]) for name in NAMES]])
    choice = forgive_modes(matrix, PARAMETERS)
    return ForgiveMode(int(choice.mode[0])), choice.win_back_value[0], choice.damage_value[0]


@settings(max_examples=100, deadline=None)
@given(case=CASES)
def test_mode_equals_the_oracle(case):
    """Mode and expected values equal the text's, whatever is unknown."""
    mode, win, damage = choose(case)
    expected, naive_win, naive_damage = naive.forgive_mode(case)
    assert win == pytest.approx(as_float(naive_win), rel=1e-9, abs=1e-6, nan_ok=True)
    assert damage == pytest.approx(as_float(naive_damage), rel=1e-9, abs=1e-6, nan_ok=True)
    margins = [abs(v) for v in (naive_win, naive_damage) if v is not None]
    close = any(m < 1e-6 for m in margins) or (len(margins) == 2 and abs(naive_win - naive_damage) < 1e-6)
    assert close or mode.name.lower() == expected


PROFITABLE = dict(zip(NAMES, (0.3, 1000.0, 20.0, 50.0, 10.0, 0.02, 30.0, 15.0), strict=True))


def test_win_back_pays():
    """A profitable customer is won back: .3 × (1000 − 50) − 20 against 10 × .02 × 30 × 5 − 15."""
    assert choose(PROFITABLE) == (ForgiveMode.WIN_BACK, pytest.approx(265.0), pytest.approx(15.0))


def test_unprofitable_with_reach_is_damage_control():
    """An unprofitable customer whose word carries gets damage control."""
    assert choose(PROFITABLE | {"back_ltv": 10.0})[0] is ForgiveMode.DAMAGE_CONTROL


@pytest.mark.parametrize(
    ("win", "damage", "mode"),
    [
        (0.0, 0.0, "apology"),
        (-1.0, 0.0, "apology"),
        (0.0, -0.0, "apology"),
        (5e-324, 0.0, "win_back"),
        (0.0, 5e-324, "damage_control"),
        (5.0, 5.0, "win_back"),
        (5.0, math.nextafter(5.0, 6.0), "damage_control"),
        (math.nan, 5.0, "damage_control"),
        (5.0, math.nan, "win_back"),
        (math.nan, 0.0, "apology"),
        (math.inf, math.inf, "win_back"),
        (-math.inf, math.nan, "apology"),
    ],
)
def test_the_larger_above_nothing_decides(win, damage, mode):
    """Only what is worth more than nothing is done; on a tie the customer is won back."""
    assert ForgiveMode(forgive_mode(win, damage)).name.lower() == mode


@pytest.mark.parametrize("unknown", [{}, dict.fromkeys(NAMES)])
def test_never_silence(unknown):
    """Where nothing pays or nothing is known, an apology still goes out."""
    assert choose(PROFITABLE | {"back_ltv": 10.0, "reach": 0.0} | unknown)[0] is ForgiveMode.APOLOGY


@settings(max_examples=100, deadline=None)
@given(
    value=maybe(st.floats(-1e6, 1e6)),
    times=st.floats(-100, 100),
    plus=st.floats(-100, 100),
    otherwise=maybe(st.floats(-10, 10)),
    high=st.sampled_from([1.0, math.inf]),
)
def test_a_term_follows_its_fact(value, times, plus, otherwise, high):
    """An input is times·fact + plus, or what holds where the fact is unknown, within its bounds."""
    term = np.array([times, plus, as_float(otherwise), 0.0, high])
    expected = naive.term(value, times=times, plus=plus, otherwise=otherwise, low=0.0, high=high)
    assert forgive_term(as_float(value), term) == pytest.approx(as_float(expected), nan_ok=True)
