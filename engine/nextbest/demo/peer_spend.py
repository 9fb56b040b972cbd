"""The gap to peers in spend alone, from the peer grid: what is asked whether it predicts growth.

The gaps that decisions use rest on assumed margins and, by the stage's stretch, on synthetic attitudes:
whether *they* predict anything would say little. Spend is measured, and the grid is the same.
"""

import numpy as np
import polars as pl

from nextbest.assembly import FittedGrid
from nextbest.demo.gap_forecast import PeerGap
from nextbest.model import F64
from nextbest.potential.gap import GapFigure, peer_gaps
from nextbest.potential.grid import PeerGrid
from nextbest.rulebook.strategy import Strategy

TAU = 0.8
"""Stretch quantile of Hear me, here for everyone."""
NAME = "gap in yearly spend to the .80 quantile of the peer grid's cells"


def spend_gap(fitted: FittedGrid, strategy: Strategy) -> PeerGap:
    """Make the gap to peers in yearly spend, with the dimensions and the back-off of a fitted grid."""
    dimensions, m = fitted.grid.dimensions, fitted.grid.m

    def gap(facts: pl.DataFrame) -> F64:
        codes, spend = _codes(facts, dimensions), facts["revenue_net"].to_numpy().astype(np.float64)
        full = (facts["exposure_share"].fill_null(1.0) >= 1.0).to_numpy()
        grid = PeerGrid.build(
            codes, spend[:, None], dimensions=dimensions, outcomes=("revenue_net",), m=m, full=full
        )
        tables = grid.tables([TAU])
        everyone = np.full(len(spend), tables.tau_index(TAU), np.int64)
        cells = tables.locate(codes)
        limits = strategy.gap_cap, strategy.gap_floor
        found = peer_gaps(tables.quantiles[0], cells, everyone, tables.median, spend, full, *limits)
        return found[:, GapFigure.GAP].copy()

    return gap


def _codes(facts: pl.DataFrame, dimensions: tuple[str, ...]) -> F64:
    """(n, k) a number for each member, NaN = missing; which number makes no difference."""
    columns = [pl.col(name).rank("dense").cast(pl.Float64).fill_null(float("nan")) for name in dimensions]
    return np.ascontiguousarray(facts.select(columns).to_numpy())
