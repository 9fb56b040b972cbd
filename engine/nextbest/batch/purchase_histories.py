"""Purchase histories of a population, column by column: what a fit of lifetime value keeps in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from nextbest.assembly import LTV_FACTS
from nextbest.errors import InvalidInput, Violation
from nextbest.facts import Catalogue
from nextbest.model import F64, U64, Rows
from nextbest.potential.ltv_fit import ROWS_SHOWN, impossible_rows
from nextbest.valuation import take_columns

HISTORY_FACTS: Final = (*LTV_FACTS[:4], "contract_state")
"""x, t_x, T, zbar; and whoever has, or had, a contract is no buyer: they are worth their renewals."""
BUYER_BYTES: Final = 120
"""Memory that a buyer takes at most while histories are put together, fitted and checked: 48 are kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Purchases:
    """Purchase histories of n buyers, in order of check, so that files and stores give the same fit."""

    checks: U64
    """(n,) checks of their ids, ascending."""
    as_of: F64
    """(n,) epoch seconds."""
    purchases: F64
    """(n, 4) x, t_x, T and zbar, weeks and money; a column's numbers lie together. NaN = unknown zbar."""

    def __len__(self) -> int:
        return len(self.checks)


class PurchaseReader:
    """Keeps the purchase histories of batches of snapshots; prospects and contracts have none."""

    def __init__(self, catalogue: Catalogue, *, require_possible: bool = True) -> None:
        """Args: what names the facts; whether `finish` refuses histories that cannot be."""
        self._columns = np.array([catalogue.column(name) for name in HISTORY_FACTS], np.int64)
        self._strict = require_possible
        self._checks: list[U64] = []
        self._as_of: list[F64] = []
        self._parts: list[list[F64]] = [[] for _ in LTV_FACTS[:4]]
        self._impossible: list[Violation] = []
        self._more = 0

    def add(self, customers: Sequence[str], checks: U64, rows: Rows) -> None:
        """Keep some customers' histories.

        Args:
            customers: n ids, for errors.
            checks: (n,) checks of them.
            rows: n snapshots.
        """
        taken = take_columns(rows.numbers, self._columns)
        buyers = np.flatnonzero(~np.isnan(taken[:, 0]) & ~(taken[:, 4] > 0.0))
        columns = [np.ascontiguousarray(taken[buyers, k]) for k in range(4)]
        for place, text in impossible_rows(*columns).items() if self._strict else ():
            if len(self._impossible) < ROWS_SHOWN:
                self._impossible.append(Violation(f"customer `{customers[int(buyers[place])]}`", text))
            else:
                self._more += 1
        self._checks.append(checks[buyers])
        self._as_of.append(rows.as_of[buyers])
        for part, column in zip(self._parts, columns, strict=True):
            part.append(column)

    def finish(self) -> Purchases:
        """All that was kept; the reader is empty then.

        Raises:
            InvalidInput: impossible histories, `ROWS_SHOWN` of them by customer.
        """
        if self._more:
            self._impossible.append(Violation("customers", f"and `{self._more}` more impossible histories"))
        if self._impossible:
            raise InvalidInput(self._impossible)
        checks = np.concatenate([np.empty(0, np.uint64), *self._checks])
        self._checks.clear()
        order = np.argsort(checks, kind="stable")
        purchases = np.empty((len(checks), 4), order="F")
        for k, parts in enumerate(self._parts):
            purchases[:, k] = _joined(parts)[order]
        return Purchases(checks[order], _joined(self._as_of)[order], purchases)


def _joined(parts: list[F64]) -> F64:
    """The parts as one, and the list empty, so that no more than one column is there twice."""
    joined = np.concatenate([np.empty(0), *parts])
    parts.clear()
    return joined
