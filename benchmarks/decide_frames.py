"""The population of `decide_workload` as polars keeps it: frames of customers and of history entries."""

import numpy as np
import polars as pl

from decide_workload import Population
from nextbest.facts import FactType, Figure
from nextbest.rulebook.rulebook import Rulebook
from workload import own_facts

ENTRY_COLUMNS = ("time", "kind", "channel", "direction", "outcome", "action", "trigger")


def frames(rulebook: Rulebook, people: Population, figures: np.ndarray) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Customers and history entries in polars' types; a missing fact is null."""
    catalogue, rows, contexts = rulebook.catalogue, people.rows, people.contexts
    columns: dict[str, object] = {"customer": pl.Series(np.arange(len(people), dtype=np.uint32))}
    for name in (*own_facts(), "touchpoint_score", "touchpoint_score_at", "time_zone"):
        place = catalogue.bits.get(name)
        if place is not None:
            columns[name] = _bits(rows, place, 0)
        else:
            kind = catalogue[name].type
            dtype = {FactType.INT: pl.Int64, FactType.ENUM: pl.UInt8}.get(kind, pl.Float64)
            values = rows.numbers[:, catalogue.columns[name]]
            columns[name] = pl.Series(values).fill_nan(None).cast(dtype)
    for name, fact in (("consent", "consent"), ("topic", "blocked_topics")):
        for i, member in enumerate(catalogue[fact].values):
            given = _bits(rows, catalogue.bits[fact], i).fill_null(value=False)
            columns[f"{name}_{member}"] = given
    for name in (
        Figure.VALUE_GAP,
        Figure.PROFIT_GAP,
        Figure.PROFIT_REACHED,
        Figure.MULTIPLIER,
        Figure.DATA_QUALITY,
        Figure.INVESTMENT_CEILING,
        Figure.SNAPSHOT_AGE_DAYS,
    ):
        columns[name.name.lower()] = pl.Series(figures[:, name]).fill_nan(None)
    columns["stage"] = pl.Series(figures[:, Figure.STAGE]).cast(pl.UInt8)
    columns["channel"] = pl.Series(contexts.channel).cast(pl.UInt8)
    columns["outbound"] = pl.Series(contexts.direction == 1)
    columns["authority"] = pl.Series(
        np.array([role.authority for role in rulebook.roles], np.int64)[contexts.role]
    )
    columns["truncated"] = pl.Series(people.histories.contacts.truncated_before)
    columns["now"] = pl.Series(people.now).cast(pl.Int64)
    return pl.DataFrame(columns), _entries(people)


def _bits(rows, place, member) -> pl.Series:
    known = (rows.known[:, place.known_word] >> np.uint64(place.known_bit)) & np.uint64(1) == 1
    held = (rows.words[:, place.word] >> np.uint64(place.shift + member)) & np.uint64(1) == 1
    frame = pl.DataFrame({"held": held, "known": known})
    return frame.select(pl.when("known").then("held"))["held"]


def _entries(people: Population) -> pl.DataFrame:
    ring = people.histories.contacts
    customer = np.repeat(np.arange(len(people), dtype=np.uint32), np.diff(ring.starts))
    columns = {name: np.ascontiguousarray(ring.entries[name]) for name in ENTRY_COLUMNS}
    frame = pl.DataFrame({"customer": customer} | columns)
    return frame.with_columns(pl.col("time").cast(pl.Int64)).with_row_index("at")
