"""Columns of the action tables, gathered row by row."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from nextbest.model import I64

Row: TypeAlias = Mapping[str, float | int]
"""What one action adds to the plain columns."""

COLUMNS: Mapping[str, type[np.generic]] = {
    "stages": np.uint8,
    "segments": np.uint64,
    "condition": np.int32,
    "sells": np.uint8,
    "cares": np.uint8,
    "mandatory": np.uint8,
    "authority": np.int32,
    "valid_from": np.float64,
    "valid_until": np.float64,
    "topics": np.uint64,
    "max_snapshot_age_days": np.float64,
    "customer_gap_share": np.float64,
    "profit_gap_share": np.float64,
    "recurring": np.float64,
    "yearly_gain": np.float64,
    "once_gain": np.float64,
    "ltv_gain": np.float64,
    "short_horizon": np.uint8,
    "contact_cost": np.float64,
    "accepted_cost": np.float64,
    "minutes": np.float64,
    "propensity_kind": np.uint8,
    "propensity_index": np.int32,
    "prior_successes": np.float64,
    "prior_failures": np.float64,
    "base_propensity": np.float64,
    "uses_uplift": np.uint8,
    "creates_need": np.uint8,
    "inside_out": np.uint8,
    "lever": np.float64,
    "group": np.int32,
    "benefit_group": np.int32,
    "reward_worth": np.float64,
    "priority": np.int32,
    "classic_value": np.float64,
    "id_order": np.int32,
}
"""Columns with one value an action, and their types."""

LISTS: Mapping[str, Mapping[str, type[np.generic]]] = {
    "trigger": {"trigger_index": np.int32},
    "evidence": {
        "evidence_weight": np.float64,
        "evidence_condition": np.int32,
        "evidence_value": np.int32,
        "declared": np.uint8,
    },
    "context": {"context_condition": np.int32, "context_weight": np.float64},
    "policy": {
        "policy_scope": np.uint8,
        "policy_outcomes": np.uint64,
        "policy_at_least": np.int32,
        "policy_within_s": np.float64,
        "policy_pause_s": np.float64,
        "policy_channel": np.int32,
        "policy_period": np.int32,
    },
    "cap": {"cap_count": np.int32, "cap_within_s": np.float64, "cap_period": np.int32},
    "treatment": {
        "treatment_channel": np.int32,
        "treatment_placement": np.int32,
        "treatment_consent": np.uint64,
    },
}
"""Columns with any number of values an action, by the list they belong to."""


def frozen(values: npt.ArrayLike, dtype: type[np.generic]) -> npt.NDArray[Any]:
    """A read-only array."""
    array = np.array(values, dtype)
    array.setflags(write=False)
    return array


def plain_columns(rows: Sequence[Row]) -> dict[str, npt.NDArray[Any]]:
    """The plain columns, one value a row."""
    return {name: frozen([row[name] for row in rows], dtype) for name, dtype in COLUMNS.items()}


def list_columns(name: str, lists: Sequence[Sequence[Sequence[float | int]]]) -> dict[str, npt.NDArray[Any]]:
    """One list's columns laid end to end, and where each action's part starts.

    Args:
        name: key of `LISTS`.
        lists: per action, its entries; an entry has one value a column.
    """
    starts: I64 = np.zeros(len(lists) + 1, np.int64)
    np.cumsum([len(entries) for entries in lists], out=starts[1:])
    flat = [entry for entries in lists for entry in entries]
    columns = {
        column: frozen([entry[i] for entry in flat], dtype)
        for i, (column, dtype) in enumerate(LISTS[name].items())
    }
    return columns | {f"{name}_starts": frozen(starts, np.int64)}
