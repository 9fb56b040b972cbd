"""Raw stage, loyalty flags and hysteresis against the oracle, and the whole transition matrix."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.naive import stage as naive
from tests.unit.behaviour_rows import (
    CATALOGUE,
    DAY,
    LOYALTY_FACTS,
    NOW,
    SHARES,
    TRUTHS,
    array,
    as_float,
    maybe,
    rows_of,
)

from nextbest.behaviour.index import default_stage_parameters, loyalty_columns
from nextbest.behaviour.stage import (
    STAGE_STATE_FACTS,
    LoyaltyFigures,
    StageCause,
    advance_stages,
    effective_stages,
    loyalty_figures,
    stage_of_cause,
)
from nextbest.model import Stage
from nextbest.parameters import StageParameter

KNOW, HEAR, GROW, FORGIVE = (int(stage) for stage in Stage)
COLUMNS = loyalty_columns(CATALOGUE)
PARAMETERS = default_stage_parameters()
BOUNDS = (-0.6, -0.3, -0.1, 0.2, 0.4, 0.45, 0.5, 0.6, 0.8)

ADVOCATE = {
    "nps_relation": 10,
    "nps_relation_at": NOW - DAY,
    "satisfaction": 95,
    "share_of_wallet": 0.97,
    "positive_mentions": 6,
    "negative_mentions": 0,
    "joined": NOW - 2000 * DAY,
    "first_purchase": NOW - 1900 * DAY,
    "last_purchase": NOW - 2 * DAY,
    "repeat_purchases": 80,
    "observed_weeks": 270,
    "discount_share": 0.05,
    "contract_state": 0,
    "complaint_severity": 0,
}


def figures_of(
    facts,
    *,
    complaint_open=None,
    lock_in=None,
    alive=0.95,
    completeness=1.0,
    bound=None,
    parameters=PARAMETERS,
):
    """Loyalty figures of one customer."""
    return loyalty_figures(
        rows_of([facts]).numbers,
        COLUMNS,
        array(complaint_open),
        array(lock_in),
        array(alive),
        array(completeness),
        array(NOW),
        as_float(bound),
        parameters,
    )


def raw(facts, **known):
    """Raw stage of one customer."""
    return Stage(int(figures_of(facts, **known).raw_stage[0]))


def advanced(facts, *, complaint_open=None, now=NOW, alive=0.95, **state):
    """Stage state after one whole evaluation of a customer, as the writer of a snapshot runs it."""
    rows = rows_of([facts | state])
    one = array(now)
    figures = loyalty_figures(
        rows.numbers,
        COLUMNS,
        array(complaint_open),
        array(None),
        array(alive),
        array(1.0),
        one,
        math.nan,
        PARAMETERS,
    )
    return advance_stages(rows.numbers, COLUMNS, array(complaint_open), figures, one, PARAMETERS)[0]


@settings(max_examples=100, deadline=None)
@given(
    facts=LOYALTY_FACTS,
    complaint_open=TRUTHS,
    lock_in=TRUTHS,
    alive=SHARES,
    completeness=SHARES,
    bound=maybe(st.sampled_from([0.0, 0.2, 1.0])),
)
def test_figures_equal_the_oracle(facts, complaint_open, lock_in, alive, completeness, bound):
    """Level, raw stage and flags equal the text's, whatever is missing or infinite."""
    expected = naive.loyalty_figures(
        facts,
        complaint_open=complaint_open,
        lock_in=lock_in,
        alive=alive,
        completeness=completeness,
        now=NOW,
        frequency_bound=bound,
    )
    index = expected["index"]
    assume(index is None or min(abs(index - b) for b in BOUNDS) > 1e-9)
    found = figures_of(
        facts,
        complaint_open=complaint_open,
        lock_in=lock_in,
        alive=alive,
        completeness=completeness,
        bound=bound,
    )
    assert found.loyalty_index[0] == pytest.approx(as_float(index), abs=1e-12, nan_ok=True)
    assert found.level[0] == expected["level"]
    assert found.raw_stage[0] == expected["raw_stage"]
    for name in ("false_loyalty", "action_loyal", "tenure_days"):
        assert getattr(found, name)[0] == pytest.approx(as_float(expected[name]), nan_ok=True), name


