"""Where a propensity comes from: level by level as counted, and in words in both languages."""

from dataclasses import replace

import numpy as np
import pytest
from tests.builders.small import DIRECTORY, NOW, regular
from tests.builders.worlds import action, customer, small
from tests.naive import learning as naive
from tests.naive.plain import Learnt

from nextbest.assembly import Artifacts, FittedGrid, assemble
from nextbest.batch.evidence_rows import evidence_rows
from nextbest.data.learnt_state import cell_path, state_of
from nextbest.decide import prepared
from nextbest.facts import STAGE_NAMES
from nextbest.id_check import id_check
from nextbest.learning.cases import Place
from nextbest.model import DecisionState, Stage
from nextbest.potential.grid import PeerGrid
from nextbest.propensity_levels import cell_name, propensity_levels
from nextbest.rows import RowCodec
from nextbest.rulebook.compile import compile_rulebook
from nextbest.selection import cells_of

DIMENSIONS = ("peer_segment", "household")
BRIE = (20, 80)
NAMES = ("gone", "brie", "wine")
"""Registered names of actions in code order; the first is in no rulebook any more."""
CODES = np.repeat(np.array([[0, 0], [0, 1], [1, 0]], np.float64), 12, axis=0)


@pytest.fixture(scope="module")
def model():
    """The small rulebook with a grid in which the cell (1, 1) is missing."""
    values = np.arange(len(CODES) * 2, dtype=np.float64).reshape(-1, 2)
    grid = PeerGrid.build(CODES, values, dimensions=DIMENSIONS, outcomes=("actual_value", "actual_profit"))
    return assemble(compile_rulebook(DIRECTORY), Artifacts(grid=FittedGrid(grid, 0.0)))


def at(stage, *codes, action=1):
    """A place in the grid's dimensions."""
    return Place(action, stage, tuple(zip(DIMENSIONS, codes, strict=False)))


COUNTS = {
    at(1): (1.0, 9.0),
    at(1, 0): (2.0, 8.0),
    at(1, 0, 1): (3.0, 7.0),
    at(1, 1, 1): (4.0, 6.0),
    at(2, 0, 1): (5.0, 5.0),
    at(1, 0, 1, action=0): (100.0, 100.0),
    at(9, 0): (100.0, 100.0),
    Place(1, 1, (("favourite", 0), ("household", 0))): (6.0, 4.0),
}


def outcomes():
    """The same as the oracle takes them: what no cell or rulebook knows counts as deep as it is known."""
    return {
        (1, ()): (1 + 6, 9 + 4),
        (1, (0,)): (2, 8),
        (1, (0, 1)): (3, 7),
        (1, (1,)): (4, 6),
        (2, (0, 1)): (5, 5),
    }


def rows_of(model, **facts):
    """A customer's snapshot."""
    codec = RowCodec(model.rulebook.catalogue)
    row = codec.encode(b"c", NOW.timestamp(), regular(**facts))
    return codec.decode_one(row, id_check(b"c"))[0]


@pytest.mark.parametrize(
    ("segment", "household", "path"),
    [(0, 1, (0, 1)), (0, 0, (0, 0)), (1, 1, (1,)), (0, None, (0,)), (None, 0, ())],
)
def test_every_level_is_told_as_it_is_counted(model, segment, household, path):
    """Trials, successes and propensity from the action to the cell; the last is what kernels decide with."""
    facts, known = model.rulebook.catalogue, (segment, household)
    given = {
        name: None if code is None else facts[name].values[code]
        for name, code in zip(DIMENSIONS, known, strict=True)
    }
    rows, state = rows_of(model, **given), state_of(model, COUNTS, NAMES)
    cell, brie = int(cells_of(model, rows)[0]), model.rulebook.action_index["brie"]
    found = propensity_levels(model, state, brie, 1, cell)
    expected = naive.levels(BRIE, outcomes(), 1, path)
    assert [level.kind for level in found] == ["action", "stage", *["peer_cell"] * len(path)]
    for level, (successes, failures, p, _) in zip(found, expected, strict=True):
        assert (level.successes, level.trials) == (successes, successes + failures)
        assert level.propensity == pytest.approx(float(p), rel=1e-12)
    learnt = prepared(model, state)
    place = int(learnt.row_of_cell[cell])
    mean = learnt.posteriors.mean[place if place >= 0 else -1 - place, 1, brie]
    assert found[-1].propensity == pytest.approx(mean, rel=1e-14)


