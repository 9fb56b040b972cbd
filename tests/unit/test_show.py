"""`nextbest rules show`: all that rule files can say, in words, and nothing left out."""

import json
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nextbest.cli.commands import app
from nextbest.errors import NextBestError
from nextbest.rulebook.compile import examine_source
from nextbest.rulebook.documents.common import DURATION_SECONDS
from nextbest.rulebook.in_words import in_words
from nextbest.rulebook.own_names import own_names
from nextbest.rulebook.rulebook_in_words import rulebook_in_words
from nextbest.rulebook.source import load_source
from nextbest.rulebook.told import duration_in_words

ROOT = Path(__file__).parents[2]
GROCERY, TELECOM = ROOT / "rules" / "grocery", ROOT / "rules" / "telecom"
FULL = ROOT / "tests" / "rulebooks" / "full"


def shown(*arguments: object) -> str:
    """What the command prints."""
    result = CliRunner().invoke(app, ["rules", "show", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("customer.discount_share < 0.5", "discount share is below 0.5"),
        ('"coffee" in customer.needs', "needs include `coffee`"),
        ('!("coffee" in customer.needs)', "needs do not include `coffee`"),
        ('customer.household in ["a", "b"]', "household is `a` or `b`"),
        ("!has(customer.nps_relation)", "nps relation is not known"),
        ("a.b && (c.d || e.f)", "a.b and (c.d or e.f)"),
        ("within(customer.last_purchase, 14)", "last purchase lies within the last 14 days"),
        ("trigger.overdue", "trigger `overdue` has fired"),
        ("customer.a > 1 ? 2.0 : 3.0", "if a is above 1 then 2.0 else 3.0"),
        ("count(history.events, 30) > 2", "count(history.events, 30) is above 2"),
    ],
)
def test_expressions_are_read_aloud(source: str, words: str) -> None:
    """A condition is said in plain English; what has no words stays as it is written."""
    assert in_words(source) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (14 * 86400.0, "2 weeks"),
        (7 * 86400.0, "7 days"),
        (86400.0, "1 day"),
        (36 * 3600.0, "36 hours"),
        (90.0, "90 seconds"),
        (60.0, "1 minute"),
        (0.0, "0 days"),
    ],
)
def test_durations_are_read_aloud(seconds: float, words: str) -> None:
    """A duration is said in the largest unit that fits."""
    assert duration_in_words(seconds) == words


def test_show_says_what_an_action_compiles_to() -> None:
    """Audience, triggers, gates with their numbers, effect, cost and treatments are all there."""
    lines = json.loads(shown(GROCERY, "campaign_a", "--json"))["action campaign_a"]
    assert lines["for"] == ["customers in know_me or hear_me or grow_me"]
    assert "shopped_lately: last purchase lies within the last 14 days" in lines["fires when"]
    assert {"data quality at least 0.4", "at most 4 contacts in 365 days"} <= set(lines["gates"])
    assert lines["cost"] == ["0.45 USD a contact, 0.4 USD more if accepted"]
    assert any(line.startswith("pos/receipt: ") for line in lines["says"])
    assert "(outbound needs consent mail_marketing)" in lines["says"][0]


def test_show_of_a_whole_rulebook_is_golden(golden_text: str) -> None:
    """Every word about a rulebook in which every key is used."""
    assert shown(FULL) == golden_text


@pytest.fixture
def golden_text() -> str:
    """What is expected; `nextbest rules show tests/rulebooks/full` writes it."""
    return (FULL / "shown.txt").read_text(encoding="utf-8")


def test_show_finds_by_name() -> None:
    """One thing is shown by its id, a part of the rulebook by its name; an unknown id gives the nearest."""
    assert shown(TELECOM, "contracts").startswith("table contracts\n")
    assert shown(TELECOM, "sms").startswith("channel sms\n")
    assert shown(TELECOM, "strategy").startswith("strategy telecom\n")
    with pytest.raises(NextBestError, match="did you mean `apology`"):
        CliRunner().invoke(app, ["rules", "show", str(GROCERY), "apologi"], catch_exceptions=False)


@pytest.mark.parametrize("directory", [GROCERY, TELECOM, FULL], ids=lambda path: path.name)
def test_show_covers_every_name(directory: Path) -> None:
    """Everything that has an id is shown under it."""
    names = set(json.loads(shown(directory, "--json")))
    own = own_names(load_source(directory))
    for kind in ("action", "trigger", "segment", "pattern"):
        assert {f"{kind} {name}" for name in own.of(kind)} <= names


@pytest.mark.parametrize("directory", [GROCERY, TELECOM, FULL], ids=lambda path: path.name)
def test_show_leaves_nothing_out(directory: Path) -> None:
    """Every value that stands in a rule file is said: numbers, names, conditions, durations and texts."""
    source = load_source(directory)
    parts, _ = examine_source(source)
    assert parts is not None
    text = "\n".join(
        f"{name} {about}: {line}"
        for name, lines in rulebook_in_words(parts)
        for about, said in lines.items()
        for line in said
    )
    files = [file for file in source.files if file.kind != "tests"]
    missing = [
        (file.path, *path, value)
        for file in files
        for path, value in leaves(file.value)
        if not any(form in text for form in forms(value))
    ]
    assert not missing


def leaves(node, path=()):
    """(path, scalar) of a document, texts in the default language only."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key != "da" or "en" not in node:
                yield from leaves(value, (*path, key))
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from leaves(value, (*path, i))
    elif path[-1] != "otherwise" or node != "report":
        yield path, node


def forms(value):
    """Ways to say a value."""
    if isinstance(value, bool):
        return ("yes", "comes first", "bound to a place", "is true") if value else ("no", "is false")
    if isinstance(value, int | float):
        return (f"{value:g}", f"{value:.12g}", f"{value:+g} %")
    unit = value.lstrip("0123456789.")
    if unit in DURATION_SECONDS and value[:1].isdigit():
        seconds = float(value.removesuffix(unit)) * DURATION_SECONDS[unit]
        return duration_in_words(seconds), f"last {seconds / 86400!r} days", f"{seconds / 86400:g} days"
    if value.startswith(("20", "19")) and len(value) == 10:
        return value, f"{date.fromisoformat(value).year}"
    said = value.replace("..", " to ").strip("[](),<>=! ")
    listed = value.replace(", ", " or ")
    return value, listed, *SAID.get(value, ()), said.split(" to ")[0]


SAID = {
    "all": ("customer: last_purchase",),
    "unique": ("at most one row holds",),
    "first": ("the first row that holds",),
    "collect": ("every row that holds",),
    "drop": ("its level fell",),
    "rise": ("its level rose",),
    "silent_drop": ("its level fell without a complaint",),
    "dip": ("far below what is usual",),
    "spike": ("far above what is usual",),
    "fewer_purchases": ("fewer purchases",),
    "more_purchases": ("more purchases",),
    "change": ("a change between two snapshots",),
    "detector": ("a detector, off the request path",),
    "pattern": ("found by: pattern",),
    "snapshot": ("fires:",),
    "nothing": ("otherwise nothing",),
    "short": ("the years to come do not count",),
    "long": ("lifetime",),
    "-": ("",),
}
"""Words for what is not said as it is written."""
