"""`nextbest fit propensity` as an analyst runs it, and the service that uses what was fitted."""

import asyncio
import json
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from tests.builders.command_line import nextbest
from tests.builders.small import DIRECTORY, NOW

from nextbest.batch.operations import load_artifacts
from nextbest.data.store import StoreOptions, open_store
from nextbest.rulebook.compile import compile_rulebook

GROUPS, PER_GROUP = 6, 80
REST = GROUPS * PER_GROUP - 1


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A data directory of its own."""
    return tmp_path_factory.mktemp("propensity")


def contacts(**changes):
    """Mailings of six campaigns, three weeks apart, each over in a week; big spenders accept more."""
    random = np.random.default_rng(11)
    n = GROUPS * PER_GROUP
    group = np.repeat(np.arange(GROUPS), PER_GROUP)
    revenue, share = random.lognormal(7, 1, n), random.uniform(0, 1, n)
    odds = -1.0 + 1.3 * (np.log(revenue) - 7) - share
    mailed = [NOW - timedelta(weeks=3 * (GROUPS - int(g))) for g in group]
    columns = {
        "campaign": [f"c{g}" for g in group],
        "customer": [f"p{i % 200}" for i in range(n)],
        "mailed": mailed,
        "ended": [day + timedelta(weeks=1) for day in mailed],
        "redeemed": random.random(n) < 1 / (1 + np.exp(-odds)),
        "revenue_net": revenue,
        "discount_share": np.where(random.random(n) < 0.1, None, share).tolist(),
        "n_visits": random.integers(0, 9, n),
    }
    return pl.DataFrame(columns | changes, strict=False)


ROLES = ("--outcome", "redeemed", "--group", "campaign", "--time", "mailed", "--known", "ended")


def fit(directory, frame, *more, name="redemption", kind="parquet", rulebook=DIRECTORY):
    """Runs the command on a file of these rows."""
    file = directory / f"rows.{kind}"
    frame.write_parquet(file) if kind == "parquet" else frame.write_csv(file)
    where = ("--rulebook", rulebook, "--data-directory", directory / "data", "--out", directory / "out")
    roles = (*ROLES, "--customer", "customer", "--as-of", NOW.isoformat())
    return nextbest("fit", "propensity", name, file, *roles, *where, *more)


def in_use(directory):
    """Models in use by id."""
    catalogue = compile_rulebook(DIRECTORY).catalogue

    async def read():
        async with open_store(StoreOptions(data_directory=directory / "data"), catalogue) as store:
            return (await load_artifacts(store)).propensity

    return dict(asyncio.run(read()))


def test_fit_is_reported_written_and_put_into_use(directory):
    """One command prints the out-of-time figures, writes artifact and report, and activates the model."""
    said = fit(directory, contacts())
    assert said.code == 0, said.err
    text = " ".join(said.out.split())
    assert "of 4 groups, each by a model of the groups that had ended before it" in text
    for words in ("AUC within groups", "top 20%", "calibration error", "in use: propensity/redemption"):
        assert words in text
    assert "no action of rulebook `small` says `propensity: {model: redemption}`" in text
    model = in_use(directory)["redemption"]
    assert set(model.facts) == {"revenue_net", "discount_share", "n_visits"}
    assert model.trained_on["groups"] == [f"c{g}" for g in range(GROUPS)]
    assert model.trained_on["log_facts"] == ["n_visits", "revenue_net"]
    (report,) = (directory / "out").glob("propensity-redemption-*.json")
    checked = json.loads(report.read_text())["validation"]
    assert checked["auc_within_group"]["value"] > 0.7
    assert checked["groups"] == ["c2", "c3", "c4", "c5"]
    assert len(list((directory / "out").glob("propensity-*.nbart"))) == 1


def test_the_panel_comes_near_the_published_figures(tmp_path):
    """On the panel's files the command prints AUC ≥ .81, top 20 % ≥ .55 and calibration error ≤ .04."""
    made = nextbest("demo", "--files", tmp_path)
    assert made.code == 0, made.err
    offered = ("--bind", "campaign_type_a=1", "--bind", "campaign_type_b=0")
    where = ("--rulebook", "rules/grocery", "--data-directory", tmp_path / "data", "--out", tmp_path)
    roles = (*ROLES, "--customer", "customer")
    result = nextbest(
        "fit", "propensity", "campaign_a", tmp_path / "mailings.parquet", *roles, *offered, *where
    )
    assert result.code == 0, result.err
    (report,) = tmp_path.glob("propensity-campaign_a-*.json")
    found = json.loads(report.read_text())["validation"]
    assert found["rows"] >= 5_000
    figures = [found[name]["value"] for name in ("auc_within_group", "accepted_in_top", "calibration_error")]
    assert figures[0] >= 0.81
    assert figures[1] >= 0.55
    assert figures[2] <= 0.04
    for figure in figures:
        assert f" {figure:.3f} " in result.out


