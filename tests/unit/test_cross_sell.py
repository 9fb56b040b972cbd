"""Cross-sell on the panel: ranked by what peers have, judged by first purchases that came later."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from tests.naive.cross_sell import neighbours as naive_neighbours
from tests.naive.cross_sell import recall as naive_recall
from tests.unit.small_panel import with_altered_future

from nextbest.demo.cross_sell import cross_sell, neighbours, peer_rates, product_categories, recall
from nextbest.demo.history import condense
from nextbest.demo.households import household_facts
from nextbest.demo.panel import open_panel

AS_OF = date(2017, 7, 3)


@pytest.fixture(scope="module")
def panel():
    """The installed panel."""
    return open_panel()


@pytest.mark.parametrize("seed", range(20))
def test_recall_equals_the_oracle(seed):
    """The share of new categories in the top is what sorting one household at a time gives."""
    draw = np.random.default_rng(seed)
    before, after = draw.random((12, 8)) < 0.4, draw.random((12, 8)) < 0.5
    score, judged = draw.integers(0, 4, (12, 8)).astype(np.float64), draw.random(12) < 0.8
    expected = naive_recall(before, after, score, judged, 3)
    assert recall(before, after, score, judged, offered=3) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(20))
def test_neighbours_equal_the_oracle(seed):
    """The score of a category is what sorting the others by likeness gives, ties by place."""
    draw = np.random.default_rng(seed)
    owned = draw.random((15, 6)) < draw.random()
    assert neighbours(owned, k=4) == pytest.approx(np.array(naive_neighbours(owned, 4)))
    assert neighbours(owned[:2], k=4).shape == (2, 6)


def test_nobody_to_judge_has_no_recall():
    """Without a household that bought something new there is no figure."""
    none = np.zeros((3, 4), np.bool_)
    assert np.isnan(recall(none, none, np.ones((3, 4)), np.ones(3, np.bool_)))


def test_what_peers_have_ranks_no_worse_than_popularity_and_better_than_lift(panel):
    """What peers and those alike own finds what households buy next as well as popularity; lift does not."""
    found = cross_sell(panel, condense(panel), product_categories(), AS_OF)
    assert found.households > 2000
    assert found.penetration >= found.popularity
    assert found.neighbours >= found.popularity
    assert found.lift < found.penetration
    assert 0.3 < found.penetration < 0.5


def test_the_ranking_sees_no_purchase_of_the_day_or_later(panel):
    """Changing the future beyond recognition changes no peer rate."""
    counted = []
    for some in (panel, with_altered_future(panel, AS_OF)):
        facts = household_facts(condense(some), AS_OF).filter(pl.col("first_purchase").is_not_null())
        owned = facts["owned_categories"].list.contains("bakery").to_numpy()[:, None]
        counted.append(peer_rates(facts, owned, ["bakery"])[0])
    assert (counted[0].have == counted[1].have).all()
    assert (counted[0].n == counted[1].n).all()
