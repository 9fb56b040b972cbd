"""Tables to a program: provisional numbers become the order the kernel relies on."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from nextbest.model import F64, I32
from nextbest.rulebook.program import Op, Program, WindowSpec
from nextbest.rulebook.tables import (
    Bit,
    Column,
    Compare,
    Constant,
    Instruction,
    Key,
    KnownBit,
    KnownSlot,
    Member,
    Tables,
)

_T = TypeVar("_T", bound=Key)
_ONE_SLOT = frozenset(
    {
        Op.KNOWN,
        Op.NEGATE,
        Op.ABSOLUTE,
        Op.ROUND,
        Op.TRUNCATE,
        Op.FLOOR,
        Op.BOUND,
        Op.LOOKUP,
        Op.CALENDAR,
        Op.SPAN,
        Op.LOCAL,
    }
)
"""Operations whose first argument alone is a slot; the others are numbers."""


def assemble(tables: Tables, conditions: Sequence[int], values: Sequence[int]) -> Program:
    """Order what `tables` holds into a program with the given outputs."""
    return _Assembly(tables).program(conditions, values)


class _Assembly:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._columns = _of(tables.slots, Column)
        self._constants = _of(tables.slots, Constant)
        computed = [i for i, key in enumerate(tables.slots) if isinstance(key, Instruction)]
        self._slot = _ranks([*(i for i, _ in self._columns), *(i for i, _ in self._constants), *computed])
        self._compares = sorted(_of(tables.nodes, Compare), key=self._compare_order)
        self._members = _of(tables.nodes, Member)
        self._bits = _of(tables.nodes, Bit)
        self._known_slots = _of(tables.nodes, KnownSlot)
        self._known_bits = _of(tables.nodes, KnownBit)
        steps = [i for i, key in enumerate(tables.nodes) if isinstance(key, Instruction)]
        atoms = (self._compares, self._members, self._bits, self._known_slots, self._known_bits)
        self._node = _ranks([0, 1, *(i for group in atoms for i, _ in group), *steps])
        self._operands: list[int] = []

    def _compare_order(self, entry: tuple[int, Compare]) -> tuple[int, int, bytes]:
        compare = entry[1]
        return compare.op, self._slot[compare.slot], compare.constant

    def _plane(self, reference: int) -> int:
        return 2 * self._node[reference >> 1] | (reference & 1)

    def program(self, conditions: Sequence[int], values: Sequence[int]) -> Program:
        code = [self._instruction(is_node, target, step) for is_node, target, step in self._tables.stream]
        compares = [compare for _, compare in self._compares]
        ends = [sum(c.op <= op for c in compares) for op in (Op.LESS, Op.LESS_EQUAL, Op.EQUAL)]
        shape, seconds, *filters = _windows(tuple(self._tables.windows))
        return Program(
            n_slots=len(self._tables.slots),
            n_nodes=len(self._tables.nodes),
            column_source=_i32(column.source for _, column in self._columns),
            column_index=_i32(column.column for _, column in self._columns),
            constants=_floats(constant.bits for _, constant in self._constants),
            compare_slot=_i32(self._slot[c.slot] for c in compares),
            compare_constant=_floats(c.constant for c in compares),
            compare_ends=_i32(ends),
            member_slot=_i32(self._slot[member.slot] for _, member in self._members),
            member_codes=np.array([member.codes for _, member in self._members], np.uint64),
            bits=_rows((bit for _, bit in self._bits), 4),
            known_slot=_i32(self._slot[known.slot] for _, known in self._known_slots),
            known_bits=_rows((known for _, known in self._known_bits), 2),
            code=_rows(code, 5),
            operands=_i32(self._operands),
            tables=np.array(self._tables.numbers, np.float64),
            condition_planes=_i32(self._plane(plane) for plane in conditions),
            value_slots=_i32(self._slot[slot] for slot in values),
            window_shape=shape,
            window_seconds=seconds,
            filter_starts=filters[0],
            filter_field=filters[1],
            filter_code_starts=filters[2],
            filter_codes=filters[3],
        )

    def _instruction(self, is_node: bool, target: int, step: Instruction) -> tuple[int, ...]:  # noqa: FBT001
        result = self._node[target] if is_node else self._slot[target]
        return (int(step.op), result, *self._arguments(step))

    def _arguments(self, step: Instruction) -> tuple[int, int, int]:
        a, b, c = step.a, step.b, step.c
        if step.op is Op.AND:
            start = len(self._operands)
            self._operands += sorted(self._plane(plane) for plane in step.operands)
            return start, len(self._operands), 0
        if step.op is Op.CHOOSE:
            return self._plane(a), self._plane(b), self._plane(c)
        if step.op is Op.SUPPRESS:
            return self._plane(a), b, c
        if step.op is Op.SELECT:
            return self._plane(a), self._slot[b], self._slot[c]
        if step.op is Op.COUNT_BITS:
            return a, b, c
        if step.op in _ONE_SLOT:
            return self._slot[a], b, c
        return self._slot[a], self._slot[b], c


def _of(keys: Sequence[Key], kind: type[_T]) -> list[tuple[int, _T]]:
    return [(i, key) for i, key in enumerate(keys) if isinstance(key, kind)]


def _ranks(order: Sequence[int]) -> dict[int, int]:
    return {provisional: final for final, provisional in enumerate(order)}


def _i32(numbers: Iterable[int]) -> I32:
    return np.array(list(numbers), np.int32)


def _floats(patterns: Iterable[bytes]) -> F64:
    return np.frombuffer(b"".join(patterns), np.float64).copy()


def _rows(rows: Iterable[tuple[int, ...]], width: int) -> I32:
    return np.array(list(rows), np.int32).reshape(-1, width)


def _windows(specs: tuple[WindowSpec, ...]) -> tuple[I32, F64, *tuple[npt.NDArray[np.int64], ...]]:
    shape = _rows(((int(s.kind), int(s.ring), int(s.summed)) for s in specs), 3)
    seconds = np.array([spec.seconds for spec in specs], np.float64)
    filters = [one for spec in specs for one in spec.filters]
    starts = np.cumsum([0, *(len(spec.filters) for spec in specs)])
    code_starts = np.cumsum([0, *(len(codes) for _, codes in filters)])
    codes = np.array([code for _, codes in filters for code in codes], np.int64)
    fields = np.array([int(field) for field, _ in filters], np.int32)
    return shape, seconds, starts, fields, code_starts, codes
