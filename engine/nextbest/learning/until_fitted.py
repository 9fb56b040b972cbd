"""What holds until a propensity model that the rule files name is fitted: their prior, if they give one."""

from collections.abc import Collection
from dataclasses import replace

from nextbest.errors import ArtifactError
from nextbest.rulebook.actions import ActionTables, PropensityKind
from nextbest.rulebook.rulebook import Rulebook

NO_INDEX = -1
"""Propensity index of an action that reads neither program nor model."""


def served_rulebook(rulebook: Rulebook, fitted: Collection[str]) -> Rulebook:
    """The rulebook with every action's model that is not fitted replaced by the prior given for it.

    Args:
        rulebook: as compiled.
        fitted: ids of the models there are.

    Returns:
        A rulebook that names fitted models only; the same one if all are.

    Raises:
        ArtifactError: actions read a model that is not fitted and say nothing for the time until then.
    """
    absent = unfitted_models(rulebook, fitted)
    if not absent:
        return rulebook
    _require_priors(rulebook, absent)
    kept = tuple(name for name in rulebook.propensity_models if name in fitted)
    return replace(
        rulebook, propensity_models=kept, action_tables=_tables(rulebook, kept, rulebook.action_tables)
    )


def unfitted_models(rulebook: Rulebook, fitted: Collection[str]) -> tuple[str, ...]:
    """Ids of the models that actions read and that are not fitted."""
    return tuple(name for name in rulebook.propensity_models if name not in fitted)


def how_to_fit(names: Collection[str]) -> str:
    """What to run so that these models are fitted."""
    shown = ", ".join(f"`{name}`" for name in names)
    return (
        f"fit {shown}: `nextbest fit propensity MODEL ROWS`, where ROWS is a Parquet or CSV file of contacts"
        " with their outcomes (docs/learning.md)"
    )


def _require_priors(rulebook: Rulebook, absent: Collection[str]) -> None:
    priors = rulebook.action_tables.prior_successes
    without = [a for i, a in enumerate(rulebook.actions) if a.propensity_model in absent and priors[i] <= 0.0]
    if without:
        names = sorted({action.propensity_model for action in without})
        actions = ", ".join(f"`{action.id}`" for action in without)
        raise ArtifactError(
            f"actions {actions} of rulebook `{rulebook.id}` read propensity models that are not fitted;"
            f" either {how_to_fit(names)}, or write what holds until then:"
            f" `propensity: {{model: {names[0]}, until_fitted: {{successes: 2, failures: 38}}}}`"
        )


def _tables(rulebook: Rulebook, kept: tuple[str, ...], tables: ActionTables) -> ActionTables:
    kind, index = tables.propensity_kind.copy(), tables.propensity_index.copy()
    for place, action in enumerate(rulebook.actions):
        name = action.propensity_model
        if name and name in kept:
            index[place] = kept.index(name)
        elif name:
            kind[place], index[place] = PropensityKind.POSTERIOR, NO_INDEX
    for array in (kind, index):
        array.setflags(write=False)
    return replace(tables, propensity_kind=kind, propensity_index=index)
