"""The compiled conditions of a rulebook: flat tables that one fixed kernel runs; no Python objects."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import IntEnum
from functools import cached_property
from typing import cast

import numpy as np
import numpy.typing as npt

from nextbest.model import F64, I32, I64, U64

LANES = 64
"""Customers per block: one bit each of a plane word."""

UNKNOWN_PLANE = 0
"""Plane reference of the constant UNKNOWN: neither known-true nor known-false."""
TRUE_PLANE = 2
"""Plane reference of the constant true; its negation is false."""


class Source(IntEnum):
    """Where a number column comes from."""

    FACT = 0
    """`numbers`: the snapshot's float64 columns."""
    FIGURE = 1
    """`figures`: columns of `facts.Figure`."""
    CONTEXT = 2
    """`contexts.numbers`: declared context keys."""
    CHANNEL = 3
    DIRECTION = 4
    PHASE = 5
    ROLE = 6
    """CHANNEL to ROLE are the built-in context codes; -1 = not given = UNKNOWN."""
    HISTORY = 7
    """`history`: one column a window of the program."""
    NOW = 8


class Op(IntEnum):
    """Instructions of the stream. Slots are vectors of one number a customer, planes are truth words.

    A plane reference is 2 × node, plus 1 for its negation.
    """

    AND = 0
    """Nodes from dst on = b conjunctions of c operands each, which lie end to end from operands[a]."""
    CHOOSE = 1
    """dst node = plane a ? plane b : plane c."""
    SUPPRESS = 2
    """dst node = plane a, but false where trigger b is in its cool-down."""
    LESS = 3
    LESS_EQUAL = 4
    EQUAL = 5
    """LESS to EQUAL: dst node = slot a ? slot b; a computed NaN compares false."""
    KNOWN = 6
    """dst node = slot a is neither missing nor an error: two-valued."""
    SELECT = 9
    """dst slot = plane a ? slot b : slot c."""
    ADD = 10
    SUBTRACT = 11
    MULTIPLY = 12
    DIVIDE = 13
    """ADD to DIVIDE on doubles: IEEE 754, so 0/0 is a NaN that is known."""
    INT_ADD = 14
    INT_SUBTRACT = 15
    INT_MULTIPLY = 16
    """Results not within ±2^53 are errors, as overflow is in CEL beyond 64 bits."""
    INT_DIVIDE = 17
    INT_MODULO = 18
    """Truncate towards zero; a zero divisor is an error."""
    NEGATE = 19
    ABSOLUTE = 20
    ROUND = 21
    """Half away from zero."""
    MINIMUM = 22
    MAXIMUM = 23
    TRUNCATE = 24
    """double to int: towards zero, an error for NaN and beyond ±2^53."""
    FLOOR = 25
    """timestamp to int seconds."""
    BOUND = 26
    """slot a, an error outside tables[b] ≤ x ≤ tables[b + 1]."""
    LOOKUP = 27
    """tables[b + int(slot a)], an error where that is NaN or the code is not in 0 ≤ code < c."""
    PAIR = 28
    """slot a × c + slot b: one code for two."""
    DAYS_BETWEEN = 29
    """(slot a − slot b) / 86400."""
    MONTHS_BETWEEN = 30
    """Whole calendar months from slot b to slot a, days clamped to the month's end."""
    CALENDAR = 31
    """Field b (of `CalendarField`) of the timestamp in slot a."""
    SPAN = 32
    """Field b (of `CalendarField`) of the duration in slot a."""
    LOCAL = 33
    """Timestamp in slot a as local seconds; tables[b:b + c] are transitions, tables[b + c:b + 2c] offsets."""
    COUNT_BITS = 34
    """Members of the set in word a (-1 = placements), known where bit c of known word b is set."""


