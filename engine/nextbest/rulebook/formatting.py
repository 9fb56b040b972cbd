"""One layout for rule files: only white space changes, so comments and quotes stay as they were written."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml
from yaml.tokens import (
    BlockEndToken,
    BlockEntryToken,
    BlockMappingStartToken,
    BlockSequenceStartToken,
    FlowMappingEndToken,
    FlowMappingStartToken,
    FlowSequenceEndToken,
    FlowSequenceStartToken,
    KeyToken,
    ScalarToken,
    Token,
    ValueToken,
)

from nextbest.rulebook.nodes import Value, parse_nodes, to_value

STEP = 2
"""Columns by which what belongs to a key or a dash is indented."""

_DASHES = re.compile(r"(?:- +)*(?:-$)?")
_STRUCTURE = (
    BlockEntryToken,
    KeyToken,
    ScalarToken,
    FlowMappingStartToken,
    FlowSequenceStartToken,
)


class FormattingError(ValueError):
    """A file cannot be laid out anew without changing what it says; the text says why."""


def formatted(text: str) -> str:
    r"""The text of a rule file in the one layout; formatting it again changes nothing.

    Two columns a level, list items below their key, no trailing blanks, no more than one blank line
    together, `\n` at every line's end.

    Raises:
        FormattingError: the text is not YAML that a rulebook may hold, or its meaning would change.
    """
    value = _value(text)
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    try:
        result = _layout(lines, _plan(lines))
    except yaml.MarkedYAMLError as error:
        raise FormattingError(str(error.problem)) from None
    if "".join(result.split()) != "".join(text.removeprefix("\ufeff").split()) or _value(result) != value:
        raise FormattingError("its meaning would change")
    return result


def _value(text: str) -> Value:
    root, problems = parse_nodes(text)
    value = None if root is None else to_value(root, problems)
    if problems:
        raise FormattingError(problems[0].message)
    return value


@dataclass(slots=True)
class _Level:
    """An open block collection."""

    is_list: bool
    column: int
    """Where its keys or dashes begin in the new layout."""
    indentless: bool = False
    """A list whose dashes stand right below its key; the scanner says nothing of its beginning and end."""


@dataclass(slots=True)
class _Plan:
    """What becomes of the lines."""

    columns: dict[int, int]
    """New indentation of lines that begin something, by line."""
    owner: dict[int, int]
    """Line that begins what this line continues."""
    floor: dict[int, int]
    """Least indentation of what continues a line, by the line that begins it."""
    content: set[int]
    """Lines of scalars, whose blanks may mean something."""


def _plan(lines: list[str]) -> _Plan:
    planner = _Planner(lines, _Plan({}, {}, {}, set()), [])
    for token in yaml.scan("\n".join(lines), Loader=yaml.SafeLoader):
        planner.take(token)
    return planner.plan


@dataclass(slots=True)
class _Planner:
    """Follows the scanner's tokens through the block structure."""

    lines: list[str]
    plan: _Plan
    levels: list[_Level]
    depth: int = 0
    """Open flow collections."""
    flow_start: int = 0
    last: int = -1
    """Last line on which something began."""

    def take(self, token: Token) -> None:
        if self.depth == 0:
            self._take_block(token)
        if isinstance(token, FlowMappingStartToken | FlowSequenceStartToken):
            self.flow_start = token.start_mark.line if self.depth == 0 else self.flow_start
            self.depth += 1
        elif isinstance(token, FlowMappingEndToken | FlowSequenceEndToken):
            self.depth -= 1
            if self.depth == 0:
                self._continue(self.flow_start, token.end_mark.line)
        elif isinstance(token, ScalarToken) and self.depth == 0:
            self._scalar(token)
        if isinstance(token, ScalarToken):
            first, last = token.start_mark.line, self._last_line(token)
            self.plan.content.update(range(first + 1, last + 1) if token.plain else range(first, last + 1))
            if token.plain or last == first:
                self.plan.content.discard(first)

    def _take_block(self, token: Token) -> None:
        if isinstance(token, BlockMappingStartToken):
            self.levels.append(_Level(is_list=False, column=self._inner()))
        elif isinstance(token, BlockSequenceStartToken):
            self.levels.append(_Level(is_list=True, column=self._inner()))
        elif isinstance(token, BlockEndToken):
            self._close_indentless()
            self.levels.pop()
        elif isinstance(token, BlockEntryToken) and not self.levels[-1].is_list:
            self.levels.append(_Level(is_list=True, column=self._inner(), indentless=True))
        elif isinstance(token, KeyToken):
            self._close_indentless()
        if isinstance(token, _STRUCTURE):
            self._begin(token)
        elif isinstance(token, ValueToken):
            self.last = max(self.last, token.start_mark.line)

    def _inner(self) -> int:
        return self.levels[-1].column + STEP if self.levels else 0

    def _close_indentless(self) -> None:
        if self.levels and self.levels[-1].indentless:
            self.levels.pop()

    def _begin(self, token: Token) -> None:
        line = token.start_mark.line
        if line <= self.last:
            return
        own = isinstance(token, BlockEntryToken | KeyToken)
        column = self.levels[-1].column if own else self._inner()
        self.last = line
        self.plan.columns[line] = column

    def _scalar(self, token: ScalarToken) -> None:
        last = self._last_line(token)
        self._continue(token.start_mark.line, last)
        self.last = max(self.last, last)

    def _last_line(self, token: ScalarToken) -> int:
        """A block ends where the next line begins; blank lines after it are none of it unless it says `+`."""
        end = token.end_mark
        first: int = token.start_mark.line
        last: int = end.line - 1 if end.column == 0 and end.line > first else end.line
        if token.style in ("|", ">") and "+" not in self._header(token):
            while last > first and not self.lines[last].strip():
                last -= 1
        return last

    def _header(self, token: ScalarToken) -> str:
        """What stands behind the `|` or `>` of a block, without a comment."""
        line: int = token.start_mark.line
        column: int = token.start_mark.column
        return self.lines[line][column:].partition("#")[0]

    def _continue(self, first: int, last: int) -> None:
        """Lines after `first` up to `last` keep their place relative to what they continue."""
        for line in range(first + 1, last + 1):
            self.plan.owner[line] = first
        self.plan.floor[first] = self.levels[-1].column + 1 if self.levels else 0
        self.last = max(self.last, last)