def test_the_same_rows_as_csv_give_the_same_model(directory):
    """The format of the file does not matter, to the last bit but for its name."""
    first = in_use(directory)["redemption"]
    said = fit(directory, contacts(), kind="csv")
    assert said.code == 0, said.err
    again = in_use(directory)["redemption"]
    assert again.table.tolist() == first.table.tolist()
    assert again.constants.tolist() == first.constants.tolist()


@pytest.mark.parametrize(
    ("changes", "more", "messages"),
    [
        (
            {"favourite": "brie", "shoe_size": 41, "complaint_open": False, "last_purchase": NOW},
            (),
            ["`favourite` is of type enum", "`shoe_size` is not a fact", "`complaint_open` is of type bool",
             "`last_purchase` is of type timestamp"],
        ),
        ({}, ("--fact", "ended", "--fact", "nothing"), ["must not read it", "`nothing` is no column"]),
        ({}, ("--bind", "n_visits=many"), ["`n_visits=many` is not COLUMN=NUMBER"]),
        ({}, ("--log", "nothing"), ["`nothing` is none of the model's facts"]),
        ({"redeemed": ["maybe"] + ["1"] * REST}, (), ["row 1: redeemed `maybe` is not 1, 0"]),
        ({"discount_share": [1.5] + [0.5] * REST}, (), ["row 1: discount_share `1.5` is above 1"]),
        ({"mailed": NOW - timedelta(days=1)}, (), ["row 1: ended is before", "more cells cannot be used"]),
        ({"ended": NOW + timedelta(days=1)}, (), ["row 1: ended is in the future"]),
        ({"redeemed": False}, (), ["0 contacts were accepted and 480 were not: 5 of each are needed"]),
        ({"campaign": "only"}, (), ["cannot be checked"]),
    ],
)  # fmt: skip
def test_what_makes_no_model_is_said_and_changes_nothing(directory, changes, more, messages):
    """Everything that is wrong is listed, and the model in use stays in use."""
    before = in_use(directory)["redemption"].to_json()
    frame = contacts()
    frame = frame.with_columns(
        **{
            name: pl.Series(value) if isinstance(value, list) else pl.lit(value)
            for name, value in changes.items()
        }
    )
    said = fit(directory, frame, *more)
    assert said.code == 1
    text = " ".join(said.err.split())
    for message in messages:
        assert message in text
    assert in_use(directory)["redemption"].to_json() == before


def test_missing_columns_are_all_named(directory):
    """Every column that was named but is not there is listed at once."""
    said = fit(directory, contacts().drop("campaign", "mailed"))
    assert said.code == 1
    assert "group: the file has no column `campaign`" in said.err
    assert "time: the file has no column `mailed`" in said.err


def test_a_name_that_no_rule_file_could_say_is_refused(directory):
    """A model's name is an identifier of the rule files."""
    said = fit(directory, contacts(), name="a/b")
    assert said.code == 1
    assert "model: `a/b`: an id is made of" in said.err


def test_what_was_offered_is_bound(directory):
    """A column that says what was offered is learnt from and then fixed, so that no snapshot needs it."""
    kind = pl.Series([float(g % 2) for g in range(GROUPS) for _ in range(PER_GROUP)])
    said = fit(directory, contacts().with_columns(big=kind), "--bind", "big=1", name="big")
    assert said.code == 0, said.err
    model = in_use(directory)["big"]
    assert "big" not in model.facts
    assert model.trained_on["bound"] == {"big": 1.0}


def test_rules_without_prior_stop_the_start_until_the_model_is_fitted(directory, tmp_path):
    """A rulebook whose model is missing says what to run; once that has been run, it works."""
    rulebook = tmp_path / "rules"
    for path in DIRECTORY.rglob("*.yaml"):
        copy = rulebook / path.relative_to(DIRECTORY)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text())
    actions = min((rulebook / "actions").glob("*.yaml"))
    prior = "propensity: {successes: 40, failures: 60}"
    assert prior in actions.read_text()
    actions.write_text(actions.read_text().replace(prior, "propensity: {model: fresh}", 1))
    where = ("--rulebook", rulebook, "--data-directory", directory / "data")
    advance = ("stages", "advance", "--as-of", NOW.isoformat(), *where)
    said = nextbest(*advance)
    assert said.code == 1
    assert "fit `fresh`: `nextbest fit propensity MODEL ROWS`" in said.err
    assert fit(directory, contacts(), name="fresh", rulebook=rulebook).code == 0
    assert nextbest(*advance).code == 0