@settings(max_examples=100, deadline=None)
@given(facts=LOYALTY_FACTS, complaint_open=TRUTHS, lock_in=TRUTHS, alive=SHARES, completeness=SHARES)
def test_each_customer_has_exactly_one_stage(facts, complaint_open, lock_in, alive, completeness):
    """Every customer is in one of the four stages, and the cause says which."""
    found = figures_of(
        facts, complaint_open=complaint_open, lock_in=lock_in, alive=alive, completeness=completeness
    )
    assert found.raw_stage[0] in set(Stage)
    assert stage_of_cause(found.cause[0]) == found.raw_stage[0]


@settings(max_examples=50, deadline=None)
@given(
    facts=LOYALTY_FACTS,
    score=st.integers(0, 10).map(float),
    days=st.floats(0, 400),
    complaint_open=TRUTHS,
    alive=SHARES,
)
def test_touchpoint_scores_change_nothing(facts, score, days, complaint_open, alive):
    """A touchpoint score leaves every loyalty figure bit for bit as it is."""
    touched = facts | {"touchpoint_score": score, "touchpoint_score_at": NOW - days * DAY}
    without = figures_of(facts, complaint_open=complaint_open, alive=alive)
    with_score = figures_of(touched, complaint_open=complaint_open, alive=alive)
    assert [a.tobytes() for a in without] == [a.tobytes() for a in with_score]


def test_causes_cover_every_stage():
    """Each cause leads to one stage, and each stage has a cause."""
    stages = [stage_of_cause(cause) for cause in StageCause]
    assert stages == [FORGIVE] * 5 + [KNOW] * 3 + [GROW, HEAR]


@pytest.mark.parametrize(
    ("changed", "known", "cause"),
    [
        ({"complaint_severity": 2}, {"complaint_open": True}, StageCause.OPEN_COMPLAINT),
        ({"nps_relation": 3, "nps_relation_at": NOW - 179 * DAY}, {}, StageCause.DETRACTOR),
        ({"contract_state": 2}, {}, StageCause.CONTRACT_CANCELLED),
        ({}, {"alive": 0.19}, StageCause.LAPSED),
        (
            {"satisfaction": 0, "share_of_wallet": 0, "nps_relation": 4},
            {"alive": 0.3},
            StageCause.LADDER_BOTTOM,
        ),
        ({"repeat_purchases": 0}, {}, StageCause.NO_REPEAT_PURCHASE),
        ({"joined": NOW - 89 * DAY, "first_purchase": NOW - 10 * DAY}, {}, StageCause.NEW_RELATION),
        ({}, {"completeness": 0.49}, StageCause.LITTLE_KNOWN),
        ({}, {}, StageCause.LOYAL),
        ({"share_of_wallet": None}, {}, StageCause.ESTABLISHED),
        ({"discount_share": 0.5}, {}, StageCause.ESTABLISHED),
    ],
)
def test_each_condition_decides_alone(changed, known, cause):
    """Each condition of section 6 by itself moves the advocate to its stage."""
    facts = ADVOCATE | {"positive_mentions": 0} | changed
    assert StageCause(int(figures_of(facts, **known).cause[0])) is cause


@pytest.mark.parametrize(
    ("changed", "known", "stage"),
    [
        ({"complaint_severity": 2}, {"complaint_open": None}, Stage.GROW_ME),
        ({"complaint_severity": 2}, {"complaint_open": False}, Stage.GROW_ME),
        ({"complaint_severity": 1}, {"complaint_open": True}, Stage.GROW_ME),
        ({"nps_relation": 3, "nps_relation_at": NOW - 180 * DAY}, {}, Stage.HEAR_ME),
        ({"nps_relation": 3, "nps_relation_at": None}, {}, Stage.GROW_ME),
        ({"contract_state": 3}, {}, Stage.GROW_ME),
        ({"contract_state": None, "repeat_purchases": None}, {}, Stage.KNOW_ME),
        ({"contract_state": 1, "repeat_purchases": 0}, {"alive": 1.0}, Stage.GROW_ME),
        ({"joined": None, "first_purchase": None}, {}, Stage.GROW_ME),
        ({}, {"completeness": None}, Stage.GROW_ME),
        ({}, {"alive": None}, Stage.HEAR_ME),
        ({"repeat_purchases": 0}, {"alive": 0.1}, Stage.KNOW_ME),
        # at the bound itself
        ({}, {"alive": 0.2}, Stage.HEAR_ME),
        ({}, {"alive": 0.79}, Stage.HEAR_ME),
        ({}, {"alive": 0.8}, Stage.GROW_ME),
        ({}, {"completeness": 0.5}, Stage.GROW_ME),
        ({"joined": NOW - 90 * DAY, "first_purchase": None}, {}, Stage.GROW_ME),
        ({"share_of_wallet": 0.6}, {}, Stage.GROW_ME),
        ({"share_of_wallet": 0.59}, {}, Stage.HEAR_ME),
    ],
)
def test_what_is_not_true_decides_nothing(changed, known, stage):
    """A condition that is FALSE or UNKNOWN does not match; missing repeat purchases are none."""
    assert raw(ADVOCATE | changed, **known) is stage


