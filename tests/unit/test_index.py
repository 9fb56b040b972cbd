"""The loyalty index and its ladder against the vectors, the oracle, and the text's own words."""

import json
import math
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.naive import index as naive
from tests.unit.behaviour_rows import CATALOGUE, DAY, NOW, SHARES, TRUTHS, array, as_float, rows_of
from tests.unit.behaviour_rows import LOYALTY_FACTS as SOME_FACTS

from nextbest import parameters
from nextbest.behaviour.index import (
    COMPONENTS,
    LADDER,
    LOYALTY_FACTS,
    STAGE_PARAMETERS,
    Component,
    default_stage_parameters,
    frequency_bound,
    index_breakdown,
    level_counts,
    level_of,
    loyalty_columns,
    purchase_frequencies,
)
from nextbest.parameters import StageParameter, stage_parameter_problems

VECTORS = {v["name"]: v for v in json.loads((Path(__file__).parents[1] / "vectors.json").read_text())}
COLUMNS = loyalty_columns(CATALOGUE)
PARAMETERS = default_stage_parameters()


def breakdown(facts, *, complaint_open=None, alive=None, parameters=PARAMETERS):
    """Index, weight and contributions of one customer."""
    rows = rows_of([facts])
    return index_breakdown(rows.numbers, COLUMNS, array(complaint_open), array(alive), array(NOW), parameters)


def facts_of_vector(given_facts):
    """The vector's inputs as facts of a repeat buyer, so that P(alive) counts."""
    names = {"nps": "nps_relation", "pos": "positive_mentions", "neg": "negative_mentions"}
    facts = {names.get(name, name): value for name, value in given_facts.items()}
    facts["joined"] = NOW - facts.pop("tenure_years") * 365.25 * DAY
    if "nps_age_d" in facts:
        facts["nps_relation_at"] = NOW - facts.pop("nps_age_d") * DAY
    facts["repeat_purchases"] = 1.0
    return facts, facts.pop("alive")


@pytest.mark.parametrize("name", ["loyalty_index", "loyalty_index_missing"])
def test_index_of_the_published_vectors(name):
    """The published inputs give the published index, weight and level."""
    vector = VECTORS[name]
    facts, alive = facts_of_vector(vector["in"])
    found = breakdown(facts, alive=alive)
    expected = vector["out"]["index"]
    assert found.loyalty_index[0] == pytest.approx(
        math.nan if expected is None else expected, abs=1e-10, nan_ok=True
    )
    assert found.weight[0] == pytest.approx(vector["out"]["weight"])
    assert level_of(found.loyalty_index[0], PARAMETERS) == vector["out"]["level"]


@settings(max_examples=100, deadline=None)
@given(facts=SOME_FACTS, complaint_open=TRUTHS, alive=SHARES)
def test_index_equals_the_oracle(facts, complaint_open, alive):
    """Index, weight and every contribution equal the text's, whatever is missing or infinite."""
    index, weight, contributions = naive.loyalty_index(
        facts, complaint_open=complaint_open, alive=alive, now=NOW
    )
    found = breakdown(facts, complaint_open=complaint_open, alive=alive)
    assert found.weight[0] == pytest.approx(weight, abs=1e-12)
    assume(abs(weight - 0.3) > 1e-9)
    assert found.loyalty_index[0] == pytest.approx(
        math.nan if index is None else index, abs=1e-12, nan_ok=True
    )
    expected = [contributions.get(name, math.nan) for name in COMPONENTS]
    assert found.contributions[0] == pytest.approx(expected, abs=1e-12, nan_ok=True)


@settings(max_examples=100, deadline=None)
@given(facts=SOME_FACTS, complaint_open=TRUTHS, alive=SHARES)
def test_contributions_add_up_to_the_index(facts, complaint_open, alive):
    """The signed contributions sum to the index, which lies in [-1, 1]."""
    found = breakdown(facts, complaint_open=complaint_open, alive=alive)
    index = found.loyalty_index[0]
    if math.isnan(index):
        assert np.isnan(found.contributions).all()
    else:
        assert -1 - 1e-12 <= index <= 1 + 1e-12
        assert np.nansum(found.contributions) == pytest.approx(index, abs=1e-12)


def test_weights_that_sum_to_the_limit_are_enough():
    """Any components whose published weights sum to exactly .3 give an index, without rounding luck."""
    known = {
        Component.SATISFACTION: {"satisfaction": 80},
        Component.WALLET: {"share_of_wallet": 0.5},
        Component.ADVOCACY: {"positive_mentions": 1, "negative_mentions": 0},
        Component.ALIVE: {"repeat_purchases": 1},
        Component.TENURE: {"joined": NOW - 800 * DAY},
        Component.COMPLAINT: {"complaint_severity": 1, "complaint_at": NOW},
    }
    cents = dict(zip(known, (20, 15, 10, 10, 5, 5), strict=True))
    for size in range(1, len(known) + 1):
        for parts in combinations(known, size):
            facts = {name: value for part in parts for name, value in known[part].items()}
            alive = 0.9 if Component.ALIVE in parts else None
            index = breakdown(facts, alive=alive).loyalty_index[0]
            assert math.isnan(index) == (sum(cents[part] for part in parts) < 30), parts


def test_touchpoint_scores_are_no_input():
    """No fact of a touchpoint is read: relation and touchpoint NPS are kept apart."""
    assert not [name for name in LOYALTY_FACTS if "touchpoint" in name]
    read = {CATALOGUE.columns[name] for name in LOYALTY_FACTS}
    assert read.isdisjoint({CATALOGUE.column("touchpoint_score"), CATALOGUE.column("touchpoint_score_at")})


