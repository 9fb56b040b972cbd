"""Explanations: words in both languages, actual and required values, margins, decisive terms, funnel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders.worlds import DAY, NOW, World, action, customer, documents, small
from tests.naive.plain import Entry

from nextbest.action.comparison import decisive_term
from nextbest.action.score import mutual_score
from nextbest.action.wording import template
from nextbest.model import GATE_OF, Gate, Reason, Term


def test_every_reason_has_a_gate():
    """The funnel can place each."""
    assert set(GATE_OF) == set(Reason)


def test_another_language_falls_back_to_english():
    """Texts for staff exist in two languages; English stands in."""
    assert template({"en": "yes", "da": "ja"}, "fr") == "yes"


def candidate(world, case, language="en", name="a", **options):
    """The explanation of one action."""
    return world.explainer(case, language, **options).candidate(world.rulebook.action_index[name])


def test_a_low_data_quality_names_what_to_collect():
    """The remedy lists the required facts that are missing, the weightiest first, then those gone stale."""
    files = documents(action())
    files["facts.yaml"]["quality"] = {
        "satisfaction": {"weight": 1},
        "needs": {"weight": 3},
        "touchpoint_score": {"weight": 2, "fresh": "1d"},
    }
    world = World(files)
    old = {"touchpoint_score": 9, "touchpoint_score_at": NOW - 40 * DAY}
    case = customer(figures={"data_quality": 0.1}, facts=old)
    found = candidate(world, case, "en")
    assert found.remedy == "a data quality of at least 40%: collect needs, touchpoint_score, satisfaction"


def test_a_pause_says_how_long_it_lasts():
    """In days, from now."""
    limit = {"outcome": "presented", "at_least": 1, "within": "1d", "pause": "10d"}
    entry = Entry(NOW - 7.5 * DAY, "contact", "pos", outcome="presented", action="a")
    found = candidate(small(action(limits=[limit])), customer(entry))
    assert found.sentence == "paused by contact policy for another 2.5 days"
    assert (found.actual, found.required, found.unit) == (2.5, 0.0, "days")


def test_pressure_and_location_say_their_numbers():
    """What it would be against the cap, and how long ago the last push was."""
    pushes = [Entry(NOW - DAY, "contact", "location", outcome="presented") for _ in range(2)]
    world = small()
    found = candidate(world, customer(*pushes, direction="outbound", channel="location"))
    assert found.sentence == "the last location push was 1 day ago, at least 7 days are needed"
    crowd = customer(*pushes * 2, direction="outbound", channel="location")
    assert candidate(world, crowd).sentence == "contact pressure would be 9.246, above the stage's cap of 6"


def test_a_beaten_action_says_by_whom_by_how_much_and_by_which_term():
    """The margin is the score it lacks; the decisive term is what would lift it furthest."""
    world = small(
        action("a", cost={"contact": 3}, group="g0"),
        action("b", group="g0"),
        action("c", effect={"customer_gap": 0.1, "profit_gap": 0.05}),
    )
    found = candidate(world, customer(), limit=1)
    assert (found.reason, found.lost_to) == (Reason.BEATEN_IN_GROUP, world.rulebook.action_index["b"])
    assert found.margin == pytest.approx(3.0)
    assert found.decisive is Term.CONTACT_COST
    assert found.sentence == (
        "score EUR 4.00, EUR 3.00 behind b of the same group; it loses most by the cost of the contact"
    )
    other = candidate(world, customer(), name="c", limit=1)
    assert other.reason is Reason.BEATEN_IN_RANK
    assert other.margin == pytest.approx(2.0)
    assert other.decisive is Term.PROFIT_GAIN
    assert other.sentence == (
        "score EUR 5.00, EUR 2.00 behind b and no place left; it loses most by our gain"
    )
    assert other.rank is None
    winner = candidate(world, customer(), name="b", limit=1)
    assert (winner.rank, winner.margin, winner.lost_to, winner.decisive) == (1, None, None, None)


def test_a_group_is_beaten_by_its_own_best_even_without_a_place():
    """The best of the group beats the others also where it finds no place itself."""
    world = small(
        action("a", group="g0", cost={"contact": 2}),
        action("b", group="g0", cost={"contact": 1}),
        action("c"),
    )
    found = candidate(world, customer(), limit=1)
    assert (found.reason, found.lost_to) == (Reason.BEATEN_IN_GROUP, 1)
    assert found.margin == pytest.approx(1.0)
    assert candidate(world, customer(), name="b", limit=1).reason is Reason.BEATEN_IN_RANK


def test_no_margin_is_told_to_a_mandatory_action():
    """No score beats what must be said."""
    world = small(action("a"), action("z", mandatory=True))
    found = candidate(world, customer(), limit=1)
    assert (found.reason, found.lost_to) == (Reason.BEATEN_IN_RANK, world.rulebook.action_index["z"])
    assert (found.margin, found.decisive) == (None, None)


@pytest.mark.parametrize(
    ("changes", "term"),
    [
        ({"cost": {"contact": 9}}, Term.CONTACT_COST),
        ({"cost": {"contact": 1, "accepted": 18}}, Term.ACCEPTED_COST),
        ({"relevance": {"explicit_request": "0.3"}, "cost": {"contact": 3}}, Term.RELEVANCE),
        ({"effect": {"customer_gap": 0.1, "profit_gap": 0.1, "ltv": -200}}, Term.PROFIT_GAIN),
    ],
)
def test_what_loses_to_doing_nothing_says_what_drags_it_down(changes, term):
    """The cost, loss or damper without which it would score most."""
    found = candidate(small(action(**changes)), customer())
    assert found.reason is Reason.WORSE_THAN_DO_NOTHING
    assert found.margin == pytest.approx(-found.actual)
    assert found.decisive is term


def test_a_cap_that_only_lost_history_reaches_says_so():
    """Where known contacts leave room and lost ones may not, nobody is told that the cap is reached."""
    world = small(action(caps=[{"at_most": 2, "within": "200d"}]))
    lost = candidate(world, customer(direction="outbound", channel="email", lost=NOW - 199 * DAY))
    assert (lost.reason, lost.actual, lost.required) == (Reason.CAP_REACHED, 0.0, 2.0)
    assert "in what is left of the history" in lost.sentence
    never = small(action(caps=[{"at_most": 0, "within": "200d"}]))
    assert "left of the history" not in candidate(never, customer()).sentence


def test_the_decisive_term_of_classic_priorities_is_a_ratio():
    """In classic mode the factor that differs most, which may be the value V of the rule file."""
    strategy = {"arbitration": "classic"}
    world = small(action("a", propensity="0.1"), action("b", lever=-50), strategy=strategy)
    assert candidate(world, customer(), limit=1).decisive is Term.PROPENSITY
    dear = small(action("a"), action("b", value=5), strategy=strategy)
    found = candidate(dear, customer(), limit=1)
    assert found.decisive == "business_value"
    assert "its value in the rule file" in found.sentence
    level = small(action("a"), action("b", priority=1), strategy=strategy)
    assert candidate(level, customer(), limit=1).decisive is None


@given(st.lists(st.floats(0, 1), min_size=26, max_size=26))
@settings(max_examples=50, deadline=None)
def test_the_decisive_term_lifts_the_score_as_no_other_does(shares):
    """No other single term of the winner would raise the loser's score further."""
    loser, winner = np.array(shares).reshape(2, 13).tolist()
    rows = []
    for s in (loser, winner):
        row = np.zeros(len(Term))
        row[Term.PROPENSITY], row[Term.CUSTOMER_GAIN], row[Term.PROFIT_GAIN] = s[0], 100 * s[1], 100 * s[2]
        row[Term.CUSTOMER_WEIGHT], row[Term.MULTIPLIER] = 0.6, 1.0
        row[Term.RELEVANCE], row[Term.CONTEXT_WEIGHT], row[Term.LEVER] = s[3], 1 + s[4], 0.5 + s[5]
        row[Term.PRESSURE_FACTOR], row[Term.CONTACT_COST] = s[6], s[7]
        row[Term.ACCEPTED_COST], row[Term.CONTACT_PRICE] = s[0] * s[8], s[9]
        mutual_score(row)
        rows.append(row)
    loser, winner = sorted(rows, key=lambda row: row[Term.SCORE])
    decisive = decisive_term(loser, winner, classic=False)

    def lifted(term):
        row = loser.copy()
        row[term] = winner[term]
        if term is Term.PROPENSITY and loser[term] > 0:
            row[Term.ACCEPTED_COST] = loser[Term.ACCEPTED_COST] / loser[term] * winner[term]
        return mutual_score(row)

    if loser[Term.SCORE] < winner[Term.SCORE] and decisive is not None:
        terms = (Term.PROPENSITY, Term.CUSTOMER_GAIN, Term.RELEVANCE, Term.CONTACT_COST, Term.LEVER)
        assert lifted(decisive) >= max(map(lifted, terms)) - 1e-9


