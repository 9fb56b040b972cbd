"""Count a population into the peer grid, batch by batch, in any order, with as little memory as counts need.

What is kept is the grid's counts, the owners of each category by cell, and a sample of customers on
which the weight of the back-off is chosen and leaks are looked for. The sample is drawn by a hash of
the customer's id, so neither the order of reading nor an interruption changes the fit.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self, cast

import numpy as np
from numpy.typing import NDArray

from nextbest.artifact import pack, unpack
from nextbest.assembly import LTV_FACTS, OUTCOMES, PEER_SET, FittedGrid
from nextbest.errors import ArtifactError, FitError
from nextbest.facts import Catalogue, FactType
from nextbest.fitted import GRID, pack_grid, read_grid
from nextbest.model import F64, U64, Bools, Rows, Stage
from nextbest.potential.grid import PeerGrid
from nextbest.potential.leakage import Leak, leaking_dimensions
from nextbest.potential.ltv import LtvColumn, ltv_rows
from nextbest.potential.ltv_parameters import LtvParameters
from nextbest.potential.peers import PeerRates
from nextbest.potential.selection import BackOffChoice, choose_m
from nextbest.potential.tables import PRIVACY_FLOOR
from nextbest.rulebook.rulebook import Rulebook
from nextbest.valuation import VALUE_FACTS, take_columns, valuation, worth_tables

GRID_OUTCOMES: Final = (*OUTCOMES, "revenue_net")
"""What the grid counts: the third outcome is for the estimated share of wallet, for display only."""
MERGE_EVERY: Final = 32
"""Batches counted before their grids are added up."""
SAMPLE_ROWS: Final = 100_000
"""Customers on which m is chosen and leaks are looked for; more do not change what is found."""
GUARDED: Final = (*GRID_OUTCOMES, "purchase frequency", "mean_repeat_value", "lifetime value")
"""What no dimension may follow."""
PURCHASES: Final = LTV_FACTS[:5]
"""x, t_x, T, zbar and margin rate: what frequency and lifetime value of the sample are computed from."""
REMEDY_OF: Final = {
    "actual_value": "check rewards and benefits, and `value` in strategy.yaml",
    "actual_profit": "check `revenue_net` and `cogs` or `margin_rate`, and `value` in strategy.yaml",
    "revenue_net": "check the fact `revenue_net`",
}
"""What to do about an outcome that says nothing."""
_KEEP_LEAST_ORDER = 2
"""The sample is cut when it has grown to so many times its size."""


@dataclass(frozen=True, slots=True)
class GridFit:
    """A peer grid, and what the choice of its back-off rests on."""

    fitted: FittedGrid
    choice: BackOffChoice | None
    """None when m was given, or there were too few customers to hold any out."""
    customers: int
    leaks: tuple[str, ...] = ()
    """Dimensions that follow an outcome and were accepted all the same."""
    warnings: tuple[str, ...] = ()
    """Outcomes in which customers do not differ, so that their gaps say nothing."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Some of the customers counted, by ascending check of their id."""

    checks: U64
    """(s,)."""
    codes: F64
    """(s, k) of the peer dimensions."""
    values: F64
    """(s, O) of `GRID_OUTCOMES`."""
    purchases: F64
    """(s, 5) of `PURCHASES`."""

    @classmethod
    def least(cls, parts: Iterable[Self], rows: int) -> Self:
        """The customers with the least checks of all parts."""
        each = list(parts)
        checks = np.concatenate([part.checks for part in each])
        order = np.argsort(checks, kind="stable")[:rows]
        codes, values, purchases = (
            np.concatenate([getattr(part, name) for part in each])[order]
            for name in ("codes", "values", "purchases")
        )
        return cls(checks[order], codes, values, purchases)


Counts = tuple[PeerGrid, PeerRates | None]