class CalendarField(IntEnum):
    """What CEL's accessors read from a timestamp or a duration."""

    FULL_YEAR = 0
    MONTH = 1
    """0 = January."""
    DATE = 2
    """1 = first of the month."""
    DAY_OF_MONTH = 3
    """0 = first of the month."""
    DAY_OF_WEEK = 4
    """0 = Sunday."""
    DAY_OF_YEAR = 5
    """0 = 1 January."""
    HOURS = 6
    MINUTES = 7
    SECONDS = 8
    MILLISECONDS = 9


class WindowKind(IntEnum):
    """How a history column is computed."""

    COUNT = 0
    """Entries in the window."""
    SUM = 1
    """Sum of a money field over them; entries without it add nothing."""
    LAST = 2
    """Time of the latest one, NaN = none."""
    PEERS_HAVE = 3
    """1 if peers have it significantly more than the parent cell, else 0; filled from the peer grid."""


class Ring(IntEnum):
    """Which history a window reads."""

    CONTACTS = 0
    EVENTS = 1


class EntryField(IntEnum):
    """Fields of a history entry that a window may filter on or sum."""

    KIND = 0
    CHANNEL = 1
    DIRECTION = 2
    PLACEMENT = 3
    OUTCOME = 4
    ACTION = 5
    TREATMENT = 6
    TRIGGER = 7
    EVENT_KIND = 8
    AMOUNT = 9
    COST = 10


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """One history column: what is counted, summed or looked for, and over how long."""

    kind: WindowKind
    ring: Ring
    seconds: float
    """Length W of the half-open window (now − W, now]."""
    summed: EntryField = EntryField.AMOUNT
    """AMOUNT or COST, for a sum."""
    filters: tuple[tuple[EntryField, tuple[int, ...]], ...] = ()
    """All must hold: the field's code is one of these. For PEERS_HAVE the one code is the set member's."""


INPUT_NAMES = ("numbers", "words", "known", "figures", "contexts.numbers", "history", "suppressed")
"""Inputs whose width depends on the program; of `suppressed` it is the count of triggers."""

_NOT_FOR_KERNEL = frozenset(
    {
        "window_shape",
        "window_seconds",
        "filter_starts",
        "filter_field",
        "filter_code_starts",
        "filter_codes",
    }
)