def test_a_new_customer_starts_in_the_middle():
    """Someone of whom nothing is known stands on level 0 in Know me."""
    found = figures_of({}, alive=None, completeness=0.0)
    assert (found.level[0], found.raw_stage[0]) == (0, KNOW)


@pytest.mark.parametrize(
    ("changed", "known", "expected"),
    [
        ({"satisfaction": 49}, {}, True),
        ({"discount_share": 0.5}, {}, True),
        ({}, {"lock_in": True}, True),
        ({}, {"lock_in": False}, False),
        ({}, {"lock_in": None}, None),
        ({"share_of_wallet": 0.6, "satisfaction": 49}, {"bound": 0.5}, True),
        ({"satisfaction": 50}, {"lock_in": False}, False),
        ({"share_of_wallet": 0.59}, {"lock_in": True, "bound": 80 / 270}, True),
        ({"share_of_wallet": 0.59}, {"lock_in": True, "bound": 0.2}, True),
        ({"share_of_wallet": 0.59}, {"lock_in": True, "bound": 0.5}, False),
        ({"share_of_wallet": 0.59}, {"lock_in": True, "bound": None}, None),
        ({"share_of_wallet": None}, {"lock_in": True, "bound": 0.5}, None),
        ({"share_of_wallet": 0.1, "repeat_purchases": 0}, {"lock_in": True, "bound": 0.0}, False),
    ],
)
def test_false_loyalty_of_the_discount_hunter(changed, known, expected):
    """A large share of wallet or a high frequency without content, or bought or forced, is false."""
    found = figures_of(ADVOCATE | changed, **known).false_loyalty[0]
    assert found == pytest.approx(as_float(expected), nan_ok=True)


def test_false_loyalty_blocks_grow():
    """A customer with all the marks of Grow me but false loyalty stays in Hear me."""
    assert raw(ADVOCATE) is Stage.GROW_ME
    assert raw(ADVOCATE, lock_in=True) is Stage.HEAR_ME


@pytest.mark.parametrize("name", ["grow_index", "action_index"])
def test_an_index_at_its_bound_is_enough(name):
    """An index of exactly the bound qualifies; a bound that is higher by one rounding does not."""
    index = float(figures_of(ADVOCATE).loyalty_index[0])
    for bound, qualifies in ((index, True), (math.nextafter(index, 1), False)):
        parameters = PARAMETERS.copy()
        parameters[StageParameter[name.upper()]] = bound
        found = figures_of(ADVOCATE, parameters=parameters)
        loyal = found.raw_stage[0] == Stage.GROW_ME if name == "grow_index" else found.action_loyal[0] == 1.0
        assert loyal == qualifies


@pytest.mark.parametrize(("wallet", "expected"), [(0.95, 1.0), (0.94, 0.0), (None, math.nan)])
def test_action_loyal(wallet, expected):
    """Nearly all of the wallet at a good index is action loyalty; an unknown wallet is unknown."""
    found = figures_of(ADVOCATE | {"share_of_wallet": wallet}).action_loyal[0]
    assert found == pytest.approx(expected, nan_ok=True)


def test_thresholds_come_from_the_parameters():
    """Raising a threshold of Grow me keeps the advocate out: no number is in the code."""
    stricter = PARAMETERS.copy()
    stricter[StageParameter.GROW_WALLET] = 0.98
    assert figures_of(ADVOCATE, parameters=stricter).raw_stage[0] == HEAR


TRANSITIONS = {
    # held: stage after one evaluation that points to Know, Hear, Grow, Forgive,
    # with nothing else that lifts, lowers or forgives.
    None: (KNOW, HEAR, GROW, FORGIVE),
    KNOW: (KNOW, KNOW, KNOW, FORGIVE),
    HEAR: (HEAR, HEAR, HEAR, FORGIVE),
    GROW: (GROW, GROW, GROW, FORGIVE),
    FORGIVE: (FORGIVE, FORGIVE, FORGIVE, FORGIVE),
}
LIFTED = {KNOW: (KNOW, HEAR, HEAR, FORGIVE), HEAR: (HEAR, HEAR, GROW, FORGIVE)}
"""The same after 30 days of qualifying."""
QUIET = {
    "loyalty_index": 0.6,
    "false_loyalty": None,
    "nps": None,
    "nps_at": None,
    "complaint_open": None,
    "last_purchase": None,
    "tenure_days": 400.0,
}


