"""Ask-likelihood through the real kernels: the published vectors, the dampers in their order, thresholds."""

import itertools
import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders.worlds import DAY, NOW, action, customer, small
from tests.naive.plain import Entry
from tests.naive.relevance import ask_likelihood
from tests.naive.relevance import relevance as oracle

from nextbest.rulebook.actions import EVIDENCE_WEIGHTS, Evidence

VECTORS = {v["name"]: v for v in json.loads((Path(__file__).parents[1] / "vectors.json").read_text())}
TWO = {"open_need": "true", "own_interest": "true"}
"""Evidence of weights .6 and .35, as in the vectors."""
REJECTED = Entry(NOW - 59 * DAY, "outcome", "email", outcome="rejected", action="a")


def rho(case, **changes):
    """The relevance that the score was computed with."""
    return small(action(mandatory=True, **changes)).terms(case)["relevance"]


def test_vector_relevance():
    """Evidence adds up as 1 minus the product of what each leaves open."""
    for name in ("relevance", "relevance_rejected"):
        assert VECTORS[name]["in"]["evidence"] == [EVIDENCE_WEIGHTS[Evidence[key.upper()]] for key in TWO]
    assert rho(customer(), relevance=TWO) == pytest.approx(VECTORS["relevance"]["out"], rel=1e-12)


def test_vector_relevance_of_a_rejected_action():
    """A rejection within 60 days leaves a quarter of the relevance."""
    expected = VECTORS["relevance_rejected"]["out"]
    assert rho(customer(REJECTED), relevance=TWO) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("days", "counts"), [(0, True), (59.99, True), (60, False), (61, False), (-1, False)]
)
def test_a_rejection_counts_for_60_days(days, counts):
    """The window is half-open on event time: 60 days ago is over, the future has not happened."""
    entry = Entry(NOW - days * DAY, "outcome", "pos", outcome="rejected", action="a")
    assert rho(customer(entry)) == (0.25 if counts else 1.0)


def test_another_actions_rejection_does_not_count():
    """Only a rejection of this very action dampens it."""
    world = small(action(), action("b", mandatory=True))
    case = customer(Entry(NOW, "outcome", "pos", outcome="rejected", action="b"))
    assert world.terms(case)["relevance"] == 1.0
    assert world.terms(case, "b")["relevance"] == 0.25


def test_opting_out_of_an_action_leaves_no_relevance():
    """Whoever opted out would not have asked, however long ago it was."""
    case = customer(Entry(NOW - 900 * DAY, "outcome", "email", outcome="opted_out", action="a"))
    assert small().ends(case) == ("NOT_RELEVANT", 0.0, 0.3)


@pytest.mark.parametrize("flags", list(itertools.product([False, True], repeat=4)))
def test_dampers_apply_in_the_order_of_the_text(flags):
    """Rejected, then created need, then the cap on stock push unless the customer declared a preference."""
    rejected, creates, pushes, declared = flags
    evidence = {"declared_preference": "true"} if declared else {}
    evidence |= {"open_need": "true", "season": "true"}
    expected = oracle(
        ask_likelihood([(0.8, declared), (0.6, True), (0.15, True)]),
        rejected=rejected,
        creates=creates,
        pushes=pushes,
        declared=declared,
    )
    found = rho(
        customer(*[REJECTED] * rejected),
        relevance=evidence,
        need="create" if creates else "solve",
        intent="inside_out" if pushes else "outside_in",
    )
    assert found == pytest.approx(expected, rel=1e-12)


def test_a_declared_preference_that_does_not_hold_lifts_no_cap():
    """Only a preference the customer has lifts the stock-push cap."""
    evidence = {"declared_preference": "'recipes' in customer.needs", "open_need": "true"}
    push = {"intent": "inside_out", "relevance": evidence}
    assert rho(customer(facts={"needs": frozenset()}), **push) == 0.3
    assert rho(customer(), **push) == 0.3
    assert rho(customer(facts={"needs": frozenset({"recipes"})}), **push) > 0.9


@given(
    st.lists(
        st.none() | st.booleans() | st.sampled_from([-1.0, 0.0, 0.3, 1.0, 1.5, math.inf, -math.inf]),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=40, deadline=None)
def test_strengths_are_kept_within_0_and_1(strengths):
    """Unknown counts 0, a strength beyond [0, 1] counts as its end; the oracle agrees."""
    kinds = ("explicit_request", "open_need", "own_interest", "season")
    weights = (1.0, 0.6, 0.35, 0.15)
    sources = {None: "customer.discount_share", True: "true", False: "false"}
    evidence = {}
    for kind, value in zip(kinds, strengths, strict=False):
        known = sources.get(value) if value is None or isinstance(value, bool) else None
        # a constant beyond the ends would not compile; one that a fact goes into is known only here
        evidence[kind] = known or f"{max(-1e300, min(1e300, value))!r} + customer.revenue_net"
    expected = ask_likelihood(list(zip(weights, strengths, strict=False)))
    found = rho(customer(facts={"revenue_net": 0.0}), relevance=evidence)
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(
    ("channel", "direction", "threshold"),
    [
        ("call_centre", "inbound", 0.2),
        ("call_centre", "outbound", 0.6),
        ("pos", "inbound", 0.3),
        ("email", "outbound", 0.5),
        ("sms", "outbound", 0.6),
        ("push", "outbound", 0.7),
        ("location", "outbound", 0.8),
    ],
)
def test_thresholds_of_the_model(channel, direction, threshold):
    """An action is relevant from its channel's threshold on, and says what is missing below it."""
    treatments = {channel: {"say": "Hello"}}
    just, below = f"{threshold}", f"{threshold - 0.01:.2f}"
    for strength, reason in ((just, "CHOSEN"), (below, "NOT_RELEVANT")):
        world = small(
            action(treatments=treatments, relevance={"season": strength}),
            policies={"relevance": {"season": 1.0}},
        )
        found, actual, required = world.ends(customer(channel=channel, direction=direction))
        assert found == reason
        if reason == "NOT_RELEVANT":
            assert (actual, required) == (float(strength), threshold)


def test_the_same_action_passes_when_the_customer_comes_and_not_as_a_push():
    """What may be said to a customer who calls need not be worth interrupting them."""
    treatments = {"call_centre": {"say": "Hello"}}
    world = small(action(treatments=treatments, relevance={"inbound_topic": "true"}))
    assert world.ends(customer(channel="call_centre"))[0] == "CHOSEN"
    assert world.ends(customer(channel="call_centre", direction="outbound"))[0] == "NOT_RELEVANT"
