"""Random numbers named by seed, key and purpose: as plain Python draws them, and distributed as meant."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from tests.naive import draws as naive

from nextbest.action.draws import Purpose, beta_draws, key_of, seeds_of, uniforms

WORD = st.integers(0, 2**64 - 1)
KEY = st.integers(0, 2**63 - 1)
SEEDS = np.random.default_rng(7).integers(0, 2**64, 20_000, np.uint64)


@given(seed=WORD, key=KEY, purpose=st.sampled_from(list(Purpose)))
@settings(max_examples=100, deadline=None)
def test_uniform_numbers_are_bit_for_bit_those_of_plain_integers(seed, key, purpose):
    """A number follows from seed, key and purpose alone."""
    found = uniforms(np.array([seed], np.uint64), np.uint64(key), int(purpose))
    assert found.tolist() == [naive.uniform(naive.stream(seed, key, int(purpose)))]


@given(
    seed=WORD,
    key=KEY,
    mean=st.floats(1e-6, 1 - 1e-6) | st.sampled_from([0.0, 1.0, 0.5]),
    strength=st.floats(1e-3, 1e7),
)
@settings(max_examples=100, deadline=None)
def test_drawn_propensities_are_those_of_the_oracle(seed, key, mean, strength):
    """The same stream gives the same variate, whatever the shape."""
    found = beta_draws(np.array([seed], np.uint64), np.uint64(key), mean, strength)[0]
    expected = naive.beta(mean, strength, naive.stream(seed, key, int(Purpose.PROPENSITY)))
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-300)
    assert 0.0 <= found <= 1.0


@pytest.mark.parametrize(("mean", "strength"), [(0.1, 40), (0.5, 2), (0.02, 30), (0.1, 0.7), (0.3, 1e5)])
def test_drawn_propensities_have_the_beta_distribution(mean, strength):
    """20,000 seeds pass the Kolmogorov–Smirnov test against scipy's distribution."""
    found = beta_draws(SEEDS, np.uint64(key_of("coffee")), mean, strength)
    fit = stats.kstest(found, stats.beta(mean * strength, (1 - mean) * strength).cdf)
    assert fit.pvalue > 1e-3


@pytest.mark.parametrize("purpose", list(Purpose))
def test_numbers_for_a_purpose_are_uniform_and_tell_nothing_of_another(purpose):
    """Uniform over seeds that follow each other, and uncorrelated with the next purpose and another key."""
    seeds, key = np.arange(20_000, dtype=np.uint64), np.uint64(key_of("coffee"))
    found = uniforms(seeds, key, int(purpose))
    assert stats.kstest(found, "uniform").pvalue > 1e-3
    others = [uniforms(seeds, key, int(purpose) + 1), uniforms(seeds, np.uint64(key_of("tea")), int(purpose))]
    for other in others:
        assert abs(np.corrcoef(found, other)[0, 1]) < 4 / np.sqrt(len(seeds))


def test_a_certain_propensity_is_not_drawn():
    """Means of 0 and 1, and evidence without end, leave nothing to draw."""
    seeds = SEEDS[:5]
    for mean, strength in ((0.0, 30.0), (1.0, 30.0), (0.3, np.inf)):
        assert beta_draws(seeds, np.uint64(1), mean, strength).tolist() == [mean] * 5


def test_a_tiny_strength_draws_either_end():
    """Without evidence to speak of, a propensity is nearly 0 or nearly 1, never NaN."""
    found = beta_draws(SEEDS, np.uint64(1), 0.25, 1e-4)
    assert not np.isnan(found).any()
    assert np.mean(found > 0.5) == pytest.approx(0.25, abs=0.02)


def test_seeds_follow_from_decision_and_salt():
    """The same id and salt give the same seed; another salt or id gives another."""
    ids = [bytes([i]) * 16 for i in range(3)]
    assert seeds_of(ids, "a").tolist() == seeds_of(ids, "a").tolist()
    assert len({*seeds_of(ids, "a").tolist(), *seeds_of(ids, "b").tolist()}) == 6
