"""Fit a propensity model on labelled contacts, check it out of time, keep the check, put it into use."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from pydantic import TypeAdapter, ValidationError

from nextbest.artifact import digest_of
from nextbest.batch.labelled_rows import Columns, read_labelled
from nextbest.batch.operations import put_into_use
from nextbest.data.artifacts import ArtifactFiles
from nextbest.data.store import Store
from nextbest.errors import FitError, InvalidInput, Violation
from nextbest.facts import Catalogue
from nextbest.fitted import PROPENSITY, pack_propensity
from nextbest.learning.propensity import COEFFICIENT, PropensityModel
from nextbest.learning.propensity_fit import MIN_POSITIVES
from nextbest.learning.rolling_origin import Labelled, Validation, fit_labelled, validate
from nextbest.model import F64
from nextbest.rulebook.documents.common import Identifier
from nextbest.rulebook.rulebook import Rulebook

SKEWED_UNITS = ("money", "count")
"""Units of facts that enter by their logarithm."""
SKEWNESS = 2.0
"""Facts of other units do so as well if their skewness is above this, that of an exponential."""
SHORT_DIGEST = 12
"""Characters of the artifact's digest in the name of the report."""


@dataclass(frozen=True, slots=True)
class PropensityOptions:
    """What to fit, on what."""

    model_id: str
    path: Path
    columns: Columns
    directory: Path
    """Where artifact and report are written."""
    log_facts: Collection[str] = ()
    """Facts that enter by their logarithm besides those that do by themselves."""


@dataclass(frozen=True, slots=True)
class PropensityRun:
    """What became of a fit."""

    model: PropensityModel
    validation: Validation
    digest: str
    """Of the artifact, which is in use now."""
    report: Path
    warnings: tuple[str, ...]

    @property
    def weights(self) -> list[tuple[str, float]]:
        """Facts and what one standard deviation adds to the log-odds, the strongest first."""
        pairs = zip(self.model.facts, map(float, self.model.table[:, COEFFICIENT]), strict=True)
        return sorted(pairs, key=lambda pair: -abs(pair[1]))


async def run_propensity_fit(
    store: Store, rulebook: Rulebook, options: PropensityOptions, *, now: float
) -> PropensityRun:
    """Read, check, validate, fit, write and only then put into use.

    Args:
        store: where the model is put into use.
        rulebook: its catalogue has the facts.
        options: what to fit, on what.
        now: epoch seconds.

    Raises:
        InvalidInput: with everything that is wrong with names, columns or cells.
        FitError: too few outcomes of a kind, no convergence, or nothing to check the model by.
        StoreUnavailable: Redis does not answer.
        Whatever is raised, what is in use stays in use.
    """
    _require_identifier(options.model_id)
    rows = read_labelled(options.path, rulebook.catalogue, options.columns, now=now)
    _require_both_outcomes(rows)
    logs = _log_facts(rows, rulebook.catalogue, options)
    validation = validate(rows, lambda past: fit_labelled(options.model_id, past, log_facts=logs))
    model = _final(rows, logs, validation, options)
    content = pack_propensity(model)
    digest = digest_of(content)
    report = options.directory / f"{PROPENSITY}-{options.model_id}-{digest[:SHORT_DIGEST]}.json"
    warnings = (*validation.warnings, *_own_warnings(model), *_unused(options.model_id, rulebook))
    run = PropensityRun(model, validation, digest, report, warnings)
    _write_report(run)
    role = f"{PROPENSITY}/{options.model_id}"
    await put_into_use(store, {role: content}, now=now, files=ArtifactFiles(options.directory))
    return run


def _require_identifier(model_id: str) -> None:
    try:
        TypeAdapter[str](Identifier).validate_python(model_id)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise InvalidInput([Violation("model", f"`{model_id}`: {reason}")]) from None


def _require_both_outcomes(rows: Labelled) -> None:
    accepted = int(rows.accepted.sum())
    others = len(rows.accepted) - accepted
    if min(accepted, others) < MIN_POSITIVES:
        raise FitError(
            f"{accepted} contacts were accepted and {others} were not: {MIN_POSITIVES} of each are needed"
        )


def _log_facts(rows: Labelled, catalogue: Catalogue, options: PropensityOptions) -> tuple[str, ...]:
    unknown = [name for name in options.log_facts if name not in rows.facts]
    if unknown:
        raise InvalidInput([Violation("log", f"`{name}` is none of the model's facts") for name in unknown])
    skewed = [
        name
        for k, name in enumerate(rows.facts)
        if (name in catalogue and catalogue[name].unit in SKEWED_UNITS) or skewness(rows.x[:, k]) > SKEWNESS
    ]
    chosen = {*skewed, *options.log_facts} - set(options.columns.bound)
    return tuple(name for name in rows.facts if name in chosen)


def skewness(values: F64) -> float:
    """Third standardised moment of what is known; 0 where values are negative or all equal."""
    known = values[np.isfinite(values)]
    if not len(known) or known.min() < 0.0 or known.std() == 0.0:
        return 0.0
    return float((((known - known.mean()) / known.std()) ** 3).mean())


def _final(
    rows: Labelled, logs: tuple[str, ...], validation: Validation, options: PropensityOptions
) -> PropensityModel:
    trained_on = {
        "file": options.path.name,
        "first_contact": float(rows.at.min()),
        "last_outcome": float(rows.known_at.max()),
        "validation": validation.to_dict(),
    }
    model = fit_labelled(options.model_id, rows, log_facts=logs, trained_on=trained_on)
    named: dict[str, object] = {**model.trained_on, "groups": list(rows.group_names)}
    model = replace(model, trained_on=named)
    bound = options.columns.bound
    return model.bind(options.model_id, bound) if bound else model


def _own_warnings(model: PropensityModel) -> Sequence[str]:
    return cast("Sequence[str]", model.trained_on["warnings"])


def _unused(model_id: str, rulebook: Rulebook) -> tuple[str, ...]:
    if model_id in rulebook.propensity_models:
        return ()
    return (f"no action of rulebook `{rulebook.id}` says `propensity: {{model: {model_id}}}`",)


def _write_report(run: PropensityRun) -> None:
    run.report.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "artifact": run.digest,
        "model": run.model.to_dict(),
        "validation": run.validation.to_dict(),
        "warnings": list(run.warnings),
    }
    run.report.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
