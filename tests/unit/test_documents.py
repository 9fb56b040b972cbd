"""The document models, and how what they refuse is put into words."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nextbest.parameters import StageParameter
from nextbest.rulebook.compile.reading import read_document
from nextbest.rulebook.compile.report import Report
from nextbest.rulebook.diagnostics import Diagnostic
from nextbest.rulebook.documents.actions import ActionsFile
from nextbest.rulebook.documents.author_tests import TestsFile
from nextbest.rulebook.documents.common import Document
from nextbest.rulebook.documents.conditions import SegmentsFile, SnapshotTrigger, StoredTrigger, TriggersFile
from nextbest.rulebook.documents.experiments import ExperimentsFile
from nextbest.rulebook.documents.policies import PoliciesFile
from nextbest.rulebook.documents.stages import DESCRIPTIONS, StagesFile
from nextbest.rulebook.documents.strategy import StrategyFile
from nextbest.rulebook.schema import MODELS
from nextbest.rulebook.source import load_source

Reader = Callable[..., tuple[Document | None, list[Diagnostic]]]

ACTION = """\
actions:
  - id: coffee
    desired_action: information
    reason: Because
    treatments: {pos: {say: Coffee}}
    propensity: 0.1
"""


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    """Read a text as a file of a kind; gives the document and what was reported, YAML problems included."""

    def read_text(kind: str, text: str) -> tuple[Document | None, list[Diagnostic]]:
        folder = kind in ("actions", "triggers", "tests")
        path = (
            tmp_path / kind / f"a{'_test' * (kind == 'tests')}.yaml" if folder else tmp_path / f"{kind}.yaml"
        )
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        report = Report()
        file = load_source(tmp_path).of_kind(kind)[0]
        found = read_document(file, MODELS[kind], report)
        return (found.document if found else None), report.diagnostics

    return read_text


def messages(diagnostics: list[Diagnostic]) -> list[str]:
    """Message and hint of each diagnostic."""
    return [f"{d.message} ({d.hint})" if d.hint else d.message for d in diagnostics]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("stages: [here_me]", "unknown value `here_me` (did you mean `hear_me`?)"),
        ("stages: []", "must not be empty"),
        ("stages: hear_me", "expected a list, found `hear_me` (write a list: `[hear_me]`)"),
        ("max_snapshot_age: 3", "expected a duration such as `15d`, `8h`, `30min` or `2w`, found `3`"),
        (
            "max_snapshot_age: 3 days",
            "expected a duration such as `15d`, `8h`, `30min` or `2w`, found `3 days` (write `3d`)",
        ),
        ("max_snapshot_age: 900000d", "a duration is at most 100 years, found `900000d`"),
        ("valid: {from: 2025-13-01}", "expected a date such as `2025-12-31`, found `2025-13-01`"),
        ("valid: {until: 2025-12-01}", "unknown key `until` (known: `from`, `through`)"),
        ("mandatory: yes", "expected `true` or `false`, found `yes`"),
        ("priority: 1.5", "expected a whole number, found `1.5`"),
        ("priority: '1'", "expected a whole number, found `1` (leave out the quotation marks: `1`)"),
        ("priority: 9999999999", "expected a number at most 1000000, found `9999999999`"),
        ("effect: {customer_gap: 1.5}", "expected a number at most 1, found `1.5`"),
        ("effect: {customer_gap: NO}", "expected a number, found `NO`"),
        (
            "effect: 3",
            "expected a mapping, found `3` (for example `effect: {customer_gap: 0.1, profit_gap: 0.2}`)",
        ),
        ("cost: 3", "expected a mapping, found `3` (for example `cost: {contact: 0.1, accepted: 4}`)"),
        (
            "effect: {customer_gap: 20%}",
            "expected a number, found `20%` (per cent are written as a share: `0.2`)",
        ),
        (
            "effect: {profit_gap: '12,5 %'}",
            "expected a number, found `12,5 %` (per cent are written as a share: `0.125`)",
        ),
        (
            "effect: {customer_gap: 20}",
            "expected a number at most 1, found `20` (per cent are written as a share: `0.2`)",
        ),
        (
            "lever: '0,5'",
            "expected a number, found `0,5` (write a decimal with a point: `0.5`)",
        ),
        ("cost: {contact: -1}", "expected a number at least 0, found `-1`"),
        ("owner: 7", "expected text, found `7` (quote it: `'7'`)"),
        ("owner: true", "expected text, found `true` (quote it: `'true'`)"),
        ("owner: [a]", "expected text, found a list (for example `owner: agent`)"),
        ("need: solved", "unknown value `solved` (did you mean `solve`?)"),
        ("tags: [magic]", None),
        ("limts: []", "unknown key `limts` (did you mean `limits`?)"),
        ("limits: [{outcome: rejected, within: 5d}]", None),
        ("uplift: {}", "missing `base` (`base`: p₀: share who do it anyway)"),
        ("authority: -1", "expected a number at least 0, found `-1`"),
        ("segments: ['a b']", "an id is made of letters, digits, `_`, `-` and `.`, found `a b`"),
        ("group: ''", "an id has 1 to 64 characters, found ``"),
        ("relevance: {sesaon: 1}", "unknown key `sesaon` (did you mean `season`?)"),
    ],
)
def test_what_is_wrong_is_put_into_words(read: Reader, change: str, expected: str | None) -> None:
    """Each slip is one diagnostic in an author's words, with what was found and what was meant."""
    _, diagnostics = read("actions", f"{ACTION}    {change}\n")
    assert len(diagnostics) == 1
    if expected is not None:
        assert messages(diagnostics) == [expected]


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        (f"{ACTION}    priority: x\n", 7, 15),
        (f"{ACTION}    extra: x\n", 7, 5),
        (ACTION.replace("    reason: Because\n", ""), 2, 5),
        (ACTION.replace("say: Coffee", "say: {en: 5}"), 5, 34),
        (ACTION.replace("propensity: 0.1", "propensity: {successes: x, failures: 1}"), 6, 29),
        (ACTION.replace("pos:", "pos/a/b:"), 5, 18),
        ("action: []\n", 1, 1),
    ],
)
def test_places_are_those_of_key_or_value(read: Reader, text: str, line: int, column: int) -> None:
    """A wrong value is shown at the value, an unknown key at the key, a missing key at its parent."""
    _, diagnostics = read("actions", text)
    assert (diagnostics[0].line, diagnostics[0].column) == (line, column)


