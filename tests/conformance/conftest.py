"""Says at the end of a run how much was compared."""

from tests.conformance.deciding import COUNTED, said


def pytest_terminal_summary(terminalreporter):
    """A line with the number of decisions."""
    if COUNTED["decisions"]:
        terminalreporter.write_line(said(COUNTED))
