"""`nextbest behaviour` as an operator runs it."""

import csv
import re

import polars as pl
import pytest
from tests.builders.command_line import nextbest
from tests.builders.detecting import rulebook_of, steady

NOW = "2026-03-02T12:00:00+00:00"
WEEK_BEFORE = "2026-02-24T12:00:00+00:00"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A rulebook with detectors, and a store with customers whose spend has been steady."""
    directory = tmp_path_factory.mktemp("behaviour")
    rulebook_of(directory / "rules")
    rows = [{"customer_id": i, "as_of": WEEK_BEFORE, **steady()} for i in ("falls", "stays", "later")]
    pl.DataFrame(rows).write_parquet(directory / "customers.parquet")
    said = nextbest("load", directory / "customers.parquet", *where(directory))
    assert said.code == 0, said.err
    return directory


def where(directory):
    """Options that say where rules and data are."""
    return ("--rulebook", directory / "rules", "--data-directory", directory / "data")


def advance(directory, rows, *, name="week.csv"):
    """Runs the command on a file of these (customer, value) rows."""
    file = directory / name
    file.write_text("customer_id,value\n" + "".join(f"{i},{value}\n" for i, value in rows))
    out = ("--out", directory / "out", "--as-of", NOW)
    return nextbest("behaviour", "advance", file, *where(directory), *out)


def test_a_week_is_taken_once_and_its_alarms_are_kept(place):
    """A completed period moves detectors, fires triggers, leaves evidence; again it changes nothing."""
    said = advance(place, [("falls", 60), ("stays", 100)])
    assert said.code == 0, said.err
    assert "2 advanced, 0 taken before, 1 drops, 0 rises, 0 rejected" in said.out
    assert (
        "if nobody had changed, about 0.0 of the 2 would have alarmed: 1.99% of watched periods" in said.out
    )
    assert "fired fell: 1" in said.out
    assert "fired silent: 1" in said.out
    (evidence,) = (place / "out").glob("alarms-*.csv")
    (alarm,) = csv.DictReader(evidence.read_text().splitlines())
    assert (alarm["customer_id"], alarm["change"], alarm["triggers"]) == ("falls", "drop", "fell|silent")
    assert (float(alarm["observed"]), float(alarm["expected"])) == (60.0, 100.0)
    assert alarm["period_end"] == "2026-03-02T00:00:00+00:00"
    again = advance(place, [("falls", 30), ("stays", 100)])
    assert again.code == 0
    assert "0 advanced, 2 taken before, 0 drops" in again.out
    assert "if nobody had changed" not in again.out


def test_rows_that_cannot_be_taken_are_listed(place):
    """Unknown customers, repeated ones and values that are none are rejected, the others are taken."""
    rows = [("later", 101), ("nobody", 5), ("later", 102), ("falls", "much")]
    said = advance(place, rows, name="bad.csv")
    assert said.code == 2
    assert "1 advanced, 0 taken before, 0 drops, 0 rises, 3 rejected" in said.out
    text = (place / "bad.csv.rejects.csv").read_text()
    faults = {int(row["row"]): row["reason"] for row in csv.DictReader(text.splitlines())}
    assert faults == {
        2: "`nobody`: its snapshot is absent",
        3: "`later` has a row before this one",
        4: "`much` is not a number",
    }


def test_missing_columns_are_named(place):
    """A file without the two columns is refused as a whole."""
    file = place / "other.csv"
    file.write_text("customer,spend\na,1\n")
    said = nextbest("behaviour", "advance", file, *where(place))
    assert said.code == 1
    assert "`customer_id` is missing" in said.err
    assert "`value` is missing" in said.err


def test_another_series_than_those_declared_is_named(place):
    """A series that the rulebook does not declare is refused, with a hint."""
    file = place / "more.csv"
    file.write_text("customer_id,value\nlater,5\n")
    said = nextbest("behaviour", "advance", file, "--series", "spent", *where(place))
    assert said.code == 1
    assert "`spent` is no series of the rulebook: did you mean `spend`?" in said.err


def test_a_loaded_file_takes_its_periods_and_fires(place):
    """Loading next week's snapshots moves the series and fires; loading them again changes nothing."""
    week = {"customer_id": "fresh", "as_of": WEEK_BEFORE, **steady()}
    pl.DataFrame([week]).write_parquet(place / "first.parquet")
    assert nextbest("load", place / "first.parquet", *where(place)).code == 0
    later = {"customer_id": "fresh", "as_of": NOW, "period_1": 40.0}
    pl.DataFrame([later]).write_parquet(place / "second.parquet")
    said = nextbest("load", place / "second.parquet", *where(place))
    assert "1 loaded, 0 unchanged, 0 rejected" in said.out
    again = nextbest("load", place / "second.parquet", *where(place))
    assert "0 loaded, 1 unchanged, 0 rejected" in again.out
    taken = advance(place, [("fresh", 40)], name="fresh.csv")
    assert "0 advanced, 1 taken before, 0 drops" in taken.out


def test_false_alarms_are_measured():
    """The rate of false alarms is printed with its interval, and is the same in every run."""
    first, second = (
        nextbest("behaviour", "false-alarms", "--series", 200, "--periods", 60) for _ in range(2)
    )
    assert first.code == 0, first.err
    assert first.out == second.out
    rate, low, high = map(float, re.search(r"([.\d]+) \[([.\d]+), ([.\d]+)\]", first.out).groups())
    assert 0.0 < low < rate < high < 0.05
