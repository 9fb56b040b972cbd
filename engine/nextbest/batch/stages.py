"""Advance the stage state of snapshots: what every writer of snapshots does, and all at once after a fit."""

from nextbest.assembly import Model
from nextbest.behaviour.quality import data_quality
from nextbest.behaviour.stage import advance_stages
from nextbest.figures import alive_of, bool_fact, loyalty_at
from nextbest.model import F64, Rows


def advanced_stages(model: Model, rows: Rows, now: F64) -> F64:
    """Stage state of n customers after an evaluation at `now`.

    Args:
        model: Rulebook and artifacts; without a lifetime-value fit P(alive) is unknown.
        rows: n snapshots.
        now: (n,) epoch seconds.

    Returns:
        (n, 3) new values of `STAGE_STATE_FACTS`, NaN = none.

    Source: domain model, section 6.
    """
    quality = data_quality(rows.numbers, rows.known, rows.as_of, now, model.quality)
    loyalty = loyalty_at(model, rows, alive_of(model, rows), quality.completeness, now)
    return advance_stages(
        rows.numbers,
        model.loyalty_columns,
        bool_fact(model, rows, "complaint_open"),
        loyalty,
        now,
        model.rulebook.stages.array,
    )
