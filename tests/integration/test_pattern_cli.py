"""`nextbest patterns`: over files of events, through the real compiler, worker and library."""

import datetime as dt
import json
from pathlib import Path

import polars as pl
import pytest
from tests.builders.patterns import patterns_of
from typer.testing import CliRunner, Result

from nextbest.behaviour.patterns import Event
from nextbest.cli.patterns import app
from nextbest.cli.rules import app as rules
from nextbest.data.event_files import load_events
from nextbest.errors import InvalidInput
from nextbest.rulebook.compile import compile_rulebook
from nextbest.rulebook.patterns import Pattern

RULES = Path(__file__).parents[1] / "rulebooks" / "patterns"
SILENCE, COMPLAINTS = "growing_returns_then_silence", "complaints_about_one_product"
COLUMNS = ("customer_id", "time", "event", "amount", "product", "severity")
ROWS = (
    ("anna", "2025-03-01 10:00", "return_goods", 60.0, None, None),
    ("anna", "2025-03-09 10:00", "return_goods", 75.5, None, None),
    ("anna", "2025-03-09 09:00", "purchase", 20.0, None, None),
    ("bo", "2025-03-01 10:00", "return_goods", 60.0, None, None),
    ("bo", "2025-03-09 10:00", "return_goods", 75.5, None, None),
    ("bo", "2025-03-10 10:00", "purchase", 20.0, None, None),
    ("cleo", "2025-04-01", "complaint", None, "kettle", 2),
    ("cleo", "2025-04-02", "complaint", None, "kettle", 1),
    ("cleo", "2025-04-03", "complaint", None, "toaster", 3),
    ("cleo", "2025-04-04", "complaint", None, "kettle", 2),
    ("cleo", "2025-04-30", "complaint", None, "kettle", 5),
    ("dora", "2025-05-01", "web_visit", None, None, None),
)


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    """The events as a CSV file."""
    path = tmp_path / "events.csv"
    pl.DataFrame(ROWS, COLUMNS, orient="row").write_csv(path)
    return path


def invoke(*arguments: str | Path) -> Result:
    """Run a command with room for wide tables."""
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def patterns() -> tuple[Pattern, ...]:
    """The test rulebook's patterns."""
    return compile_rulebook(RULES).patterns


def test_rulebook_holds_patterns_and_their_triggers(patterns: tuple[Pattern, ...]) -> None:
    """A compiled rulebook has its patterns by id; triggers say which fires them, and which fact shows it."""
    assert [pattern.id for pattern in patterns] == [COMPLAINTS, SILENCE]
    triggers = {t.id: (t.kind, t.pattern, t.fired_at) for t in compile_rulebook(RULES).triggers}
    assert triggers == {
        "lost_after_returns": ("pattern", SILENCE, "lost_after_returns_at"),
        COMPLAINTS: ("pattern", COMPLAINTS, "fed_up_at"),
    }


def test_rules_check_shows_patterns_to_the_library() -> None:
    """A pattern that the library does not get ready in time is an error of the rulebook, at its place."""

    def check(*options: str) -> Result:
        return CliRunner().invoke(rules, ["check", str(RULES), *options])

    assert check().exit_code == 0
    slow = check("--pattern-timeout", "0.01")
    assert slow.exit_code == 1
    assert "triggers/events.yaml:" in slow.output
    assert (
        f"pattern `{COMPLAINTS}` cannot be borne by the library that finds them: it took longer"
        in slow.output
    )
    assert check("--pattern-timeout", "0.01", "--no-patterns").exit_code == 0


def test_run_says_who_when_and_by_what(csv: Path, tmp_path: Path) -> None:
    """A run prints customers, times and events, and writes the same as JSON lines."""
    lines = tmp_path / "matches.jsonl"
    result = invoke("run", csv, "--rulebook", RULES, "--json", lines)
    assert result.exit_code == 0, result.output
    assert "first: return_goods 2025-03-01 10:00:00 (amount 60.0)" in result.output
    assert "3 customers with 11 events that matter" in result.output
    assert f"{SILENCE}: fired for 1" in result.output
    found = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    assert [(each["customer_id"], each["pattern"]) for each in found] == [
        ("anna", SILENCE),
        ("cleo", COMPLAINTS),
    ]
    fired = dt.datetime.fromtimestamp(found[0]["fired_at"], dt.UTC)
    assert fired == dt.datetime(2025, 4, 8, 10, tzinfo=dt.UTC)
    assert [e["event"] for e in found[0]["evidence"]] == ["row 1", "row 2"]
    assert [e["attributes"]["severity"] for e in found[1]["evidence"]] == [2.0, 2.0, 5.0]


def test_time_can_be_set_and_bounded(csv: Path) -> None:
    """`--as-of` looks back from a time; `--since` leaves out what fired before another."""
    early = invoke("run", csv, "--rulebook", RULES, "--as-of", "2025-04-08T09:59:59")
    assert f"{SILENCE}: fired for 0" in early.output
    due = invoke("run", csv, "--rulebook", RULES, "--as-of", "2025-04-08T10:00:00")
    assert f"{SILENCE}: fired for 1" in due.output
    late = invoke("run", csv, "--rulebook", RULES, "--since", "2025-04-08T10:00:00")
    assert f"{SILENCE}: fired for 0" in late.output
    assert f"{COMPLAINTS}: fired for 1" in late.output


