"""The first ten minutes of docs/rules.md, walked literally: each command, and all that it prints."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nextbest.cli.commands import app

GUIDE = Path(__file__).parents[2] / "docs" / "rules.md"
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
SUBSTITUTION = re.compile(r"s/([^/]*)/([^/]*)/")


def steps() -> list[tuple[str, str]]:
    """(command, what follows it) of every console block, in order."""
    text = "".join(CONSOLE.findall(GUIDE.read_text(encoding="utf-8")))
    return COMMAND.findall(text)


def carried_out(command: str, rest: str) -> str:
    """Do what a line says; what it should print is returned with what it printed."""
    words = shlex.split(command)
    match words:
        case ["cat", ">", name, "<<END"]:
            Path(name).write_text(rest.removesuffix("END\n"), encoding="utf-8")
            return rest
        case ["sed", "-i", script, name]:
            text = Path(name).read_text(encoding="utf-8")
            for old, new in SUBSTITUTION.findall(script):
                assert old in text
                text = text.replace(old, new)
            Path(name).write_text(text, encoding="utf-8")
            return ""
        case ["mkdir", name]:
            Path(name).mkdir()
            return ""
        case ["nextbest", *arguments]:
            return CliRunner().invoke(app, arguments, catch_exceptions=False).output
    raise AssertionError(command)


def test_the_first_ten_minutes_go_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who types what the guide shows, in an empty folder, sees what the guide shows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    found = steps()
    assert len(found) >= 14
    for command, rest in found:
        printed = carried_out(command, rest)
        assert without_blanks(printed) == without_blanks(rest), command


def without_blanks(text: str) -> list[str]:
    """Lines without blanks at their ends, and without empty lines at the end."""
    return [line.rstrip() for line in text.rstrip().splitlines()]
