"""The page of capabilities: every row that has to be there is, and what it cites exists."""

import ast
import re
from functools import lru_cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nextbest.cli.commands import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "capabilities.md").read_text(encoding="utf-8")
LINTS = ROOT / "tests" / "golden" / "lint"
ROW = re.compile(r"^\| ([A-I]\d+) \| (.+) \| (.+) \|$", re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)(?:\[([\w-]+)\])?`")
COMMAND = re.compile(r"`nextbest ([a-z -]+)`")
RULES = "C14 D3 D4 E13 F3 F4 F6 F7 F9 G4 G5 H6"
POTENTIAL = "A4-A6 B1-B5 B8 B9 B11-B17 C1-C16 D1 D2 D8 I8"
DECISIONS = "A2 A3 A7 B6 B7 B10 C8-C12 D4-D8 E1-E13 F1 F2 F5 F9 G1 G2 G6 I4 I10"


def rows_named(text):
    """`B1-B3 D2` as the rows it names."""
    for part in text.split():
        first, _, last = part.partition("-")
        last = last or first
        yield from (f"{first[0]}{number}" for number in range(int(first[1:]), int(last[1:]) + 1))


@lru_cache
def functions_of(path):
    """Names of the test functions at the top of a file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in tree.body if isinstance(node, kinds)}


FOUND = {row: (what, shown) for row, what, shown in ROW.findall(PAGE)}
CITED = sorted({(row, *test) for row, (_, shown) in FOUND.items() for test in TEST.findall(shown)})


@pytest.mark.parametrize("rows", [RULES, POTENTIAL, DECISIONS], ids=["rules", "potential", "decisions"])
def test_no_row_is_missing(rows):
    """Every row of the three parts of the product has its line."""
    assert set(rows_named(rows)) - set(FOUND) == set()


def test_a_row_has_one_line():
    """A row is not told twice, and nothing is on the page that the three parts do not name."""
    named = {row for rows in (RULES, POTENTIAL, DECISIONS) for row in rows_named(rows)}
    assert sorted(row for row, *_ in ROW.findall(PAGE)) == sorted(named)
    assert [line for line in PAGE.splitlines() if re.match(r"\| [A-I]\d", line) and not ROW.match(line)] == []


@pytest.mark.parametrize(("row", "path", "name", "case"), CITED)
def test_what_is_cited_exists(row, path, name, case):
    """A test that the page names is a function of that file, a case in brackets a folder of the lints."""
    assert name in functions_of(path), row
    assert not case or (LINTS / case / "expected.txt").is_file(), row


@pytest.mark.parametrize("row", sorted(FOUND))
def test_every_row_is_shown_or_open(row):
    """A row cites a test, or says what is open."""
    what, shown = FOUND[row]
    assert TEST.search(shown) or "open:" in what


@pytest.mark.parametrize("command", sorted(set(COMMAND.findall(PAGE))))
def test_commands_exist(command):
    """Commands that the page names are there."""
    found = CliRunner().invoke(app, [*command.split(), "--help"])
    assert found.exit_code == 0, found.output
