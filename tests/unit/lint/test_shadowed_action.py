"""Shadowed actions: found when one is better in every way, and not when the other has any turn of its own."""

from pathlib import Path

import pytest
from tests.builders.rulebooks import RulebookGenerator, write
from tests.builders.worlds import action, documents

from nextbest.rulebook.compile import examine_source
from nextbest.rulebook.lint import shadowed_action
from nextbest.rulebook.lint.finding import Subject
from nextbest.rulebook.source import load_source

PRIOR = {"successes": 3, "failures": 7}
BETTER = {"group": "g0", "propensity": PRIOR, "effect": {"customer_gap": 0.2, "profit_gap": 0.2}}
WORSE = {"group": "g0", "propensity": PRIOR}


def shadowed(directory: Path, *actions, tables=(), **parts) -> list[str]:
    """Ids of the actions that are reported."""
    tables = {"tables/all.yaml": {"tables": list(tables)}} if tables else {}
    write(documents(*actions, **parts) | tables, directory)
    found, diagnostics = examine_source(load_source(directory))
    assert found is not None, diagnostics
    return [finding.message.split("`")[1] for finding in shadowed_action.check(Subject(found))]


def test_better_action_shadows(tmp_path: Path) -> None:
    """An action that another of its group beats in every term, for everybody, is reported."""
    assert shadowed(tmp_path, action("a", **BETTER), action("b", **WORSE)) == ["b"]


def test_order_of_ids_decides_between_equals(tmp_path: Path) -> None:
    """Of two equal actions the later id never gets its turn."""
    assert shadowed(tmp_path, action("a", **WORSE), action("b", **WORSE)) == ["b"]


@pytest.mark.parametrize(
    "change",
    [
        {"group": None},
        {"group": "g1"},
        {"stages": ["know_me"]},
        {"segments": ["s"]},
        {"triggers": ["t"]},
        {"when": "customer.revenue_net > 5.0"},
        {"desired_action": "cross_sell"},
        {"treatments": {"email": {"say": "Hello"}}},
        {"authority": 5},
        {"valid": {"from": "2023-01-01"}},
        {"valid": {"through": "2029-01-01"}},
        {"max_snapshot_age": "3d"},
        {"topics": ["alcohol"]},
        {"caps": [{"at_most": 1, "within": "30d"}]},
        {"limits": [{"outcome": "rejected", "at_least": 1, "within": "30d", "pause": "30d"}]},
        {"relevance": {"season": "true"}},
        {"context": [{"when": "context.intent == 'buy'", "weight": -50}]},
        {"need": "create"},
        {"intent": "inside_out"},
        {"lever": -40},
        {"cost": {"accepted": 1}},
        {"cost": {"contact": 1}},
        {"uplift": {"base": 0.1}},
        {"propensity": {"successes": 1, "failures": 9}},
        {"propensity": "0.9"},
        {"effect": {"customer_gap": 0.2, "profit_gap": 0.05}},
        {"effect": {"customer_gap": 0.05, "profit_gap": 0.2}},
        {"effect": {"customer_gap": 0.2, "profit_gap": 0.2, "minutes": 1}},
        {"effect": {"customer_gap": 0.2, "profit_gap": 0.2, "recurring": 0.5}},
        {"effect": {"customer_gap": 0.2, "profit_gap": 0.2, "horizon": "short"}},
        {"benefit_group": "gifts"},
    ],
    ids=str,
)
def test_other_action_keeps_a_turn(change, tmp_path: Path) -> None:
    """Whatever leaves the other action a customer, a place or a better term of its own silences the lint."""
    parts = {
        "segments": [{"id": "s", "when": "customer.revenue_net > 5.0"}],
        "triggers": [{"id": "t", "when": "customer.revenue_net > 5.0"}],
    }
    assert shadowed(tmp_path, action("a", **(BETTER | change)), action("b", **WORSE), **parts) == []


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"actions": ["a"]}, []),
        ({"levers": {"a": -50}}, []),
        ({"levers": {"b": 50}}, []),
        ({"actions": ["b"]}, ["b"]),
        ({"actions": ["a", "b"]}, ["b"]),
        ({"levers": {"a": 50, "b": 50}}, ["b"]),
    ],
    ids=str,
)
def test_tables_give_the_other_action_a_turn(row, expected, tmp_path: Path) -> None:
    """A table that lets only the better action wait for a row, or weighs the two differently, is seen."""
    table = {
        "id": "t",
        "columns": ["customer.revenue_net"],
        "otherwise": "nothing",
        "rows": [{"when": ["> 5"]} | row],
    }
    assert shadowed(tmp_path, action("a", **BETTER), action("b", **WORSE), tables=[table]) == expected


def test_priority_is_for_equals_only(tmp_path: Path) -> None:
    """Priority decides between equal scores, so a later id with a higher one is not shadowed by its equal."""
    assert shadowed(tmp_path, action("a", **WORSE), action("b", **(WORSE | {"priority": 1}))) == ["a"]


def test_narrower_audience_is_covered(tmp_path: Path) -> None:
    """The better action may be open to more customers, places and times."""
    narrow = {
        "stages": ["hear_me"],
        "segments": ["s"],
        "when": "customer.revenue_net > 5.0",
        "treatments": {"pos/receipt": {"say": "Hello"}},
        "caps": [{"at_most": 1, "within": "30d"}],
    }
    segments = [{"id": "s", "when": "customer.revenue_net > 5.0"}]
    assert shadowed(tmp_path, action("a", **BETTER), action("b", **(WORSE | narrow)), segments=segments) == [
        "b"
    ]


def test_all_generated_rulebooks_can_be_linted(tmp_path: Path) -> None:
    """Whatever the compiler takes, every lint takes."""
    import random

    from nextbest.rulebook.lint import lint

    for seed in range(6):
        directory = tmp_path / str(seed)
        write(RulebookGenerator(random.Random(seed)).documents(), directory)
        parts, _ = examine_source(load_source(directory))
        assert parts is not None
        assert all(d.line and d.message for d in lint(parts))
