"""Input at the edge of what there is: a compile error that points at it, or a documented behaviour."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import customers as build
from tests.builders.customers import DAY, NOW
from tests.builders.worlds import action, customer, documents, small
from tests.naive.plain import Entry

from nextbest.batch.situation import situation_of
from nextbest.decide import decide
from nextbest.errors import InvalidFact, InvalidInput, RulebookCompileError
from nextbest.facts import FactType
from nextbest.model import DecisionState, Term
from nextbest.rows import RowCodec

CHANNELS = documents()["policies.yaml"]["channels"]
NUMBERS = {
    "lever": lambda v: {"lever": v},
    "context weight": lambda v: {"context": [{"when": "true", "weight": v}]},
    "contact cost": lambda v: {"cost": {"contact": v}},
    "accepted cost": lambda v: {"cost": {"accepted": v}},
    "value": lambda v: {"value": v},
    "customer gap": lambda v: {"effect": {"customer_gap": v}},
    "yearly": lambda v: {"effect": {"yearly": v}},
    "once": lambda v: {"effect": {"once": v}},
    "ltv": lambda v: {"effect": {"ltv": v}},
    "minutes": lambda v: {"effect": {"yearly": 1, "minutes": v}},
    "worth": lambda v: {"reward": {"type": "monetary", "timing": "saved", "worth": v}},
    "successes": lambda v: {"propensity": {"successes": v, "failures": 1}},
    "priority": lambda v: {"priority": v},
    "cap": lambda v: {"caps": [{"at_most": v, "within": "7d"}]},
    "pressure cap": lambda v: {"strategy": {"stages": {"hear_me": {"pressure_cap": v}}}},
    "customer weight": lambda v: {"strategy": {"stages": {"hear_me": {"customer_weight": v}}}},
    "evidence": lambda v: {"policies": {"relevance": {"open_need": v}, "channels": CHANNELS}},
}
NOT_NEGATIVE = {*NUMBERS} - {"lever", "context weight", "yearly", "once", "ltv", "priority"}


def world(change):
    """A world with one action, and what is changed of it or of its strategy."""
    given_ = dict(change)
    parts = {key: given_.pop(key) for key in ("strategy", "policies") if key in given_}
    return small(action(**given_), **parts)


@pytest.mark.parametrize("value", [1e308, float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_that_could_overflow_does_not_compile(name, value):
    """Every number of a rule file has bounds, and what is no number is told from what is too large."""
    with pytest.raises(RulebookCompileError, match=r"number|expected"):
        world(NUMBERS[name](value))


@pytest.mark.parametrize("name", sorted(NOT_NEGATIVE))
def test_what_cannot_be_negative_does_not_compile(name):
    """A negative cost, cap, weight or prior is an error with its place."""
    with pytest.raises(RulebookCompileError, match=r"\.yaml:\d+:\d+: error: expected a number"):
        world(NUMBERS[name](-1))


def test_a_cap_of_zero_means_never():
    """At most no contact is reached before the first."""
    assert world(NUMBERS["cap"](0)).ends(customer()) == ("CAP_REACHED", 0.0, 0.0)


def test_a_pressure_cap_of_zero_ends_outbound_contact_and_no_answers():
    """Whoever starts a contact is answered, undamped; we start none."""
    made = world(NUMBERS["pressure cap"](0))
    consent = {"consent": frozenset(build.CONSENTS)}
    outbound = customer(direction="outbound", channel="email", facts=consent)
    assert made.ends(outbound)[0] == "PRESSURE_TOO_HIGH"
    assert made.ends(customer())[0] == "CHOSEN"
    assert made.terms(customer())["pressure_factor"] == 1.0


@pytest.mark.parametrize(
    ("source", "revenue", "expected"),
    [
        ("customer.revenue_net / 0.0", 0.0, "PROPENSITY_UNKNOWN"),
        ("customer.revenue_net / 0.0", None, "PROPENSITY_UNKNOWN"),
        ("customer.revenue_net / 0.0", 5.0, 1.0),
        ("-customer.revenue_net / 0.0", 5.0, 0.0),
        ("customer.revenue_net * 1e300", 1e300, 1.0),
    ],
)
def test_a_propensity_that_is_no_number_stops_its_action(source, revenue, expected):
    """A computed NaN is unknown; what is beyond 0 and 1, infinite too, counts as its end."""
    made = world({"propensity": source, "mandatory": True})
    facts = {} if revenue is None else {"revenue_net": revenue}
    case = customer(facts=facts)
    if isinstance(expected, str):
        assert made.ends(case) == (expected, None, None)
    else:
        assert made.terms(case)["propensity"] == expected


def decided(made, state):
    """Ids that one customer gets, with real figures, and their scores."""
    arguments = made.arguments([customer()])
    found = decide(made.model, *arguments[:3], state, *arguments[4:])
    ranked = [made.rulebook.actions[a].id for a in found.action[0, : found.count[0]]]
    return ranked, found.terms[0, : found.count[0], Term.SCORE]


@pytest.mark.parametrize(("value", "expected"), [(0.0, ["a", "b"]), (np.nan, ["b"]), (-1e300, ["b"])])
def test_evidence_that_is_no_count_ranks_nothing(value, expected):
    """Captured outcomes that no count can be stop the action that they are of, and no other."""
    worth = {"yearly": 10.0}
    made = small(action(effect=worth, propensity={"successes": 3, "failures": 1}), action("b", effect=worth))
    state = DecisionState.initial(2)
    state.posteriors[0] = value
    ranked, scores = decided(made, state)
    assert ranked == expected
    assert np.isfinite(scores).all()


@pytest.mark.parametrize(("price", "ranked"), [(0.0, ["a"]), (np.nan, []), (np.inf, []), (1e308, [])])
def test_a_price_that_is_no_number_lets_nothing_pass(price, ranked):
    """A score that cannot be computed is below every other, so that doing nothing wins."""
    made = world({"cost": {"contact": 1.0}, "effect": {"yearly": 10.0}})
    state = replace(DecisionState.initial(1), stage_prices=np.full(4, price))
    assert decided(made, state)[0] == ranked


FUTURE = [
    Entry(NOW + age, kind, channel="pos", direction="outbound", outcome=outcome, action="a")
    for age in (1e-3, 1.0, DAY, 3650 * DAY)
    for kind, outcome in (("contact", "presented"), ("outcome", "rejected"), ("outcome", "opted_out"))
]


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_what_has_not_happened_counts_nowhere(direction):
    """Entries later than now, after a clock jumped, neither pause, cap, press nor lower relevance."""
    limits = [{"outcome": ["rejected", "presented"], "at_least": 1, "within": "60d", "pause": "60d"}]
    made = world({"limits": limits, "caps": [{"at_most": 1, "within": "60d"}]})
    channel = "pos" if direction == "inbound" else "email"
    before = customer(direction=direction, channel=channel)
    after = customer(*FUTURE, direction=direction, channel=channel)
    assert made.ends(before)[0] == "CHOSEN"
    assert made.terms(after) == made.terms(before)
    past = customer(*[replace(entry, time=NOW) for entry in FUTURE], direction=direction, channel=channel)
    assert made.ends(past)[0] != "CHOSEN"


def test_a_clock_before_the_snapshot_makes_no_snapshot_too_old():
    """An age below 0 is no age: the snapshot is taken as it is."""
    made = world({"max_snapshot_age": "1d"})
    assert made.ends(customer(as_of=NOW + 40 * DAY))[0] == "CHOSEN"
    assert made.ends(customer(as_of=NOW - 40 * DAY))[0] == "SNAPSHOT_TOO_OLD"


def test_a_caller_without_a_role_has_the_least_authority():
    """Who does not say who they are may do what the least of all may; an unknown role is an error."""
    made = world({"authority": 2})
    assert made.ends(customer(role=None)) == ("AUTHORITY_LACKING", 1.0, 2.0)
    assert made.ends(customer(role="lead"))[0] == "CHOSEN"
    with pytest.raises(InvalidInput, match="`king` is not in the rulebook"):
        situation_of(made.rulebook, channel="pos", role="king")


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_a_fact_that_is_no_number_is_no_fact(value):
    """Infinity and NaN are refused where a snapshot is written; missing is to leave the fact out."""
    codec = RowCodec(small().rulebook.catalogue)
    with pytest.raises(InvalidFact, match="revenue_net"):
        codec.encode(b"c", NOW, {"revenue_net": value})


EXTREMES = (0.0, 5e-324, 1e-300, 1.0, 1e15, 1e154, 1e200, 1e300, 1.7e308, -1e300, -1.7e308)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_a_fact_may_hold_the_answer_is_a_number(data):
    """Amounts at the end of what floats hold give finite, positive, falling scores, or nothing at all."""
    facts = {}
    for fact in MADE.rulebook.catalogue.facts:
        if fact.type is FactType.DOUBLE and data.draw(st.booleans()):
            low = -np.inf if fact.minimum is None else fact.minimum
            high = np.inf if fact.maximum is None else fact.maximum
            facts[fact.name] = data.draw(st.sampled_from([v for v in EXTREMES if low <= v <= high] or [low]))
    gaps = {name: data.draw(st.sampled_from(EXTREMES)) for name in ("value_gap", "profit_gap")}
    case = customer(facts=facts, figures=gaps)
    found = MADE.decide([case], limit=25)
    scores = found.terms[0, : found.count[0], Term.SCORE]
    assert np.isfinite(scores).all()
    assert (scores > 0).all()
    assert (np.diff(scores) <= 0).all()
    real = decide(MADE.model, *MADE.arguments([case]))
    assert np.isfinite(real.terms[0, : real.count[0], Term.SCORE]).all()


MADE = small(
    action(),
    action("b", propensity="customer.discount_share"),
    action("c", effect={"customer_gap": 1, "profit_gap": 1, "recurring": 1}, lever=1000),
    action("d", effect={"yearly": 1e12, "ltv": 1e12}, cost={"contact": 1e12}),
    action("e", context=[{"when": "customer.revenue_net > 1.0", "weight": 1000}]),
)