def _layout(lines: list[str], plan: _Plan) -> str:
    shifts = _shifts(lines, plan)
    out: list[str] = []
    for number, line in enumerate(lines):
        stripped = line.strip(" ") if number in plan.content else line.strip(" \t")
        if number in plan.owner and number in plan.content:
            out.append(_shifted(line, shifts[plan.owner[number]]))
        elif not stripped:
            if out and out[-1]:
                out.append("")
        elif number in plan.owner:
            out.append(_shifted(line, shifts[plan.owner[number]]).rstrip(" \t"))
        elif number in plan.columns:
            out.append(" " * plan.columns[number] + _tight(stripped))
        elif stripped.startswith("#"):
            out.append(" " * _comment_column(number, lines, plan) + stripped)
        else:
            out.append(line.rstrip(" \t"))
    while out and not out[-1].strip(" "):
        out.pop()
    return "\n".join(out) + "\n" if out else ""


def _shifts(lines: list[str], plan: _Plan) -> dict[int, int]:
    """How far the lines that continue a line move: as far as it does, but never out of its block."""
    moved: dict[int, int] = {}
    for first in dict.fromkeys(plan.owner.values()):
        start = plan.owner.get(first, first)
        shift = plan.columns.get(start, _indent(lines[start])) - _indent(lines[start])
        following = [n for n, owner in plan.owner.items() if owner == first and lines[n].strip()]
        least = min((_indent(lines[n]) for n in following), default=0)
        moved[first] = max(shift, plan.floor[first] - least)
    return moved


def _shifted(line: str, shift: int) -> str:
    if not line.strip(" "):
        return line if shift == 0 else " " * max(0, len(line) + shift) if line else ""
    return " " * max(0, _indent(line) + shift) + line.lstrip(" ")


def _tight(line: str) -> str:
    """One blank after each dash at the beginning of a line."""
    match = _DASHES.match(line)
    dashes = match[0].count("-") if match else 0
    return "- " * dashes + line[match.end() :] if match and dashes and not line.endswith("-") else line


def _comment_column(number: int, lines: list[str], plan: _Plan) -> int:
    """A comment belongs to what follows, unless it is indented deeper: then to what it stands below."""
    own = _indent(lines[number])
    following = next((n for n in range(number + 1, len(lines)) if n in plan.columns), None)
    if following is not None and own <= _indent(lines[following]):
        return plan.columns[following]
    if own == 0:
        return 0
    for before in _beginnings_before(number, plan):
        for column, new in _places(lines[before], plan.columns[before]):
            if column <= own:
                return new
    return 0 if following is None else plan.columns[following]


def _beginnings_before(number: int, plan: _Plan) -> Iterator[int]:
    return (n for n in range(number - 1, -1, -1) if n in plan.columns)


def _places(line: str, column: int) -> Iterator[tuple[int, int]]:
    """Old and new columns at which things begin on a line, the innermost first."""
    old = _indent(line)
    starts = [old + m.start() for m in re.finditer(r"-(?= )", (_DASHES.match(line[old:]) or [""])[0])]
    inner = old + len((_DASHES.match(line[old:]) or [""])[0])
    for level, place in reversed(list(enumerate([*starts, inner] if starts else [old]))):
        yield place, column + STEP * level


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
