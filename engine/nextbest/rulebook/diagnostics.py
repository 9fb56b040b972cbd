"""What is wrong with a rulebook, and how it is shown: as text, JSON or GitHub annotations."""

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Protocol

SHOWN = 50
"""Diagnostics that a text report shows in full; the rest are counted."""
WIDTH = 100
"""Widest excerpt of a source line; longer lines are cut around the caret."""
LONGEST = 600
"""Longest message or hint; what an author wrote may be longer."""
CUT = "…"


class Severity(StrEnum):
    """How grave a diagnostic is: an error keeps a rulebook from compiling, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Diagnostic:
    """One thing that is wrong, and where. Lines and columns count from 1, columns in characters."""

    file: str
    """Path relative to the rulebook directory; empty for the directory itself."""
    line: int
    """0 when the whole file is meant."""
    column: int
    end_line: int
    end_column: int
    """One past the last character."""
    severity: Severity
    code: str
    """Stable name of the kind of problem, such as `unknown-fact`."""
    message: str
    """Lower-case fragment with the user's input in backticks."""
    hint: str = ""
    """Advice, shown on a line of its own; empty if there is none."""


class SourceLines(Protocol):
    """A file whose lines can be shown."""

    def line(self, number: int) -> str:
        """Text of a line, counted from 1, without its line break."""
        ...


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Sort by place and drop what is said twice."""
    return sorted(set(diagnostics))


def errors_in(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Only those that keep a rulebook from compiling."""
    return [d for d in diagnostics if d.severity is Severity.ERROR]


def render_text(
    diagnostics: Sequence[Diagnostic], sources: Mapping[str, SourceLines], *, shown: int = SHOWN
) -> str:
    """The report an author reads: place, message, source line with caret, help; then the counts.

    Args:
        diagnostics: what to report; sorted and de-duplicated here.
        sources: the files by path, for the excerpts; a file that is absent is shown without.
        shown: how many to show in full.
    """
    ordered = in_order(diagnostics)
    blocks = [_block(d, sources.get(d.file)) for d in ordered[:shown]]
    if len(ordered) > shown:
        blocks.append(f"and {len(ordered) - shown} more, not shown")
    return "\n\n".join([*blocks, summary(ordered)]) + "\n" if ordered else ""


def summary(diagnostics: Sequence[Diagnostic]) -> str:
    """Counts by severity and the number of files concerned."""
    counts = [
        _plural(sum(d.severity is severity for d in diagnostics), severity.value) for severity in Severity
    ]
    named = [text for text in counts if not text.startswith("0 ")]
    return f"{' and '.join(named)} in {_plural(len({d.file for d in diagnostics}), 'file')}"


def render_json(diagnostics: Sequence[Diagnostic]) -> str:
    """All diagnostics as one JSON object, for tools."""
    ordered = in_order(diagnostics)
    report = {
        "errors": len(errors_in(ordered)),
        "warnings": len(ordered) - len(errors_in(ordered)),
        "diagnostics": [asdict(d) for d in ordered],
    }
    return json.dumps(report, ensure_ascii=False, indent=2) + "\n"


def render_github(diagnostics: Sequence[Diagnostic], *, prefix: str = "") -> str:
    """Workflow commands that GitHub shows beside the changed lines.

    Args:
        diagnostics: what to report.
        prefix: path of the rulebook directory from the repository's root.

    Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    """
    root = f"{prefix.rstrip('/')}/" if prefix else ""
    return "".join(_annotation(d, root) + "\n" for d in in_order(diagnostics))


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _block(diagnostic: Diagnostic, source: SourceLines | None) -> str:
    d = diagnostic
    place = f"{d.file or '.'}:{d.line}:{d.column}" if d.line else d.file or "."
    lines = [_printable(f"{place}: {d.severity}: {_cut(d.message)} [{d.code}]")]
    if d.line and source is not None:
        lines += _excerpt(d, source.line(d.line))
    if d.hint:
        lines.append(_printable(f"  help: {_cut(d.hint)}"))
    return "\n".join(lines)


def _excerpt(d: Diagnostic, text: str) -> list[str]:
    start = min(d.column - 1, len(text))
    end = d.end_column - 1 if d.end_line == d.line else len(text)
    end = min(max(end, start + 1), max(len(text), start + 1))
    text, start, end = _window(text, start, end)
    margin = f"{d.line:>5} | "
    indent = "".join(_blank(c) for c in text[:start])
    marked = sum(len(_blank(c)) for c in text[start:end]) or 1
    return [
        f"{margin}{_printable(text)}".rstrip(),
        f"{' ' * (len(margin) - 2)}| {indent}^{'~' * (marked - 1)}",
    ]


def _printable(text: str) -> str:
    """The text without characters that could steer a terminal."""
    return "".join(c if c == "\t" or c.isprintable() else "�" for c in text)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + CUT


def _window(text: str, start: int, end: int) -> tuple[str, int, int]:
    if len(text) <= WIDTH:
        return text, start, end
    first = max(0, min(start - WIDTH // 3, len(text) - WIDTH))
    last = first + WIDTH
    cut = (CUT if first else "") + text[first:last] + (CUT if last < len(text) else "")
    shift = first - (1 if first else 0)
    return cut, start - shift, min(end, last) - shift


def _blank(character: str) -> str:
    """As much blank space as the character takes up in a terminal."""
    if character == "\t":
        return "\t"
    if unicodedata.combining(character):
        return ""
    return "  " if unicodedata.east_asian_width(character) in "WF" else " "


def _annotation(d: Diagnostic, prefix: str) -> str:
    properties = {"file": prefix + d.file, "title": d.code}
    if d.line:
        properties |= {"line": d.line, "col": d.column, "endLine": d.end_line, "endColumn": d.end_column - 1}
    listed = ",".join(f"{name}={_escaped(str(value), ':,')}" for name, value in properties.items())
    message = d.message + (f"\nhelp: {d.hint}" if d.hint else "")
    return f"::{d.severity} {listed}::{_escaped(message)}"


def _escaped(text: str, also: str = "") -> str:
    return "".join(f"%{ord(c):02X}" if c in "%\r\n" + also else c for c in text)
