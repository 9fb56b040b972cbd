"""Fit lifetime value, check it, keep the check beside the artifact, and put the artifact into use."""

import csv
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from nextbest.artifact import digest_of
from nextbest.batch.calibration import Check, Purchases, check_fit
from nextbest.batch.fitting import Progress, fit_purchases
from nextbest.batch.operations import no_progress, put_into_use, read_purchases
from nextbest.data.artifacts import ArtifactFiles
from nextbest.data.store import Store
from nextbest.fitted import LTV, pack_ltv
from nextbest.potential.ltv_calibration import class_names
from nextbest.potential.ltv_parameters import LtvParameters
from nextbest.rulebook.rulebook import Rulebook

SEASON = "BG/NBD and Gamma-Gamma know no season: a fit on a holiday quarter expects a holiday quarter"
SHORT_DIGEST = 12
"""Characters of the artifact's digest in the names of the files that belong to it."""


@dataclass(frozen=True, slots=True)
class LtvRun:
    """What became of a fit."""

    parameters: LtvParameters
    check: Check
    digest: str
    """Of the artifact, which is in use now."""
    directory: Path
    """Where the artifact, the plot and its data lie."""

    @property
    def stem(self) -> str:
        """First part of the names of the plot and its data."""
        return f"ltv-{self.digest[:SHORT_DIGEST]}-calibration"

    @property
    def warnings(self) -> Sequence[str]:
        """All that a reader must know before trusting the fit."""
        return [*self.parameters.warnings, *self.check.warnings, SEASON]


async def fit_and_check_ltv(
    store: Store,
    rulebook: Rulebook,
    *,
    now: float,
    directory: Path,
    later: Purchases | None = None,
    progress: Progress = no_progress,
) -> LtvRun:
    """Fit lifetime value on all snapshots, write artifact, plot and data, and put the artifact into use.

    Everything is written before the artifact is put into use.

    Args:
        store: the snapshots.
        rulebook: horizon, discount rate and default margin.
        now: epoch seconds.
        directory: where to write.
        later: later snapshots of the same customers, to check against; see `calibration.read_later`.
        progress: told how many customers are read.

    Raises:
        InvalidInput, FitError: nothing is written, and what is in use stays in use.
        StoreUnavailable: Redis does not answer.
    """
    found = await read_purchases(store, rulebook, progress)
    parameters = fit_purchases(rulebook, found.purchases)
    check = check_fit(parameters, found, later)
    content = pack_ltv(parameters)
    run = LtvRun(parameters, check, digest_of(content), directory)
    write_check(run)
    await put_into_use(store, {LTV: content}, now=now, files=ArtifactFiles(directory))
    return run


def write_check(run: LtvRun) -> None:
    """Write the calibration as a plot (PNG) and as data (JSON, CSV)."""
    from nextbest.batch.pictures import draw_calibration  # noqa: PLC0415  (matplotlib costs every start 0.5 s)

    base = run.directory / run.stem
    run.directory.mkdir(parents=True, exist_ok=True)
    title = f"lifetime value {run.digest[:SHORT_DIGEST]}: {run.parameters.n} buyers"
    draw_calibration(base.with_suffix(".png"), run.check, title)
    base.with_suffix(".json").write_text(json.dumps(document(run), indent=1) + "\n", encoding="utf-8")
    with base.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(_table(run.check))


def document(run: LtvRun) -> dict[str, object]:
    """The calibration as plain JSON; null = nobody, or not defined."""
    seen, held = run.check.in_sample, run.check.held_out
    return {
        "artifact": run.digest,
        "parameters": run.parameters.to_dict(),
        "in_sample": {
            "by_repeat_purchases": {"class": class_names(seen.width)}
            | _columns(
                customers=seen.customers.tolist(),
                expected_customers=seen.expected_customers.tolist(),
                spend=seen.spend.tolist(),
                expected_spend=seen.expected_spend.tolist(),
            ),
            "by_weeks_observed": _columns(
                weeks=seen.weeks.tolist(),
                purchases=seen.purchases.tolist(),
                expected_purchases=seen.expected_purchases.tolist(),
            ),
        },
        "held_out": None
        if held is None
        else {
            "by_repeat_purchases_at_fit": {"class": class_names(held.width)}
            | _columns(
                customers=held.customers.tolist(),
                purchases=held.purchases.tolist(),
                expected_purchases=held.expected.tolist(),
            ),
            "purchases": held.total,
            "expected_purchases": held.expected_total,
            "mean_absolute_error": _plain(held.mean_absolute_error),
            "correlation": _plain(held.correlation),
            "weeks": held.weeks,
            "unmatched_buyers": run.check.unmatched,
            "contradicting_buyers": run.check.contradicting,
        },
        "warnings": list(run.warnings),
    }


def _columns(**columns: Sequence[float]) -> dict[str, list[float | None]]:
    return {name: [_plain(value) for value in column] for name, column in columns.items()}


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value


def _table(check: Check) -> Iterable[Sequence[object]]:
    """Long form: what is compared, class, customers, observed, expected."""
    yield "comparison", "class", "customers", "observed", "expected"
    seen, held = check.in_sample, check.held_out
    names = class_names(seen.width)
    counts = cast("list[int]", seen.customers.tolist())
    for k, count in enumerate(counts):
        yield "customers by repeat purchases", names[k], count, count, seen.expected_customers[k]
    for k in range(1, len(counts)):
        text = "value of a purchase by repeat purchases"
        yield text, names[k], counts[k], seen.spend[k], seen.expected_spend[k]
    for k, weeks in enumerate(seen.weeks.tolist()):
        yield "purchases by weeks observed", weeks, "", seen.purchases[k], seen.expected_purchases[k]
    if held is not None:
        text = "held-out purchases by repeat purchases at the fit"
        for k, name in enumerate(class_names(held.width)):
            yield text, name, held.customers[k], held.purchases[k], held.expected[k]
