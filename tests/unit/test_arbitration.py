"""Ranking: groups, ties, mandatory actions, doing nothing; and what the choice says of those beaten."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders.worlds import World, action, customer, documents, small

from nextbest.action.ranking import best_of_group, insert_scored, outranks
from nextbest.action.tables import Code
from nextbest.action.tracing import settle_reasons
from nextbest.model import Reason, Term

MOST = 12
TABLES = small(*(action(f"a{i:02}") for i in range(MOST))).model.tables


def tables_of(survivors):
    """Packed tables in which only what ranking reads is set."""
    codes = TABLES.codes.copy()
    for row, (mandatory, _, group, priority, place) in zip(codes, survivors, strict=False):
        row[Code.GROUP], row[Code.PRIORITY], row[Code.ID_ORDER] = group, priority, place
        row[Code.MANDATORY] = mandatory
    return TABLES._replace(codes=codes[: len(survivors)])


@st.composite
def survivors(draw):
    """(mandatory, score, group, priority, place in the order of ids) of some survivors."""
    n = draw(st.integers(1, MOST))
    places = draw(st.permutations(range(n)))
    scores = st.sampled_from([0.5, 1.0, 1.0, 2.0, 1e-300, 1e300]) | st.floats(1e-6, 1e6)
    return [
        (
            draw(st.sampled_from([False, False, False, True])),
            draw(scores),
            draw(st.sampled_from([-1, -1, 0, 1, 2])),
            draw(st.sampled_from([0, 0, 1, -1])),
            places[i],
        )
        for i in range(n)
    ]


def full_sort(entries):
    """All survivors by mandatory, score, priority and id; then the first of each group."""

    def key(i):
        mandatory, score, _, priority, place = entries[i]
        return not mandatory, -score, -priority, place

    order = sorted(range(len(entries)), key=key)
    kept, groups = [], set()
    for i in order:
        group = entries[i][2]
        if group < 0 or group not in groups:
            kept.append(i)
            groups.add(group)
    return kept


def traced(entries):
    """(reason, terms) rows as `consider_action` leaves them."""
    reason = np.array([Reason.MANDATORY if e[0] else Reason.CHOSEN for e in entries], np.int32)
    terms = np.full((len(entries), len(Term)), math.nan)
    terms[:, Term.SCORE] = [e[1] for e in entries]
    return reason, terms


@given(survivors(), st.integers(1, MOST))
@settings(max_examples=100, deadline=None)
def test_the_best_few_are_the_first_of_a_full_sort(entries, k):
    """Keeping k while looking at each survivor once gives the first k of a full sort with groups."""
    tables = tables_of(entries)
    _, terms = traced(entries)
    ranked, scores, count = np.full(k, -1, np.int32), np.empty(k), 0
    for i in range(len(entries)):
        count = insert_scored(tables, i, terms[i, Term.SCORE], ranked, scores, count)
    assert ranked[:count].tolist() == full_sort(entries)[:k]
    assert scores[:count].tolist() == [terms[i, Term.SCORE] for i in ranked[:count]]


@given(survivors(), st.integers(1, MOST))
@settings(max_examples=60, deadline=None)
def test_who_is_not_listed_was_beaten_in_the_group_or_in_rank(entries, k):
    """In the group if a better one of it survived, in rank if only a further place was missing."""
    tables = tables_of(entries)
    reason, terms = traced(entries)
    everyone = full_sort(entries)
    listed = everyone[:k]
    ranked = np.full((1, k), -1, np.int32)
    ranked[0, : len(listed)] = listed
    settled = reason.reshape(1, -1).copy()
    settle_reasons(tables, settled, terms.reshape(1, *terms.shape), ranked, np.array([len(listed)], np.int32))
    for i in range(len(entries)):
        expected = Reason(reason[i])
        if i not in listed:
            expected = Reason.BEATEN_IN_RANK if i in everyone else Reason.BEATEN_IN_GROUP
        assert Reason(settled[0, i]) is expected
        alone = best_of_group(tables, reason, terms, i) == i
        assert alone is (i in everyone)


@given(survivors())
@settings(max_examples=60, deadline=None)
def test_the_order_is_total_and_strict(entries):
    """Of two survivors exactly one is better, whatever their scores."""
    tables = tables_of(entries)
    _, terms = traced(entries)
    for a in range(len(entries)):
        for b in range(len(entries)):
            if a != b:
                one, other = (a, terms[a, Term.SCORE]), (b, terms[b, Term.SCORE])
                assert outranks(tables, *one, *other) != outranks(tables, *other, *one)


def test_ties_go_to_the_higher_priority_then_to_the_id():
    """Equal scores are decided by priority, then by name: the same on every machine."""
    world = small(action("b"), action("a"), action("c", priority=1), action("d", priority=-1))
    assert world.ranking(customer()) == ["c", "a", "b", "d"]


def test_a_group_gives_one_answer():
    """At most one action of a group; actions without a group do not beat each other."""
    better = {"effect": {"customer_gap": 0.2, "profit_gap": 0.2}}
    world = small(
        action("a", group="g0"), action("b", group="g0", **better), action("c", group="g1"), action("d")
    )
    assert world.ranking(customer()) == ["b", "c", "d"]
    assert world.ends(customer(), "a")[0] == "BEATEN_IN_GROUP"


def test_mandatory_actions_come_first_and_need_no_score():
    """Whatever it scores, what must be said comes first; an apology is never silence."""
    apology = action("z", mandatory=True, cost={"contact": 500}, desired_action="repair", relevance={})
    world = small(action("a"), apology)
    assert world.ranking(customer()) == ["z", "a"]
    assert world.ranking(customer(), limit=1) == ["z"]
    assert world.terms(customer(), "z")["score"] < 0


def test_a_mandatory_action_takes_its_groups_place():
    """One of a group, and mandatory comes first."""
    must = action("z", mandatory=True, group="g0", effect={})
    world = small(action("a", group="g0"), must)
    assert world.ranking(customer()) == ["z"]
    assert world.ends(customer(), "a")[0] == "BEATEN_IN_GROUP"


@pytest.mark.parametrize(("cost", "ranked"), [(6.99, ["a"]), (7.0, []), (7.01, [])])
def test_doing_nothing_competes_and_wins_ties(cost, ranked):
    """An action is returned only with a score above 0, the score of doing nothing."""
    world = small(action(cost={"contact": cost}))
    case = customer()
    assert world.terms(case)["benefit"] == pytest.approx(7.0, rel=1e-15)
    assert world.ranking(case) == ranked
    if not ranked:
        assert world.ends(case) == ("WORSE_THAN_DO_NOTHING", pytest.approx(7.0 - cost), 0.0)


def test_the_best_for_both_is_not_the_largest_sale():
    """Actions rank by expected value, not by what they bring in if accepted."""
    world = small(
        action("sale", desired_action="up_sell", propensity="0.05", effect={"profit_gap": 0.9}),
        action("service", propensity="0.6", effect={"customer_gap": 0.3, "profit_gap": 0.1}),
    )
    assert world.ranking(customer()) == ["service", "sale"]


def test_an_answer_has_no_more_places_than_asked_for():
    """Unused places hold −1; an action that finds none is told that it was beaten in rank."""
    world = small(*(action(f"a{i}", cost={"contact": i / 10}) for i in range(5)))
    decisions, trace = world.explain([customer()], limit=3)
    assert decisions.count.tolist() == [3]
    assert decisions.action.tolist() == [[0, 1, 2]]
    assert [Reason(r).name for r in trace.reason[0]] == ["CHOSEN"] * 3 + ["BEATEN_IN_RANK"] * 2
    roomy = world.decide([customer()], limit=7)
    assert roomy.action.tolist() == [[0, 1, 2, 3, 4, -1, -1]]
    assert np.isnan(roomy.terms[0, 5:]).all()


@pytest.mark.parametrize("lever", [-100, 0, 100])
def test_what_overflows_never_wins(lever):
    """Scores beyond floating point do not push an action to the front, nor break the order."""
    huge = {"customer_gap": 1, "profit_gap": 1, "recurring": 1}
    world = small(action(effect=huge, lever=lever), action("b", effect={"customer_gap": 0.1}))
    figures = {"value_gap": 1e308, "profit_gap": 1e308, "multiplier": 1e9}
    assert world.ranking(customer(figures=figures)) == ["b"]
    assert world.ends(customer(figures=figures)) == ("WORSE_THAN_DO_NOTHING", -math.inf, 0.0)
    assert world.ranking(customer()) == ["a", "b"]


def test_permuting_the_entries_of_a_file_changes_nothing():
    """The order in which actions stand in a file says nothing."""
    actions = [action(f"a{i}", cost={"contact": i % 3}) for i in range(6)]
    forth, back = World(documents(*actions)), World(documents(*reversed(actions)))
    assert forth.ranking(customer()) == back.ranking(customer())
