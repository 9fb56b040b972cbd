"""Prints how the expression language fares on CEL's conformance suite; `--write` renews the documentation."""

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "expressions.md"
START, END = "<!-- conformance -->", "<!-- /conformance -->"

REFUSALS = "<!-- refusals -->", "<!-- /refusals -->"

if TYPE_CHECKING:
    from tests.conformance.cel_suite import Case, Tally

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


CATEGORIES: Mapping[str, str] = {
    "messages": "protobuf messages, and the well-known types as variables",
    "bytes": "`b'…'`, `bytes(…)`, comparisons of bytes",
    "maps": "`{…}`, and the type's name",
    "dynamic": "lists of different types, operands that only `dyn` could bring together, `null` as a value",
    "lists of a variable": "a variable that is a list: no fact is one",
    "undeclared": "functions and names that nobody declares: CEL absorbs that at run time, a check need not",
}
"""Why cases are refused."""
ALLOWED = frozenset({"messages", "bytes", "maps", "dynamic", "lists of a variable"})
"""What may be refused in the suites that rules live on."""


def category(case: "Case", answer: str) -> str:
    """Why a case was refused; empty if the reason is none that is known."""
    bound = str(case.bindings.get("x", ""))
    dynamic = ("lists of different types", "cannot compare", "takes bools", "chooses between")
    if "messages" in answer or "TestAllTypes" in case.source or "google.protobuf" in bound:
        return "messages"
    if "bytes" in answer:
        return "bytes"
    if "maps" in answer or case.source == "map":
        return "maps"
    if any(words in answer for words in dynamic) or "null" in case.source:
        return "dynamic"
    if any(isinstance(value, tuple) for value in case.bindings.values()):
        return "lists of a variable"
    return "undeclared" if answer.startswith("unknown ") and not case.bindings else ""


def refused() -> "list[tuple[Case, str]]":
    """(case, category) of every case that is refused."""
    from tests.conformance.cel_suite import Outcome, as_written, cases  # noqa: PLC0415  (the path comes first)

    answers = ((case, *as_written(case)) for case in cases())
    return [(case, category(case, answer)) for case, outcome, answer in answers if outcome is Outcome.REFUSED]


def refusal_table(found: "list[tuple[Case, str]]") -> str:
    """The refused cases by suite and category as a Markdown table."""
    names = tuple(CATEGORIES)
    counts = Counter((case.suite, name) for case, name in found)
    suites = list(dict.fromkeys(case.suite for case, _ in found))
    lines = [f"| suite | {' | '.join(names)} |", f"|---|{'--:|' * len(names)}"]
    lines += [
        f"| {suite} | {' | '.join(str(counts[suite, name] or '') for name in names)} |" for suite in suites
    ]
    lines.append(f"| all | {' | '.join(str(sum(counts[s, name] for s in suites)) for name in names)} |")
    return "\n".join([*lines, "", *(f"- *{name}*: {words}" for name, words in CATEGORIES.items())])


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
    sys.stdout.write(f"{table(tallies)}\n\n{refusal_table(refused())}\n\n{details(tallies)}\n")
    if "--write" in sys.argv:
        _write(START, END, table(tallies))
        _write(*REFUSALS, refusal_table(refused()))
    return int(any(counts.wrong or counts.lifted_wrong for counts in tallies.values()))


def _write(start: str, end: str, text: str) -> None:
    before, _, rest = DOCUMENT.read_text().partition(start)
    _, _, after = rest.partition(end)
    DOCUMENT.write_text(f"{before}{start}\n{text}\n{end}{after}")


if __name__ == "__main__":
    sys.exit(main())
