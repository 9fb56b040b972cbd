"""Peers' penetration, lift and offers against their oracle and the published example."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive import grid as naive_grid
from tests.naive import peers as naive

from nextbest.errors import ArtifactError, FitError
from nextbest.potential.cells import CellTree, grow, locate, peer_codes
from nextbest.potential.peers import PeerFigure, PeerRates, Z, peer_offers, wilson_low

VECTORS = {case["name"]: case for case in json.loads(Path("tests/vectors.json").read_text())}
CATEGORIES = ("coffee", "bread", "wine")


def crowd(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make codes, owned categories and whether they are known, ownership depending on the cell."""
    draw = np.random.default_rng(seed)
    codes = draw.integers(0, 3, (n, 2)).astype(np.float64)
    bits = draw.random((n, 3)) < np.array([0.2, 0.5, 0.05]) + 0.2 * (codes[:, :1] == 1)
    owned = (bits * np.array([1, 2, 4])).sum(axis=1).astype(np.uint64)
    codes[draw.random((n, 2)) < 0.1] = math.nan
    return codes, owned, draw.random(n) < 0.9


def rates(codes: np.ndarray, owned: np.ndarray, known: np.ndarray) -> tuple[PeerRates, CellTree, np.ndarray]:
    """Count owners on the cells of the customers themselves."""
    tree, own = grow(peer_codes(codes), np.ones(len(codes), np.bool_))
    return PeerRates.build(own, owned, known, parent=tree.parent, categories=CATEGORIES), tree, own


def members(word: int) -> set[int]:
    """Bits of a word."""
    return {j for j in range(64) if word >> j & 1}


def test_vector_wilson() -> None:
    """The published example: 12 of 40 against .18 is worth an offer, barely."""
    case = VECTORS["wilson_peers"]
    have, cell, base = case["in"]["have"], case["in"]["cell"], case["in"]["parent_rate"]
    low = wilson_low(have, cell, case["in"]["z"])
    assert low == pytest.approx(case["out"]["low"], rel=1e-7)
    assert have / cell / base == pytest.approx(case["out"]["lift"], rel=1e-4)
    assert (low > base) == case["out"]["offer"]
    assert case["in"]["z"] == Z


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 10**9), st.floats(0, 1))
def test_the_bound_equals_the_oracle(n: int, share: float) -> None:
    """The closed form solves the interval's equation, from nobody owning it to everybody."""
    have = round(share * n)
    found = wilson_low(have, n, Z)
    assert found == pytest.approx(naive.wilson_low(have, n, Z), rel=1e-9, abs=1e-15)
    assert 0 <= found <= have / n
    assert math.isnan(wilson_low(0, 0, Z))


def test_figures_equal_counting_by_hand() -> None:
    """Penetration, lift, bound and offer of every cell, small cells showing their parent's."""
    codes, owned, known = crowd(150, 1)
    found, tree, _ = rates(codes, owned, known)
    table = found.figures()
    paths = [naive_grid.path_of(row) for row in codes.tolist()]
    sets = [members(int(word)) if k else None for word, k in zip(owned, known, strict=True)]
    for cell in range(tree.parent.size):
        at = tuple(int(c) for c in tree.paths[cell] if c >= 0)
        for item in range(3):
            share, lift, low, offer = naive.figures(paths, sets, at, item, Z) or (math.nan,) * 4
            expected = [float(share), math.nan if lift is None else float(lift), low, float(offer)]
            assert table[cell, item].tolist() == pytest.approx(expected, nan_ok=True, rel=1e-9, abs=1e-15)


def test_offers_equal_the_oracle() -> None:
    """A customer is offered what they lack and peers have, the most common first."""
    codes, owned, known = crowd(600, 2)
    found, _, own = rates(codes, owned, known)
    table = found.figures()
    table[..., PeerFigure.OFFER] = table[..., PeerFigure.PENETRATION] > 0.15
    for most in (0, 1, 2, 5):
        picked = peer_offers(table, own, owned, known, most)
        for i in range(len(codes)):
            shares, offered = table[own[i], :, PeerFigure.PENETRATION], table[own[i], :, PeerFigure.OFFER]
            sets = members(int(owned[i])) if known[i] else None
            expected = naive.offers(shares.tolist(), [bool(o) for o in offered], sets, most)
            assert picked[i].tolist() == expected + [-1] * (most - len(expected))


