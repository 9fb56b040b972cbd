"""Prints how the expression language fares on CEL's conformance suite; `--write` renews the documentation."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "expressions.md"
START, END = "<!-- conformance -->", "<!-- /conformance -->"

if TYPE_CHECKING:
    from tests.conformance.cel_suite import Tally

HEAD = (
    "| suite | cases | supported | unsupported | wrong | lifted: right | refused | wrong |",
    "|---|--:|--:|--:|--:|--:|--:|--:|",
)


def table(tallies: "Mapping[str, Tally]") -> str:
    """The counts as a Markdown table."""
    rows = [row(suite, t.right, t.refused, t.wrong, *lifted(t)) for suite, t in tallies.items()]
    every = tallies.values()
    sums = [
        sum(column)
        for column in zip(*((t.right, t.refused, t.wrong, *lifted(t)) for t in every), strict=True)
    ]
    return "\n".join((*HEAD, *rows, row("all", *sums)))


def lifted(tally: "Tally") -> tuple[int, int, int]:
    """Counts of a suite's lifted variants."""
    return tally.lifted_right, tally.lifted_refused, tally.lifted_wrong


def row(suite: str, right: int, refused: int, wrong: int, *lifted_counts: int) -> str:
    """One line of the table."""
    counts = (right + refused + wrong, right, refused, wrong, *lifted_counts)
    return f"| {suite} | {' | '.join(str(count) for count in counts)} |"


def details(tallies: "Mapping[str, Tally]") -> str:
    """Why what was refused was refused, and what was wrong."""
    lines: list[str] = []
    for suite, counts in tallies.items():
        reasons = sorted(counts.reasons.items(), key=lambda item: -item[1])
        lines += (f"{suite:14} {count:4} {reason}" for reason, count in reasons)
        lines += (f"{suite:14} WRONG {mistake}" for mistake in counts.mistakes)
    return "\n".join(lines)


def main() -> int:
    """Print the table and what was refused; 1 if anything was wrong."""
    sys.path.insert(0, str(ROOT))
    from tests.conformance.cel_suite import tally  # noqa: PLC0415  (the path comes first)

    tallies = tally()
    sys.stdout.write(f"{table(tallies)}\n{details(tallies)}\n")
    if "--write" in sys.argv:
        before, _, rest = DOCUMENT.read_text().partition(START)
        _, _, after = rest.partition(END)
        DOCUMENT.write_text(f"{before}{START}\n{table(tallies)}\n{END}{after}")
    return int(any(counts.wrong or counts.lifted_wrong for counts in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
