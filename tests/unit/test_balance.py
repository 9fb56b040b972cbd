"""What a rulebook's actions are for, counted; least shares of rewards; points owed."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from tests.builders.rulebooks import write
from tests.builders.shop import documents, write_shop
from typer.testing import CliRunner

from nextbest.batch.mix_report import Mix
from nextbest.batch.points_report import PointsLedger
from nextbest.cli.commands import app
from nextbest.errors import RulebookCompileError
from nextbest.model import DesiredAction
from nextbest.rulebook.balance import PARAMETER_OF, PARAMETERS, balance_of
from nextbest.rulebook.compile import compile_rulebook

RULES = Path(__file__).parents[2] / "rules"
STAGES = ("know_me", "hear_me", "grow_me", "forgive_me")


def entries(rulebook):
    """The actions as they stand in the files, without decision tables."""
    files = sorted((RULES / rulebook / "actions").glob("*.yaml"))
    return [entry for file in files for entry in yaml.safe_load(file.read_text())["actions"]]


@pytest.fixture(scope="module")
def grocery():
    """The shipped rulebook."""
    return compile_rulebook(RULES / "grocery")


def test_every_desired_action_has_a_parameter():
    """Each desired action but doing nothing counts under one of the five parameters."""
    assert set(PARAMETER_OF) == set(DesiredAction) - {DesiredAction.DO_NOTHING}
    assert set(PARAMETER_OF.values()) == set(PARAMETERS)


@pytest.mark.parametrize("name", ["grocery", "telecom"])
def test_balance_counts_what_the_files_say(name):
    """The counts are those of the YAML files; lists are named in full, zeros too."""
    found, written = balance_of(compile_rulebook(RULES / name)), entries(name)
    assert found.actions == len(written)
    assert len(found.desired) == 12
    assert len(found.capabilities) == 9
    wanted = Counter(entry["desired_action"] for entry in written)
    assert {k: v for k, v in found.desired.items() if v} == dict(wanted)
    tags = Counter(tag for entry in written for tag in entry.get("tags", []))
    assert {k: v for k, v in found.capabilities.items() if v} == dict(tags)
    assert sum(found.parameters.values()) == len(written)
    for stage in STAGES:
        kinds = Counter(
            f"{entry['reward'].get('timing', 'immediate')} {entry['reward']['type']}"
            for entry in written
            if "reward" in entry and stage in entry.get("stages", STAGES)
        )
        assert {k: v for k, v in found.rewards[stage].items() if v} == dict(kinds)


def test_balance_names_what_nobody_thought_of(grocery):
    """A parameter without an action is named, on screen too."""
    idle = balance_of(grocery).idle_parameters
    assert idle == ("distribution",)
    shown = CliRunner().invoke(app, ["rules", "balance", str(RULES / "grocery")])
    assert "no action works with: distribution" in shown.output


def counted(rulebook, stages, names):
    """A mix of recommendations by name; None = nothing."""
    index = {action.id: i for i, action in enumerate(rulebook.actions)} | {None: -1}
    mix = Mix(rulebook)
    half = len(stages) // 2
    for part in (slice(None, half), slice(half, None)):
        codes = [STAGES.index(stage) for stage in stages[part]]
        mix.add(np.array(codes, float), np.array([index[name] for name in names[part]], np.int32))
    return mix.report("a scenario")


def shop(tmp_path, shares):
    """A shop with two rewarding actions, and least shares of rewards."""
    files = documents()
    files["strategy.yaml"]["rewards"] = shares
    (first,) = files["actions/all.yaml"]["actions"][:1]
    rewards = {
        "discount": {"type": "monetary", "timing": "immediate", "worth": 1},
        "bonus": {"type": "monetary", "timing": "saved", "worth": 1},
        "thanks": {"type": "emotional", "worth": 1},
    }
    files["actions/all.yaml"]["actions"] += [
        {**first, "id": name, "reward": reward} for name, reward in rewards.items()
    ]
    write(files, tmp_path)
    return compile_rulebook(tmp_path)


def test_mix_holds_rewards_against_the_strategy(tmp_path):
    """Shares count rewards of the stage only; what falls short is not met, what has no rewards stays open."""
    book = shop(
        tmp_path,
        [
            {"stages": ["grow_me", "know_me"], "type": "emotional", "at_least": 0.5},
            {"stages": ["hear_me"], "type": "monetary", "timing": "saved", "at_least": 0.25},
        ],
    )
    stages = ["grow_me"] * 4 + ["hear_me"] * 5 + ["forgive_me"]
    names = [
        "thanks",
        "discount",
        "bonus",
        "bread",
        "bonus",
        "discount",
        "discount",
        "thanks",
        None,
        "thanks",
    ]
    report = counted(book, stages, names)
    assert (report.customers, report.idle) == (10, 1)
    assert report.rewards["grow_me"] == {
        "immediate monetary": 1,
        "saved monetary": 1,
        "immediate emotional": 1,
        "saved emotional": 0,
    }
    found = {check.stage: (check.share, check.is_met) for check in report.checks}
    assert found == {
        "grow_me": (pytest.approx(1 / 3), False),
        "hear_me": (0.25, True),
        "know_me": (None, None),
    }


def test_least_shares_leave_room_for_each_other(tmp_path):
    """Least shares of a stage that sum to more than all of it are an error."""
    shares = [{"stages": ["grow_me"], "type": kind, "at_least": 0.6} for kind in ("emotional", "monetary")]
    with pytest.raises(RulebookCompileError, match=r"least shares of `grow_me` sum to 1\.2"):
        shop(tmp_path, shares)


def test_points_owed(tmp_path):
    """Liability is outstanding points × face × redemption probability; nobody owes the company points."""
    value = compile_rulebook(write_shop(tmp_path)).value
    ledger = PointsLedger()
    ledger.add(np.array([[100.0, 30.0], [50.0, np.nan], [np.nan, 10.0]]))
    ledger.add(np.array([[10.0, 60.0]]))
    report = ledger.report(value, "EUR")
    assert (report.customers, report.unknown) == (4, 1)
    assert (report.earned, report.redeemed, report.outstanding) == (160.0, 90.0, 120.0)
    assert report.liability == 120.0 * value.point_face * value.redemption_probability