def test_all_that_is_wrong_is_reported(read: Reader) -> None:
    """One entry with many slips gives all of them at once."""
    text = (
        ACTION.replace("information", "inform").replace("0.1", "{success: 1}") + "    need: x\n    foo: 1\n"
    )
    assert len(read("actions", text)[1]) == 5


def test_good_entries_survive_bad_ones(read: Reader) -> None:
    """What validates is still there, so that it can be checked further."""
    text = ACTION + ACTION.replace("actions:\n", "").replace("coffee", "tea") + "    treatments: []\n"
    text = text.replace(
        "    treatments: {pos: {say: Coffee}}\n    propensity: 0.1\n    treat",
        "    propensity: 0.1\n    treat",
    )
    document, diagnostics = read("actions", text)
    assert isinstance(document, ActionsFile)
    assert len(diagnostics) == 1
    assert [entry.id for entry in document.actions] == ["coffee"]


def test_nothing_can_be_read_from_a_list(read: Reader) -> None:
    """A file whose root is no mapping gives one diagnostic and no document."""
    document, diagnostics = read("actions", "- id: a\n")
    assert document is None
    assert messages(diagnostics) == [
        "expected a mapping, found a list (begin the file with a line `actions:`)"
    ]


def test_durations_are_seconds(read: Reader) -> None:
    """Durations are read in seconds, whatever their unit."""
    for text, seconds in (("15d", 1296000), ("8h", 28800), ("30min", 1800), ("90s", 90), ("2w", 1209600)):
        document, _ = read("actions", f"{ACTION}    max_snapshot_age: {text}\n")
        assert isinstance(document, ActionsFile)
        assert document.actions[0].max_snapshot_age == seconds


