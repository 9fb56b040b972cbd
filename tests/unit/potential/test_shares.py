"""Shares of market, wallet and life against their oracle."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive import shares as naive

from nextbest.potential.shares import estimated_share_of_wallet, share_of_life, share_of_market

amount = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, math.nan, math.inf, -math.inf, 5e-324, 1e308]))


@settings(max_examples=100, deadline=None)
@given(amount, amount)
def test_wallet_share_equals_the_oracle(revenue: float, wallet: float) -> None:
    """Between nothing and everything, and missing without a wallet."""
    found = estimated_share_of_wallet(np.array([revenue]), np.array([wallet]))[0]
    # inf/inf has no value; it may come out as any share or as missing, never as an error
    if not (math.isinf(revenue) and math.isinf(wallet)):
        assert found == pytest.approx(naive.wallet_share(revenue, wallet), rel=1e-12, nan_ok=True)


@settings(max_examples=100, deadline=None)
@given(st.sets(st.integers(0, 63)), st.booleans())
def test_share_of_life_equals_the_oracle(areas: set[int], known: bool) -> None:
    """Ninths of the areas used; unknown is not nothing."""
    word = np.array([sum(1 << j for j in areas)], np.uint64)
    found = share_of_life(word, np.array([known]))[0]
    assert found == pytest.approx(naive.life_share(areas if known else None), nan_ok=True)


def test_market_share_needs_a_market() -> None:
    """Without a market there is no share, rather than an infinite one."""
    assert share_of_market(5.0, 20.0) == 0.25
    assert math.isnan(share_of_market(5.0, 0.0))
