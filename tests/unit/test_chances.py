"""Probabilities of the highest score: the kernel against scipy's quantiles and distribution functions."""

import numpy as np
import pytest
from scipy import special
from tests.naive import chances as naive

from nextbest.action.chances import TABLE, below, fill_table, first_chances
from nextbest.kernels import kernel

ERROR = 1e-4
"""Of the kernel, in hundreds of generated cases; what is seen is below half of it."""


@kernel
def distribution(mean, strength, p):
    """Probabilities of a propensity up to each p."""
    table, found = np.empty(TABLE), np.empty(len(p))
    fill_table(mean, strength, table)
    for i in range(len(p)):
        found[i] = below(table, p[i])
    return found


def candidates(rng, k, *, fixed=0.2, held_back=0.2):
    """Some that are drawn and some that are not, close enough to each other that several can win."""
    strength = np.where(rng.random(k) < fixed, np.inf, 10.0 ** rng.uniform(0.0, 5.0, k))
    mean = np.clip(10.0 ** rng.uniform(-3.0, 0.0, k), 1e-4, 0.999)
    lines = np.zeros((k, 5))
    worth = rng.uniform(0.5, 1.5, k) / mean
    base = np.where(rng.random(k) < 0.3, mean * rng.uniform(0.0, 1.0, k), 0.0)
    lines[:, 4] = base
    lines[:, 1], lines[:, 3] = worth * rng.uniform(0.8, 1.2, k), worth
    cost = rng.uniform(0.0, 0.6, k)
    lines[:, 0], lines[:, 2] = -lines[:, 1] * base - cost, -worth * base - cost
    falls = rng.random(k) < 0.15  # whom more acceptance costs more
    top = rng.uniform(0.5, 1.0, k)
    lines[falls] = np.stack([top, -2 * top, top, -2 * top, np.zeros(k)], axis=1)[falls]
    score = np.round(naive.scores(lines.T, mean), 1)  # some are equal
    reach = np.where(rng.random(k) < held_back, rng.uniform(0.02, 1.0, k), 1.0)
    return mean, strength, lines, score, reach, rng.permutation(k)


def compute(parts):
    """The kernel's answer for one customer."""
    mean, strength, lines, score, reach, standing = parts
    order = np.lexsort((standing, score))
    return first_chances(np.array([0, len(mean)]), mean, strength, lines, score, reach, order)


@pytest.mark.parametrize(
    ("mean", "strength"),
    [
        (0.3, 10),
        (0.5, 1),
        (0.001, 30),
        (0.999, 30),
        (0.0001, 1),
        (0.02, 1e4),
        (0.4, 1e9),
        (0.5, 0.2),
        (1e-6, 40),
    ],
)
def test_a_table_is_the_distribution_function(mean, strength):
    """Whatever the shape of a posterior, its table is within 5e-5 of scipy's incomplete beta function."""
    p = np.concatenate(
        [
            np.linspace(0, 1, 500),
            special.betaincinv(mean * strength, (1 - mean) * strength, np.linspace(1e-6, 1 - 1e-6, 999)),
        ]
    )
    expected = special.betainc(mean * strength, (1 - mean) * strength, p)
    assert np.abs(distribution(mean, float(strength), p) - expected).max() < 5e-5


@pytest.mark.parametrize("seed", range(40))
def test_chances_are_those_of_scipy(seed):
    """Drawn, fixed, held back, equal, falling and bent scores: each probability is within 1e-4."""
    rng = np.random.default_rng(seed)
    parts = candidates(rng, int(rng.integers(1, 12)))
    expected = naive.chances(*parts)
    assert np.abs(compute(parts) - expected).max() < ERROR + naive.ERROR


def test_chances_are_those_of_many_draws():
    """A hundred thousand draws of twelve candidates make each first as often as is computed."""
    rng = np.random.default_rng(7)
    mean, strength, lines, _, reach, _ = parts = candidates(rng, 12, fixed=0.0)
    n = 100_000
    drawn = rng.beta(mean * strength, (1 - mean) * strength, (n, 12))
    values = np.stack([naive.scores(lines[a], drawn[:, a]) for a in range(12)], axis=1)
    values[rng.random((n, 12)) >= reach] = -np.inf
    best = values.argmax(axis=1)
    seen = np.bincount(best[values[np.arange(n), best] > 0], minlength=12) / n
    found = compute(parts)
    assert (np.abs(found - seen) < 5 * np.sqrt(np.maximum(found, 1e-5) / n) + ERROR).all()


def test_customers_do_not_depend_on_each_other():
    """Many in one call have the same bits as each alone."""
    rng = np.random.default_rng(3)
    every = [candidates(rng, k) for k in (3, 0, 9, 1, 5)]
    offsets = np.concatenate([[0], np.cumsum([len(parts[0]) for parts in every])])
    columns = [np.concatenate([parts[i] for parts in every]) for i in range(5)]
    order = np.concatenate([np.lexsort((parts[5], parts[3])) for parts in every])
    together = first_chances(offsets, *columns, order)
    alone = np.concatenate([compute(parts) for parts in every])
    assert together.tobytes() == alone.tobytes()


@pytest.mark.parametrize("seed", range(20))
def test_whoever_can_be_drawn_has_a_chance(seed):
    """What beats all others and nothing at any drawn propensity has a probability above 0."""
    rng = np.random.default_rng(seed)
    mean, strength, lines, *_ = parts = candidates(rng, 15, fixed=0.0, held_back=0.0)
    drawn = rng.beta(mean * strength, (1 - mean) * strength, (2000, 15))
    values = np.stack([naive.scores(lines[a], drawn[:, a]) for a in range(15)], axis=1)
    best = values.argmax(axis=1)
    winners = np.unique(best[values.max(axis=1) > 0])
    assert (compute(parts)[winners] > 0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number_never_wins(bad):
    """Its candidate has nothing, and the others what they would have without it."""
    parts = candidates(np.random.default_rng(5), 6, fixed=0.0)
    parts[2][2] = bad
    found, keep = compute(parts), np.arange(6) != 2
    expected = naive.chances(*(part[keep] for part in parts))
    assert found[2] == 0.0
    assert np.abs(found[keep] - expected).max() < ERROR + naive.ERROR


def test_without_candidates_there_are_no_chances():
    """Nobody is asked for."""
    none = np.empty(0)
    found = first_chances(
        np.zeros(2, np.int64), none, none, np.empty((0, 5)), none, none, np.empty(0, np.int64)
    )
    assert found.shape == (0,)
