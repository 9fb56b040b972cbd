"""Patterns from YAML documents, and random ones for comparison with the naive matcher."""

import json
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.naive.patterns import Happened

from nextbest.behaviour.patterns import Event, Window
from nextbest.rulebook.compile.patterns import compile_patterns, ordered_patterns
from nextbest.rulebook.compile.reading import read_document
from nextbest.rulebook.compile.report import Report
from nextbest.rulebook.diagnostics import Diagnostic, render_text
from nextbest.rulebook.documents.conditions import TriggersFile
from nextbest.rulebook.patterns import Pattern
from nextbest.rulebook.source import load_source

KINDS = ("buy", "visit", "fret")
DAY = 86400.0


def read_patterns(
    directory: Path, text: str, kinds: Sequence[str] = KINDS
) -> tuple[tuple[Pattern, ...], list[Diagnostic], str]:
    """Compile a triggers file: the patterns, what is wrong, and the whole report as text."""
    (directory / "triggers").mkdir(exist_ok=True)
    (directory / "triggers" / "p.yaml").write_text(text, encoding="utf-8")
    source = load_source(directory)
    report = Report()
    reads = [read_document(file, TriggersFile, report) for file in source.of_kind("triggers")]
    patterns = compile_patterns(ordered_patterns(filter(None, reads), report), kinds, report)
    alone = ("missing-file", "no-rulebook")  # here patterns stand without the rest of a rulebook
    found = [d for d in source.diagnostics if d.code not in alone] + report.diagnostics
    return patterns, found, render_text(found, source.by_path)


def patterns_of(directory: Path, entries: Sequence[Mapping[str, Any]]) -> tuple[Pattern, ...]:
    """Compile pattern entries that are right."""
    patterns, found, shown = read_patterns(directory, json.dumps({"patterns": list(entries)}))
    assert not found, shown
    return patterns


class RandomPatterns:
    """Generates entries and windows that often fit: few kinds, few values, times on the edges of spans."""

    NUMBERS = (0, 1, 5, 5.0, -0.0, -3, 0.1, 1e300, -1e300, 5e-324, 1e-7, 123456789.125, 2**53, 2**53 + 1)
    WORDS = ("", "a", "b", "5", "true", "ø", 'say "x"', "back\\slash")
    ODD = (True, False, math.nan, math.inf, -math.inf)
    SPANS = ("6h", "12h", "1d", "2d", "3d", "7d")
    ATTRIBUTES = ("amount", "item", "mixed")

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def entries(self, n: int) -> list[dict[str, Any]]:
        """Pattern entries, all of which compile."""
        return [self._entry(f"p{i}") for i in range(n)]

    def window(self, customer: str) -> tuple[Window, list[Happened]]:
        """A window, and the same events for the naive matcher."""
        pick = self._random
        events = [self._event(f"e{i}") for i in range(pick.choice((0, 2, 5, 8, 11, 14)))]
        now = pick.choice((10, 14, 20, 27)) * DAY
        since = pick.choice((-math.inf, now - 3 * DAY, now - 7 * DAY))
        happened = [Happened(e.key, e.kind, round(e.time * 1e6), e.attributes) for e in events]
        return Window(customer, tuple(events), now, since), happened

    def _event(self, key: str) -> Event:
        pick = self._random
        time = pick.randrange(0, 80) * DAY / 4 + pick.choice((0, 0, 0, 0, 1e-6, -1e-6))
        values = {"amount": pick.choice(self.NUMBERS), "item": pick.choice(self.WORDS), "mixed": self._any()}
        kept = {name: value for name, value in values.items() if pick.random() < 0.85}
        return Event(key, pick.choice(KINDS), time, kept)

    def _any(self) -> Any:
        return self._random.choice((*self.NUMBERS, *self.WORDS, *self.ODD, *self.ODD))

    def _entry(self, name: str) -> dict[str, Any]:
        entry: dict[str, Any] = {"id": name}
        named: list[str] = []
        if self._random.random() < 0.3:
            entry["count"] = self._count()
            named = [entry["count"]["as"]] if "as" in entry["count"] else []
        else:
            entry["sequence"] = self._sequence(named)
            if self._random.random() < 0.3:
                entry["within"] = self._random.choice(self.SPANS)
        if self._random.random() < 0.4:
            entry["then_no"] = {
                "event": self._random.choice(KINDS),
                "within": self._random.choice(self.SPANS),
            }
            self._add_where(entry["then_no"], named, None)
        return entry

    def _sequence(self, named: list[str]) -> list[dict[str, Any]]:
        steps: list[dict[str, Any]] = []
        for i in range(self._random.choice((1, 2, 2, 3, 3, 4, 5))):
            step: dict[str, Any] = {"event": self._random.choice(KINDS)}
            if self._random.random() < 0.7:
                step["as"] = f"step{i}"
            if i:
                step["within"] = self._random.choice(self.SPANS)
            self._add_where(step, named, step.get("as"))
            named += [step["as"]] if "as" in step else []
            steps.append(step)
        return steps

    def _count(self) -> dict[str, Any]:
        pick = self._random
        count: dict[str, Any] = {"event": pick.choice(KINDS), "at_least": pick.choice((2, 2, 3, 4))}
        count["within"] = pick.choice(("3d", "7d", "14d"))
        if pick.random() < 0.5:
            count["same"] = pick.sample(self.ATTRIBUTES, pick.choice((1, 1, 2)))
        if pick.random() < 0.8:
            count["as"] = "whole"
        self._add_where(count, [], count.get("as"))
        return count

    def _add_where(self, test: dict[str, Any], named: Sequence[str], own: str | None) -> None:
        comparisons = [self._comparison(named, own) for _ in range(self._random.choice((0, 0, 1, 1, 2)))]
        if comparisons:
            test["where"] = " && ".join(comparisons)

    def _comparison(self, named: Sequence[str], own: str | None) -> str:
        pick = self._random
        mine = pick.choice(self.ATTRIBUTES)
        mine = f"{own}.{mine}" if own and pick.random() < 0.5 else mine
        if named and pick.random() < 0.7:
            other = f"{pick.choice(named)}.{pick.choice(self.ATTRIBUTES)}"
            sign = pick.choice(("<", "<=", ">", ">=", "==", "!=", "!="))
        else:
            other, sign = self._constant()
        left, right = (mine, other) if pick.random() < 0.8 else (other, mine)
        return f"{left} {sign} {right}"

    def _constant(self) -> tuple[str, str]:
        pick = self._random
        if pick.random() < 0.6:
            return pick.choice(("0", "1", "5", "5.0", "-3", "0.1", "1e300", "1e-7")), pick.choice(
                ("<", ">=", "!=")
            )
        return pick.choice(("'a'", "'5'", "true", "''")), pick.choice(("==", "!=", "!="))
