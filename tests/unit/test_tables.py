"""What the action kernels read of a rulebook and of the state, packed."""

import numpy as np
import pytest
from tests.builders.worlds import action, small

from nextbest.action.tables import (
    ChannelNumber,
    Code,
    Number,
    Policy,
    Setting,
    TreatmentCode,
)

GIFT = {"type": "monetary", "timing": "immediate"}


def test_an_action_is_packed_column_by_column():
    """Each column holds what the rule file says, at the action's place in the order of ids."""
    full = action(
        "b",
        desired_action="repair",
        stages=["grow_me", "forgive_me"],
        segments=["s1"],
        triggers=["t1", "t0"],
        when="customer.discount_share < 0.5",
        topics=["alcohol", "surveys"],
        mandatory=True,
        authority=3,
        max_snapshot_age="36h",
        effect={
            "customer_gap": 0.1,
            "profit_gap": 0.2,
            "ltv": 7,
            "yearly": 3,
            "once": -2,
            "minutes": 4,
            "horizon": "short",
        },
        cost={"contact": 1.5, "accepted": 6},
        uplift={"base": 0.05},
        need="create",
        intent="inside_out",
        lever=25,
        value=9,
        priority=-3,
        reward=GIFT | {"worth": 11},
        group="g1",
    )
    named = [{"id": f"t{i}", "when": "true"} for i in range(2)]
    segments = [{"id": f"s{i}", "when": "true"} for i in range(2)]
    tables = small(full, action("a"), triggers=named, segments=segments).model.tables
    codes = {code: int(tables.codes[1, code]) for code in Code}
    expected = {
        Code.STAGES: 0b1100,
        Code.SEGMENTS: 0b10,
        Code.SELLS: 0,
        Code.CARES: 1,
        Code.REPAIRS: 1,
        Code.MANDATORY: 1,
        Code.AUTHORITY: 3,
        Code.TOPICS: 0b101,
        Code.SHORT_HORIZON: 1,
        Code.CREATES_NEED: 1,
        Code.INSIDE_OUT: 1,
        Code.PRIORITY: -3,
        Code.ID_ORDER: 1,
        Code.USES_UPLIFT: 1,
        Code.GROUP: 1,
    }
    assert {code: codes[code] for code in expected} == expected
    assert tables.triggers[codes[Code.FIRST_TRIGGER] : codes[Code.LAST_TRIGGER]].tolist() == [1, 0]
    numbers = {
        Number.MAX_SNAPSHOT_AGE: 1.5,
        Number.CUSTOMER_GAP_SHARE: 0.1,
        Number.PROFIT_GAP_SHARE: 0.2,
        Number.RECURRING: 0.0,
        Number.LTV_GAIN: 7.0,
        Number.YEARLY_GAIN: 3.0,
        Number.ONCE_GAIN: -2.0,
        Number.MINUTES: 4.0,
        Number.CONTACT_COST: 1.5,
        Number.ACCEPTED_COST: 6.0,
        Number.BASE_PROPENSITY: 0.05,
        Number.LEVER: 1.25,
        Number.CLASSIC_VALUE: 9.0,
        Number.REWARD_WORTH: 11.0,
    }
    assert {number: float(tables.numbers[1, number]) for number in numbers} == numbers
    assert np.isinf(tables.numbers[1, Number.LOYAL_REWARD_WORTH])


@pytest.mark.parametrize(("worths", "best"), [((5, 8), 8.0), ((), 0.0)])
def test_rewards_are_compared_with_the_best_open_to_grow(worths, best):
    """Within a benefit group; without any that is open to Grow me, loyal customers get nothing."""
    loyal = [
        action(f"b{i}", stages=["grow_me"], benefit_group="x", reward=GIFT | {"worth": worth})
        for i, worth in enumerate(worths)
    ]
    new = action("a", stages=["know_me"], benefit_group="x", reward=GIFT | {"worth": 99})
    tables = small(new, *loyal, action("c", reward=GIFT | {"worth": 50})).model.tables
    compared = tables.numbers[:, Number.LOYAL_REWARD_WORTH].tolist()
    assert compared == [best] * (1 + len(worths)) + [np.inf]


def test_policies_caps_and_treatments_lie_end_to_end():
    """Each action finds its own by first and last."""
    limit = {"outcome": ["rejected", "ignored"], "at_least": 2, "within": "15d", "pause": "30d"}
    world = small(
        action("a", limits=[limit, limit | {"scope": "channel", "channel": "email"}]),
        action("b", caps=[{"at_most": 4, "within": "1w"}], treatments={"pos/receipt": {"say": "Hello"}}),
        policies={"limits": [limit | {"scope": "all"}]},
    )
    tables, codes = world.model.tables, world.model.tables.codes
    assert codes[:, Code.FIRST_POLICY].tolist() == [0, 3]
    assert codes[:, Code.LAST_POLICY].tolist() == [3, 4]
    assert tables.policies[:, Policy.SCOPE].tolist() == [0, 2, 3, 3]
    assert tables.policies[:, Policy.OUTCOMES].tolist() == [0b110000] * 4
    email = world.rulebook.channel_index["email"]
    assert tables.policies[:, Policy.CHANNEL].tolist() == [-1, email, -1, -1]
    assert tables.policy_seconds[0].tolist() == [15 * 86400, 30 * 86400]
    assert (codes[1, Code.LAST_CAP], tables.caps.tolist()) == (1, [[4, -1]])
    assert tables.cap_seconds.tolist() == [7 * 86400]
    receipt = world.rulebook.placement_index["receipt"]
    assert tables.treatments[:, TreatmentCode.PLACEMENT].tolist() == [-1, -1, -1, receipt]


def test_settings_and_channels_are_packed():
    """Thresholds by direction, weight, quiet hours, and what stands above all actions."""
    strategy = {
        "data_quality": {"floor": 0.3},
        "sell_hold": {"score": 5, "within": "36h"},
        "value": {"value_of_time": 0.4},
        "arbitration": "classic",
    }
    hours = {"quiet_hours": {"start": 20, "end": 8.5}, "threshold": {"outbound": 0.9}}
    world = small(
        action(treatments={"sms": {"say": "Hello"}}),
        strategy=strategy,
        policies={"channels": {"sms": hours, "location": {}}},
    )
    settings_ = world.model.tables.settings
    assert [settings_[s] for s in Setting] == [0.3, 5.0, 1.5, 0.4, 1.0]
    sms, location = world.model.tables.channels
    assert sms.tolist() == [0.6, 0.9, 2.0, 0.0, 20.0, 8.5]
    assert location[ChannelNumber.LOCATION_BOUND] == 1.0
    assert np.isnan(location[ChannelNumber.QUIET_FROM])