def evaluate(states, evaluations, now=NOW):
    """New (n, 3) states for tuples of stage state and dictionaries of evaluations."""
    customers = [
        {
            "held_stage": held,
            "stage_since": since,
            "up_qualified_since": up,
            "nps_relation": e["nps"],
            "nps_relation_at": e["nps_at"],
            "last_purchase": e["last_purchase"],
        }
        for (held, since, up), e in zip(states, evaluations, strict=True)
    ]
    n = len(customers)
    figures = LoyaltyFigures(
        array(*(e["loyalty_index"] for e in evaluations)),
        np.zeros(n, np.int64),
        np.array([e["raw_stage"] for e in evaluations]),
        array(*(e["false_loyalty"] for e in evaluations)),
        np.zeros(n),
        array(*(e["tenure_days"] for e in evaluations)),
        np.zeros(n, np.int64),
        np.ones(n),
    )
    complaint_open = array(*(e["complaint_open"] for e in evaluations))
    rows = rows_of(customers)
    return advance_stages(rows.numbers, COLUMNS, complaint_open, figures, np.full(n, now), PARAMETERS)


@pytest.mark.parametrize("held", TRANSITIONS)
@pytest.mark.parametrize("pointed", range(4))
def test_transition_matrix(held, pointed):
    """Every held stage meets every raw stage: Forgive at once, nothing else in one evaluation (C3, C4)."""
    state = (held, None if held is None else NOW - 500 * DAY, None)
    found = evaluate([state], [QUIET | {"raw_stage": pointed}])[0]
    assert found[0] == TRANSITIONS[held][pointed]
    moved = found[0] != as_float(held)
    assert found[1] == (NOW if moved else NOW - 500 * DAY)


@pytest.mark.parametrize("held", LIFTED)
@pytest.mark.parametrize("pointed", range(4))
def test_transition_matrix_after_thirty_days(held, pointed):
    """After 30 days of qualifying one step up is taken, never two."""
    state = (held, NOW - 500 * DAY, NOW - 30 * DAY)
    found = evaluate([state], [QUIET | {"raw_stage": pointed}])[0]
    assert found[0] == LIFTED[held][pointed]


def test_transitions_equal_the_oracle_everywhere():
    """All combinations of state and evaluation give the text's next state."""
    before, after = NOW - 70 * DAY, NOW - 5 * DAY
    since = NOW - 60 * DAY
    states = list(
        product(
            (None, KNOW, HEAR, GROW, FORGIVE),
            (since, None),
            (None, NOW - 29 * DAY, NOW - 30 * DAY),
        )
    )
    names = ("raw_stage", *QUIET)
    evaluations = [
        dict(zip(names, values, strict=True))
        for values in product(
            range(4),
            (None, 0.44, 0.45),
            (True, False, None),
            (None, 6.0, 7.0),
            (None, before, after),
            (True, False, None),
            (None, before, after),
            (None, 89.0, 90.0),
        )
    ]
    cases = [(s, e) for s in states for e in evaluations]
    found = evaluate([s for s, _ in cases], [e for _, e in cases])
    expected = [naive.advance_stage(s, e | {"index": e["loyalty_index"]}, NOW) for s, e in cases]
    wanted = np.array([[as_float(v) for v in row] for row in expected])
    np.testing.assert_array_equal(found, wanted)


def test_the_best_advocate_falls_to_forgive_in_one_step():
    """An evangelist in Grow me is in Forgive me after one evaluation when trust fails."""
    assert figures_of(ADVOCATE).level[0] == 4
    betrayed = ADVOCATE | {"complaint_severity": 3, "complaint_at": NOW}
    found = advanced(betrayed, complaint_open=True, held_stage=GROW, stage_since=NOW - 400 * DAY)
    assert found[0] == FORGIVE
    assert found[1] == NOW


def test_nobody_climbs_on_one_evaluation():
    """The first qualifying evaluation only starts the clock, and one that fails clears it."""
    first = advanced(ADVOCATE, held_stage=HEAR, stage_since=NOW - 50 * DAY)
    assert (first[0], first[2]) == (HEAR, NOW)
    cleared = advanced(
        ADVOCATE | {"share_of_wallet": 0.3},
        held_stage=HEAR,
        stage_since=NOW - 50 * DAY,
        up_qualified_since=NOW - 40 * DAY,
    )
    assert cleared[0] == HEAR
    assert math.isnan(cleared[2])