def test_parquet_says_the_same(csv: Path, tmp_path: Path) -> None:
    """Typed columns give the same matches as text."""
    parquet, lines = tmp_path / "events.parquet", (tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    frame = pl.read_csv(csv, try_parse_dates=False).with_columns(pl.col("time").str.to_datetime(strict=False))
    dates = pl.read_csv(csv)["time"].str.to_date(strict=False).cast(pl.Datetime("us"))
    frame = frame.with_columns(pl.coalesce(pl.col("time"), dates))
    frame.write_parquet(parquet)
    for path, out in zip((csv, parquet), lines, strict=True):
        assert invoke("run", path, "--rulebook", RULES, "--json", out).exit_code == 0
    first, second = (
        [
            (line["customer_id"], line["fired_at"], [e["event"] for e in line["evidence"]])
            for line in map(json.loads, path.read_text(encoding="utf-8").splitlines())
        ]
        for path in lines
    )
    assert first == second
    assert len(first) == 2


def test_bad_rows_are_listed_and_the_rest_is_run(csv: Path) -> None:
    """Rows without customer, time or event are rejected with a reason; the exit code says so."""
    with csv.open("a", encoding="utf-8") as file:
        file.write(",2025-01-01,purchase,1,,\nanna,yesterday,purchase,1,,\nanna,,purchase,1,,\n")
        file.write("anna,2025-01-01,,1,,\nanna,9e99,purchase,1,,\nanna,2025-01-01\n")
    result = invoke("run", csv, "--rulebook", RULES)
    assert result.exit_code == 2
    assert "6 rows rejected" in result.output
    assert f"{SILENCE}: fired for 1" in result.output
    rejects = Path(f"{csv}.rejects.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[:2] for line in rejects[1:]] == [
        ["13", "customer_id"],
        ["14", "time"],
        ["15", "time"],
        ["16", "event"],
        ["17", "time"],
        ["18", ""],
    ]


def test_histories_can_be_run_too(tmp_path: Path, patterns: tuple[Pattern, ...]) -> None:
    """Of a file of histories only the events count; keys are the events' own; absent attributes are named."""
    path = tmp_path / "history.csv"
    path.write_text(
        "customer_id,time,kind,event,action,amount,idempotency_key\n"
        "a,100,event,return_goods,,60,k1\n"
        "a,,contact,,call_back,,\n"
        "a,200,Event,return_goods,,x1,\n"
        "a,300,event,other,,1,k3\n",
        encoding="utf-8",
    )
    loaded = load_events(path, patterns)
    assert loaded.rejected == 0
    assert loaded.absent == ("product", "severity")
    assert loaded.latest == 300.0
    (window,) = loaded.windows(loaded.latest)
    assert window.events == (
        Event("k1", "return_goods", 100.0, {"amount": 60.0}),
        Event("row 3", "return_goods", 200.0, {"amount": "x1"}),
    )


def test_cells_are_read_as_patterns_compare_them(tmp_path: Path) -> None:
    """A cell of a CSV file is a number or a bool where a pattern asks for one, else a word."""
    where = "n > 1 && gift == true && code == '7' && mixed == 5"
    joined = {"event": "visit", "within": "1d", "where": "m < first.m && word == first.word"}
    entries = [{"id": "p", "sequence": [{"event": "buy", "as": "first", "where": where}, joined]}]
    path = tmp_path / "e.csv"
    names = "customer_id,time,event,n,gift,code,mixed,m,word,unused\n"
    path.write_text(
        f"{names}a,1,buy,1e2,true,7,five,-.5,07,9\na,2,visit,1e,TRUE,,5,0x1,,9\na,3,buy,inf,1,,,nan,,9\n",
        encoding="utf-8",
    )
    (window,) = load_events(path, patterns_of(tmp_path, entries)).windows(10.0)
    assert [dict(event.attributes) for event in window.events] == [
        {"n": 100.0, "gift": True, "code": "7", "mixed": "five", "m": -0.5, "word": "07"},
        {"n": "1e", "gift": "TRUE", "mixed": 5.0, "m": "0x1"},
        {"n": "inf", "gift": "1", "m": "nan"},
    ]


def test_typed_columns_keep_their_types(tmp_path: Path, patterns: tuple[Pattern, ...]) -> None:
    """Numbers, bools and words of a Parquet file are what they are; lists are not there; dates are words."""
    path = tmp_path / "e.parquet"
    pl.DataFrame(
        {
            "customer_id": ["a", "a"],
            "time": [1, 2],
            "event": ["complaint", "complaint"],
            "amount": ["5", None],
            "severity": [3, 2**53 + 1],
            "product": [["x"], ["y"]],
        }
    ).write_parquet(path)
    (window,) = load_events(path, patterns).windows(10.0)
    assert [dict(event.attributes) for event in window.events] == [
        {"amount": "5", "severity": 3},
        {"severity": 2**53 + 1},
    ]


def test_files_that_are_no_events(tmp_path: Path, patterns: tuple[Pattern, ...]) -> None:
    """A file without the columns is refused; one without rows is a run without matches."""
    path = tmp_path / "e.csv"
    path.write_text("customer_id,when\na,1\n", encoding="utf-8")
    with pytest.raises(InvalidInput) as refused:
        load_events(path, patterns)
    assert [v.description for v in refused.value.violations] == ["`time` is missing", "`event` is missing"]
    path.write_text("customer_id,time,event\n", encoding="utf-8")
    result = invoke("run", path, "--rulebook", RULES)
    assert result.exit_code == 0, result.output
    assert "0 customers with 0 events that matter" in result.output
    assert "no column `amount`" in result.output


def test_check_shows_patterns_to_the_library() -> None:
    """`check` says that all patterns are borne; a rulebook without patterns has nothing to check."""
    result = invoke("check", "--rulebook", RULES)
    assert (result.exit_code, result.output) == (0, "2 patterns, no problems\n")
    nothing = invoke("check", "--rulebook", RULES.parent / "small")
    assert nothing.exit_code == 1
    assert isinstance(nothing.exception, InvalidInput)
