"""The runbook names every line that the service logs."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
EVENT = re.compile(r'(?:logger\(\)\.(?:debug|info|warning|error|exception)|\blog)\(\s*"([^"]+)"')


def logged_events():
    """What is logged anywhere in the engine."""
    sources = (ROOT / "engine" / "nextbest").rglob("*.py")
    return {event for source in sources for event in EVENT.findall(source.read_text(encoding="utf-8"))}


def test_every_line_is_explained():
    """Whoever is paged finds each event in the runbook, and nothing there that is never logged."""
    events = logged_events()
    assert len(events) > 15
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    table = runbook.split("## Lines")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    told = {name.split("=")[0] for cell in cells for name in re.findall(r"`([^`=]+)`", cell)}
    assert events - told == set()
    assert told - events == set()
