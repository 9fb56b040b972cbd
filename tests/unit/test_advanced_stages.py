"""Stage states of a batch of rows against the naive oracle, through several evaluations."""

import numpy as np
import pytest
from tests.builders.random_customers import DAY, LTV, T0, people, rows_of, settings_of
from tests.builders.small import DIRECTORY
from tests.naive import figures as naive
from tests.naive.quality import data_quality
from tests.naive.stage import advance_stage, loyalty_figures

from nextbest.assembly import Artifacts, assemble
from nextbest.batch.stages import advanced_stages
from nextbest.behaviour.stage import STAGE_STATE_FACTS
from nextbest.facts import STAGE_NAMES
from nextbest.rulebook.compile import compile_rulebook


@pytest.fixture(scope="module")
def rulebook():
    """The small rulebook."""
    return compile_rulebook(DIRECTORY)


@pytest.fixture(scope="module", params=["fitted", "not fitted"])
def world(request, rulebook):
    """A model with and without lifetime value, and the oracle's settings for it."""
    if request.param == "not fitted":
        return assemble(rulebook, Artifacts()), settings_of(rulebook)
    settings = settings_of(
        rulebook,
        bgnbd=(0.9, 5.0, 0.7, 2.6),
        gamma_gamma=(6.0, 4.0, 500.0),
        yearly_discount=0.1,
        step_weeks=26.0,
        steps=1,
        frequency_bound=0.35,
    )
    return assemble(rulebook, Artifacts(ltv=LTV)), settings


def advanced_by_hand(settings, facts, as_of, now):
    """What the domain model says becomes of one customer's stage."""
    _, completeness = data_quality(settings.catalogue, facts, as_of=as_of, now=now)
    coded = dict(facts)
    if "contract_state" in facts:
        states = settings.catalogue["contract_state"].values
        coded["contract_state"] = states.index(facts["contract_state"])
    loyalty = loyalty_figures(
        coded,
        complaint_open=facts.get("complaint_open"),
        lock_in=facts.get("lock_in"),
        alive=naive.lifetime(settings, facts, now)["alive"],
        completeness=completeness,
        now=now,
        frequency_bound=settings.frequency_bound,
    )
    held = facts.get("held_stage")
    state = (
        None if held is None else STAGE_NAMES.index(held),
        facts.get("stage_since"),
        facts.get("up_qualified_since"),
    )
    evaluation = {
        "raw_stage": loyalty["raw_stage"],
        "index": loyalty["index"],
        "false_loyalty": loyalty["false_loyalty"],
        "nps": facts.get("nps_relation"),
        "nps_at": facts.get("nps_relation_at"),
        "complaint_open": facts.get("complaint_open"),
        "last_purchase": facts.get("last_purchase"),
        "tenure_days": loyalty["tenure_days"],
    }
    return advance_stage(state, evaluation, now)


def test_states_are_the_oracles(world, rulebook):
    """Held stage, since when, and since when up: as the domain model has them, over three evaluations."""
    model, settings = world
    customers = people(21, 60)
    for now in (T0, T0 + 20 * DAY, T0 + 55 * DAY):
        found = advanced_stages(model, rows_of(rulebook, customers), np.full(60, now))
        after = []
        for i, (facts, as_of) in enumerate(customers):
            expected = advanced_by_hand(settings, facts, as_of, now)
            wanted = [np.nan if value is None else float(value) for value in expected]
            np.testing.assert_array_equal(found[i], wanted, err_msg=str(facts))
            stage = dict(zip(STAGE_STATE_FACTS, expected, strict=True))
            stage["held_stage"] = STAGE_NAMES[expected[0]]
            after.append((facts | {n: v for n, v in stage.items() if v is not None}, as_of))
            if expected[2] is None:
                after[-1][0].pop("up_qualified_since", None)
        customers = after


def test_evaluating_again_at_once_changes_nothing(world, rulebook):
    """A second evaluation at the same time leaves every state as it is."""
    model, _ = world
    customers = people(22, 60)
    now = np.full(60, T0)
    first = advanced_stages(model, rows_of(rulebook, customers), now)
    again = []
    for state, (facts, as_of) in zip(first, customers, strict=True):
        stage = dict(zip(STAGE_STATE_FACTS, state.tolist(), strict=True))
        known = {name: value for name, value in stage.items() if not np.isnan(value)}
        known["held_stage"] = STAGE_NAMES[int(stage["held_stage"])]
        kept = {name: value for name, value in facts.items() if name not in STAGE_STATE_FACTS}
        again.append((kept | known, as_of))
    np.testing.assert_array_equal(advanced_stages(model, rows_of(rulebook, again), now), first)