def test_ids_are_normalised(read: Reader) -> None:
    """Danish letters are fine in ids, and the two ways of encoding å are one id."""
    document, diagnostics = read("actions", ACTION.replace("coffee", "påske_pa\u030aske"))
    assert not diagnostics
    assert isinstance(document, ActionsFile)
    assert document.actions[0].id == "påske_påske"


def test_truth_values_and_numbers_are_expressions(read: Reader) -> None:
    """YAML's `true` and `0.1` are expressions too."""
    document, diagnostics = read("actions", f"{ACTION}    when: true\n    relevance: {{season: 1}}\n")
    assert not diagnostics
    assert isinstance(document, ActionsFile)
    entry = document.actions[0]
    assert (entry.when, entry.propensity, entry.relevance) == ("true", "0.1", {"season": "1"})


def test_triggers_are_told_apart_by_kind(read: Reader) -> None:
    """A trigger without kind is an expression; detectors and patterns name the fact that holds when."""
    text = "triggers:\n  - {id: a, when: 'true'}\n  - {id: b, kind: pattern, fired_at: b_at, hold: 3d}\n"
    document, diagnostics = read("triggers", text)
    assert not diagnostics
    assert isinstance(document, TriggersFile)
    assert isinstance(document.triggers[0], SnapshotTrigger)
    assert isinstance(document.triggers[1], StoredTrigger)
    _, diagnostics = read("triggers", "triggers:\n  - {id: a, kind: detector, when: 'true'}\n")
    assert sorted(d.code for d in diagnostics) == ["missing-key", "missing-key", "unknown-key"]


def test_stage_constants_are_all_described() -> None:
    """Every constant of the model is a key of stages.yaml, with its default and a description."""
    assert set(DESCRIPTIONS) == set(StageParameter)
    numbers = StagesFile().numbers()
    assert list(numbers) == [parameter.name.lower() for parameter in StageParameter]
    assert list(numbers.values()) == [parameter.default for parameter in StageParameter]


def test_empty_files_are_valid_where_nothing_is_required(read: Reader) -> None:
    """Segments, policies, stages and experiments may be empty; a strategy may not."""
    for kind, model in (("segments", SegmentsFile), ("policies", PoliciesFile), ("stages", StagesFile)):
        document, diagnostics = read(kind, "# nothing yet\n")
        assert isinstance(document, model)
        assert not diagnostics
    document, diagnostics = read("strategy", "# nothing yet\n")
    assert isinstance(document, StrategyFile)
    missing = {d.message.removeprefix("missing ").strip("`") for d in diagnostics}
    assert missing == {"id", "currency", "languages", "goals", "priorities", "plan", "roles", "promises"}


def test_experiments_and_tests_have_their_shape(read: Reader) -> None:
    """Experiments and author's tests are read and checked for their shape."""
    text = "experiments: [{id: a, salt: x, arms: [{id: control}, {id: off, without: [coffee]}]}]\n"
    document, diagnostics = read("experiments", text)
    assert isinstance(document, ExperimentsFile)
    assert not diagnostics
    text = """\
tests:
  - name: families get recipes
    now: 2025-06-01T12:00:00Z
    customer: {household: family, complaint_open: false, discount_share: 0.5, needs: [coffee]}
    figures: {stage: hear_me}
    request: {channel: pos, placements: [receipt], keys: {queue: 3}}
    expect: {first: recipes, includes: [recipes], excludes: {coffee: CONDITION_FALSE}}
"""
    document, diagnostics = read("tests", text)
    assert messages(diagnostics) == []
    assert isinstance(document, TestsFile)
    assert document.tests[0].customer["discount_share"] == 0.5
