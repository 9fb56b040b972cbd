"""Propensities backed off from peer cell to stage to action, against counting in fractions."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders.worlds import action, small
from tests.naive import learning as naive
from tests.naive.plain import STAGES

from nextbest.action import posteriors as module
from nextbest.action.posteriors import posteriors_of, within_limit
from nextbest.action.terms import terms_of
from nextbest.model import CellEvidence, DecisionState
from nextbest.potential.cells import CellTree

PRIORS = {"a": (2, 38), "b": (0.5, 0.5), "c": (30, 10)}
BOOK = small(
    *(action(n, propensity={"successes": s, "failures": f}) for n, (s, f) in PRIORS.items()), action("d")
).rulebook
PATHS = [(), (0,), (1,), (3,), (0, 0), (0, 2), (3, 1), (3, 1, 5), (3, 1, 6)]
TREE = CellTree.of(np.array([[*p, *[-1] * (3 - len(p))] for p in PATHS], np.int32))
CELLS = {path: int(TREE.numbers_of(np.array([[*path, *[np.nan] * (3 - len(path))]]))[0]) for path in PATHS}

COUNT = st.integers(0, 300)
OUTCOMES = st.dictionaries(
    st.tuples(st.integers(0, 2), st.integers(0, 3), st.sampled_from(PATHS)),
    st.tuples(COUNT, COUNT),
    max_size=12,
)


def state_of(outcomes, order=None):
    """A state that holds (action, stage, path) → (successes, failures)."""
    totals = np.zeros((len(BOOK.actions), 4, 2))
    entries = list(outcomes.items())
    for (a, stage, _), counts in entries:
        totals[a, stage] += counts
    below = [entry for entry in (order or entries) if entry[0][2] != ()]
    columns = [np.array([key[i] for key, _ in below], np.int32) for i in (0, 1)]
    cells = np.array([CELLS[key[2]] for key, _ in below], np.int32)
    counts = np.array([counts for _, counts in below], np.float64).reshape(-1, 2)
    return DecisionState(totals, np.zeros(4), 0.0, CellEvidence(*columns, cells, counts))


def found(state, weight=30.0):
    """{(action, stage, path): (mean, strength)} as kernels read them."""
    got = posteriors_of(BOOK.action_tables, state, TREE.parent, weight)
    answers = {}
    for path, cell in CELLS.items():
        place = int(got.row_of_cell[cell])
        row = place if place >= 0 else -1 - place
        for stage in range(len(STAGES)):
            for a in range(len(BOOK.actions)):
                strength = got.strength[row, stage, a] if place >= 0 else weight
                answers[a, stage, path] = (float(got.mean[row, stage, a]), float(strength))
    return answers


def plain(outcomes, a):
    """One action's outcomes as the oracle takes them."""
    return {(stage, path): counts for (its, stage, path), counts in outcomes.items() if its == a}


@given(OUTCOMES, st.sampled_from([1.0, 30.0, 400.0]))
@settings(max_examples=60, deadline=None)
def test_every_cell_backs_off_as_counted(outcomes, weight):
    """Root, stage, and each level of the cell's path, the parent's mean counting for m trials."""
    got = found(state_of(outcomes), weight)
    for (a, stage, path), (mean, strength) in got.items():
        if BOOK.actions[a].id == "d":
            assert np.isnan(mean)
            continue
        given_ = (PRIORS[BOOK.actions[a].id], plain(outcomes, a), stage, path, int(weight))
        assert mean == pytest.approx(naive.propensity(*given_), rel=1e-12)
        assert strength == pytest.approx(naive.strength(*given_), rel=1e-12)


