"""Several placements in one request: one action each, in the request's order of preference."""

import numpy as np
import pytest
from tests.builders.rulebooks import CONSENTS
from tests.builders.worlds import action, customer, small

BOTH = ("receipt", "display")
BETTER, BEST = ({"effect": {"customer_gap": gap, "profit_gap": gap}} for gap in (0.2, 0.3))


def at(*places):
    """Treatments for the till: in some places, or `any`."""
    return {"treatments": {"pos" if p == "any" else f"pos/{p}": {"say": "Hello"} for p in places}}


def shown(world, case, **options):
    """(action, placement, treatment) of each answer."""
    book, found = world.rulebook, world.decide([case], **options)
    return [
        (book.actions[a].id, book.placements[p] if p >= 0 else None, book.treatments[t].id)
        for a, p, t in zip(found.action[0], found.placement[0], found.treatment[0], strict=True)
        if a >= 0
    ]


def reasons(world, case, **options):
    """Why each action ended where it did."""
    return {
        entry.id: world.explainer(case, **options).candidate(i).reason.name
        for i, entry in enumerate(world.rulebook.actions)
    }


@pytest.mark.parametrize("order", [BOTH, BOTH[::-1]])
def test_the_best_action_takes_the_preferred_placement(order):
    """Where treatments fit all places asked for, actions fill them in the order of preference."""
    world = small(action("a", **at(*BOTH)), action("b", **at(*BOTH), **BETTER))
    assert shown(world, customer(placements=order)) == [
        ("b", order[0], f"b/pos/{order[0]}"),
        ("a", order[1], f"a/pos/{order[1]}"),
    ]


def test_a_treatment_without_placement_takes_the_first_free_one():
    """It fits any place asked for; the answer says which one it got."""
    world = small(action("a", **at("any")), action("b", **at("receipt"), **BETTER))
    assert shown(world, customer(placements=BOTH)) == [
        ("b", "receipt", "b/pos/receipt"),
        ("a", "display", "a/pos"),
    ]


def test_no_two_answers_share_a_placement():
    """An action without a free place is left out, and lower ranked ones take what is free."""
    world = small(
        action("a", **at("receipt"), **BEST),
        action("b", **at("receipt"), **BETTER),
        action("c", **at("display")),
    )
    case = customer(placements=BOTH)
    assert [(a, p) for a, p, _ in shown(world, case)] == [("a", "receipt"), ("c", "display")]
    assert reasons(world, case) == {"a": "CHOSEN", "b": "DUPLICATE_PLACEMENT", "c": "CHOSEN"}


def test_no_more_answers_than_places():
    """One place asked for gives one answer, however many results are wanted."""
    world = small(*(action(name, **at("any")) for name in "abcd"))
    assert shown(world, customer(placements=("display",)), limit=25) == [("a", "display", "a/pos")]


def test_results_bound_what_places_allow():
    """Who found a place but no room is beaten in rank; what has no place in any case says so."""
    world = small(
        action("a", **at("receipt"), **BEST), action("b", **at("display")), action("c", **at("display"))
    )
    case = customer(placements=BOTH)
    assert [a for a, _, _ in shown(world, case, limit=1)] == ["a"]
    assert reasons(world, case, limit=1) == {
        "a": "CHOSEN",
        "b": "BEATEN_IN_RANK",
        "c": "DUPLICATE_PLACEMENT",
    }


def test_mandatory_actions_take_places_first():
    """What must be said has the place before a better score."""
    world = small(action("a", **at("receipt"), mandatory=True), action("b", **at("receipt"), **BEST))
    case = customer(placements=("receipt",))
    assert [a for a, _, _ in shown(world, case)] == ["a"]
    assert reasons(world, case) == {"a": "MANDATORY", "b": "DUPLICATE_PLACEMENT"}


def test_a_group_shows_one_action_that_has_a_place():
    """The best of a group that finds a place is its answer; one that found none bars nobody."""
    world = small(
        action("a", **at("receipt"), mandatory=True),
        action("b", **at("receipt"), **BEST, group="g0"),
        action("c", **at("display"), **BETTER, group="g0"),
        action("d", **at("any"), group="g0"),
    )
    case = customer(placements=(*BOTH, "top"))
    assert [(a, p) for a, p, _ in shown(world, case)] == [("a", "receipt"), ("c", "display")]
    assert reasons(world, case) == {
        "a": "MANDATORY",
        "b": "DUPLICATE_PLACEMENT",
        "c": "CHOSEN",
        "d": "BEATEN_IN_GROUP",
    }


def test_a_treatment_that_a_gate_stops_opens_no_place():
    """Without consent to one treatment the action is shown only where another may be."""
    treatments = {
        "email/top": {"say": "Hello", "consent": ["email_survey"]},
        "email/foot": {"say": "Hello", "consent": ["email_marketing"]},
    }
    world = small(action("a", treatments=treatments))
    given = {"consent": frozenset(CONSENTS) - {"email_survey"}}
    outbound = {"channel": "email", "direction": "outbound", "placements": ("top", "foot")}
    assert shown(world, customer(**outbound)) == [("a", "top", "a/email/top")]
    assert shown(world, customer(facts=given, **outbound)) == [("a", "foot", "a/email/foot")]


def test_without_places_asked_for_the_ranking_is_as_ever():
    """Nobody is left out for a place, and no place is told."""
    world = small(*(action(name, **at("receipt")) for name in "abc"))
    assert shown(world, customer()) == [(name, None, f"{name}/pos/receipt") for name in "abc"]


def test_asking_for_places_changes_nothing_for_others_in_the_batch():
    """Customers of a block decide each for themselves."""
    world = small(*(action(name, **at(*BOTH)) for name in "abcd"))
    cases = [customer(placements=p) for p in ((), ("display",), BOTH, (), BOTH[::-1])]
    together = world.decide(cases)
    assert together.count.tolist() == [3, 1, 2, 3, 2]
    for row, case in enumerate(cases):
        alone = world.decide([case])
        for name in ("action", "treatment", "placement"):
            assert np.array_equal(getattr(together, name)[row], getattr(alone, name)[0])


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "score EUR 7.00, but better actions have each place it fits: receipt (a);"),
        ("da", "score 7,00 EUR, men bedre handlinger har alle de pladser, den passer til: receipt (a);"),
    ],
)
def test_an_explanation_names_the_place_and_who_has_it(language, sentence):
    """Who lost a place hears to whom, by how much, and where."""
    world = small(
        action("a", **at("receipt"), **BEST), action("b", **at("receipt")), action("c", **at("display"))
    )
    explainer = world.explainer(customer(placements=BOTH), language)
    index = world.rulebook.action_index
    found = explainer.candidate(index["b"])
    assert found.sentence.startswith(sentence)
    assert (found.lost_to, found.rank) == (index["a"], None)
    assert found.margin == pytest.approx(14.0)
    assert world.rulebook.placements[explainer.candidate(index["c"]).placement] == "display"


def test_who_could_be_in_several_places_hears_of_all():
    """Every place that an action fits is named with its action; closest is the lowest of these."""
    world = small(
        action("a", **at("receipt"), **BEST), action("b", **at("display"), **BETTER), action("c", **at("any"))
    )
    found = world.explainer(customer(placements=BOTH)).candidate(world.rulebook.action_index["c"])
    assert "receipt (a)" in found.sentence
    assert "display (b)" in found.sentence
    assert found.lost_to == world.rulebook.action_index["b"]
