"""For every reason a small world and a customer who is given that reason, for the action `a`."""

from dataclasses import dataclass, field

from tests.builders.rulebooks import CHANNELS, PLACEMENTS
from tests.builders.worlds import DAY, NOW, action, customer, small
from tests.naive.plain import Entry

OUTBOUND = {"direction": "outbound", "channel": "email"}
GIFT = {"type": "monetary", "timing": "immediate"}
TRIED = {"propensity": {"successes": 1, "failures": 1}}


@dataclass(frozen=True)
class Story:
    """What is particular about one world and its customer."""

    changes: dict = field(default_factory=dict)
    """Of action `a`."""
    others: tuple = ()
    """Actions beside it."""
    situation: dict = field(default_factory=dict)
    entries: tuple = ()
    strategy: dict = field(default_factory=dict)
    quiet: dict | None = None
    """Quiet hours of e-mail."""
    limit: int = 3

    def world(self):
        """The rulebook."""
        channels = {name: {"placements": list(PLACEMENTS.get(name, ()))} for name in CHANNELS}
        if self.quiet is not None:
            channels["email"]["quiet_hours"] = self.quiet
        return small(
            action("a", **self.changes),
            *self.others,
            strategy={"currency": "DKK", "time_zone": "Europe/Copenhagen"} | self.strategy,
            policies={"channels": channels},
            segments=[
                {"id": "cooks", "when": "'recipes' in customer.needs"},
                {"id": "content", "when": "customer.satisfaction > 80.0"},
            ],
            triggers=[
                {"id": "bargain", "when": "customer.discount_share > 0.5", "cool_down": "7d"},
            ],
        )

    def case(self):
        """The customer."""
        return customer(*self.entries, **self.situation)


def sent(days, channel="email", **more):
    """A contact so many days ago."""
    return Entry(NOW - days * DAY, "contact", channel, **({"action": "a"} | more))


def came_of(outcome, days, channel="email"):
    """An outcome of action `a` so many days ago."""
    return Entry(NOW - days * DAY, "outcome", channel, outcome=outcome, action="a")


PAUSE = {"outcome": "ignored", "at_least": 2, "within": "15d", "pause": "30d"}
STORIES = {
    "CHOSEN": Story(),
    "MANDATORY": Story({"mandatory": True}),
    "NO_TREATMENT": Story(
        {"treatments": {"email": {"say": "Hello"}}}, situation={"placements": ("receipt", "display")}
    ),
    "CONSENT_MISSING": Story(situation=OUTBOUND | {"facts": {"consent": frozenset(["sms_marketing"])}}),
    "TOPIC_BLOCKED": Story(
        {"topics": ["credit", "surveys"]}, situation={"facts": {"blocked_topics": frozenset(["credit"])}}
    ),
    "AUTHORITY_LACKING": Story({"authority": 2}, situation={"role": "agent"}),
    "NOT_YET_VALID": Story({"valid": {"from": "2030-01-01"}}),
    "NO_LONGER_VALID": Story({"valid": {"through": "2020-12-31"}}),
    "QUIET_HOURS": Story(
        quiet={"start": 21, "end": 8.5},
        situation=OUTBOUND | {"facts": {"time_zone": "Asia/Kolkata"}},
    ),
    "STAGE_MISMATCH": Story({"stages": ["grow_me", "forgive_me"]}),
    "SEGMENT_MISMATCH": Story({"segments": ["cooks"]}, situation={"facts": {"satisfaction": 90.0}}),
    "TRIGGER_NOT_FIRED": Story({"triggers": ["bargain"]}, situation={"facts": {"discount_share": 0.125}}),
    "TRIGGER_UNKNOWN": Story({"triggers": ["bargain"]}),
    "TRIGGER_COOLING_DOWN": Story(
        {"triggers": ["bargain"]},
        entries=(sent(9), sent(2.5)),
        situation={"facts": {"discount_share": 0.9}},
    ),
    "CONDITION_FALSE": Story(
        {"when": "customer.satisfaction > 80.0 && !customer.complaint_open"},
        situation={"facts": {"satisfaction": 55.0, "complaint_open": True}},
    ),
    "CONDITION_UNKNOWN": Story({"when": "customer.satisfaction > 80.0"}),
    "SNAPSHOT_TOO_OLD": Story({"max_snapshot_age": "1d"}, situation={"as_of": NOW - 40 * DAY}),
    "DATA_QUALITY_LOW": Story(situation={"figures": {"data_quality": 0.25}}),
    "SELL_HOLD": Story(
        {"desired_action": "up_sell"},
        situation={"facts": {"touchpoint_score": 4, "touchpoint_score_at": NOW - DAY}},
    ),
    "NO_VALUE_FOR_CUSTOMER": Story({"effect": {"once": -2469}}),
    "PROPENSITY_UNKNOWN": Story({"propensity": "customer.discount_share"}),
    "NOT_RELEVANT": Story({"relevance": {"season": "true"}}),
    "CONTACT_POLICY_PAUSED": Story(
        {"limits": [PAUSE]}, entries=(came_of("ignored", 12), came_of("ignored", 8.25))
    ),
    "CONTACT_POLICY_UNKNOWN": Story({"limits": [PAUSE]}, situation=OUTBOUND | {"lost": NOW - 10 * DAY}),
    "PRESSURE_TOO_HIGH": Story(
        entries=tuple(sent(day) for day in range(9)), situation={**OUTBOUND, "figures": {"stage": 0}}
    ),
    "LOCATION_CAP_REACHED": Story(
        entries=(sent(1, "location"),), situation={"direction": "outbound", "channel": "location"}
    ),
    "UNFAIR_TO_LOYAL": Story(
        {"reward": GIFT | {"worth": 12.5}, "stages": ["know_me"], "benefit_group": "x"},
        (action("b", reward=GIFT | {"worth": 10}, stages=["grow_me"], benefit_group="x"),),
        {"figures": {"stage": 0}},
    ),
    "CAP_REACHED": Story({"caps": [{"at_most": 1, "within": "7d"}]}, entries=(sent(6), sent(3.5, "pos"))),
    "ABOVE_INVESTMENT_CEILING": Story(
        {"cost": {"contact": 200, "accepted": 2400}}, situation={"figures": {"investment_ceiling": 1234.5}}
    ),
    "STILL_LEARNING": Story(
        TRIED,
        situation=OUTBOUND,
        strategy={"learning": {"maturity": {"trials": 50, "least_reach": 0.05}}},
    ),
    "WORSE_THAN_DO_NOTHING": Story({"cost": {"contact": 9}}),
    "BEATEN_IN_GROUP": Story({"cost": {"contact": 3}, "group": "g0"}, (action("b", group="g0"),)),
    "BEATEN_IN_RANK": Story({"propensity": "0.2"}, (action("b"),), limit=1),
    "DUPLICATE_PLACEMENT": Story(
        {"relevance": {"declared_preference": "true"}},
        (action("b"),),
        {"placements": ("receipt",)},
    ),
}
"""By name of the reason."""
RESERVED = {"BUDGET_EXHAUSTED", "HELD_OUT"}
"""Places kept in the order of the gates: nothing gives these reasons yet."""
