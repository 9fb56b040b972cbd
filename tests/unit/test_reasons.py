"""Explanations: words in both languages, actual and required values, margins, decisive terms, funnel."""

import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders.worlds import DAY, NOW, World, action, customer, documents, small
from tests.naive.plain import Entry

from nextbest.action.comparison import decisive_term
from nextbest.action.score import mutual_score
from nextbest.action.wording import SENTENCES, WHAT_WOULD_CHANGE, template
from nextbest.model import GATE_OF, Gate, Reason, Term

LANGUAGES = ("en", "da")
FIELDS = {"actual", "required", "facts", "channel", "score", "winner", "places"}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_words_in_both_languages(reason):
    """English and Danish say the same: each quotes the same values."""
    quoted = []
    for language in LANGUAGES:
        text = SENTENCES[reason][language]
        fields = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
        assert text
        assert fields <= FIELDS
        quoted.append(fields)
    assert quoted[0] == quoted[1]
    assert SENTENCES[reason]["en"] != SENTENCES[reason]["da"]


def test_every_reason_has_a_gate():
    """The funnel can place each."""
    assert set(GATE_OF) == set(Reason)


def test_remedies_are_told_in_both_languages():
    """What would have to change is said in every language the service speaks."""
    for texts in WHAT_WOULD_CHANGE.values():
        assert set(texts) == set(LANGUAGES)


def test_another_language_falls_back_to_english():
    """Texts for staff exist in two languages; English stands in."""
    assert template({"en": "yes", "da": "ja"}, "fr") == "yes"


def candidate(world, case, language="en", name="a", **options):
    """The explanation of one action."""
    return world.explainer(case, language, **options).candidate(world.rulebook.action_index[name])


BARGAIN = "bargain (customer.discount_share > 0.5)"
CONTENT = "customer.satisfaction > 80.0 && !customer.complaint_open"
OLD = {"as_of": NOW - 40 * DAY}
STORIES = {
    "NO_TREATMENT": (
        {"treatments": {"email": {"say": "Hello"}}},
        {},
        "has no treatment for pos in the places asked for",
        "har ingen udførelse til pos på de ønskede pladser",
    ),
    "CONSENT_MISSING": (
        {},
        {"direction": "outbound", "channel": "email", "facts": {"consent": frozenset()}},
        "the customer has not agreed to this contact: it needs email_marketing, agreed is {}",
        "kunden har ikke givet samtykke til denne kontakt: den kræver email_marketing, givet er {}",
    ),
    "TOPIC_BLOCKED": (
        {"topics": ["credit", "surveys"]},
        {"facts": {"blocked_topics": frozenset(["credit"])}},
        "the customer does not want to hear about it: it is about credit, surveys, blocked is {credit}",
        "kunden vil ikke høre om dette emne: det handler om credit, surveys, fravalgt er {credit}",
    ),
    "AUTHORITY_LACKING": (
        {"authority": 2},
        {"role": "agent"},
        "the role's authority is 1, the action needs 2",
        "rollens beføjelse er 1, handlingen kræver 2",
    ),
    "NOT_YET_VALID": (
        {"valid": {"from": "2030-01-01"}},
        {},
        "is valid from 2030-01-01T00:00+00:00",
        "gælder fra 2030-01-01T00:00+00:00",
    ),
    "NO_LONGER_VALID": (
        {"valid": {"through": "2020-12-31"}},
        {},
        "was valid until 2021-01-01T00:00+00:00",
        "gjaldt til 2021-01-01T00:00+00:00",
    ),
    "STAGE_MISMATCH": (
        {"stages": ["grow_me", "forgive_me"]},
        {},
        "the customer is in hear_me, the action is for grow_me, forgive_me",
        "kunden er i hear_me, handlingen er for grow_me, forgive_me",
    ),
    "SEGMENT_MISMATCH": (
        {"segments": ["cooks"]},
        {},
        "the customer is in none of the segments cooks",
        "kunden er i ingen af segmenterne cooks",
    ),
    "TRIGGER_NOT_FIRED": (
        {"triggers": ["bargain"]},
        {"facts": {"discount_share": 0.125}},
        f"none of its triggers has fired: {BARGAIN}; discount_share = 0.125",
        f"ingen af dens udløsere er aktive: {BARGAIN}; discount_share = 0.125",
    ),
    "TRIGGER_UNKNOWN": (
        {"triggers": ["bargain"]},
        {},
        f"cannot tell whether a trigger has fired: {BARGAIN}; discount_share = ?",
        f"kan ikke afgøre, om en udløser er aktiv: {BARGAIN}; discount_share = ?",
    ),
    "CONDITION_FALSE": (
        {"when": CONTENT},
        {"facts": {"satisfaction": 55.0, "complaint_open": True}},
        f"its condition is false: {CONTENT}; satisfaction = 55, complaint_open = true",
        f"betingelsen er falsk: {CONTENT}; satisfaction = 55, complaint_open = true",
    ),
    "CONDITION_UNKNOWN": (
        {"when": "customer.satisfaction > 80.0"},
        {},
        "its condition cannot be told: customer.satisfaction > 80.0; satisfaction = ?",
        "betingelsen kan ikke afgøres: customer.satisfaction > 80.0; satisfaction = ?",
    ),
    "SNAPSHOT_TOO_OLD": (
        {"max_snapshot_age": "30d"},
        OLD,
        "the snapshot is 40 days old, the action allows 30",
        "kundebilledet er 40 dage gammelt, handlingen tillader 30",
    ),
    "DATA_QUALITY_LOW": (
        {},
        {"figures": {"data_quality": 0.25}},
        "data quality is 0.25, below the floor of 0.4",
        "datakvaliteten er 0.25, under grænsen på 0.4",
    ),
    "SELL_HOLD": (
        {"desired_action": "up_sell"},
        {"facts": {"touchpoint_score": 4, "touchpoint_score_at": NOW - DAY}},
        "no selling now: the latest touchpoint score is 4, at or below 6",
        "intet salg nu: seneste kontaktscore er 4, på eller under 6",
    ),
    "NO_VALUE_FOR_CUSTOMER": (
        {"effect": {"once": -5}},
        {},
        "would cost the customer more than it is worth to them: -2.5",
        "ville koste kunden mere, end det er værd: -2.5",
    ),
    "NOT_RELEVANT": (
        {"relevance": {"season": "true"}},
        {},
        "relevance is 0.15, this situation asks for 0.3",
        "relevansen er 0.15, situationen kræver 0.3",
    ),
    "CAP_REACHED": (
        {"caps": [{"at_most": 0, "within": "7d"}]},
        {},
        "was used 0 times, at most 0 are allowed",
        "er brugt 0 gange, højst 0 er tilladt",
    ),
    "ABOVE_INVESTMENT_CEILING": (
        {"cost": {"contact": 2, "accepted": 4}},
        {"figures": {"investment_ceiling": 3.5}},
        "the expected cost of 4 is above the customer's investment ceiling of 3.5",
        "den forventede omkostning på 4 er over kundens investeringsloft på 3.5",
    ),
    "WORSE_THAN_DO_NOTHING": (
        {"cost": {"contact": 9}},
        {},
        "doing nothing is worth more: score -2",
        "det er mere værd ikke at gøre noget: score -2",
    ),
    "PROPENSITY_UNKNOWN": (
        {"propensity": "customer.discount_share"},
        {},
        "cannot tell how likely the customer is to accept, nor what it is worth to them",
        "kan ikke afgøre, hvor sandsynligt kunden siger ja, eller hvad det er værd for kunden",
    ),
    "CHOSEN": (
        {},
        {},
        "best expected mutual value: score 7",
        "størst forventet gensidig værdi: score 7",
    ),
    "MANDATORY": (
        {"mandatory": True},
        {},
        "mandatory in this situation",
        "obligatorisk i denne situation",
    ),
}


