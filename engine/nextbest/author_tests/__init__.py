"""Author's tests, run through the real decision: what a rulebook answers, and what of it was tried at all."""

from nextbest.author_tests.report import (
    TestReport,
    render_report,
    render_report_github,
    render_report_json,
    run_tests,
)

__all__ = ["TestReport", "render_report", "render_report_github", "render_report_json", "run_tests"]