def test_from_know_to_grow_takes_two_spells():
    """A customer who points to Grow me from the start climbs Know, Hear, Grow 30 days apart."""
    state = (KNOW, NOW - 100 * DAY, None)
    seen = []
    for day in range(0, 91, 10):
        now = NOW + day * DAY
        held, since, up = evaluate([state], [QUIET | {"raw_stage": GROW}], now)[0]
        state = (held, since, None if math.isnan(up) else up)
        seen.append(int(held))
    assert seen == [KNOW] * 3 + [HEAR] * 3 + [GROW] * 4


def test_evaluating_twice_at_one_time_changes_nothing_more():
    """Advancing is idempotent at one time, so a repeated write is harmless."""
    for held, pointed in product((None, KNOW, HEAR, GROW, FORGIVE), range(4)):
        once = evaluate([(held, None, None)], [QUIET | {"raw_stage": pointed}])[0]
        again = [None if math.isnan(v) else v for v in once]
        twice = evaluate([again], [QUIET | {"raw_stage": pointed}])[0]
        np.testing.assert_array_equal(once, twice)


@pytest.mark.parametrize(
    ("changed", "complaint_open", "stage"),
    [
        ({}, False, FORGIVE),
        ({"nps_relation_at": NOW - 5 * DAY}, False, HEAR),
        ({"last_purchase": NOW - 5 * DAY}, None, HEAR),
        ({"last_purchase": NOW - 5 * DAY}, True, FORGIVE),
        ({"nps_relation_at": NOW - 60 * DAY, "last_purchase": NOW - 60 * DAY}, False, FORGIVE),
        ({"nps_relation": 6, "nps_relation_at": NOW - 5 * DAY}, False, FORGIVE),
        ({"last_purchase": NOW - 5 * DAY, "joined": NOW - 80 * DAY, "first_purchase": None}, False, KNOW),
    ],
)
def test_forgiveness_needs_a_sign_after_the_fall(changed, complaint_open, stage):
    """Out of Forgive me leads a good NPS or a purchase since, once the complaint is closed."""
    facts = ADVOCATE | {
        "nps_relation_at": NOW - 90 * DAY,
        "last_purchase": NOW - 90 * DAY,
        "complaint_severity": 1,
        "complaint_at": NOW - 60 * DAY,
    }
    found = advanced(
        facts | changed, complaint_open=complaint_open, held_stage=FORGIVE, stage_since=NOW - 60 * DAY
    )
    assert found[0] == stage


def test_grow_falls_when_the_index_is_unknown():
    """Grow me falls to Hear me when the index is not known to be high enough."""
    found = evaluate([(GROW, NOW, None)], [QUIET | {"raw_stage": HEAR, "loyalty_index": None}])[0]
    assert found[0] == HEAR


@pytest.mark.parametrize("code", [-1.0, 4.0, 1.5, math.inf, math.nan])
def test_a_code_that_names_no_stage_counts_as_none(code):
    """A damaged stage code is replaced by the raw stage."""
    found = evaluate([(code, None, None)], [QUIET | {"raw_stage": HEAR}])[0]
    assert found[0] == HEAR
    rows = rows_of([{"held_stage": code}])
    assert effective_stages(rows.numbers, COLUMNS, np.array([GROW]))[0] == GROW


@pytest.mark.parametrize("held", [None, KNOW, HEAR, GROW, FORGIVE])
@pytest.mark.parametrize("pointed", range(4))
def test_effective_stage(held, pointed):
    """Decisions use the held stage, Forgive me at once, and the raw stage without a state."""
    rows = rows_of([{"held_stage": held}])
    found = effective_stages(rows.numbers, COLUMNS, np.array([pointed]))
    assert found.tolist() == [naive.effective_stage(held, pointed)]


def test_state_columns_are_facts():
    """What advancing computes is written to facts of the standard catalogue."""
    assert all(CATALOGUE.column(name) >= 0 for name in STAGE_STATE_FACTS)


def test_a_catalogue_without_stage_state_starts_afresh():
    """Facts that a catalogue lacks are missing, so the raw stage holds."""
    none = np.full(len(COLUMNS), -1)
    assert effective_stages(np.ones((1, 1)), none, np.array([HEAR])).tolist() == [HEAR]
