"""Run the tests of a rulebook, and say how they went: as text, JSON or GitHub annotations."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from nextbest.author_tests.coverage import Coverage, coverage_of
from nextbest.author_tests.judging import judge
from nextbest.author_tests.running import run_cases
from nextbest.errors import ArtifactError
from nextbest.rulebook.cases import Case, read_cases
from nextbest.rulebook.compile import examine_source
from nextbest.rulebook.diagnostics import Diagnostic, errors_in, in_order, render_github, render_text
from nextbest.rulebook.source import RulebookSource

SHOWN = 12
"""Names that a list shows; the rest are counted."""


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test."""

    __test__ = False

    file: str
    name: str
    failures: Sequence[Diagnostic]

    @property
    def passed(self) -> bool:
        """Everything was as expected."""
        return not self.failures


@dataclass(frozen=True, slots=True)
class TestReport:
    """All tests of a rulebook, or what keeps them from being run."""

    __test__ = False

    results: Sequence[TestResult] = ()
    coverage: Coverage | None = None
    errors: Sequence[Diagnostic] = ()
    """What keeps the tests from being run."""
    obstacle: str = ""
    """The same where it stands in no file."""

    @property
    def passed(self) -> bool:
        """Nothing failed, and everything could be run."""
        return not self.errors and not self.obstacle and all(result.passed for result in self.results)

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """Everything that is wrong, in file order."""
        return in_order([*self.errors, *(d for result in self.results for d in result.failures)])


def run_tests(source: RulebookSource) -> TestReport:
    """Run the author's tests of a rulebook that was read."""
    parts, diagnostics = examine_source(source)
    if parts is None or errors_in(diagnostics):
        return TestReport(errors=errors_in(diagnostics))
    cases, problems = read_cases(parts)
    if problems or not cases:
        return TestReport(errors=problems)
    try:
        run = run_cases(parts.rulebook, cases)
    except ArtifactError as error:
        return TestReport(obstacle=str(error))
    results = [_result(case, judge(run, i)) for i, case in enumerate(cases)]
    return TestReport(results, coverage_of(run, parts))


def _result(case: Case, failures: Sequence[Diagnostic]) -> TestResult:
    return TestResult(case.at.file.path, case.entry.name, failures)


def render_report(report: TestReport, source: RulebookSource) -> str:
    """The report an author reads: every test, each failure with its place and cause, and what was tried."""
    parts = [
        "\n".join(_listed(report.results)),
        render_text(report.diagnostics, source.by_path).rstrip("\n"),
        report.obstacle,
        "\n".join(_tried(report)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def render_report_json(report: TestReport) -> str:
    """The report as one JSON object, for tools."""
    coverage = report.coverage
    shown = {
        "passed": report.passed,
        "obstacle": report.obstacle,
        "tests": [{"file": r.file, "name": r.name, "passed": r.passed} for r in report.results],
        "diagnostics": [asdict(d) for d in report.diagnostics],
        "coverage": None if coverage is None else asdict(coverage),
    }
    return json.dumps(shown, ensure_ascii=False, indent=2) + "\n"


def render_report_github(report: TestReport, *, prefix: str) -> str:
    """Workflow commands that GitHub shows beside the tests that failed."""
    return render_github(report.diagnostics, prefix=prefix)


def _listed(results: Sequence[TestResult]) -> Iterator[str]:
    file = ""
    for result in results:
        if result.file != file:
            file = result.file
            yield file
        yield f"  {'pass' if result.passed else 'FAIL'}  {result.name}"


def _tried(report: TestReport) -> Iterator[str]:
    if report.coverage is None:
        if not report.errors and not report.obstacle:
            yield "no tests: write `tests/<name>_test.yaml`"
        return
    failed = sum(not result.passed for result in report.results)
    total = len(report.results)
    yield f"{total} test{'' if total == 1 else 's'}: {total - failed} passed, {failed} failed"
    yield from _covered(report.coverage)


def _covered(coverage: Coverage) -> Iterator[str]:
    offered, never = coverage.offered, coverage.never_offered
    conditions = len(coverage.conditions)
    yield f"offered: {len(offered)} of {len(offered) + len(never)} actions"
    yield f"seen both true and not true: {coverage.both_ways} of {conditions} conditions"
    lists = (
        ("never offered", [f"`{name}`" for name in never]),
        ("never true", coverage.never_true),
        ("true in every test", coverage.always_true),
    )
    for title, names in lists:
        if names:
            rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            yield f"  {title}: {', '.join(names[:SHOWN])}{rest}"
