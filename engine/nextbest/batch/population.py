"""Decisions for many customers on every core: the same `decide`, a part of the population at a time."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from nextbest.assembly import Model
from nextbest.decide import DEFAULT_RESULTS, decide
from nextbest.facts import Figure
from nextbest.model import F64, U64, Contexts, Decisions, DecisionState, Histories, Ring, Rows, Term
from nextbest.rulebook.matching import n_blocks

PART = 1024
"""Customers of one call: their rows, histories and answers stay in a core's cache, and what a call costs
whatever its size is spread thin. A multiple of 64, so that parts share no word of `Decisions.fired`."""


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

    Returns:
        What `decide` returns for all of them in one call, bit for bit.
    """
    n = len(rows)
    decisions = _room(model, n, max_results)

    def run(first: int) -> None:
        last = min(first + PART, n)
        part = slice(first, last)
        found = decide(
            model,
            rows_part(rows, first, last),
            histories_part(histories, first, last),
            contexts_part(contexts, first, last),
            state,
            now[part],
            seed[part],
            max_results=max_results,
        )
        decisions.figures[part], decisions.terms[part] = found.figures, found.terms
        decisions.action[part], decisions.treatment[part] = found.action, found.treatment
        decisions.placement[part] = found.placement
        decisions.count[part] = found.count
        decisions.fired[:, first >> 6 : n_blocks(last)] = found.fired

    firsts = range(0, n, PART)
    if threads == 1:
        for first in firsts:
            run(first)
        return decisions
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        for _ in pool.map(run, firsts):
            pass
    return decisions


def _room(model: Model, n: int, results: int) -> Decisions:
    return Decisions(
        figures=np.empty((n, len(Figure))),
        action=np.empty((n, results), np.int32),
        treatment=np.empty((n, results), np.int32),
        placement=np.empty((n, results), np.int32),
        terms=np.empty((n, results, len(Term))),
        count=np.empty(n, np.int32),
        fired=np.empty((len(model.rulebook.triggers), n_blocks(n)), np.uint64),
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
