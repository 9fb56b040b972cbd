"""experiments.yaml: what experiments refer to. Nothing is assigned yet."""

from collections.abc import Collection, Iterable

from nextbest.rulebook.compile.reading import Read
from nextbest.rulebook.compile.report import At, Report
from nextbest.rulebook.documents.experiments import Experiment, ExperimentsFile


def check_experiments(
    reads: Iterable[Read[ExperimentsFile]],
    segments: Collection[str],
    actions: Collection[str],
    report: Report,
) -> None:
    """Report segments and actions that experiments name and nobody declares, and ids given twice."""
    seen: set[str] = set()
    for read in reads:
        for i, experiment in enumerate(read.document.experiments):
            at = read.at / "experiments" / i
            if experiment.id in seen:
                report.error(at / "id", "duplicate-id", f"experiment `{experiment.id}` is declared twice")
            seen.add(experiment.id)
            if experiment.segment is not None and experiment.segment not in segments:
                report.unknown(at / "segment", "segment", experiment.segment, segments)
            _check_arms(experiment, at / "arms", actions, report)


def _check_arms(experiment: Experiment, at: At, actions: Collection[str], report: Report) -> None:
    for i, arm in enumerate(experiment.arms):
        if arm.id in (other.id for other in experiment.arms[:i]):
            report.error(at / i / "id", "duplicate-id", f"arm `{arm.id}` is declared twice")
        for j, name in enumerate(arm.without):
            if name not in actions:
                report.unknown(at / i / "without" / j, "action", name, actions)
