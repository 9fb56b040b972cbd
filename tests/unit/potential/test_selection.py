"""Choosing m by the loss on customers held out."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive import grid as naive

from nextbest.errors import FitError
from nextbest.potential.selection import CANDIDATES, choose_m, pinball

amount = st.one_of(st.floats(-1e6, 1e6), st.just(math.nan))


def crowd(n: int, effect: float) -> tuple[np.ndarray, np.ndarray]:
    """Make cells of about twenty customers whose level differs by `effect`."""
    draw = np.random.default_rng(4)
    codes = draw.integers(0, n // 20, (n, 1))
    levels = draw.normal(0, effect, n // 20)
    values = np.exp(6 + levels[codes] + draw.normal(0, 0.5, (n, 1)))
    return codes.astype(np.float64), values


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(amount, amount), max_size=20), st.floats(0.01, 0.99))
def test_pinball_equals_the_oracle(pairs: list[tuple[float, float]], tau: float) -> None:
    """Sum of the losses, values below, and how many were judged."""
    table = np.array(pairs).reshape(-1, 2)
    loss, below, n = pinball(table[:, 0].copy(), table[:, 1].copy(), tau)
    known = [pair for pair in pairs if not math.isnan(sum(pair))]
    assert loss == pytest.approx(sum(naive.pinball(*pair, tau) for pair in known), rel=1e-9, abs=1e-9)
    assert (below, n) == (sum(value <= said for value, said in known), len(known))


def test_alike_cells_lean_on_their_parent_and_others_do_not() -> None:
    """Where cells do not differ a large m is best, where they differ much the smallest."""
    alike, apart = (choose_m(*crowd(2_000, effect), tau=0.8) for effect in (0.0, 3.0))
    assert alike.m >= 60
    assert apart.m == min(CANDIDATES)
    assert apart.losses.min() < apart.root[0] / 2


def test_cells_that_say_nothing_are_found_out() -> None:
    """Where the own cell's quantile is no closer than everybody's, the outcome is marked; else it is not."""
    codes, differing = crowd(4_000, 0.4)
    noise = np.random.default_rng(9).normal(1_000.0, 200.0, len(codes))
    choice = choose_m(codes, np.column_stack([differing[:, 0], noise]), tau=0.8)
    assert choice.idle.tolist() == [False, True]


def test_back_off_beats_root_and_cell() -> None:
    """With cells that differ a little, back-off is better than either extreme, and calibrated."""
    choice = choose_m(*crowd(4_000, 0.4), tau=0.8)
    best = choice.losses[CANDIDATES.index(choice.m), 0]
    assert best < choice.root[0]
    assert best < choice.cell[0]
    assert choice.coverage[CANDIDATES.index(choice.m), 0] == pytest.approx(0.8, abs=0.03)


def test_the_choice_is_repeatable_and_skips_short_histories() -> None:
    """Equal seeds choose alike, and customers who take no part change nothing."""
    codes, values = crowd(400, 0.4)
    once = choose_m(codes, values, tau=0.8, seed=7)
    full = np.r_[np.ones(400, np.bool_), np.zeros(50, np.bool_)]
    more = np.vstack([values, np.full((50, 1), 1e9)])
    again = choose_m(np.vstack([codes, codes[:50]]), more, tau=0.8, seed=7, full=full)
    assert np.array_equal(once.losses, again.losses)
    assert once.m == again.m


def test_equal_customers_choose_without_dividing_by_zero() -> None:
    """Where every quantile is right, any weight will do."""
    choice = choose_m(np.zeros((50, 1)), np.zeros((50, 1)), tau=0.8)
    assert choice.m in CANDIDATES
    assert choice.losses.tolist() == [[0.0]] * len(CANDIDATES)


def test_too_few_customers_are_refused() -> None:
    """Fewer customers than folds, counting only known outcomes, is an error that says so."""
    with pytest.raises(FitError, match="`4` customers are too few"):
        choose_m(np.zeros((9, 1)), np.r_[np.ones(4), np.full(5, math.nan)].reshape(-1, 1), tau=0.8)
