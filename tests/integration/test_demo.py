"""The demo as a user runs it: figures against independent counts, the screen, and what is left behind."""

import json
import os
import re
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from nextbest.demo import labels
from nextbest.demo.panel import ZONE, find_panel

ROOT = Path(__file__).parents[2]
FIRST_DAY_AFTER_WEEK_26 = date(2017, 6, 26)
STAGES = {"know_me", "hear_me", "grow_me", "forgive_me"}
DO_NOTHING = "do_nothing"


def run_demo(directory: Path, *arguments: str) -> tuple[str, dict]:
    """Run `nextbest demo` with temporary files in a directory of its own; its screen and its figures."""
    temporary, figures = directory / "tmp", directory / "figures.json"
    temporary.mkdir(parents=True, exist_ok=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NEXTBEST_")}
    command = [sys.executable, "-W", "error", "-c", "from nextbest.cli import main; main()", "demo"]
    done = subprocess.run(
        [*command, "--quick", "--json", str(figures), *arguments],
        cwd=ROOT,
        env={**environment, "TMPDIR": str(temporary), "COLUMNS": "60", "FORCE_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(figures.read_text())


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Where the demo's process keeps what is temporary."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def demo(directory):
    """The screen and the figures of one run."""
    return run_demo(directory)


@pytest.fixture(scope="module")
def screen(demo):
    """The screen's text with single blanks, so that wrapping hides nothing."""
    return " ".join(demo[0].split())


@pytest.fixture(scope="module")
def figures(demo):
    """What was written to the file."""
    return demo[1]


def known_households() -> int:
    """Households that had bought, or had been mailed, before the first day after week 26."""
    source = find_panel()
    time = pl.col("transaction_timestamp").dt.cast_time_unit("us").dt.replace_time_zone("UTC")
    bought = (
        pl.scan_parquet(source / "transactions.parquet")
        .filter(time.dt.convert_time_zone(ZONE).dt.date() < FIRST_DAY_AFTER_WEEK_26)
        .select("household_id")
    )
    started = pl.scan_parquet(source / "campaign_descriptions.parquet").filter(
        pl.col("start_date").dt.date() <= FIRST_DAY_AFTER_WEEK_26
    )
    mailed = pl.scan_parquet(source / "campaigns.parquet").join(started, on="campaign_id", how="semi")
    return pl.concat([bought, mailed.select("household_id")]).unique().select(pl.len()).collect().item()


def test_every_household_is_loaded_placed_and_answered(figures):
    """Loaded customers, the position grid and the answers all count the households of the raw files."""
    households = known_households()
    cells = figures["position_grid"]["cells"]
    assert figures["prepared"]["customers"] == households
    assert sum(cell["households"] for cell in cells) == households == figures["position_grid"]["households"]
    assert sum(figures["stages"].values()) == households
    for by_action in figures["first_answers"].values():
        assert sum(sum(by_stage.values()) for by_stage in by_action.values()) == households


def test_position_grid_has_every_band_with_value_gap_and_task(figures):
    """All four bands are inhabited; quintiles are of about equal size, and no gap is negative."""
    grid = figures["position_grid"]
    assert {cell["task"] for cell in grid["cells"]} == {
        "repair",
        "acquire",
        "develop",
        "integrate and optimise",
    }
    assert all(cell["customer_value_gap"] >= 0 and cell["profit_gap"] >= 0 for cell in grid["cells"])
    for quintile in range(1, 6):
        size = sum(cell["households"] for cell in grid["cells"] if cell["ltv_quintile"] == quintile)
        assert size == pytest.approx(grid["households"] / 5, rel=0.05)


def test_answers_differ_and_doing_nothing_competes(figures):
    """All stages occur, no answer is given to most households, and doing nothing wins for some."""
    assert set(figures["stages"]) == STAGES
    assert all(figures["stages"].values())
    for by_action in figures["first_answers"].values():
        counts = {action: sum(by_stage.values()) for action, by_stage in by_action.items()}
        assert len(counts) >= 6
        assert max(counts.values()) < 0.5 * sum(counts.values())
        assert counts[DO_NOTHING] > 0.1 * sum(counts.values())


def answers_of(figures: dict) -> list[dict]:
    """Every answer that is shown."""
    return [answer for household in figures["households"] for answer in household["answers"].values()]


def test_three_households_are_answered_at_the_till_and_on_the_phone(figures):
    """Each ranking ends with doing nothing; mandatory actions come first, then what is worth more than it."""
    assert [set(household["answers"]) for household in figures["households"]] == [{"till", "agent"}] * 3
    stages = [answer["figures"]["stage"] for answer in answers_of(figures)]
    assert stages == [f"STAGE_{name}" for name in ("HEAR_ME", "FORGIVE_ME", "GROW_ME") for _ in range(2)]
    for answer in answers_of(figures):
        *actions, last = answer["results"]
        assert (last["action"], last["score"]) == (DO_NOTHING, 0.0)
        assert [result["rank"] for result in answer["results"]] == list(range(1, len(actions) + 2))
        ordered = [(not a.get("mandatory", False), -a["score"]) for a in actions]
        assert ordered == sorted(ordered)
        assert all(a["score"] > 0 or a["mandatory"] for a in actions)


def test_scores_are_the_sum_of_what_is_shown(figures):
    """Benefit and score follow from the terms of the breakdown by the formula below the tables."""
    shown = [a for answer in answers_of(figures) for a in answer["results"] if "breakdown" in a]
    assert len(shown) >= 4
    for result in shown:
        terms = result["breakdown"]
        weight = terms["customer_weight"]
        gain = weight * terms["customer_gain"] + (1 - weight) * terms["profit_gain"]
        benefit = (terms["propensity"] - terms["base_propensity"]) * gain
        if benefit > 0:
            factors = ("relevance", "context_weight", "lever", "pressure_factor")
            benefit *= terms[factors[0]] * terms[factors[1]] * terms[factors[2]] * terms[factors[3]]
        assert terms["benefit"] == pytest.approx(benefit, abs=1e-9)
        cost = terms["cost_contact"] + terms["cost_accepted"]
        assert result["score"] == pytest.approx(benefit - cost, abs=1e-9)


def test_why_not_names_what_was_measured_and_required(figures, screen):
    """The unchosen action was not given, and its two numbers are on the screen."""
    why = figures["why_not"]
    household = next(h for h in figures["households"] if h["customer_id"] == why["customer_id"])
    given = {result["action"] for result in household["answers"][why["situation"]]["results"]}
    assert why["action"] not in given
    assert why["actual_value"] != why["required_value"]
    unit = f" {why['unit']}" if "unit" in why else ""
    assert f"actual {why['actual_value']:.2f}{unit} required {why['required_value']:.2f}{unit}" in screen


def test_response_model_ranks_redeemers_as_well_as_it_must(demo, figures):
    """Out of time it reaches the accepted bounds, and the screen shows the figures of the file."""
    scores = {score["score"]: score for score in figures["backtest"]["scores"]}
    ours = scores["response model"]
    auc, top, error = (
        ours[name]["value"]
        for name in ("auc_within_campaign", "redeemers_in_top_20_percent", "calibration_error")
    )
    assert auc >= 0.81
    assert top >= 0.55
    assert error <= 0.04
    printed = re.search(
        r"^ response model +\.(\d+) \[.*?\] +\.(\d+) \[.*?\].* \.(\d+) \[", demo[0], re.MULTILINE
    )
    assert [f"{auc:.3f}", f"{top:.3f}", f"{error:.3f}"] == [f"0.{digits}" for digits in printed.groups()]
    assert all(
        ours["auc_within_campaign"]["value"] >= s["auc_within_campaign"]["value"] for s in scores.values()
    )


def test_backtest_counts_the_mailings_of_the_raw_files(figures):
    """Mailed and redeemed households of each campaign of weeks 27 to 52 equal a count of the files."""
    source = find_panel()
    week_53 = date(2017, 12, 25)
    described = pl.read_parquet(source / "campaign_descriptions.parquet").filter(
        pl.col("start_date").dt.date().is_between(FIRST_DAY_AFTER_WEEK_26, week_53, closed="left")
    )
    mailed = pl.read_parquet(source / "campaigns.parquet").join(described, on="campaign_id", how="semi")
    redeemed = pl.read_parquet(source / "coupon_redemptions.parquet").select("campaign_id", "household_id")
    both = mailed.join(redeemed.unique(), on=["campaign_id", "household_id"], how="semi")
    expected = {
        campaign: (rows.height, both.filter(pl.col("campaign_id") == campaign).height)
        for (campaign,), rows in mailed.group_by("campaign_id")
    }
    campaigns = figures["backtest"]["campaigns"]
    assert {int(c["campaign"]): (c["mailed"], c["redeemed"]) for c in campaigns} == {
        int(campaign): counts for campaign, counts in expected.items()
    }


def test_gap_is_shown_beside_what_it_does_not_predict(figures, screen):
    """The gap's interval holds zero, own trend's does not, and the screen says what potential is."""
    gap = figures["backtest"]["gap"]
    assert gap["gap_partial_correlation"]["low"] <= 0 <= gap["gap_partial_correlation"]["high"]
    assert gap["own_trend_partial_correlation"]["low"] > 0
    assert "Potential is a benchmark of what similar households reach, not a forecast." in screen


def test_screen_labels_what_is_assumed_and_what_is_made_up(demo, screen):
    """The data set's two descriptions are told, and every table of money says what it rests on."""
    for label in labels.ALL:
        assert label.lower() in screen.lower(), label
    titles = r"^(?:Position grid|If every household|hh-\d+ to the \w+(?:, calls| *$)|Why does)"
    modelled = re.split(rf"(?={titles})", demo[0], flags=re.MULTILINE)[1:]
    tables = [block for block in modelled if "───" in block.partition("\n")[2][:600]]
    assert len(tables) >= 5
    assert all("ssumed margins" in block and "synthetic attitudes" in block for block in tables)


def test_screen_needs_neither_colour_nor_width(demo):
    """No line is longer than 100 columns and none holds a control sequence, whatever the terminal says."""
    assert max(len(line) for line in demo[0].splitlines()) <= 100
    assert not re.search(r"\x1b", demo[0])
    assert "…" not in demo[0]


def processes_of(directory: Path) -> list[str]:
    """Command lines of running processes that name a directory."""
    running = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            running.append((process / "cmdline").read_bytes().decode(errors="replace"))
        except OSError:
            continue  # it has ended meanwhile
    return [command for command in running if str(directory) in command]


def test_nothing_is_left(demo, directory):
    """When the demo has ended no process of its data directory runs, and its files are gone."""
    assert demo[0]
    assert processes_of(directory) == []
    assert list((directory / "tmp").iterdir()) == []


def test_second_preparation_changes_nothing(figures, tmp_path):
    """On a kept data directory a second run writes nothing, says so, and has the same model as any other."""
    options = ("--prepare-only", "--data-directory", str(tmp_path / "data"))
    first_screen, first = run_demo(tmp_path, *options)
    second_screen, second = run_demo(tmp_path, *options)
    assert first["prepared"]["changes"] > 0
    assert second["prepared"]["changes"] == 0
    assert second["prepared"]["snapshots"] == {"loaded": 0, "unchanged": figures["prepared"]["customers"]}
    assert second["prepared"]["history"]["recorded"] == 0
    digests = {run["prepared"]["model_digest"] for run in (figures, first, second)}
    assert len(digests) == 1
    assert "this run changed nothing" in second_screen
    assert "this run changed nothing" not in first_screen


def test_unwritable_figures_are_refused_before_anything_runs(tmp_path):
    """A file in a directory that is not there is an error at once, not after the whole run."""
    command = [sys.executable, "-c", "from nextbest.cli import main; main()", "demo"]
    absent = str(tmp_path / "absent" / "figures.json")
    done = subprocess.run([*command, "--json", absent], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: --json: there is no directory")


def test_interrupted_demo_leaves_nothing(tmp_path):
    """Ctrl-C in the middle ends the embedded Redis too and takes the temporary data away."""
    command = [sys.executable, "-c", "from nextbest.cli import main; main()", "demo", "--quick"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as demo:
        for line in demo.stdout:
            if "load snapshots" in line:
                demo.send_signal(signal.SIGINT)
                break
        demo.stdout.read()
    assert demo.returncode != 0
    assert processes_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_readme_asks_about_households_that_the_demo_shows(figures):
    """Every household that README names is one of those whose answers the demo explains."""
    named = set(re.findall(r"hh-\d+", (ROOT / "README.md").read_text()))
    assert named
    assert named <= {household["customer_id"] for household in figures["households"]}
