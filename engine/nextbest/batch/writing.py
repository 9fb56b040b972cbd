"""What becomes of a snapshot as it is written: stage evaluated, series moved, triggers fired; pure.

Every writer does this from the stored row and puts the result in its place in one step, so that two
writers cannot part what belongs together.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from nextbest.assembly import Model
from nextbest.batch.detection import detect, is_watching, series_facts_of
from nextbest.batch.stages import advanced_stages
from nextbest.behaviour.stage import STAGE_STATE_FACTS
from nextbest.data.loader import Watching
from nextbest.data.snapshots import AdvanceRows
from nextbest.facts import Catalogue
from nextbest.id_check import id_check, id_checks_of
from nextbest.model import F64, U64, Rows
from nextbest.rows import RowCodec, RowProblem, split_rows


def advanced_row(
    model: Model,
    codec: RowCodec,
    customer_id: str,
    old: bytes | None,
    new: bytes,
    *,
    now: float,
    named: Collection[str] | None = None,
) -> bytes:
    """One new row with its stage state, its series and what fired its triggers.

    Args:
        model: Rulebook and artifacts; before the first lifetime-value fit there is no P(alive), so no
            stage is held yet.
        codec: of the rulebook's catalogue.
        customer_id: whose rows they are.
        old: the stored row; None, or one that cannot be read, tells nothing.
        new: the row to write, stage state carried on.
        now: epoch seconds.
        named: facts that the writer gave, where the new row is the stored one with these changed; None =
            it is all the writer's.
    """
    check = id_check(customer_id.encode())
    before, _ = codec.decode_one(old, check)
    after, _ = codec.decode_one(new, check)
    if named is not None:
        after = with_numbers(after, codec.catalogue, _unsaid(model, named))
    facts = evaluated(model, before, after, np.array([now]))
    return codec.with_numbers(new, {name: float(values[0]) for name, values in facts.items()})


def evaluated(model: Model, old: Rows, new: Rows, now: F64) -> dict[str, F64]:
    """(n,) facts to set in new rows: stage state, series, and when triggers fired and why.

    Args:
        model: Rulebook and artifacts.
        old: rows as stored.
        new: rows as they are to be written; the stored ones where only a stage may have changed.
        now: (n,) epoch seconds.
    """
    stage = _stage(model, new, now)
    found = detect(model, old, with_numbers(new, model.rulebook.catalogue, stage), now)
    return {**stage, **found.facts}


def _stage(model: Model, rows: Rows, now: F64) -> dict[str, F64]:
    if model.artifacts.ltv is None:
        return {}
    state, catalogue = advanced_stages(model, rows, now), model.rulebook.catalogue
    return {name: state[:, i] for i, name in enumerate(STAGE_STATE_FACTS) if name in catalogue}


def watching(model: Model, *, now: float) -> Watching | None:
    """What a loader makes of stored rows, where the rulebook has behaviour to detect; else None.

    Stages stay: they are of the time of an evaluation, and a file may be of any time.

    Args:
        model: Rulebook and artifacts.
        now: epoch seconds.
    """
    if not is_watching(model.rulebook):
        return None

    def make(codec: RowCodec, new: Mapping[str, bytes], keep: Sequence[str]) -> AdvanceRows:
        columns = codec.catalogue.columns

        def advance(customer_ids: Sequence[str], old: Sequence[bytes | None]) -> list[bytes | None]:
            checks = id_checks_of([customer_id.encode() for customer_id in customer_ids])
            before = codec.decode_batch(old, checks).rows
            after = codec.decode_batch([new[customer_id] for customer_id in customer_ids], checks).rows
            kept = {name: before.numbers[:, columns[name]] for name in keep}
            after = with_numbers(after, codec.catalogue, kept)
            found = detect(model, before, after, np.full(len(after), now))
            return [*_encoded(codec, checks, with_numbers(after, codec.catalogue, found.facts))]

        return advance

    return make


def changing(codec: RowCodec, change: Callable[[Sequence[str], Rows], Mapping[str, F64]]) -> AdvanceRows:
    """What becomes of stored rows some of whose numbers change; those that cannot be read stay.

    Args:
        codec: of the catalogue.
        change: ids and rows of n customers to (n,) numbers, enums or timestamps; NaN = missing.
    """

    def advance(customer_ids: Sequence[str], old: Sequence[bytes | None]) -> list[bytes | None]:
        checks = id_checks_of([customer_id.encode() for customer_id in customer_ids])
        decoded = codec.decode_batch(old, checks)
        facts = change(customer_ids, decoded.rows)
        rows = _encoded(codec, checks, with_numbers(decoded.rows, codec.catalogue, facts))
        readable = decoded.problems == RowProblem.NONE
        return [row if is_readable else None for row, is_readable in zip(rows, readable, strict=True)]

    return advance


def _encoded(codec: RowCodec, checks: U64, rows: Rows) -> list[bytes]:
    """The stored value of each row."""
    return split_rows(codec.assemble(rows.as_of, checks, rows.numbers, rows.words, rows.known))


def with_numbers(rows: Rows, catalogue: Catalogue, facts: Mapping[str, F64]) -> Rows:
    """Rows with some numbers, enums or timestamps replaced; NaN = missing."""
    if not facts:
        return rows
    numbers = rows.numbers.copy()
    for name, values in facts.items():
        numbers[:, catalogue.columns[name]] = values
    numbers.setflags(write=False)
    return Rows(rows.as_of, numbers, rows.words, rows.known)


def _unsaid(model: Model, named: Collection[str]) -> dict[str, F64]:
    """State of series that the writer did not name: what the stored row held is no news."""
    return {name: np.array([np.nan]) for name in series_facts_of(model.rulebook) if name not in named}
