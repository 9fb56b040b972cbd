"""The list of bad input that rule files must survive, one test each: a clear error or the right result.

Nothing is timed. Work is bounded by limits that the tests name, memory is measured in a process of its own.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import nextbest.rulebook.source as source_module
from nextbest.rulebook.compile import compile_rulebook, examine_source
from nextbest.rulebook.diagnostics import errors_in, render_text
from nextbest.rulebook.nodes import MAX_DEPTH, MAX_PROBLEMS
from nextbest.rulebook.source import MAX_FILE_BYTES, load_source
from nextbest.rulebook.verify import verify_source

BASE = Path(__file__).parents[1] / "golden" / "lint" / "base"
MENU = (BASE / "actions" / "menu.yaml").read_text(encoding="utf-8")
MEASURED = """
import json, resource, sys
from pathlib import Path
from nextbest.rulebook.compile import examine_source
from nextbest.rulebook.diagnostics import render_text
from nextbest.rulebook.source import load_source
from nextbest.rulebook.verify import verify_source
verify_source(load_source(Path(sys.argv[1])))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
source = load_source(Path(sys.argv[2]))
parts, found = examine_source(source)
actions = len(parts.rulebook.actions) if parts else 0
report = render_text(found, source.by_path)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"report": report, "mib": (after - before) / 1024, "actions": actions}))
"""
"""Checks a small rulebook first, so that what is measured is the input and not what is imported."""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A rulebook without problems, to be spoilt."""
    shutil.copytree(BASE, tmp_path / "rules")
    return tmp_path / "rules"


@pytest.fixture
def report(rules: Path) -> Callable[[], str]:
    """The whole text that is said of the rulebook."""

    def rendered() -> str:
        source = load_source(rules)
        return render_text(verify_source(source), source.by_path)

    return rendered


def spoil(rules: Path, old: str, new: str) -> None:
    """Change the action of the rulebook."""
    assert old in MENU
    (rules / "actions" / "menu.yaml").write_text(MENU.replace(old, new), encoding="utf-8")