def merged(parts: Iterable[Counts]) -> Counts:
    """Add grids of disjoint groups of customers and the owners counted on their cells."""
    each = list(parts)
    grid = PeerGrid.merge([part for part, _ in each])
    moved = [
        rates.onto(grid.tree.numbers(part.tree.paths).astype(np.int32), grid.tree.parent)
        for part, rates in each
        if rates is not None
    ]
    return grid, PeerRates.merge(moved) if moved else None


class GridCounter:
    """Counts batches of snapshots; only customers with full exposure and a figure to count take part."""

    def __init__(self, rulebook: Rulebook) -> None:
        """Lay out what is counted.

        Raises:
            FitError: the strategy names no peer dimension.
        """
        if not rulebook.strategy.peer_dimensions:
            raise FitError("the strategy names no peer dimensions: there is nobody to compare with")
        self._rulebook = rulebook
        self._worth = worth_tables(rulebook)
        self._dimensions = rulebook.strategy.peer_dimensions
        self._columns = _columns(rulebook.catalogue, self._dimensions)
        self._purchases = _columns(rulebook.catalogue, PURCHASES)
        self._parts: list[Counts] = []
        self._samples: list[Sample] = []
        self._sampled = 0
        self._bound = np.uint64(np.iinfo(np.uint64).max)
        """No customer with a check above it can be in the sample any more."""
        self.customers = 0
        """Customers counted."""
        self.seen = 0
        """Customers looked at."""
        self.latest = -np.inf
        """Latest as_of of the customers counted."""

    def add(self, rows: Rows, checks: U64 | None = None) -> None:
        """Count one batch.

        Args:
            rows: n snapshots, none of which was added before.
            checks: (n,) checks of the customers' ids; without them the first customers are the sample.
        """
        if checks is None:
            checks = np.arange(self.seen, self.seen + len(rows), dtype=np.uint64)
        worth = valuation(self._worth, rows)
        values = np.column_stack([worth.value, worth.profit, worth.revenue])
        codes, full = take_columns(rows.numbers, self._columns), worth.exposure >= 1.0
        self._parts.append(self._count(rows, codes, values, full))
        if len(self._parts) >= MERGE_EVERY:
            self._parts = [merged(self._parts)]
        counted = full & np.isfinite(values).any(axis=1)
        self.seen += len(rows)
        self.customers += int(counted.sum())
        if counted.any():
            self.latest = max(self.latest, float(rows.as_of[counted].max()))
        kept = counted & (checks <= self._bound)
        purchases = take_columns(rows.numbers, self._purchases)
        self._keep(Sample(checks[kept], codes[kept], values[kept], purchases[kept]))

    def finish(
        self,
        *,
        m: float | None = None,
        ltv: LtvParameters | None = None,
        accepted_leaks: Collection[str] = (),
    ) -> GridFit:
        """Choose m, look for leaks and put the grid together.

        Args:
            m: weight of a cell's parent; None = chosen by held-out pinball loss.
            ltv: parameters in use, so that a dimension that follows lifetime value is found.
            accepted_leaks: dimensions that may follow an outcome all the same.

        Raises:
            FitError: too few were counted to show anything of, or a dimension follows an outcome.
        """
        if self.customers == 0:
            raise FitError("no customer has a full year and a figure to count: there is no grid to fit")
        if self.customers < PRIVACY_FLOOR:
            counted = f"only {self.customers} of {self.seen} customers have a full year and a figure to count"
            raise FitError(
                f"{counted}: of fewer than {PRIVACY_FLOOR} a grid shows nothing;"
                " load more, or see what was left out and why"
            )
        leaks = self._leaks(ltv, accepted_leaks)
        choice = self._choose() if m is None else None
        grid, rates = merged(self._parts)
        weight = m if m is not None else choice.m if choice is not None else grid.m
        catalogue = self._rulebook.catalogue
        fitted = FittedGrid(
            grid.with_m(weight),
            self.latest,
            rates,
            catalogue.fingerprint,
            accepted_leaks=leaks,
            members=_members(catalogue, self._dimensions),
        )
        return GridFit(fitted, choice, self.customers, leaks, self._flat())

    def to_bytes(self, mark: Mapping[str, object]) -> bytes:
        """What was counted so far, and `mark`, as bytes that `from_bytes` goes on from."""
        grid, rates = merged(self._parts)
        self._parts = [(grid, rates)]
        sample = self._sample()
        counts = pack_grid(
            FittedGrid(grid, 0.0, rates, self._rulebook.catalogue.fingerprint),
            self._rulebook.catalogue.fingerprint,
        )
        latest = self.latest if np.isfinite(self.latest) else None
        meta = {"mark": dict(mark), "customers": self.customers, "seen": self.seen, "latest": latest}
        arrays: dict[str, NDArray[np.generic]] = {
            "counts": np.frombuffer(counts, np.uint8),
            "checks": sample.checks,
            "codes": sample.codes,
            "values": sample.values,
            "purchases": sample.purchases,
        }
        return pack(GRID, {"progress": meta}, arrays)

    @classmethod
    def from_bytes(cls, rulebook: Rulebook, data: bytes) -> tuple[Self, Mapping[str, object]]:
        """The counter that `to_bytes` wrote, and the mark.

        Raises:
            ArtifactError: the bytes are damaged, or of something else.
        """
        artifact = unpack(data, kind=GRID)
        try:
            meta = cast("Mapping[str, object]", artifact.meta["progress"])
            counter = cls(rulebook)
            fitted = read_grid(unpack(cast("NDArray[np.uint8]", artifact.arrays["counts"]).tobytes()))
            counter._parts = [(fitted.grid, fitted.rates)]
            counter.customers, counter.seen = cast("int", meta["customers"]), cast("int", meta["seen"])
            latest = cast("float | None", meta["latest"])
            counter.latest = -np.inf if latest is None else latest
            arrays = cast("Mapping[str, F64]", artifact.arrays)
            checks = cast("U64", artifact.arrays["checks"])
            counter._keep(Sample(checks, arrays["codes"], arrays["values"], arrays["purchases"]))
            return counter, cast("Mapping[str, object]", meta["mark"])
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"progress of a fit cannot be read: {error!r}") from error

    def _count(self, rows: Rows, codes: F64, values: F64, full: Bools) -> Counts:
        grid = PeerGrid.build(codes, values, dimensions=self._dimensions, outcomes=GRID_OUTCOMES, full=full)
        place = self._rulebook.catalogue.bits.get(PEER_SET)
        if place is None:
            return grid, None
        names = self._rulebook.catalogue[PEER_SET].values
        known = (rows.known[:, place.known_word] >> np.uint64(place.known_bit)) & np.uint64(1) == 1
        cells = np.zeros(len(rows), np.int32)
        cells[full] = grid.tree.numbers_of(codes[full])
        return grid, PeerRates.build(
            cells, rows.words[:, place.word].copy(), known & full, parent=grid.tree.parent, categories=names
        )

    def _keep(self, part: Sample) -> None:
        self._samples.append(part)
        self._sampled += len(part.checks)
        if self._sampled > _KEEP_LEAST_ORDER * SAMPLE_ROWS:
            self._sample()

    def _sample(self) -> Sample:
        sample = Sample.least(self._samples, SAMPLE_ROWS)
        self._samples, self._sampled = [sample], len(sample.checks)
        if self._sampled == SAMPLE_ROWS:
            self._bound = sample.checks[-1]
        return sample

    def _choose(self) -> BackOffChoice | None:
        sample = self._sample()
        tau = float(self._rulebook.strategy.stretch[Stage.HEAR_ME])
        try:
            return choose_m(sample.codes, sample.values[:, : len(OUTCOMES)], tau=tau)
        except FitError:
            return None

    def _flat(self) -> tuple[str, ...]:
        """Outcomes that nobody has, or that are the same for all."""
        found: list[str] = []
        for name, values in zip(GRID_OUTCOMES, self._sample().values.T, strict=True):
            known = values[np.isfinite(values)]
            if not known.size:
                found.append(f"nobody's `{name}` is known: {REMEDY_OF[name]}")
            elif (known == known[0]).all():
                text = f"`{name}` is {known[0]:g} for every customer, so every gap is 0"
                found.append(f"{text}; {REMEDY_OF[name]}")
        return tuple(found)

    def _leaks(self, ltv: LtvParameters | None, accepted: Collection[str]) -> tuple[str, ...]:
        sample = self._sample()
        guarded = np.column_stack([sample.values, guarded_figures(sample.purchases, self._rulebook, ltv)])
        leaks = leaking_dimensions(sample.codes, guarded)
        refused = [leak for leak in leaks if self._dimensions[leak.dimension] not in accepted]
        if refused:
            found = "; ".join(leaks_in_words(refused, self._dimensions))
            raise FitError(
                f"{found}: take it out of `potential.peer_dimensions`, or accept it with `--accept-leak`"
            )
        return tuple(leaks_in_words(leaks, self._dimensions))


