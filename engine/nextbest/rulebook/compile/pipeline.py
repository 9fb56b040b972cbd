"""A rulebook directory → the compiled rulebook, or everything that is wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from nextbest.errors import RulebookCompileError
from nextbest.facts import Catalogue, Fact
from nextbest.parameters import stage_parameter_problems
from nextbest.rulebook.collector import collector_paused
from nextbest.rulebook.compile.actions import (
    ActionNames,
    PlacedAction,
    benefit_groups,
    compile_actions,
    ordered_actions,
)
from nextbest.rulebook.compile.channels import Channels, channel_tables, compile_channels
from nextbest.rulebook.compile.conditions import (
    PlacedTrigger,
    compile_segments,
    compile_triggers,
    ordered_triggers,
)
from nextbest.rulebook.compile.decision_tables import (
    PlacedTable,
    compile_tables,
    ordered_tables,
    table_segments,
)
from nextbest.rulebook.compile.experiments import check_experiments
from nextbest.rulebook.compile.expressions import Expressions
from nextbest.rulebook.compile.facts import compile_catalogue, compile_context, compile_event_kinds
from nextbest.rulebook.compile.names import check_names
from nextbest.rulebook.compile.parts import Parts
from nextbest.rulebook.compile.patterns import PlacedPattern, compile_patterns, ordered_patterns
from nextbest.rulebook.compile.reading import Read, read_document
from nextbest.rulebook.compile.report import Report
from nextbest.rulebook.compile.series import compile_series
from nextbest.rulebook.compile.stored_triggers import Watched, kept_facts
from nextbest.rulebook.compile.strategy import (
    Names,
    compile_names,
    compile_roles,
    compile_strategy,
    compile_value,
)
from nextbest.rulebook.diagnostics import Diagnostic, errors_in, in_order, render_text
from nextbest.rulebook.documents.actions import ActionsFile
from nextbest.rulebook.documents.author_tests import TestsFile
from nextbest.rulebook.documents.common import Document
from nextbest.rulebook.documents.conditions import SegmentsFile, SnapshotTrigger, TriggersFile
from nextbest.rulebook.documents.experiments import ExperimentsFile
from nextbest.rulebook.documents.facts import FactsFile
from nextbest.rulebook.documents.policies import PoliciesFile
from nextbest.rulebook.documents.stages import StageConstants, StagesFile
from nextbest.rulebook.documents.strategy import StrategyFile
from nextbest.rulebook.documents.tables import TablesFile
from nextbest.rulebook.expressions.scope import Scope
from nextbest.rulebook.growth import bounded_by_growth
from nextbest.rulebook.rulebook import Rulebook, Segment, StageModel
from nextbest.rulebook.source import RulebookSource, load_source
from nextbest.rulebook.watching import Series

DocumentT = TypeVar("DocumentT", bound=Document)


_DECLARES: Mapping[str, tuple[str, ...]] = {
    "triggers": ("trigger", "pattern"),
    "segments": ("segment",),
    "actions": ("action",),
    "tables": ("segment",),
    "policies": ("channel", "placement"),
}
"""What kinds of file declare names that others refer to."""


@dataclass(frozen=True, slots=True)
class Documents:
    """All files as documents; what could not be read is absent."""

    strategy: Read[StrategyFile] | None
    facts: Read[FactsFile] | None
    stages: Read[StageConstants] | None
    segments: Read[SegmentsFile] | None
    policies: Read[PoliciesFile] | None
    triggers: list[Read[TriggersFile]]
    actions: list[Read[ActionsFile]]
    tables: list[Read[TablesFile]]
    experiments: list[Read[ExperimentsFile]]
    tests: list[Read[TestsFile]]


def compile_rulebook(directory: Path) -> Rulebook:
    """Compile a rulebook directory.

    Raises:
        RulebookCompileError: it has errors; all of them, over all files, are in the exception.
    """
    return compile_source(load_source(directory))[0]


def compile_source(source: RulebookSource) -> tuple[Rulebook, list[Diagnostic]]:
    """Compile a rulebook that was read, and give its warnings beside it.

    Raises:
        RulebookCompileError: it has errors.
    """
    parts, diagnostics = examine_source(source)
    if parts is None or errors_in(diagnostics):
        raise RulebookCompileError(diagnostics, render_text(diagnostics, source.by_path))
    return replace(parts.rulebook, packed=source.packed), diagnostics


def check_rulebook(directory: Path) -> list[Diagnostic]:
    """What the compiler has to say about a rulebook directory, in file order."""
    return check_source(load_source(directory))


def check_source(source: RulebookSource) -> list[Diagnostic]:
    """What the compiler has to say about a rulebook that was read: its files can be quoted."""
    return examine_source(source)[1]


@collector_paused()
def examine_source(source: RulebookSource) -> tuple[Parts | None, list[Diagnostic]]:
    """Compile a rulebook that was read, with all that the compiler has to say about it.

    Returns:
        The rulebook with what it was made of, None if it has errors; and the diagnostics.
    """
    report = Report()
    documents = read_documents(source, report)
    parts = compile_documents(documents, source.digest, report)
    return parts, _without_echoes(source.diagnostics, report.diagnostics)


def read_documents(source: RulebookSource, report: Report) -> Documents:
    """Every file as a typed document; what does not validate is reported and left out."""
    report.unreadable.update(noun for kind in source.unreadable for noun in _DECLARES.get(kind, ()))
    return Documents(
        strategy=_single(source, "strategy", StrategyFile, report),
        facts=_single(source, "facts", FactsFile, report),
        stages=_single(source, "stages", StagesFile, report),
        segments=_single(source, "segments", SegmentsFile, report),
        policies=_single(source, "policies", PoliciesFile, report),
        triggers=_all(source, "triggers", TriggersFile, report),
        actions=_all(source, "actions", ActionsFile, report),
        tables=_all(source, "tables", TablesFile, report),
        experiments=_all(source, "experiments", ExperimentsFile, report),
        tests=_all(source, "tests", TestsFile, report),
    )


def compile_documents(documents: Documents, digest: str, report: Report) -> Parts | None:
    """Typed documents to tables; None when anything was reported that keeps them from compiling."""
    if documents.strategy is None or documents.facts is None:
        return None
    declared = _declared(documents, documents.strategy, documents.facts, report)
    return _assemble(documents, documents.strategy, declared, digest, report)


def _without_echoes(yaml: tuple[Diagnostic, ...], later: list[Diagnostic]) -> list[Diagnostic]:
    """All diagnostics, but one a place where the YAML itself is at fault."""
    places = {(d.file, d.line, d.column) for d in yaml}
    return in_order([*yaml, *(d for d in later if (d.file, d.line, d.column) not in places)])


def _all(source: RulebookSource, kind: str, model: type[DocumentT], report: Report) -> list[Read[DocumentT]]:
    reads = [read_document(file, model, report) for file in source.of_kind(kind)]
    return [read for read in reads if read is not None]


def _single(
    source: RulebookSource,
    kind: str,
    model: type[DocumentT],
    report: Report,
) -> Read[DocumentT] | None:
    files = source.of_kind(kind)
    return read_document(files[0], model, report) if files else None


@dataclass(frozen=True, slots=True)
class _Declared:
    """What the files declare by name, before any expression is compiled."""

    names: Names
    facts: Read[FactsFile]
    catalogue: Catalogue
    series: tuple[Series, ...]
    context: tuple[Fact, ...]
    events: tuple[str, ...]
    channels: Channels
    triggers: list[PlacedTrigger]
    patterns: list[PlacedPattern]
    actions: list[PlacedAction]
    tables: list[PlacedTable]


def _declared(
    documents: Documents, strategy: Read[StrategyFile], facts: Read[FactsFile], report: Report
) -> _Declared:
    catalogue = bounded_by_growth(compile_catalogue(facts, report), strategy.document.lifetime)
    actions = ordered_actions(documents.actions, report)
    used = [key for action in actions for key in action.entry.treatments]
    return _Declared(
        names=compile_names(strategy, report),
        facts=facts,
        catalogue=catalogue,
        series=compile_series(facts, report),
        context=compile_context(facts, report),
        events=compile_event_kinds(facts, report),
        channels=compile_channels(documents.policies, used, catalogue, report),
        triggers=ordered_triggers(documents.triggers, report),
        patterns=ordered_patterns(documents.triggers, report),
        actions=actions,
        tables=ordered_tables(documents.tables, report),
    )


def _assemble(
    documents: Documents,
    strategy: Read[StrategyFile],
    declared: _Declared,
    digest: str,
    report: Report,
) -> Parts | None:
    """The rulebook and its parts; None when anything was reported that keeps it from compiling."""
    names, catalogue, channels = declared.names, declared.catalogue, declared.channels
    scope = _scope(declared, strategy)
    expressions = Expressions(scope, report)
    patterns = compile_patterns(declared.patterns, declared.events, report)
    triggers = compile_triggers(
        declared.triggers,
        expressions,
        _watched(declared),
        names.languages,
        report,
    )
    choices = compile_tables(
        declared.tables,
        (action.entry.id for action in declared.actions),
        expressions,
        catalogue,
        names.languages,
        report,
    )
    segments = compile_segments(documents.segments, expressions, names.languages, report)
    segments = table_segments(declared.tables, choices, segments, expressions, report)
    _check_across(documents, declared, segments, report)
    action_names = ActionNames(
        strategy=names,
        channels=channels,
        catalogue=catalogue,
        segments={segment.id: i for i, segment in enumerate(segments)},
        triggers={trigger.id: i for i, trigger in enumerate(triggers)},
        benefit_groups=benefit_groups(declared.actions),
        choices=choices,
    )
    actions = compile_actions(declared.actions, action_names, expressions, report)
    compiled_strategy = compile_strategy(strategy, names, catalogue, report)
    value = compile_value(strategy, catalogue, report)
    stages = _stage_model(documents.stages, report)
    if errors_in(report.diagnostics):
        return None
    rulebook = Rulebook(
        id=strategy.document.id,
        digest=digest,
        currency=strategy.document.currency,
        languages=tuple(names.languages.names),
        catalogue=catalogue,
        context_facts=declared.context,
        event_kinds=declared.events,
        strategy=compiled_strategy,
        value=value,
        stages=stages,
        channels=channels.channels,
        placements=channels.placements,
        roles=compile_roles(strategy),
        segments=segments,
        triggers=triggers,
        actions=actions.actions,
        treatments=actions.treatments,
        propensity_models=actions.propensity_models,
        action_tables=actions.tables,
        channel_tables=channel_tables(channels.channels),
        program=expressions.program(),
        patterns=patterns,
        series=declared.series,
        periods=actions.periods,
    )
    return Parts(
        rulebook=rulebook,
        strategy=strategy,
        facts=declared.facts,
        segments=documents.segments,
        policies=documents.policies,
        experiments=documents.experiments,
        triggers=declared.triggers,
        patterns=declared.patterns,
        actions=declared.actions,
        tests=documents.tests,
        choices=choices,
        scope=scope,
        uses=expressions.uses,
    )


def _check_across(
    documents: Documents, declared: _Declared, segments: tuple[Segment, ...], report: Report
) -> None:
    """What no file shows by itself."""
    read = documents.segments
    placed = [(s.id, read.at / "segments" / i) for i, s in enumerate(read.document.segments)] if read else []
    check_names(
        [
            *(("action", a.entry.id, a.at) for a in declared.actions),
            *(("trigger", entry.id, at) for entry, at in declared.triggers),
            *(("segment", name, at) for name, at in placed),
            *(("table", entry.id, at) for entry, at in declared.tables),
        ],
        report,
    )
    actions = [action.entry.id for action in declared.actions]
    check_experiments(documents.experiments, [s.id for s in segments], actions, report)


def _watched(declared: _Declared) -> Watched:
    stored = [entry for entry, _ in declared.triggers if not isinstance(entry, SnapshotTrigger)]
    return Watched(
        catalogue=declared.catalogue,
        series=declared.series,
        patterns={entry.id for entry, _ in declared.patterns},
        kept=kept_facts(stored, declared.series),
    )


def _scope(declared: _Declared, strategy: Read[StrategyFile]) -> Scope:
    actions = tuple(action.entry.id for action in declared.actions)
    treatments = (f"{a.entry.id}/{key}" for a in declared.actions for key in a.entry.treatments)
    return Scope(
        catalogue=declared.catalogue,
        context_facts=declared.context,
        triggers=tuple(entry.id for entry, _ in declared.triggers),
        channels=tuple(channel.id for channel in declared.channels.channels),
        placements=declared.channels.placements,
        roles=tuple(role.id for role in compile_roles(strategy)),
        actions=actions,
        treatments=tuple(treatments),
        event_kinds=declared.events,
    )


def _stage_model(read: Read[StageConstants] | None, report: Report) -> StageModel:
    numbers = (read.document if read else StagesFile()).numbers()
    if read is not None:
        for name, problem in stage_parameter_problems(numbers):
            report.error(read.at / name, "invalid-value", problem)
    array = np.array(list(numbers.values()))
    array.setflags(write=False)
    return StageModel(numbers, array)