def test_a_habit_of_the_cell_is_offered() -> None:
    """A category that a third of the cell and few others have is offered in the cell only."""
    codes = np.repeat([[0.0], [1.0]], [100, 400], axis=0)
    owned = np.zeros(500, np.uint64)
    owned[:33] = 1
    owned[100:120] = 1
    found, tree, own = rates(codes, owned, np.ones(500, np.bool_))
    table = found.figures()
    assert tree.parent.tolist() == [-1, 0, 0]
    assert table[:, 0, PeerFigure.OFFER].tolist() == [0, 1, 0]
    assert table[1, 0, PeerFigure.LIFT] == pytest.approx(0.33 / (53 / 500))
    picked = peer_offers(table, own, owned, np.ones(500, np.bool_), 1)[:, 0]
    assert picked[33:100].tolist() == [0] * 67
    assert set(picked[:33].tolist() + picked[100:].tolist()) == {-1}


def test_too_few_known_gives_no_figures() -> None:
    """Nine customers show nothing, and nobody is offered anything for it."""
    found, _, own = rates(np.zeros((9, 1)), np.full(9, 1, np.uint64), np.ones(9, np.bool_))
    assert np.isnan(found.figures()).all()
    assert (peer_offers(found.figures(), own, np.zeros(9, np.uint64), np.ones(9, np.bool_), 3) == -1).all()


@pytest.mark.parametrize(("n", "own"), [(9, False), (10, True)])
def test_ten_known_customers_are_a_cell_of_their_own(n: int, own: bool) -> None:
    """From ten customers on a cell shows its figures, below that its parent's."""
    codes = np.repeat([[0.0], [1.0]], [n, 100], axis=0)
    found, _, _ = rates(codes, np.repeat([1, 0], [n, 100]).astype(np.uint64), np.ones(n + 100, np.bool_))
    share = found.figures()[1, 0, PeerFigure.PENETRATION]
    assert share == pytest.approx(1.0 if own else n / (n + 100))


def test_equally_common_categories_come_in_their_order() -> None:
    """Ties go to the earlier category."""
    table = np.zeros((1, 3, len(PeerFigure)))
    table[0, :, PeerFigure.PENETRATION], table[0, :, PeerFigure.OFFER] = (0.3, 0.5, 0.3), 1.0
    nothing = np.zeros(1, np.uint64), np.ones(1, np.bool_)
    assert peer_offers(table, np.zeros(1, np.int32), *nothing, 3).tolist() == [[1, 0, 2]]


def test_all_sixty_four_categories_count() -> None:
    """The highest bit of a set is a category like the others."""
    names = [f"c{j}" for j in range(64)]
    owned = np.full(20, 2**63, np.uint64)
    parent = np.array([-1], np.int32)
    found = PeerRates.build(
        np.zeros(20, np.int32), owned, np.ones(20, np.bool_), parent=parent, categories=names
    )
    assert found.have[0].tolist() == [0] * 63 + [20]


def test_merging_is_exact() -> None:
    """Rates of parts, counted on the cells of the whole, add up to those of the whole."""
    codes, owned, known = crowd(300, 4)
    whole, tree, _ = rates(codes, owned, known)
    parts = []
    for part in (slice(0, 90), slice(90, 300)):
        own = locate(codes[part], np.arange(2), tree.children())
        parts.append(
            PeerRates.build(own, owned[part], known[part], parent=tree.parent, categories=CATEGORIES)
        )
    merged = PeerRates.merge(parts)
    assert np.array_equal(merged.have, whole.have)
    assert np.array_equal(merged.n, whole.n)
    with pytest.raises(FitError, match="no peer rates"):
        PeerRates.merge([])
    other, _, _ = rates(codes[:20], owned[:20], known[:20])
    with pytest.raises(FitError, match="different cells"):
        PeerRates.merge([whole, other])


def test_files_give_the_rates_back() -> None:
    """Rates survive their description in JSON and their arrays, on the cells they belong to."""
    found, tree, _ = rates(*crowd(100, 5))
    meta, arrays = found.to_arrays()
    again = PeerRates.from_arrays(json.loads(json.dumps(meta)), arrays, tree.parent)
    assert np.array_equal(again.figures(), found.figures(), equal_nan=True)
    assert again.categories == found.categories
    with pytest.raises(ArtifactError, match="other cells"):
        PeerRates.from_arrays(meta, arrays, tree.parent[:-1])
    with pytest.raises(ArtifactError, match="have"):
        PeerRates.from_arrays(meta, {"n": found.n}, tree.parent)