def leaks_in_words(leaks: Iterable[Leak], dimensions: Sequence[str]) -> list[str]:
    """One sentence for each dimension that follows outcomes."""
    follows = dict[tuple[int, bool], list[str]]()
    for leak in leaks:
        follows.setdefault((leak.dimension, leak.joint), []).append(f"`{GUARDED[leak.outcome]}`")
    return [
        f"{_followers(dimensions, dimension, joint=joint)} the outcome {', '.join(outcomes)}:"
        " customers would be compared with those who reach the same, and every gap would be 0"
        for (dimension, joint), outcomes in follows.items()
    ]


def _followers(dimensions: Sequence[str], dimension: int, *, joint: bool) -> str:
    """Subject and verb of the sentence."""
    if not joint:
        return f"peer dimension `{dimensions[dimension]}` follows"
    before = ", ".join(f"`{name}`" for name in dimensions[:dimension])
    return f"peer dimension `{dimensions[dimension]}`, together with {before} before it, follows"


def guarded_figures(purchases: F64, rulebook: Rulebook, ltv: LtvParameters | None) -> F64:
    """(s, 3) frequency, mean repeat value and lifetime value of (s, 5) `PURCHASES`; NaN = unknown."""
    x, t_x, observed, zbar, margin = (np.ascontiguousarray(column) for column in purchases.T)
    with np.errstate(divide="ignore", invalid="ignore"):
        frequency = np.where(observed > 0, x / observed, np.nan)
    if ltv is None:
        return np.column_stack([frequency, zbar, np.full(len(x), np.nan)])
    margin = np.where(np.isnan(margin), rulebook.value.default_margin_rate, margin)
    lifetime = ltv_rows(x, t_x, observed, zbar, margin, ltv.to_array())[:, LtvColumn.LTV]
    return np.column_stack([frequency, zbar, lifetime])


def facts_counted(rulebook: Rulebook) -> set[str]:
    """Facts that a grid fit reads: of a file, no other column need be read."""
    value = rulebook.value
    names = {*rulebook.strategy.peer_dimensions, *VALUE_FACTS, *PURCHASES, PEER_SET, "exposure_share"}
    return names | {name for name, _ in (*value.activities, *value.benefits)}


def _columns(catalogue: Catalogue, names: Iterable[str]) -> NDArray[np.int64]:
    return np.array([catalogue.column(name) for name in names], np.int64)


def _members(catalogue: Catalogue, dimensions: Iterable[str]) -> dict[str, tuple[str, ...]]:
    facts = [catalogue[name] for name in dimensions]
    return {fact.name: fact.values for fact in facts if fact.type is FactType.ENUM}
