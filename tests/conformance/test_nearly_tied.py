"""What is left out of the comparison with plain Python: rounding, and nothing else."""

import pytest
from tests.conformance.deciding import nearly_tied
from tests.naive import score
from tests.naive.decide import Decision, Verdict
from tests.naive.plain import Action


def decision(**scores):
    """What plain Python decides where actions have such scores, by their terms a gain of 2 less 2."""
    return Decision((), {name: Verdict(name, "CHOSEN", None, terms=terms(s)) for name, s in scores.items()})


def terms(total, *, scale=1.0):
    """Terms of an action that gains 6 and costs 2 at a propensity of a third, and their sum."""
    action = Action(id="a", desired_action="buy", treatments=(), yearly=6.0 * scale, contact_cost=2.0 * scale)
    made = score.score(
        action, p=1 / 3, value_gap=0.0, profit_gap=0.0, life=None, weight=1.0, relevance=1.0, context=1.0,
        lever=1.0, q=1.0, pi=0.0, mu=0.0, w_ch=0.0,
    )  # fmt: skip
    return made | {"score": total}


@pytest.mark.parametrize(("ours", "expected"), [(0.0, 4.4e-16), (4.4e-16, 0.0), (-4.4e-16, 4.4e-16)])
def test_a_score_beside_0_by_rounding_is_nearly_tied(ours, expected):
    """Doing nothing competes with 0: what sums to 0 in one order and not in another is rounding."""
    assert nearly_tied({"a": ours}, decision(a=expected))


def test_two_scores_turned_by_rounding_are_nearly_tied():
    """Neighbours that differ in the last bits may rank either way, at the size of what was summed."""
    assert nearly_tied({"a": 2.0, "b": 2.0}, decision(a=2.0, b=2.0 + 4.4e-16))
    assert nearly_tied({"a": 1e-15, "b": 0.0}, decision(a=0.0, b=1e-15))


@pytest.mark.parametrize(
    ("ours", "expected"), [(0.0, 1e-9), (-1e-12, 1e-12), (0.0, 1e-12), (1.0, -1.0), (float("nan"), 4.4e-16)]
)
def test_a_real_difference_from_doing_nothing_is_not_excused(ours, expected):
    """What is apart from 0 by more than the rounding of terms that size is compared; no score at all, too."""
    assert not nearly_tied({"a": ours}, decision(a=expected))


def test_a_real_difference_of_two_scores_is_not_excused():
    """Scores that one side orders otherwise by more than rounding are compared, and so found."""
    assert not nearly_tied({"a": 2.0, "b": 2.0 - 1e-11}, decision(a=2.0, b=2.0 + 1e-11))
    assert not nearly_tied({"a": 0.5, "b": 0.7}, decision(a=0.7, b=0.5))


def test_close_scores_in_one_order_are_compared():
    """As long as both sides order them alike, nothing is left out."""
    assert not nearly_tied({"a": 4.4e-16, "b": 2.0}, decision(a=4.4e-16, b=2.0))
    assert not nearly_tied({"a": 0.0, "b": 0.0}, decision(a=0.0, b=0.0))


def test_rounding_grows_with_the_terms():
    """A millionth of a millionth is rounding where millions are summed, and none where ones are."""
    large = Decision((), {"a": Verdict("a", "CHOSEN", None, terms=terms(3e-8, scale=1e6))})
    assert nearly_tied({"a": 0.0}, large)
    assert not nearly_tied({"a": 0.0}, decision(a=3e-8))