@given(OUTCOMES, st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_order_of_evidence_is_irrelevant(outcomes, rng):
    """Any order gives the same propensities, bit for bit."""
    order = list(outcomes.items())
    rng.shuffle(order)
    assert str(found(state_of(outcomes))) == str(found(state_of(outcomes, order)))


@given(OUTCOMES, st.integers(0, 2), st.integers(0, 3), st.sampled_from(PATHS))
@settings(max_examples=60, deadline=None)
def test_a_success_never_lowers_a_propensity(outcomes, a, stage, path):
    """One more success raises or keeps the action's propensity everywhere, and leaves other actions alone."""
    s, f = outcomes.get((a, stage, path), (0, 0))
    before = found(state_of(outcomes))
    after = found(state_of(outcomes | {(a, stage, path): (s + 1, f)}))
    for key, (mean, _) in before.items():
        if key[0] == a:
            assert after[key][0] >= mean
        elif not np.isnan(mean):
            assert after[key][0] == mean
    assert after[a, stage, path][0] > before[a, stage, path][0]


def test_a_cell_without_evidence_says_exactly_what_its_parent_says():
    """Nothing captured below a cell moves nothing, not even by rounding."""
    got = found(state_of({(0, 1, (3,)): (7, 50)}))
    assert got[0, 1, (3, 1, 5)][0] == got[0, 1, (3, 1)][0] == got[0, 1, (3,)][0]
    assert got[0, 1, (3, 1, 5)][1] == 30.0
    assert got[0, 1, (3,)][1] == 87.0


def test_the_rulebook_chooses_how_much_a_parent_counts():
    """A larger m keeps a stage closer to its action."""
    posteriors = np.zeros((1, 4, 2))
    posteriors[0, 2] = (90, 10)
    means = []
    for weight in (1, 30, 1000):
        learning = {"learning": {"parent_weight": weight}}
        one = action(propensity={"successes": 1, "failures": 9})
        book = small(one, strategy=learning).rulebook
        terms, _ = terms_of(book, DecisionState(posteriors, np.zeros(4), 0.0))
        means.append(terms.propensity[0, 2, 0])
    assert means[0] == pytest.approx(0.9, abs=0.01)
    assert means[0] > means[1] > means[2] > (1 + 90) / (10 + 100)


def test_beyond_the_limit_the_cells_with_the_least_evidence_back_off(monkeypatch):
    """Two cells fit: the most tried and its parent; the others say what is above them."""
    monkeypatch.setattr(module, "MOST_VALUES", 3 * 4 * len(BOOK.actions))
    outcomes = {(0, 1, (3, 1)): (10, 90), (0, 1, (0, 0)): (3, 1), (1, 2, (1,)): (1, 0)}
    state = state_of(outcomes)
    cells = within_limit(state.cells, TREE.parent, len(BOOK.actions))
    assert cells.counts.tolist() == [[10.0, 90.0]]
    got, whole = found(replace(state, cells=cells)), {}
    for path in ((3, 1), (3,), ()):
        whole[path] = naive.propensity(PRIORS["a"], plain(outcomes, 0), 1, path)
        assert got[0, 1, path][0] == pytest.approx(whole[path], rel=1e-12)
    assert got[0, 1, (0, 0)][0] == pytest.approx(whole[()], rel=1e-12)


def test_prices_follow_the_stages_in_the_state():
    """π of each stage, then μ."""
    state = DecisionState(np.zeros((1, 4, 2)), np.array([0.1, 0.2, 0.3, 0.4]), 0.5)
    terms, _ = terms_of(small().rulebook, state)
    assert terms.prices.tolist() == [0.1, 0.2, 0.3, 0.4, 0.5]


def test_an_immature_action_reaches_more_as_it_is_tried():
    """From the least reach in a straight line to 1 at maturity; 1 at once without a threshold."""
    one = action(propensity={"successes": 1, "failures": 9})
    book = small(one, strategy={"learning": {"maturity": {"trials": 200, "least_reach": 0.1}}}).rulebook
    for trials, reach in ((0, 0.1), (100, 0.55), (200, 1.0), (500, 1.0)):
        posteriors = np.zeros((1, 4, 2))
        posteriors[0, 1] = (0, trials)
        terms, _ = terms_of(book, DecisionState(posteriors, np.zeros(4), 0.0))
        assert terms.reach.tolist() == pytest.approx([reach])
    terms, _ = terms_of(small(one).rulebook, DecisionState.initial(1))
    assert terms.reach.tolist() == [1.0]
