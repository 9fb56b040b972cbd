"""Tables to a program: provisional numbers become the order the kernel relies on."""

from collections.abc import Iterable, Sequence
from itertools import accumulate, groupby
from typing import TypeVar

import numpy as np

from nextbest.model import F64, I32, I64
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
    Step,
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
    live = _Live(tables, conditions, values)
    return _Assembly(tables, live).program(conditions, values)


class _Live:
    """What the outputs depend on; the rest was made on the way and is left out."""

    def __init__(self, tables: Tables, conditions: Sequence[int], values: Sequence[int]) -> None:
        self.nodes = {plane >> 1 for plane in conditions}
        self.slots = set(values)
        self.stream: list[Step] = []
        for step in reversed(tables.stream):
            if step.target in (self.nodes if step.is_node else self.slots):
                nodes, slots = reads(step.instruction)
                self.nodes.update(nodes)
                self.slots.update(slots)
                self.stream.append(step)
        self.stream.reverse()
        for node in self.nodes:
            key = tables.nodes[node]
            if isinstance(key, Compare | Member | KnownSlot):
                self.slots.add(key.slot)

    def slot_keys(self, tables: Tables, kind: type[_T]) -> list[tuple[int, _T]]:
        """Live slots of a kind by provisional number."""
        return [(i, key) for i, key in _of(tables.slots, kind) if i in self.slots]

    def node_keys(self, tables: Tables, kind: type[_T]) -> list[tuple[int, _T]]:
        """Live nodes of a kind by provisional number."""
        return [(i, key) for i, key in _of(tables.nodes, kind) if i in self.nodes]


class _Assembly:
    def __init__(self, tables: Tables, live: _Live) -> None:
        self._tables = tables
        self._columns = sorted(live.slot_keys(tables, Column), key=lambda entry: entry[1])
        self._constants = live.slot_keys(tables, Constant)
        self._stream = _schedule(live.stream)
        computed = [step.target for step in self._stream if not step.is_node]
        self._slot = _ranks([*(i for i, _ in self._columns), *(i for i, _ in self._constants), *computed])
        self._compares = sorted(live.node_keys(tables, Compare), key=self._compare_order)
        self._members = sorted(live.node_keys(tables, Member), key=lambda entry: self._slot[entry[1].slot])
        self._bits = live.node_keys(tables, Bit)
        self._known_slots = live.node_keys(tables, KnownSlot)
        self._known_bits = live.node_keys(tables, KnownBit)
        steps = [step.target for step in self._stream if step.is_node]
        atoms = (self._compares, self._members, self._bits, self._known_slots, self._known_bits)
        self._node = _ranks([0, 1, *(i for group in atoms for i, _ in group), *steps])
        self._operands: list[int] = []

    def _compare_order(self, entry: tuple[int, Compare]) -> tuple[int, int, bytes]:
        compare = entry[1]
        return compare.op, self._slot[compare.slot], compare.constant

    def _plane(self, reference: int) -> int:
        return 2 * self._node[reference >> 1] | (reference & 1)

    def program(self, conditions: Sequence[int], values: Sequence[int]) -> Program:
        code = self._code()
        compares = [compare for _, compare in self._compares]
        ends = [sum(c.op <= op for c in compares) for op in (Op.LESS, Op.LESS_EQUAL, Op.EQUAL)]
        windows = _Windows(tuple(self._tables.windows))
        return Program(
            n_slots=len(self._slot),
            n_nodes=len(self._node),
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
            window_shape=windows.shape,
            window_seconds=windows.seconds,
            filter_starts=windows.filter_starts,
            filter_field=windows.filter_field,
            filter_code_starts=windows.code_starts,
            filter_codes=windows.codes,
        )

    def _code(self) -> list[tuple[int, ...]]:
        """The stream as rows, a run of conjunctions of one size as one."""
        rows: list[tuple[int, ...]] = []
        for size, group in groupby(self._stream, key=_size):
            steps = list(group)
            rows += [self._conjunctions(steps, size)] if size else [self._row(step) for step in steps]
        return rows

    def _conjunctions(self, steps: list[Step], size: int) -> tuple[int, ...]:
        first = len(self._operands)
        for step in steps:
            self._operands += sorted(self._plane(plane) for plane in step.instruction.operands)
        return int(Op.AND), self._node[steps[0].target], first, len(steps), size

    def _row(self, step: Step) -> tuple[int, ...]:
        target = self._node[step.target] if step.is_node else self._slot[step.target]
        return (int(step.instruction.op), target, *self._arguments(step.instruction))

    def _arguments(self, step: Instruction) -> tuple[int, int, int]:
        a, b, c = step.a, step.b, step.c
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


def reads(step: Instruction) -> tuple[list[int], list[int]]:
    """Nodes and slots that an instruction reads."""
    a, b, c = step.a, step.b, step.c
    if step.op is Op.AND:
        return [plane >> 1 for plane in step.operands], []
    if step.op is Op.CHOOSE:
        return [a >> 1, b >> 1, c >> 1], []
    if step.op is Op.SUPPRESS:
        return [a >> 1], []
    if step.op is Op.SELECT:
        return [a >> 1], [b, c]
    if step.op is Op.COUNT_BITS:
        return [], []
    return [], [a] if step.op in _ONE_SLOT else [a, b]


def _schedule(stream: Sequence[Step]) -> list[Step]:
    """The steps by depth and operation, so that conjunctions come in long runs of consecutive nodes."""
    depth: dict[tuple[bool, int], int] = {}
    for step in stream:
        nodes, slots = reads(step.instruction)
        below = [depth.get((True, node), 0) for node in nodes] + [depth.get((False, s), 0) for s in slots]
        depth[step.is_node, step.target] = 1 + max(below, default=0)
    return sorted(
        stream, key=lambda step: (depth[step.is_node, step.target], step.instruction.op, _size(step))
    )


def _size(step: Step) -> int:
    """Operands of a conjunction, 0 for anything else."""
    return len(step.instruction.operands)


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


class _Windows:
    """The history columns as arrays."""

    def __init__(self, specs: tuple[WindowSpec, ...]) -> None:
        filters = [one for spec in specs for one in spec.filters]
        self.shape = _rows(((int(s.kind), int(s.ring), int(s.summed)) for s in specs), 3)
        self.seconds = np.array([spec.seconds for spec in specs], np.float64)
        self.filter_starts = _starts(len(spec.filters) for spec in specs)
        self.filter_field = _i32(int(field) for field, _ in filters)
        self.code_starts = _starts(len(codes) for _, codes in filters)
        self.codes = np.array([code for _, codes in filters for code in codes], np.int64)


def _starts(lengths: Iterable[int]) -> I64:
    return np.array([0, *accumulate(lengths)], np.int64)
