"""How diagnostics are sorted, counted and shown."""

import json
from dataclasses import replace

from nextbest.rulebook.diagnostics import (
    Diagnostic,
    Severity,
    errors_in,
    in_order,
    render_github,
    render_json,
    render_text,
    summary,
)

ERROR = Diagnostic("a.yaml", 2, 3, 2, 6, Severity.ERROR, "some-code", "bad `x`", "use `y`")


class Lines:
    """A file of given lines."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines

    def line(self, number: int) -> str:
        """Text of a line."""
        return self.lines[number - 1]


def test_report_shows_place_line_caret_and_help() -> None:
    """A diagnostic is file:line:col, message, the source line, a caret under the token, and help."""
    text = render_text([ERROR], {"a.yaml": Lines("", "  abc: 1")})
    assert text == (
        "a.yaml:2:3: error: bad `x` [some-code]\n"
        "    2 |   abc: 1\n"
        "      |   ^~~\n"
        "  help: use `y`\n"
        "\n"
        "1 error in 1 file\n"
    )


def test_nothing_wrong_is_an_empty_report() -> None:
    """Without diagnostics there is nothing to print."""
    assert render_text([], {}) == ""


def test_whole_files_have_no_position() -> None:
    """A diagnostic about a file as a whole shows its name only; one about the directory shows a dot."""
    whole = replace(ERROR, line=0, column=0, end_line=0, end_column=0, hint="")
    assert render_text([whole], {}).startswith("a.yaml: error: bad `x` [some-code]\n")
    assert render_text([replace(whole, file="")], {}).startswith(".: error:")


def test_order_is_by_place_and_repeats_are_dropped() -> None:
    """Diagnostics are sorted by file, line and column, and the same one is shown once."""
    later = replace(ERROR, line=10)
    other = replace(ERROR, file="Z.yaml")
    assert in_order([later, ERROR, other, ERROR]) == [other, ERROR, later]


def test_long_reports_are_cut_and_counted() -> None:
    """Only so many are shown in full; the rest are counted, and so are all in the summary."""
    many = [replace(ERROR, line=i + 1, message=f"bad {i}") for i in range(7)]
    text = render_text(many, {}, shown=5)
    assert text.count("error: bad") == 5
    assert "and 2 more, not shown" in text
    assert text.endswith("7 errors in 1 file\n")


def test_summary_names_what_there_is() -> None:
    """Errors and warnings are counted apart, and left out when there are none."""
    warning = replace(ERROR, severity=Severity.WARNING, file="b.yaml")
    assert summary([ERROR, warning]) == "1 error and 1 warning in 2 files"
    assert summary([warning, replace(warning, line=3)]) == "2 warnings in 1 file"
    assert errors_in([ERROR, warning]) == [ERROR]


def test_caret_stands_under_tabs_and_wide_characters() -> None:
    """The caret is indented as the line is: tabs as tabs, wide characters by two columns."""
    at = replace(ERROR, line=1, column=4, end_line=1, end_column=5, hint="")
    text = render_text([at], {"a.yaml": Lines("\t日e\u0301x")})
    lines = text.splitlines()
    assert lines[1] == "    1 | \t日e\u0301x"
    assert lines[2] == "      | \t   ^"


def test_long_lines_are_cut_around_the_caret() -> None:
    """A line of a thousand characters is shown around the place, with the caret under it."""
    line = "x" * 500 + "HERE" + "y" * 500
    at = replace(ERROR, line=1, column=501, end_line=1, end_column=505, hint="")
    lines = render_text([at], {"a.yaml": Lines(line)}).splitlines()
    assert len(lines[1]) <= 112
    start = lines[2].index("^")
    assert lines[1][start : start + 4] == "HERE"
    assert lines[2].count("~") == 3


def test_control_characters_are_not_printed() -> None:
    """Neither a source line nor what a message quotes from it can steer the terminal."""
    odd = replace(ERROR, line=1, message="bad `\x1b[31m\n`", hint="not \x07")
    text = render_text([odd], {"a.yaml": Lines("  \x1b[31mred")})
    assert not {"\x1b", "\x07"}.intersection(text)
    assert len(text.splitlines()) == 6


def test_long_messages_are_cut() -> None:
    """A name of a megabyte does not make a report of a megabyte."""
    assert len(render_text([replace(ERROR, message="x" * 10**6)], {})) < 1000


def test_spans_over_several_lines_mark_the_first() -> None:
    """A diagnostic that ends on a later line is marked to the end of its first line."""
    at = replace(ERROR, line=1, column=3, end_line=4, end_column=2)
    assert "  |   ^~~\n" in render_text([at], {"a.yaml": Lines("  abc")})


def test_json_has_all_fields_and_counts() -> None:
    """Tools get every diagnostic with its place, and the counts."""
    report = json.loads(render_json([ERROR, replace(ERROR, line=9, severity=Severity.WARNING)]))
    assert (report["errors"], report["warnings"]) == (1, 1)
    assert report["diagnostics"][0] == {
        "file": "a.yaml",
        "line": 2,
        "column": 3,
        "end_line": 2,
        "end_column": 6,
        "severity": "error",
        "code": "some-code",
        "message": "bad `x`",
        "hint": "use `y`",
    }


def test_github_annotations_are_escaped() -> None:
    """Workflow commands name file and place, and escape what would end them."""
    odd = replace(ERROR, file="a,b:c.yaml", message="50 % of\nx")
    assert render_github([odd], prefix="rules/") == (
        "::error file=rules/a%2Cb%3Ac.yaml,title=some-code,line=2,col=3,endLine=2,endColumn=5"
        "::50 %25 of%0Ax%0Ahelp: use `y`\n"
    )