@dataclass(frozen=True)
class Program:
    """Conditions and values of a rulebook as tables. Immutable; equal sources give equal tables.

    Number slots are ordered raw columns, constants, computed. Nodes are ordered UNKNOWN, TRUE,
    comparisons, memberships, bits, known slots, known bits, then those of the stream.
    """

    n_slots: int
    n_nodes: int
    column_source: I32
    """(raw,) of `Source`, ascending."""
    column_index: I32
    """(raw,) column within the source."""
    constants: F64
    """(k,) slots raw to raw + k."""
    compare_slot: I32
    """(c,) raw slots; `<` first, then `<=`, then `==`, each sorted by slot."""
    compare_constant: F64
    """(c,)."""
    compare_ends: I32
    """(3,) where `<`, `<=` and `==` end."""
    member_slot: I32
    """(m,) raw slots of enum codes, ascending."""
    member_codes: U64
    """(m,) bit set of the codes that are true."""
    bits: I32
    """(b, 4) word, bit, known word, known bit; word -1 = the request's placements, known unless 0."""
    known_slot: I32
    """(k,) raw slots that `has()` asks for."""
    known_bits: I32
    """(k, 2) known word and bit that `has()` asks for; word -1 = the request's placements."""
    code: I32
    """(i, 5) op, dst, a, b, c in execution order."""
    operands: I32
    """Plane references of conjunctions."""
    tables: F64
    """Lookup tables, bounds and time-zone transitions."""
    condition_planes: I32
    """(conditions,) plane reference of each condition output."""
    value_slots: I32
    """(values,) slot of each value output."""
    window_shape: I32
    """(windows, 3) kind, ring, summed field."""
    window_seconds: F64
    """(windows,)."""
    filter_starts: I64
    """(windows + 1,) filters of window w are filter_starts[w]:filter_starts[w + 1]."""
    filter_field: I32
    """(filters,) of `EntryField`."""
    filter_code_starts: I64
    """(filters + 1,)."""
    filter_codes: I64

    @property
    def n_conditions(self) -> int:
        """Count of condition outputs."""
        return len(self.condition_planes)

    @property
    def n_values(self) -> int:
        """Count of value outputs."""
        return len(self.value_slots)

    @property
    def n_windows(self) -> int:
        """Count of history columns the program reads."""
        return len(self.window_seconds)

    @property
    def n_predicates(self) -> int:
        """Count of distinct atomic predicates read directly from a row."""
        return (
            len(self.compare_slot)
            + len(self.member_slot)
            + len(self.bits)
            + len(self.known_slot)
            + len(self.known_bits)
        )

    @cached_property
    def tables_for_kernel(self) -> tuple[object, ...]:
        """The tables in the order `kernel.match_blocks` takes them."""
        return tuple(getattr(self, f.name) for f in fields(self) if f.name not in _NOT_FOR_KERNEL)

    @cached_property
    def least_widths(self) -> tuple[int, ...]:
        """Columns that each of `INPUT_NAMES` must have at least: the kernel does not look."""
        counted = self.code[self.code[:, 0] == Op.COUNT_BITS]
        suppressed = self.code[self.code[:, 0] == Op.SUPPRESS]
        return (
            self._width(Source.FACT),
            _beyond(self.bits[:, 0], counted[:, 2]),
            _beyond(self.bits[:, 2], counted[:, 3], self.known_bits[:, 0]),
            self._width(Source.FIGURE),
            self._width(Source.CONTEXT),
            self._width(Source.HISTORY),
            _beyond(suppressed[:, 3]),
        )

    def _width(self, source: Source) -> int:
        return _beyond(self.column_index[self.column_source == source])

    @cached_property
    def rings_read(self) -> frozenset[int]:
        """Rings that history columns are counted from, of `Ring`; none for `peers_have`."""
        counted = self.window_shape[self.window_shape[:, 0] != WindowKind.PEERS_HAVE]
        return frozenset(counted[:, 1].tolist())

    @cached_property
    def windows(self) -> tuple[WindowSpec, ...]:
        """The history columns in order."""
        return tuple(self._window(w) for w in range(self.n_windows))

    def _window(self, w: int) -> WindowSpec:
        kind, ring, summed = (int(x) for x in self.window_shape[w])
        filters = range(int(self.filter_starts[w]), int(self.filter_starts[w + 1]))
        return WindowSpec(
            WindowKind(kind),
            Ring(ring),
            float(self.window_seconds[w]),
            EntryField(summed),
            tuple((EntryField(int(self.filter_field[f])), self._codes(f)) for f in filters),
        )

    def _codes(self, f: int) -> tuple[int, ...]:
        start, end = int(self.filter_code_starts[f]), int(self.filter_code_starts[f + 1])
        return tuple(int(code) for code in self.filter_codes[start:end])

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Every table by field name, counts as 0-d arrays: what `numpy.savez` publishes."""
        return {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> "Program":
        """Read what `to_arrays` gave."""
        values = {f.name: arrays[f.name] for f in fields(cls)}
        counts = {name: int(cast("int", values[name])) for name in ("n_slots", "n_nodes")}
        return cls(**(values | counts))  # pyright: ignore[reportArgumentType]  (fields are typed by name)


def _beyond(*indices: I32) -> int:
    """One more than the largest index, 0 for none."""
    return 1 + max((int(i) for array in indices for i in array), default=-1)


@dataclass(frozen=True, slots=True)
class Matches:
    """What `match` found for n customers, in ⌈n / 64⌉ blocks; customer i is bit i % 64 of block i // 64."""

    true: U64
    """(b, conditions) known-true plane."""
    false: U64
    """(b, conditions) known-false plane; in neither plane = UNKNOWN."""
    values: F64
    """(n, values), NaN = unknown, an error, or a computed NaN."""
