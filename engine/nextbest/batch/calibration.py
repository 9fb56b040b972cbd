"""What a lifetime value fit is checked by: the customers it was made on, and later snapshots of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from nextbest.batch.purchase_histories import HISTORY_FACTS, PurchaseReader, Purchases
from nextbest.batch.row_files import RowFile
from nextbest.errors import InvalidInput, Violation
from nextbest.model import DAY_S, F64, U64, Bools
from nextbest.potential.ltv_calibration import Calibration, HoldOut, calibrate, hold_out
from nextbest.potential.ltv_parameters import LtvParameters
from nextbest.rows import RowCodec

WEEK_S: Final = 7 * DAY_S
SLACK_WEEKS: Final = 1.0
"""Observed weeks must have grown by the time between the snapshots, give or take."""
WARN_OFF: Final = 0.1
"""A total that is off by more than this share is worth a warning."""


@dataclass(frozen=True, slots=True)
class Check:
    """Everything a fit was checked by."""

    in_sample: Calibration
    held_out: HoldOut | None
    """None without later snapshots."""
    unmatched: int = 0
    """Buyers of the fit who are not in the later file."""
    contradicting: int = 0
    """Buyers whose later history does not go on from the earlier one; left out."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know before trusting the fit."""
        found = list[str]()
        if self.held_out is None:
            found.append(
                "no later snapshots were given (`--hold-out FILE`): the fit is checked in sample only"
            )
        elif abs(self.held_out.expected_total - self.held_out.total) > WARN_OFF * self.held_out.total:
            found.append(
                f"the fit expects `{self.held_out.expected_total:.0f}` purchases in the held-out period,"
                f" there were `{self.held_out.total:.0f}`: BG/NBD knows neither season nor trend"
            )
        if self.contradicting:
            found.append(
                f"`{self.contradicting}` customers' later history does not go on from the earlier one:"
                " they are not in the hold-out"
            )
        return tuple(found)


def check_fit(parameters: LtvParameters, fitted_on: Purchases, later: Purchases | None = None) -> Check:
    """Check a fit against its own customers and, if there are any, their later snapshots.

    Args:
        parameters: the fit.
        fitted_on: the customers it was made on.
        later: snapshots of a later time.

    Raises:
        InvalidInput: there are later snapshots, but none of a buyer in the fit.
    """
    x, _, observed, zbar = (np.ascontiguousarray(column) for column in fitted_on.purchases.T)
    in_sample = calibrate(x, observed, zbar, parameters)
    if later is None:
        return Check(in_sample, None)
    here, there = _matched(fitted_on.checks, later.checks)
    before, after = fitted_on.purchases[here], later.purchases[there]
    goes_on = _goes_on(before, after, later.as_of[there] - fitted_on.as_of[here])
    if not goes_on.any():
        problem = "no customer of the fit has a later purchase history in the file"
        raise InvalidInput([Violation("hold_out", problem)])
    return Check(
        in_sample,
        hold_out(before[goes_on, :3], after[goes_on, :3], parameters),
        unmatched=len(fitted_on.checks) - len(here),
        contradicting=int((~goes_on).sum()),
    )


def read_later(path: Path, codec: RowCodec, *, as_of: float | None = None) -> tuple[Purchases, int]:
    """Read the purchase histories of a file of snapshots, and how many of its rows are bad.

    Raises:
        InvalidInput: the file cannot be read, or a column is missing or no fact.
    """
    reader = PurchaseReader(codec.catalogue, require_possible=False)
    with RowFile(path, codec, HISTORY_FACTS, as_of=as_of) as file:
        for batch in file.batches():
            reader.add(batch.customer_ids.to_list(), batch.checks, batch.rows)
    return reader.finish(), file.rejected


def _matched(
    one: U64, other: U64
) -> tuple[np.ndarray[tuple[int], np.dtype[np.intp]], np.ndarray[tuple[int], np.dtype[np.intp]]]:
    """Places of the checks that are in both."""
    _, here, there = np.intersect1d(one, other, assume_unique=True, return_indices=True)
    return here, there


def _goes_on(before: F64, after: F64, seconds: F64) -> Bools:
    """(n,) whether the later history can have come of the earlier one."""
    weeks = after[:, 2] - before[:, 2]
    with np.errstate(invalid="ignore"):
        return (
            (seconds > 0)
            & (weeks > 0)
            & (np.abs(weeks - seconds / WEEK_S) <= SLACK_WEEKS)
            & (after[:, 0] >= before[:, 0])
            & (after[:, 1] >= before[:, 1])
        )
