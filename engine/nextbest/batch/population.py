"""Decisions for many customers on every core: the same `decide`, a part of the population at a time."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from nextbest.assembly import Model
from nextbest.decide import DEFAULT_RESULTS, decide, new_decisions
from nextbest.facts import Figure
from nextbest.model import F64, U64, Contexts, Decisions, DecisionState, Histories, Ring, Rows
from nextbest.rulebook.matching import n_blocks

MOST = 4096
"""Customers of one call at most: what a call costs whatever its size is spread thin, and threads that
end together need enough parts to share."""


def decide_in_threads(
    model: Model,
    rows: Rows,
    histories: Histories,
    contexts: Contexts,
    state: DecisionState,
    now: F64,
    seed: U64,
    *,
    max_results: int = DEFAULT_RESULTS,
    threads: int | None = None,
    out: Decisions | None = None,
) -> Decisions:
    """Decide for n customers in parts, shared over threads; the kernels hold no lock.

    Args:
        model: Rulebook and artifacts.
        rows: n snapshots.
        histories: Of the n customers.
        contexts: The n situations.
        state: Posteriors and prices.
        now: (n,) epoch seconds.
        seed: (n,).
        max_results: Answers kept a customer.
        threads: None = one a core; 1 = the caller's own.
        out: Decisions for as many customers and answers, of an earlier call, to be filled and returned
            instead of new ones: memory that the system must find and clear first may cost a quarter as
            much as deciding.

    Returns:
        What `decide` returns for all of them in one call, bit for bit.
    """
    n, workers = len(rows), threads or os.cpu_count() or 1
    decisions = new_decisions(model, max_results, np.empty((n, len(Figure)))) if out is None else out
    size = part_size(n, workers)

    def run(first: int) -> None:
        last = min(first + size, n)
        found = decide(
            model,
            rows_part(rows, first, last),
            histories_part(histories, first, last),
            contexts_part(contexts, first, last),
            state,
            now[first:last],
            seed[first:last],
            max_results=max_results,
            out=_decisions_part(decisions, first, last),
        )
        decisions.fired[:, first >> 6 : n_blocks(last)] = found.fired

    firsts = range(0, n, size)
    if threads == 1:
        for first in firsts:
            run(first)
        return decisions
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(run, firsts):
            pass
    return decisions


def part_size(n: int, workers: int) -> int:
    """Customers of a part: as many parts for each worker, and a multiple of 64, so that none share a word."""
    parts = workers * -(-n // (workers * MOST))
    return 64 * max(-(-n // (64 * parts)), 1) if parts else 64


def _decisions_part(decisions: Decisions, first: int, last: int) -> Decisions:
    """Decisions `first` to `last`, without copying, but for `fired`, whose words are by trigger."""
    part = slice(first, last)
    return Decisions(
        figures=decisions.figures[part],
        action=decisions.action[part],
        treatment=decisions.treatment[part],
        placement=decisions.placement[part],
        terms=decisions.terms[part],
        count=decisions.count[part],
        fired=np.empty((len(decisions.fired), n_blocks(last - first)), np.uint64),
    )


def rows_part(rows: Rows, first: int, last: int) -> Rows:
    """Snapshots `first` to `last`, without copying."""
    part = slice(first, last)
    return Rows(rows.as_of[part], rows.numbers[part], rows.words[part], rows.known[part])


def histories_part(histories: Histories, first: int, last: int) -> Histories:
    """Histories `first` to `last`; entries are not copied."""
    return Histories(_ring_part(histories.contacts, first, last), _ring_part(histories.events, first, last))


def _ring_part(ring: Ring, first: int, last: int) -> Ring:
    starts = ring.starts[first : last + 1]
    entries = ring.entries[starts[0] : starts[-1]]
    return Ring(entries, starts - starts[0], ring.truncated_before[first:last])


def contexts_part(contexts: Contexts, first: int, last: int) -> Contexts:
    """Situations `first` to `last`, without copying."""
    part = slice(first, last)
    return Contexts(
        channel=contexts.channel[part],
        direction=contexts.direction[part],
        placements=contexts.placements[part],
        preference=contexts.preference[part],
        phase=contexts.phase[part],
        role=contexts.role[part],
        numbers=contexts.numbers[part],
    )