def test_every_fact_read_is_standard():
    """Each fact that the index reads is a number of the standard catalogue."""
    assert (COLUMNS >= 0).all()
    assert len(set(COLUMNS)) == len(LOYALTY_FACTS)


def test_a_catalogue_without_the_facts_gives_no_index():
    """Facts that a catalogue lacks are missing, so level 0 and no index follow."""
    none = np.full(len(LOYALTY_FACTS), -1)
    found = index_breakdown(np.ones((2, 3)), none, array(1, 0), array(0.5, 0.5), array(NOW, NOW), PARAMETERS)
    assert np.isnan(found.loyalty_index).all()
    assert found.weight.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("index", "level"),
    [(-1, -3), (-0.6, -2), (-0.3, -1), (-0.1, 0), (0, 0), (0.2, 1), (0.4, 2), (0.6, 3), (0.8, 4), (1, 4)],
)
def test_ladder_bounds_belong_to_the_step_above(index, level):
    """A step of the ladder includes its lower bound."""
    assert level_of(float(index), PARAMETERS) == level


@given(index=st.none() | st.floats(-1, 1))
@settings(max_examples=100, deadline=None)
def test_level_equals_the_oracle(index):
    """The level equals the text's chain of comparisons; a missing index stands in the middle."""
    assert level_of(math.nan if index is None else index, PARAMETERS) == naive.level(index)


def test_an_old_relation_score_counts_less():
    """A relation NPS weighs half after its half-life, and its weight is a parameter."""
    facts = {"nps_relation": 10, "nps_relation_at": NOW - 180 * DAY}
    assert breakdown(facts).weight[0] == pytest.approx(0.175)
    heavier = PARAMETERS.copy()
    heavier[StageParameter.RELATION_WEIGHT] = 0.7
    assert breakdown(facts, parameters=heavier).weight[0] == pytest.approx(0.35)


def test_frequency_bound_starts_the_top_quartile():
    """A quarter of the customers with a known frequency buys at least as often as the bound."""
    customers = [{"repeat_purchases": x, "observed_weeks": 10} for x in range(1, 101)]
    rows = rows_of([*customers, {"repeat_purchases": 1e6}])
    bound = frequency_bound(rows.numbers, COLUMNS, PARAMETERS)
    assert sum(naive.frequency(c) >= bound for c in customers) == 25


def test_frequency_bound_of_an_unknown_population():
    """Nobody's frequency known means no bound."""
    assert math.isnan(frequency_bound(rows_of([{}]).numbers, COLUMNS, PARAMETERS))


def test_level_counts_name_the_ladder():
    """The distribution lists every step once, from terrorist to evangelist."""
    counts = level_counts(np.array([-3, 0, 0, 4]))
    assert list(counts) == list(LADDER)
    assert {name: count for name, count in counts.items() if count} == {
        "terrorist": 1,
        "new_or_existing": 2,
        "evangelist": 1,
    }


def test_parameters_are_named_once_and_in_order():
    """The array holds each named default at the place its name says."""
    assert len({name for name, _ in STAGE_PARAMETERS}) == len(PARAMETERS)
    for place, (name, default) in enumerate(STAGE_PARAMETERS):
        assert StageParameter[name.upper()] == place
        assert PARAMETERS[place] == default


@pytest.mark.parametrize(
    ("numbers", "name"),
    [
        ({"relation_half_life_days": 0}, "relation_half_life_days"),
        ({"wallet_weight": -0.1}, "wallet_weight"),
        ({"grow_wallet": 1.5}, "grow_wallet"),
        ({"up_days": math.inf}, "up_days"),
        ({"keep_from": 0.1}, "keep_from"),
        ({"keep_grow_index": 0.6}, "keep_grow_index"),
        ({"nonsense": 1.0}, "nonsense"),
    ],
)
def test_unsound_parameters_are_named(numbers, name):
    """A constant that makes no sense is reported under its own name."""
    assert [problem[0] for problem in stage_parameter_problems(numbers)] == [name]


def test_published_parameters_are_sound():
    """The defaults pass their own check."""
    assert stage_parameter_problems(dict(STAGE_PARAMETERS)) == []


@settings(max_examples=100, deadline=None)
@given(facts=SOME_FACTS)
def test_frequencies_equal_the_oracle(facts):
    """Repeat purchases a week: none without a length of observation, 0 of who is not known to buy."""
    found = purchase_frequencies(rows_of([facts]).numbers, COLUMNS)
    assert found[0] == pytest.approx(as_float(naive.frequency(facts)), rel=1e-12, nan_ok=True)


def test_the_default_model_is_a_rule_file() -> None:
    """Every number of the stage model stands in the package's stages.yaml, and grocery's are the same."""
    package = Path(parameters.__file__).parent / parameters.DEFAULT_MODEL
    grocery = Path(__file__).parents[2] / "rules" / "grocery" / "stages.yaml"
    found = yaml.safe_load(package.read_text(encoding="utf-8"))
    assert list(found) == [name for name, _ in STAGE_PARAMETERS]
    assert found == yaml.safe_load(grocery.read_text(encoding="utf-8"))
    assert [found[name] for name, _ in STAGE_PARAMETERS] == default_stage_parameters().tolist()
    code = Path(parameters.__file__).read_text(encoding="utf-8")
    model = code[code.index("class StageParameter") : code.index("class Parameter(")]
    assert not re.search(r"= -?\d", model)
