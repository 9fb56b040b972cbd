"""A thousand rules as files: how long reading, typing and compiling them takes.

The rules are those of the matching benchmark, each as the condition of an action with everything that a
usual action has.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from nextbest.facts import Fact
from nextbest.rulebook.collector import collector_paused
from nextbest.rulebook.compile.pipeline import compile_documents, read_documents
from nextbest.rulebook.compile.report import Report
from nextbest.rulebook.source import load_source

ACTIONS_A_FILE = 100
STRATEGY = """\
id: bench
currency: EUR
languages: [en, da]
goals: [{id: g, measure: profit, text: {en: Profit, da: Overskud}}]
priorities: [{issue: growth, text: {en: First, da: Først}}]
plan: [{step: {en: Do, da: Gør}, owner: agent}]
roles: [{id: agent, authority: 2, text: {en: Agent, da: Agent}}]
promises: {fair: {en: Fair, da: Fair}}
"""
FACTS = """\
standard: [consent]
values: {consent: [email_marketing]}
facts:
"""
ACTION = """\
  - id: ID
    desired_action: cross_sell
    issue: growth
    when: WHEN
    reason: {en: "You like our coffee", da: "Du kan lide vores kaffe"}
    treatments:
      pos:
        say: {en: "Your usual coffee is 20 % off today", da: "Din kaffe koster 20 % mindre i dag"}
        offer: {type: percent_off, value: 20, products: coffee}
      email:
        say: {en: "Coffee is waiting for you", da: "Der står kaffe til dig"}
        staff: {en: "Buys coffee", da: "Køber kaffe"}
    effect: {customer_gap: 0.10, profit_gap: 0.20, recurring: 0.5}
    cost: {contact: 0.10, accepted: 4.00}
    propensity: {successes: 2, failures: 38}
    relevance: {own_interest: 0.5}
    limits: [{outcome: rejected, at_least: 2, within: 15d, pause: 30d}]
    promises: [fair]
"""


def write_rulebook(directory: Path, facts: Sequence[Fact], conditions: Sequence[str]) -> None:
    """A rulebook with an action for each condition, in files of a hundred."""
    (directory / "actions").mkdir()
    (directory / "strategy.yaml").write_text(STRATEGY, encoding="utf-8")
    rows = (json.dumps(_fact(fact)) for fact in facts)
    (directory / "facts.yaml").write_text(FACTS + "".join(f"  - {row}\n" for row in rows), encoding="utf-8")
    for first in range(0, len(conditions), ACTIONS_A_FILE):
        actions = (
            ACTION.replace("ID", f"a{i:05}").replace("WHEN", json.dumps(conditions[i]))
            for i in range(first, min(first + ACTIONS_A_FILE, len(conditions)))
        )
        path = directory / "actions" / f"{first:05}.yaml"
        path.write_text("actions:\n" + "".join(actions), encoding="utf-8")


def _fact(fact: Fact) -> dict[str, object]:
    entry: dict[str, object] = {
        "name": fact.name,
        "type": fact.type.value,
        "group": "transaction",
        "description": "generated",
    }
    return entry | ({"values": list(fact.values)} if fact.values else {})


def measure(facts: Sequence[Fact], conditions: Sequence[str], *, rounds: int) -> dict[str, float]:
    """Median milliseconds from files to YAML trees, from those to typed documents, and on to tables."""
    with tempfile.TemporaryDirectory() as place:
        write_rulebook(Path(place), facts, conditions)
        times = [_times(Path(place)) for _ in range(rounds)]
    keys = ("match.yaml_ms", "match.typing_ms", "match.documents_to_tables_ms")
    return dict(zip(keys, map(statistics.median, zip(*times, strict=True)), strict=True))


@collector_paused()  # as `examine_source` does around both steps
def _times(directory: Path) -> tuple[float, float, float]:
    report, start = Report(), time.perf_counter()
    source = load_source(directory)
    read = time.perf_counter()
    documents = read_documents(source, report)
    typed = time.perf_counter()
    parts = compile_documents(documents, source.digest, report)
    done = time.perf_counter()
    if parts is None or report.diagnostics:
        raise AssertionError(f"the generated rules do not compile: {report.diagnostics[:3]}")
    return 1e3 * (read - start), 1e3 * (typed - read), 1e3 * (done - typed)
