"""Runs a program over customers, 64 at a time: one bit a customer in every truth word."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from operator import lt
from threading import Lock
from typing import Protocol, cast

import numpy as np

from nextbest.model import F64, U64, Bools, Contexts, Rows
from nextbest.rulebook.kernel import KERNEL_SIGNATURE, match_blocks
from nextbest.rulebook.program import INPUT_NAMES, LANES, Matches, Program
from nextbest.values import value_type


@value_type
class Inputs:
    """What a program reads of n customers. Arrays are contiguous by row; NaN or a cleared bit = missing."""

    numbers: F64
    """(n, catalogue.n_numbers)."""
    words: U64
    """(n, catalogue.n_words)."""
    known: U64
    """(n, catalogue.n_known_words)."""
    figures: F64
    """(n, figures)."""
    contexts: Contexts
    history: F64
    """(n, program.n_windows), see `windows.fill_windows`."""
    now: F64
    """(n,) epoch seconds."""
    suppressed: U64
    """(triggers, blocks) 1 = the trigger is in its cool-down."""

    def __len__(self) -> int:
        return len(self.now)

    @property
    def arrays(self) -> tuple[object, ...]:
        """The arrays in the order `kernel.match_blocks` takes them."""
        c = self.contexts
        situation = (c.numbers, c.channel, c.direction, c.phase, c.role, c.placements)
        rows = (self.numbers, self.words, self.known, self.figures)
        return (*rows, *situation, self.history, self.now, self.suppressed)

    @property
    def widths(self) -> tuple[int, ...]:
        """Columns of each input and count of triggers, in the order of `Program.least_widths`."""
        return (
            self.numbers.shape[1],
            self.words.shape[1],
            self.known.shape[1],
            self.figures.shape[1],
            self.contexts.numbers.shape[1],
            self.history.shape[1],
            self.suppressed.shape[0],
        )

    @property
    def lengths(self) -> tuple[int, ...]:
        """Rows of each input; all must be n."""
        c = self.contexts
        situation = (len(c.numbers), len(c.channel), len(c.direction), len(c.phase), len(c.role))
        rows = (len(self.numbers), len(self.words), len(self.known), len(self.figures), len(self.history))
        return (*rows, *situation, len(c.placements))


def inputs_of(
    rows: Rows, figures: F64, contexts: Contexts, now: F64, *, history: F64, suppressed: U64
) -> Inputs:
    """Inputs from the types that `decide` has at hand; shapes as in `Inputs`."""
    return Inputs(rows.numbers, rows.words, rows.known, figures, contexts, history, now, suppressed)


def no_suppression(n_triggers: int, n: int) -> U64:
    """The plane of triggers none of which is in its cool-down."""
    return np.zeros((n_triggers, n_blocks(n)), np.uint64)


def no_history(n: int, program: Program) -> F64:
    """History columns that are all UNKNOWN."""
    return np.full((n, program.n_windows), np.nan)


def n_blocks(n: int) -> int:
    """Blocks of 64 that hold n customers."""
    return -(-n // LANES)


def match(program: Program, inputs: Inputs, *, threads: int = 1, out: Matches | None = None) -> Matches:
    """Find which conditions hold, and the values, for n customers.

    Args:
        program: conditions and values.
        inputs: n customers.
        threads: threads to share the blocks over; the kernel holds no lock.
        out: result of an earlier call for as many customers, to be overwritten.

    Returns:
        Known-true and known-false planes and values.

    Raises:
        ValueError: an input has too few rows or columns.

    Oracle: tests/naive/expressions.py.
    """
    n = len(inputs)
    blocks = n_blocks(n)
    _check_shapes(program, inputs, blocks)
    if out is None:
        shape = (blocks, program.n_conditions)
        out = Matches(np.empty(shape, np.uint64), np.empty(shape, np.uint64), np.empty((n, program.n_values)))
    if threads <= 1 or blocks < 2 * threads:
        _run(program, inputs, 0, blocks, out)
        return out
    bounds = [blocks * i // threads for i in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        runs = [pool.submit(_run, program, inputs, first, last, out) for first, last in pairwise(bounds)]
        for run in runs:
            run.result()
    return out


def _check_shapes(program: Program, inputs: Inputs, blocks: int) -> None:
    """The kernel reads without looking, so that a short array would be read beyond its end."""
    widths, lengths, n = inputs.widths, inputs.lengths, len(inputs)
    if any(map(lt, widths, program.least_widths)):
        short = [
            f"{name} has {has} columns, the program reads {least}"
            for name, has, least in zip(INPUT_NAMES, widths, program.least_widths, strict=True)
            if has < least
        ]
        raise ValueError("; ".join(short))
    if lengths != (n,) * len(lengths) or (widths[-1] and inputs.suppressed.shape[1] != blocks):
        raise ValueError(f"inputs are of different lengths: {lengths}, now {n}")


def _run(program: Program, inputs: Inputs, first: int, last: int, out: Matches) -> None:
    run = compiled_kernel()
    run(*program.tables_for_kernel, *inputs.arrays, first, last, out.true, out.false, out.values)


def compiled_kernel() -> Callable[..., None]:
    """The kernel, compiled once for read-only tables and inputs, which takes writable ones as well.

    Left to itself numba would compile it anew for every mixture of read-only and writable arrays.
    """
    with _COMPILING:
        return _compile_kernel()


_COMPILING = Lock()
"""Two threads that both come first must not both compile: the second would find it forbidden."""


@cache
def _compile_kernel() -> Callable[..., None]:
    dispatcher = cast("_Dispatcher", match_blocks)
    dispatcher.compile(KERNEL_SIGNATURE)
    dispatcher.disable_compile()
    return cast("Callable[..., None]", match_blocks)


class _Dispatcher(Protocol):
    def compile(self, sig: object) -> object: ...

    def disable_compile(self) -> None: ...


def holds(plane: U64, condition: int, n: int) -> Bools:
    """One condition's plane of `Matches` as n bools."""
    words = np.ascontiguousarray(plane[:, condition])
    return np.unpackbits(words.view(np.uint8), bitorder="little")[:n].astype(np.bool_)