def test_the_funnel_counts_every_action_once():
    """As many enter as the gate before let through; what is left at the end was chosen."""
    world = small(
        action("a"),
        action("b", stages=["grow_me"]),
        action("c", when="customer.satisfaction > 80.0"),
        action("d", cost={"contact": 9}),
        action("e", treatments={"email": {"say": "Hello"}}),
        action("f", propensity="customer.discount_share"),
    )
    funnel = {step.gate: (step.entered, step.stopped) for step in world.explainer(customer()).funnel()}
    assert list(funnel) == list(Gate)
    assert funnel[Gate.TREATMENT] == (6, 1)
    assert funnel[Gate.CONSENT] == (5, 0)
    assert funnel[Gate.STAGE_SEGMENT] == (5, 1)
    assert funnel[Gate.CONDITION] == (4, 1)
    assert funnel[Gate.MUTUAL] == (3, 1)
    assert funnel[Gate.ARBITRATION] == (2, 1)


def test_different_triggers_give_different_customers_different_actions():
    """The same trigger leads to another action in another stage."""
    triggers = [{"id": "t", "when": "customer.discount_share > 0.5"}]
    world = small(
        action("a", triggers=["t"], stages=["hear_me"]),
        action("b", triggers=["t"], stages=["grow_me"]),
        triggers=triggers,
    )
    facts = {"discount_share": 0.9}
    assert world.ranking(customer(facts=facts)) == ["a"]
    assert world.ranking(customer(facts=facts, figures={"stage": 2})) == ["b"]
