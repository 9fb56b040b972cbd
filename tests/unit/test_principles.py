"""What the model asks of rules, shown on rule files that the decision itself answers."""

import shutil
from pathlib import Path

import pytest

from nextbest.author_tests import render_report, run_tests
from nextbest.facts import STAGE_NAMES
from nextbest.rulebook.compile import compile_rulebook
from nextbest.rulebook.diagnostics import render_text
from nextbest.rulebook.source import load_source
from nextbest.rulebook.verify import verify_source

ROOT = Path(__file__).parents[2]
BASE = ROOT / "tests" / "golden" / "lint" / "base"
ACTION = """\
  - id: {id}
    desired_action: {aim}
    triggers: [came_lately]
    reason: {{en: "For you", da: "Til dig"}}
    treatments: {{pos: {{say: {{en: "{id}", da: "{id}"}}}}}}
    effect: {{customer_gap: 0.1, profit_gap: 0.1}}
    propensity: {{successes: 3, failures: 7}}
    relevance: {{open_need: true}}
    promises: [fair]
"""
BACKGROUND = """\
background:
  now: 2025-06-02T10:00:00Z
  customer: {household: single, last_purchase: 3d ago, coffees: 4}
  figures: {stage: hear_me, value_gap: 400, profit_gap: 300, data_quality: 1, investment_ceiling: 50}
tests:
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A small rulebook; the tests write its actions and what it must answer."""
    shutil.copytree(BASE, tmp_path / "rules")
    (tmp_path / "rules" / "tests").mkdir()
    return tmp_path / "rules"


def action(name: str, *keys: str, aim: str = "service") -> str:
    """An action with further keys."""
    return ACTION.format(id=name, aim=aim) + "".join(f"    {key}\n" for key in keys)


def answers(rules: Path, actions: list[str], tests: list[str]) -> None:
    """Let the decision answer the tests; every one of them passes."""
    (rules / "actions" / "menu.yaml").write_text("actions:\n" + "".join(actions), encoding="utf-8")
    (rules / "tests" / "t_test.yaml").write_text(BACKGROUND + "".join(tests), encoding="utf-8")
    source = load_source(rules)
    report = run_tests(source)
    assert report.passed, render_report(report, source)
    assert len(report.results) == len(tests)


def asked(name: str, expect: str, **facts: str) -> str:
    """A test at the till."""
    given = "".join(f"    {key}: {value}\n" for key, value in facts.items())
    return f"  - name: {name}\n{given}    request: {{channel: pos, role: waiter}}\n    expect: {expect}\n"


def test_one_trigger_calls_for_different_actions_in_different_stages(rules: Path) -> None:
    """The same change in behaviour is answered by who the customer is to us (D4)."""
    answers(
        rules,
        [action("explain", "stages: [hear_me]"), action("thank", "stages: [grow_me]")],
        [
            asked("hears", "{answer: explain, fired: [came_lately]}"),
            asked("grows", "{answer: thank, fired: [came_lately]}", figures="{stage: grow_me}"),
        ],
    )


def test_creating_a_need_asks_for_more_than_solving_one(rules: Path) -> None:
    """With the same evidence, what solves a need is relevant, and what creates one is not (E13)."""
    interest = "relevance: {own_interest: 1.0}"
    both = [action(name, f"need: {name}").replace("relevance: {open_need: true}", interest) for name in NEEDS]
    answers(
        rules,
        both,
        [asked("interested", "{answer: solve, excludes: {create: not_relevant}}")],
    )


NEEDS = ("solve", "create")


def test_the_strategy_stands_above_the_rules(rules: Path) -> None:
    """Where strategy and rule disagree, the strategy wins, whatever lever and priority the rule has (G4)."""
    facts = rules / "facts.yaml"
    text = facts.read_text(encoding="utf-8")
    scored = "[consent, touchpoint_score, touchpoint_score_at, household"
    facts.write_text(text.replace("[consent, household", scored), encoding="utf-8")
    strategy = rules / "strategy.yaml"
    more = "sell_hold: {score: 6, within: 14d}\ndata_quality: {floor: 0.5}\n"
    strategy.write_text(strategy.read_text(encoding="utf-8") + more, encoding="utf-8")
    sell = action("sell", "when: true", "lever: 1000", "priority: 1000000", aim="up_sell")
    answers(
        rules,
        [sell, action("help")],
        [
            asked("normally the rule sells", "{first: sell}"),
            asked(
                "not after a bad touchpoint",
                "{first: help, excludes: {sell: sell_hold}}",
                customer="{touchpoint_score: 3, touchpoint_score_at: 2d ago}",
            ),
            asked(
                "not to somebody unknown",
                "{first: help, excludes: {sell: data_quality_low}}",
                figures="{data_quality: 0.3}",
            ),
        ],
    )


def test_issues_of_the_strategy_rank_alike_actions(rules: Path) -> None:
    """Two actions that are alike come in the order of the strategy's issues, not of their names (G4)."""
    strategy = rules / "strategy.yaml"
    text = strategy.read_text(encoding="utf-8")
    first = "priorities: [{issue: care, lever: 50, text: {en: First, da: Først}}, {issue: loyalty,"
    strategy.write_text(text.replace("priorities: [{issue: loyalty,", first), encoding="utf-8")
    answers(
        rules,
        [action("alpha", "issue: loyalty"), action("beta", "issue: care")],
        [asked("care comes first", "{answer: [beta, alpha]}")],
    )


def test_a_stage_without_any_action_is_reported(rules: Path) -> None:
    """Different efforts for every stage: one for which nothing can be done is a warning (C14)."""
    text = "actions:\n" + action("explain", "stages: [know_me, hear_me, forgive_me]")
    (rules / "actions" / "menu.yaml").write_text(text, encoding="utf-8")
    source = load_source(rules)
    report = render_text(verify_source(source), source.by_path)
    assert "[stage-without-action]" in report
    assert "grow_me" in report


@pytest.mark.parametrize("name", ["grocery", "telecom"])
def test_shipped_rulebooks_speak_differently_to_each_stage(name: str) -> None:
    """Every stage has actions of its own, with texts that no other stage hears (C14)."""
    book = compile_rulebook(ROOT / "rules" / name)
    only = {1 << stage: STAGE_NAMES[stage] for stage in range(len(STAGE_NAMES))}
    exclusive = {only[int(stages)] for stages in book.action_tables.stages if int(stages) in only}
    heard = {
        stage: frozenset(
            treatment.say[book.languages[0]]
            for treatment in book.treatments
            if int(book.action_tables.stages[treatment.action]) >> index & 1
        )
        for index, stage in enumerate(STAGE_NAMES)
    }
    assert all(heard.values())
    assert len(set(heard.values())) == len(STAGE_NAMES)
    assert "forgive_me" in exclusive
