"""`fmt` on real rule files, tidy, untidy and damaged: comments stay, and what they compile to."""

import random
import shutil
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from nextbest.cli.commands import app
from nextbest.rulebook.compile import compile_rulebook
from nextbest.rulebook.formatting import FormattingError, formatted
from nextbest.rulebook.nodes import Mapping, Scalar, Sequence, parse_nodes, to_value

RULES = Path(__file__).parents[2] / "rules"
SHIPPED = sorted(path for path in RULES.rglob("*.yaml") if ".schema" not in path.parts)
NOISE = ("", " ", "  ", "\n", "- ", "'", '"', ":", "#", "x")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.relative_to(RULES).as_posix())
def test_shipped_files_are_formatted(path: Path) -> None:
    """What is shipped is laid out as `fmt` lays it out."""
    text = path.read_text(encoding="utf-8")
    assert formatted(text) == text


@given(st.sampled_from(SHIPPED), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_every_value_and_comment_is_kept(path: Path, rng) -> None:
    """A shipped file with other white space and more comments is laid out again, and means the same."""
    text = path.read_text(encoding="utf-8")
    changed = respaced(text, rng)
    once = formatted(changed)
    assert formatted(once) == once
    assert value_of(once) == value_of(changed) == value_of(text)
    assert comments(once) == comments(changed)


@given(st.sampled_from(SHIPPED), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_damaged_files_keep_every_value_or_are_refused(path: Path, rng) -> None:
    """Whatever was damaged, the file either means the same afterwards or is left as it is."""
    text = path.read_text(encoding="utf-8")
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice(NOISE) + text[at + rng.randint(0, 2) :]
    try:
        once = formatted(text)
    except FormattingError:
        return
    assert formatted(once) == once
    assert value_of(once) == value_of(text)


@pytest.mark.parametrize("name", ["grocery", "telecom"])
def test_what_is_compiled_never_changes(name: str, tmp_path: Path) -> None:
    """Every file with other white space compiles to the same tables, before and after formatting."""
    directory = tmp_path / name
    shutil.copytree(RULES / name, directory)
    expected = compiled(directory)
    rng = random.Random(name)
    for path in directory.rglob("*.yaml"):
        path.write_text(respaced(path.read_text(encoding="utf-8"), rng), encoding="utf-8")
    assert compiled(directory) == expected
    for arguments in (["fmt"], ["fmt", "--check"]):
        result = CliRunner().invoke(app, ["rules", *arguments, str(directory)], catch_exceptions=False)
        assert result.exit_code == 0, result.output
    assert compiled(directory) == expected


def respaced(text: str, rng: random.Random) -> str:
    """The same rule file with blanks at line ends, blank lines, more comments and wider indentation.

    Lines of texts that run over several lines stay together and as they are.
    """
    whole = inside_texts(text)
    lines: list[str] = []
    for number, line in enumerate(text.splitlines()):
        if number not in whole and rng.random() < 0.1:
            comment = f"{' ' * indented(line)}# {rng.randint(0, 99)}"
            lines += rng.choice(([""], ["", ""], [comment]))
        blanks = 0 if number in whole or number + 1 in whole else rng.choice((0, 0, 1, 3))
        lines.append(line + " " * blanks)
    further = " " * rng.choice((0, 1, 4))
    return "".join(f"{further if indented(line) else ''}{line}\n" for line in lines)


def inside_texts(text: str) -> set[int]:
    """Numbers of the lines on which a text goes on that began on an earlier one."""
    found: set[int] = set()
    root, _ = parse_nodes(text)
    todo = [root]
    while todo:
        node = todo.pop()
        if isinstance(node, Mapping):
            todo += [value for _, value in node.entries.values()]
        elif isinstance(node, Sequence):
            todo += node.items
        elif isinstance(node, Scalar):
            first, last = (text.count("\n", 0, place) for place in (node.start, node.end))
            found.update(range(first + 1, last + 1))
    return found


def indented(line: str) -> int:
    """Blanks at a line's beginning."""
    return len(line) - len(line.lstrip(" "))


def value_of(text: str) -> object:
    """What a file means, comments and layout apart, and the kinds of problem in it."""
    root, problems = parse_nodes(text)
    return (None if root is None else to_value(root, problems)), [problem.code for problem in problems]


def comments(text: str) -> list[str]:
    """The comments on lines of their own, in order."""
    return [line.strip() for line in text.splitlines() if line.lstrip().startswith("#")]


def compiled(directory: Path) -> list[object]:
    """All that a rulebook's files compile to, but for its digest, which is over bytes."""
    book = compile_rulebook(directory)
    tables = {f.name: getattr(book.action_tables, f.name) for f in fields(book.action_tables)}
    arrays = sorted((book.program.to_arrays() | tables).items())
    numbers = [(name, array.dtype.str, array.shape, array.tobytes()) for name, array in arrays]
    return [
        *numbers,
        book.actions,
        book.treatments,
        book.triggers,
        book.segments,
        book.channels,
        book.stages.numbers,
    ]