@pytest.mark.parametrize("name", STORIES)
def test_an_explanation_says_what_the_gate_saw_and_asked_for(name):
    """In words of both languages, with the actual and the required value."""
    changes, situation, *sentences = STORIES[name]
    world = small(
        action(**changes),
        segments=[{"id": "cooks", "when": "'recipes' in customer.needs"}],
        triggers=[{"id": "bargain", "when": "customer.discount_share > 0.5"}],
    )
    case = customer(**situation)
    for language, sentence in zip(LANGUAGES, sentences, strict=True):
        found = candidate(world, case, language)
        assert (found.reason.name, found.gate) == (name, GATE_OF[found.reason])
        assert found.sentence == sentence
        remedy = WHAT_WOULD_CHANGE.get(found.reason)
        lacking = ", ".join(required_and_unknown(world, case))
        assert found.remedy == ("" if remedy is None else remedy[language].format(lacking=lacking))


def required_and_unknown(world, case):
    """Required facts that the customer lacks, the weightiest first."""
    weights = {f.name: f.quality_weight for f in world.rulebook.catalogue.facts if f.quality_weight > 0}
    return sorted(weights.keys() - case.facts.keys(), key=lambda name: -weights[name])


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
    assert found.remedy == "collect the required facts: needs, touchpoint_score, satisfaction"


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
    assert found.sentence == "the last location push was 1 days ago, at least 7 are needed"
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
    assert found.sentence == "score 4, behind b of the same group"
    other = candidate(world, customer(), name="c", limit=1)
    assert other.reason is Reason.BEATEN_IN_RANK
    assert other.margin == pytest.approx(2.0)
    assert other.decisive is Term.PROFIT_GAIN
    assert other.sentence == "score 5, behind b and no place left"
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


def test_the_decisive_term_of_classic_priorities_is_a_ratio():
    """In classic mode the factor that differs most; the value V is no term of the breakdown."""
    strategy = {"arbitration": "classic"}
    world = small(action("a", propensity="0.1"), action("b", lever=-50), strategy=strategy)
    assert candidate(world, customer(), limit=1).decisive is Term.PROPENSITY
    dear = small(action("a"), action("b", value=5), strategy=strategy)
    assert candidate(dear, customer(), limit=1).decisive is None


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