def measured(rules: Path) -> tuple[str, float, int]:
    """What is said of a rulebook, the MiB that it took, and its actions, by a process of its own."""
    command = [sys.executable, "-c", MEASURED, str(BASE), str(rules)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    return found["report"], found["mib"], found["actions"]


def test_tabs(rules: Path, report: Callable[[], str]) -> None:
    """A tab that indents is named as such, where it stands."""
    spoil(rules, "    triggers: [came_lately]", "\ttriggers: [came_lately]")
    assert report() == (
        "actions/menu.yaml:4:1: error: a tab stands where spaces should [yaml-syntax]\n"
        "    4 | \ttriggers: [came_lately]\n"
        "      | ^\n"
        "  help: indent with spaces\n\n"
        "1 error in 1 file\n"
    )


def test_byte_order_mark_and_crlf(rules: Path, report: Callable[[], str]) -> None:
    """What a Windows editor writes means the same, and errors keep their place."""
    path = rules / "actions" / "menu.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + MENU.replace("\n", "\r\n").encode())
    assert report() == ""
    path.write_bytes(b"\xef\xbb\xbf" + MENU.replace("\n", "\r\n").replace("fair", "fare").encode())
    assert report() == (
        "actions/menu.yaml:10:16: error: unknown promise `fare` [unknown-promise]\n"
        "   10 |     promises: [fare]\n"
        "      |                ^~~~\n"
        "  help: did you mean `fair`?\n\n"
        "1 error in 1 file\n"
    )


def test_norway_and_off_are_words(rules: Path) -> None:
    """`NO` and `off` are the country and the word, as members, ids and texts."""
    facts = rules / "facts.yaml"
    text = facts.read_text(encoding="utf-8").replace("[single, couple, family]", "[NO, off, yes]")
    facts.write_text(text, encoding="utf-8")
    spoil(
        rules, "    promises:", '    when: customer.household in ["NO", "off"]\n    owner: off\n    promises:'
    )
    parts, diagnostics = examine_source(load_source(rules))
    assert not diagnostics
    assert parts is not None
    assert parts.rulebook.catalogue["household"].values == ("NO", "off", "yes")
    assert parts.rulebook.actions[0].owner == "off"


def test_scientific_notation_is_a_number(rules: Path, report: Callable[[], str]) -> None:
    """`1e3` is 1000 where decimals may stand; a whole number is not written so."""
    spoil(rules, "    promises:", "    cost: {accepted: 1e3}\n    priority: 1e3\n    promises:")
    assert report() == (
        "actions/menu.yaml:11:15: error: expected a whole number, found `1e3` [invalid-value]\n"
        "   11 |     priority: 1e3\n"
        "      |               ^~~\n\n"
        "1 error in 1 file\n"
    )
    spoil(rules, "    promises:", "    cost: {accepted: 1e3}\n    promises:")
    parts, _ = examine_source(load_source(rules))
    assert parts is not None
    assert parts.rulebook.action_tables.accepted_cost.max() == 1000.0


def test_duplicate_keys(rules: Path, report: Callable[[], str]) -> None:
    """A key given twice is an error; YAML would take the last one silently."""
    spoil(rules, "    promises:", "    propensity: 0.9\n    promises:")
    assert report() == (
        "actions/menu.yaml:10:5: error: key `propensity` is given twice [duplicate-key]\n"
        "   10 |     propensity: 0.9\n"
        "      |     ^~~~~~~~~~\n"
        "  help: keep one of them\n\n"
        "1 error in 1 file\n"
    )


def test_anchors_and_alias_bombs(rules: Path) -> None:
    """Aliases are refused one by one and never expanded: 10^9 copies cost no memory."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    (rules / "segments.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    text, mib, _ = measured(rules)
    assert (
        "segments.yaml:1:5: error: anchor `&a0` is not supported [yaml-anchor]\n"
        "    1 | a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        "      |     ^~~~~\n"
        "  help: write the value out\n"
    ) in text
    assert f"{MAX_PROBLEMS + 10} errors in 1 file" in text  # and ten unknown keys
    assert mib < 16


def test_fifty_megabytes(rules: Path) -> None:
    """A file of 50 MB is refused after the limit has been read, and never parsed."""
    with (rules / "actions" / "huge.yaml").open("wb") as stream:
        stream.write(b"actions:\n")
        for _ in range(50):
            stream.write(b"  - {id: a, when: true}\n" * (2**20 // 24))
    text, mib, _ = measured(rules)
    assert text == (
        "actions/huge.yaml: error: the file is larger than 16 MiB [too-large]\n"
        "  help: split or shorten it\n\n"
        "1 error in 1 file\n"
    )
    assert mib < 3 * MAX_FILE_BYTES / 2**20


def test_twenty_thousand_rules(rules: Path) -> None:
    """20,000 actions with a condition each compile, every one of them, in memory in proportion."""
    action = (
        "  - {id: a%05d, desired_action: cross_sell, triggers: [came_lately], when: customer.n_visits > %d,"
        " reason: {en: x, da: x}, treatments: {pos: {say: {en: x, da: x}}}, propensity: 0.1,"
        " effect: {customer_gap: 0.1, profit_gap: 0.1}, relevance: {season: 1}, promises: [fair]}\n"
    )
    rows = "".join(action % (i, i) for i in range(20_000))
    (rules / "actions" / "many.yaml").write_text("actions:\n" + rows, encoding="utf-8")
    report, mib, actions = measured(rules)
    assert report == ""
    assert actions == 20_000 + len(compile_rulebook(BASE).actions)
    assert mib < 20_000 * 30 / 1024  # 30 KiB a rule


def test_nesting_a_thousand_deep(rules: Path, report: Callable[[], str]) -> None:
    """Lists in lists, a thousand deep or a hundred thousand, stop at the limit; so do parentheses."""
    path = rules / "segments.yaml"
    for text, column in (("- " * 1000, 2 * MAX_DEPTH + 1), ("[" * 100_000, MAX_DEPTH + 1)):
        path.write_text(text, encoding="utf-8")
        first = report().splitlines()[0]
        assert first == f"segments.yaml:1:{column}: error: nested more than {MAX_DEPTH} deep [yaml-depth]"
    for deep in ("(" * 1000 + "true" + ")" * 1000, "!" * 1000 + "true", "-" * 1000 + "1 > 0"):
        path.write_text(f"segments:\n  - {{id: deep, when: '{deep}'}}\n", encoding="utf-8")
        assert "error: the expression nests more than 40 levels deep [expression]" in report()


def test_other_encodings(rules: Path, report: Callable[[], str]) -> None:
    """A file that is not UTF-8 is an error that names the line of the first byte that is wrong."""
    (rules / "actions" / "menu.yaml").write_bytes(MENU.replace("vores", "gør").encode("latin-1"))
    assert report() == (
        "actions/menu.yaml:5:1: error: byte 145 in line 5 is not UTF-8 [not-utf-8]\n"
        "  help: save the file as UTF-8\n\n"
        "1 error in 1 file\n"
    )


def test_danish_letters(rules: Path, report: Callable[[], str]) -> None:
    """Letters of any alphabet make ids and texts; written in two ways they are one id."""
    spoil(rules, "second_cup", "smørrebrød_på_æg")
    (rules / "tests").mkdir()
    (rules / "tests" / "a_test.yaml").write_text(
        "tests:\n  - name: Æbler\n    now: 2025-06-01T12:00:00Z\n    request: {channel: pos}\n"
        "    expect: {excludes: [smørrebrød_pa\u030a_æg]}\n",
        encoding="utf-8",
    )
    assert report() == ""
    parts, _ = examine_source(load_source(rules))
    assert parts is not None
    assert "smørrebrød_på_æg" in parts.rulebook.action_index


def test_symlink_loop(rules: Path, report: Callable[[], str]) -> None:
    """A link to itself is an error; a link to the folder above is not followed down."""
    (rules / "actions" / "self.yaml").symlink_to(rules / "actions" / "self.yaml")
    (rules / "triggers" / "up").symlink_to(rules)
    assert report() == (
        "actions/self.yaml: error: cannot read `actions/self.yaml`: too many levels of symbolic links"
        " [unreadable]\n\n"
        "triggers/up: error: `triggers/up` is not read [unknown-file]\n"
        "  help: files in `triggers/` end in `.yaml`\n\n"
        "2 errors in 2 files\n"
    )


def test_a_pipe_is_not_waited_for(rules: Path, report: Callable[[], str]) -> None:
    """What is no file is refused at once, even where reading it would never end."""
    os.mkfifo(rules / "actions" / "pipe.yaml")
    (rules / "actions" / "zero.yaml").symlink_to("/dev/zero")
    assert report() == (
        "actions/pipe.yaml: error: `actions/pipe.yaml` is not a file [unreadable]\n\n"
        "actions/zero.yaml: error: `actions/zero.yaml` is not a file [unreadable]\n\n"
        "2 errors in 2 files\n"
    )


def test_a_file_that_changes_while_it_is_read(
    rules: Path, report: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that grew between the first and the last byte is refused; text and tree stay together."""
    path = rules / "actions" / "menu.yaml"
    look, looks = os.fstat, 0

    def writing(descriptor: int) -> os.stat_result:
        nonlocal looks
        looks += 1
        if looks == 2:
            path.write_text(MENU + "# saved again\n", encoding="utf-8")
        return look(descriptor)

    monkeypatch.setattr(source_module.os, "fstat", writing)
    assert report() == (
        "actions/menu.yaml: error: `actions/menu.yaml` changed while it was read [changed]\n"
        "  help: try again\n\n"
        "1 error in 1 file\n"
    )


def test_a_table_with_a_missing_column(rules: Path, report: Callable[[], str]) -> None:
    """Each row that has another number of cells than there are columns says which columns there are."""
    (rules / "tables").mkdir()
    (rules / "tables" / "t.yaml").write_text(
        "tables:\n  - id: t\n    columns: [customer.coffees, customer.n_visits]\n    rows:\n"
        '      - {when: [">= 3"], actions: [second_cup]}\n      - {when: ["< 3", "-", "-"]}\n',
        encoding="utf-8",
    )
    hint = (
        '  help: the columns are `customer.coffees`, `customer.n_visits`; write "-" where anything goes\n\n'
    )
    assert report() == (
        "tables/t.yaml:5:10: error: row has 1 cell for 2 columns [table-cells]\n"
        '    5 |       - {when: [">= 3"], actions: [second_cup]}\n'
        "      |          ^~~~\n"
        + hint
        + "tables/t.yaml:6:10: error: row has 3 cells for 2 columns [table-cells]\n"
        '    6 |       - {when: ["< 3", "-", "-"]}\n'
        "      |          ^~~~\n" + hint + "2 errors in 1 file\n"
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("priority: " + "9" * 5000, f"number `{'9' * 40}…` is out of range [number-range]"),
        ("lever: 1e400", "number `1e400` is out of range [number-range]"),
        ("lever: .inf", "number `.inf` is out of range [number-range]"),
        ("priority: 99999999999", "expected a number at most 1000000, found `99999999999` [invalid-value]"),
        (
            "when: customer.coffees < " + "9" * 30,
            f"`{'9' * 30}` does not fit in a 64-bit integer [expression]",
        ),
        (
            "when: customer.coffees < 9223372036854775807 + 1",
            "the expression always fails: integer overflow [expression]",
        ),
    ],
)
def test_huge_integers(rules: Path, report: Callable[[], str], line: str, message: str) -> None:
    """A number that cannot be held is an error, in YAML as in expressions, and never another number."""
    spoil(rules, "    promises:", f"    {line}\n    promises:")
    assert report().splitlines()[0].endswith(f": error: {message}")


def test_division_by_zero(rules: Path, report: Callable[[], str]) -> None:
    """`1 / 0` that decides a condition is an error; beside a part that does not fail it is a warning."""
    spoil(rules, "    promises:", "    when: customer.coffees > 1 / 0\n    promises:")
    assert report() == (
        "actions/menu.yaml:10:30: error: the expression always fails: division by zero [expression]\n"
        "   10 |     when: customer.coffees > 1 / 0\n"
        "      |                              ^~~~~\n\n"
        "1 error in 1 file\n"
    )
    spoil(rules, "    promises:", "    when: customer.coffees > 1 || 1 / 0 > 1\n    promises:")
    assert not errors_in(verify_source(load_source(rules)))
    assert "[always-fails]" in report()
