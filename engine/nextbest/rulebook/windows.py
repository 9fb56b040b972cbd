"""History windows: fills the columns that `count`, `sum` and `last` read."""

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from nextbest.kernels import lean_kernel
from nextbest.model import F64, I32, I64, U8, Histories
from nextbest.model import Ring as RingOf
from nextbest.rulebook.program import EntryField, Program, Ring, WindowKind

ENTRY_BYTES = 72
COUNT = int(WindowKind.COUNT)
SUM = int(WindowKind.SUM)
LAST = int(WindowKind.LAST)
PEERS_HAVE = int(WindowKind.PEERS_HAVE)
CONTACTS = int(Ring.CONTACTS)
EVENTS = int(Ring.EVENTS)
COST = int(EntryField.COST)
KIND = int(EntryField.KIND)
ACTION = int(EntryField.ACTION)
TIME_AT, AMOUNT_AT, COST_AT = 0, 4, 5
"""Places of an entry's numbers among its nine eight-byte words."""
BYTE_AT = 8
"""Where the one-byte fields KIND to OUTCOME start."""
CODE_AT = 4
"""Where the four-byte fields ACTION to EVENT_KIND start, among the entry's 18."""


U32: TypeAlias = npt.NDArray[np.uint32]


class Entries(NamedTuple):
    """A ring as kernels take it."""

    numbers: F64
    """(total, 9) each entry's eight-byte words as numbers."""
    codes: U32
    """(total, 18) each entry's four-byte words."""
    octets: U8
    """(total, 72) each entry's bytes."""
    starts: I64
    truncated_before: F64


class Windows(NamedTuple):
    """The window tables of `Program` as kernels take them."""

    shape: I32
    seconds: F64
    filter_starts: I64
    filter_field: I32
    filter_code_starts: I64
    filter_codes: I64


def fill_windows(program: Program, histories: Histories, now: F64) -> F64:
    """The history columns of a program for n customers.

    Args:
        program: says which columns.
        histories: of the n customers, codes translated to rulebook indices.
        now: (n,) epoch seconds.

    Returns:
        (n, windows) counts, sums of money and epoch seconds. A window is half-open, (now − W, now], on
        event time. NaN = UNKNOWN: it reaches past `truncated_before`, or `last` found nothing, or
        it is a `peers_have` column, which the peer grid fills.

    Oracle: tests/naive/windows.py.
    """
    columns = np.full((len(now), program.n_windows), np.nan)
    windows = Windows(
        program.window_shape,
        program.window_seconds,
        program.filter_starts,
        program.filter_field,
        program.filter_code_starts,
        program.filter_codes,
    )
    if CONTACTS in program.rings_read:
        fill_ring(CONTACTS, windows, entries_of(histories.contacts), now, columns)
    if EVENTS in program.rings_read:
        fill_ring(EVENTS, windows, entries_of(histories.events), now, columns)
    return columns


def entries_of(ring: RingOf) -> Entries:
    """A ring's entries, each seen as numbers, as four-byte codes and as bytes."""
    octets = np.ascontiguousarray(ring.entries).view(np.uint8).reshape(-1, ENTRY_BYTES)
    return Entries(
        octets.view(np.float64), octets.view(np.uint32), octets, ring.starts, ring.truncated_before
    )


@lean_kernel
def entry_code(field: int, entries: Entries, k: int) -> int:
    """One coded field of entry k."""
    if field < ACTION:
        return int(entries.octets[k, np.uint64(BYTE_AT + field - KIND)])
    return int(entries.codes[k, np.uint64(CODE_AT + field - ACTION)])


@lean_kernel
def passes(windows: Windows, w: int, entries: Entries, k: int) -> bool:
    """Whether entry k has, in every field that window w filters by, one of the wanted codes."""
    for f in range(windows.filter_starts[w], windows.filter_starts[w + 1]):
        code = entry_code(windows.filter_field[f], entries, k)
        found = False
        for c in range(windows.filter_code_starts[f], windows.filter_code_starts[f + 1]):
            found = found or windows.filter_codes[c] == code
        if not found:
            return False
    return True


@lean_kernel
def _count_of(field: int, wanted: int, entries: Entries, i: int, since: float, now: float) -> float:
    """Count of the entries in a window with one wanted code in one field, as most windows ask, unbranched."""
    result = 0.0
    for k in range(np.uint64(entries.starts[i]), np.uint64(entries.starts[i + 1])):
        time = entries.numbers[k, TIME_AT]
        counts = (since < time) & (time <= now) & (entry_code(field, entries, k) == wanted)
        result += 1.0 if counts else 0.0
    return result


@lean_kernel
def window_value(windows: Windows, w: int, entries: Entries, i: int, now: float) -> float:
    """Count, sum or latest time of customer i's entries that pass; NaN if some may be lost."""
    since = now - windows.seconds[w]
    if since < entries.truncated_before[i]:
        return np.nan
    kind, filters = windows.shape[w, 0], windows.filter_starts[w]
    if kind == COUNT and windows.filter_starts[w + 1] == filters + 1:
        codes = windows.filter_code_starts[filters]
        if windows.filter_code_starts[filters + 1] == codes + 1:
            field, wanted = int(windows.filter_field[filters]), int(windows.filter_codes[codes])
            return _count_of(field, wanted, entries, i, since, now)
    money = COST_AT if windows.shape[w, 2] == COST else AMOUNT_AT
    result = np.nan if kind == LAST else 0.0
    # unsigned, for numba tests a signed index for being negative at every access
    for k in range(np.uint64(entries.starts[i]), np.uint64(entries.starts[i + 1])):
        time = entries.numbers[k, TIME_AT]
        if not since < time <= now or not passes(windows, w, entries, k):
            continue
        if kind == COUNT:
            result += 1.0
        elif kind == SUM:
            # An entry without the amount adds nothing: it is a contact or event that had none.
            amount = entries.numbers[k, np.uint64(money)]
            result += 0.0 if np.isnan(amount) else amount
        elif not time <= result:
            result = time
    return result


@lean_kernel
def fill_ring(ring: int, windows: Windows, entries: Entries, now: F64, columns: F64) -> None:
    """Fill the columns that read one ring: all of a customer's, while the entries are in cache."""
    for i in range(len(now)):
        for w in range(len(windows.seconds)):
            if windows.shape[w, 1] == ring and windows.shape[w, 0] != PEERS_HAVE:
                columns[i, w] = window_value(windows, w, entries, i, now[i])