def test_a_customers_cell_is_written_as_far_as_it_is_known(model):
    """By dimension and code, so that another grid can read it; what follows a missing one is left out."""
    land, alone = (model.rulebook.catalogue[name].values[0] for name in DIMENSIONS)
    assert cell_path(model, rows_of(model, peer_segment=land, household=alone), 0) == tuple(
        (name, 0) for name in DIMENSIONS
    )
    assert cell_path(model, rows_of(model, peer_segment=None, household=alone), 0) == ()
    cell = int(cells_of(model, rows_of(model, peer_segment=land, household=alone))[0])
    assert cell_name(model, cell) == f"peer_segment={land}, household={alone}"
    assert cell_name(model, 0) == ""


def test_without_a_grid_evidence_counts_in_the_stage():
    """Cells are kept in the store and come to bear once a grid is fitted."""
    model = assemble(compile_rulebook(DIRECTORY), Artifacts())
    state = state_of(model, COUNTS, NAMES)
    assert len(state.cells.cell) == 0
    brie = model.rulebook.action_index["brie"]
    assert state.posteriors[brie, 1].tolist() == [16.0, 34.0]
    levels = propensity_levels(model, state, brie, 1, 0)
    assert [level.kind for level in levels] == ["action", "stage"]


SENTENCES = {
    "en": {
        "nothing": "0.05: what the rule file expects (0.05), nothing is captured yet",
        "learnt": "0.11: 2 of 10 accepted in all stages; 2 of 10 accepted in hear_me;"
        " the rule file expects 0.05",
        "expression": "0.5: an expression of the rule file",
        "watched": "0.5: an expression of the rule file; observed: 2 of 10 accepted in all stages;"
        " 2 of 10 accepted in hear_me",
    },
    "da": {
        "nothing": "0.05: som regelfilen forventer (0.05), intet er registreret endnu",
        "learnt": "0.11: 2 af 10 accepteret i alle stadier; 2 af 10 accepteret i hear_me;"
        " regelfilen forventer 0.05",
        "expression": "0.5: et udtryk i regelfilen",
        "watched": "0.5: et udtryk i regelfilen; observeret: 2 af 10 accepteret i alle stadier;"
        " 2 af 10 accepteret i hear_me",
    },
}


@pytest.mark.parametrize("language", ["en", "da"])
@pytest.mark.parametrize("case", ["nothing", "learnt", "expression", "watched"])
def test_words_say_what_a_propensity_rests_on(language, case):
    """The prior, what was captured at which level, or who else says so; a watched expression is not moved."""
    prior = {"successes": 2, "failures": 38}
    one = action(propensity="0.5" if case in ("expression", "watched") else prior)
    world = small(one)
    outcomes = {("a", "hear_me"): (2.0, 8.0)} if case in ("learnt", "watched") else {}
    explainer = world.explainer(customer(), language, Learnt(outcomes=outcomes))
    state = world.arguments([customer()], Learnt(outcomes=outcomes))[3]
    found = explained_with(world, explainer, state)
    assert found.propensity_sentence == SENTENCES[language][case]
    assert found.terms[0] == pytest.approx(0.5 if one["propensity"] == "0.5" else found.levels[-1].propensity)


def explained_with(world, explainer, state):
    """The only action, with its levels."""
    levels = replace(explainer, levels=lambda a: propensity_levels(world.model, state, a, 1, 0))
    return levels.candidate(0)


def test_a_drawn_propensity_is_told_beside_its_mean():
    """What the score was made with is said to be drawn."""
    strategy = {"learning": {"explore": {"method": "thompson"}}}
    world = small(action(propensity={"successes": 2, "failures": 38}), strategy=strategy)
    found = explained_with(world, world.explainer(customer()), DecisionState.initial(1))
    assert "; scored with 0." in found.propensity_sentence
    assert found.propensity_sentence.endswith(", drawn in order to learn")


def test_rows_of_evidence_say_what_each_cell_counts(model):
    """Every stage of an action that was tried, each cell with outcomes in it; nothing of others."""
    state = state_of(model, COUNTS, NAMES)
    found = list(evidence_rows(model, state))
    assert {row.action for row in found} == {"brie"}
    assert len({(row.stage, row.cell) for row in found}) == len(found) == len(Stage) + 3 + 1
    facts = model.rulebook.catalogue
    for stage, path in ((1, ()), (1, (0,)), (1, (0, 1)), (1, (1,)), (2, ()), (2, (0, 1)), (3, ())):
        name = ", ".join(f"{d}={facts[d].values[c]}" for d, c in zip(DIMENSIONS, path, strict=False))
        (row,) = [r for r in found if (r.stage, r.cell) == (STAGE_NAMES[stage], name)]
        successes, failures, p, _ = naive.levels(BRIE, outcomes(), stage, path)[-1]
        assert (row.successes, row.trials) == (successes, successes + failures)
        assert row.propensity == pytest.approx(p, rel=1e-12)
        assert row.known_from == ("action" if stage == 3 else "peer_cell" if path else "stage")
    assert [row.known_from for row in evidence_rows(model, state, "wine")] == ["prior"] * len(Stage)
