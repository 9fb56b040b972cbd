"""The growing tables of a program: each distinct slot and plane is stored once."""

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

import numpy as np

from nextbest.facts import BitPlace
from nextbest.rulebook.expressions.scope import NumberPlace
from nextbest.rulebook.program import TRUE_PLANE, UNKNOWN_PLANE, Op, Source, WindowSpec

FALSE_PLANE = TRUE_PLANE ^ 1
MAX_MEMBER_CODES = 64
"""Codes an enum may have for a membership to be one bit test."""

Key: TypeAlias = tuple[object, ...]


class Column(NamedTuple):
    """A raw slot: a column of a number matrix."""

    source: int
    column: int


class Constant(NamedTuple):
    """A slot that holds the same number for all; told apart by bits, so that -0.0 is not 0.0."""

    bits: bytes


class Compare(NamedTuple):
    """An atom `raw slot <, <= or == constant`."""

    op: int
    slot: int
    constant: bytes


class Member(NamedTuple):
    """An atom: the enum code in a raw slot is in a bit set."""

    slot: int
    codes: int


class Bit(NamedTuple):
    """An atom: a bit of a word."""

    word: int
    bit: int
    known_word: int
    known_bit: int


class KnownSlot(NamedTuple):
    """An atom: a raw slot is not missing."""

    slot: int


class KnownBit(NamedTuple):
    """An atom: a bool or set is not missing."""

    word: int
    bit: int


class Instruction(NamedTuple):
    """A step of the stream; which arguments are slots and which planes depends on the operation."""

    op: Op
    a: int = 0
    b: int = 0
    c: int = 0
    operands: tuple[int, ...] = ()


class Step(NamedTuple):
    """An instruction and what it writes: a node or a slot."""

    is_node: bool
    target: int
    instruction: Instruction


class Tables:
    """Slots, nodes and instructions, each distinct one stored once (hash-consing).

    Slots and nodes get provisional numbers in order of creation; `assemble` orders them as `Program`
    says. Plane references are 2 × node, plus 1 for the negation.
    """

    def __init__(self) -> None:
        self.slots: list[Key] = []
        self.nodes: list[Key] = []
        self.stream: list[Step] = []
        self.numbers: list[float] = []
        """Contents of lookup tables."""
        self.windows: dict[WindowSpec, int] = {}
        self._slot_numbers: dict[Key, int] = {}
        self._node_numbers: dict[Key, int] = {}
        self._table_places: dict[tuple[float, ...], int] = {}
        self._node(("unknown",))
        self._node(("true",))

    # Slots

    def column(self, place: NumberPlace) -> int:
        """Slot of a stored number."""
        return self._slot(Column(int(place.source), place.column))

    def window(self, spec: WindowSpec) -> int:
        """Slot of a history column."""
        index = self.windows.setdefault(spec, len(self.windows))
        return self._slot(Column(int(Source.HISTORY), index))

    def constant(self, number: float) -> int:
        """Slot of a constant; NaN is a computed NaN."""
        return self._slot(Constant(np.float64(number).tobytes()))

    def constant_value(self, slot: int) -> float | None:
        """The number in a constant slot, None for another."""
        key = self.slots[slot]
        return float(np.frombuffer(key.bits)[0]) if isinstance(key, Constant) else None

    def is_column(self, slot: int) -> bool:
        """True for a stored number, which can never be a computed NaN."""
        return isinstance(self.slots[slot], Column)

    def compute(self, op: Op, a: int = 0, b: int = 0, c: int = 0) -> int:
        """Slot of a computed number."""
        instruction = Instruction(op, a, b, c)
        known = len(self.slots)
        slot = self._slot(instruction)
        if slot == known:
            self.stream.append(Step(is_node=False, target=slot, instruction=instruction))
        return slot

    def table(self, numbers: Iterable[float]) -> int:
        """Where a lookup table starts."""
        entries = tuple(numbers)
        place = self._table_places.setdefault(entries, len(self.numbers))
        if place == len(self.numbers):
            self.numbers += entries
        return place

    def _slot(self, key: Key) -> int:
        return _numbered(key, self.slots, self._slot_numbers)

    # Planes

    def compare(self, op: Op, slot: int, number: float) -> int:
        """Plane of `raw slot <, <= or == number`."""
        return 2 * self._node(Compare(int(op), slot, np.float64(number).tobytes()))

    def member(self, slot: int, codes: Iterable[int]) -> int:
        """Plane of `raw slot in codes`; all codes are below `MAX_MEMBER_CODES`."""
        return 2 * self._node(Member(slot, sum(1 << code for code in set(codes))))

    def bit(self, place: BitPlace, bit: int) -> int:
        """Plane of one bit of a bool or set."""
        return 2 * self._node(Bit(place.word, place.shift + bit, place.known_word, place.known_bit))

    def known_bit(self, place: BitPlace) -> int:
        """Plane of `has(bool or set)`."""
        return 2 * self._node(KnownBit(place.known_word, place.known_bit))

    def known(self, slot: int) -> int:
        """Plane of `the number in the slot is known`."""
        if self.is_column(slot):
            return 2 * self._node(KnownSlot(slot))
        return self.decide(Op.KNOWN, slot)

    def conjunction(self, planes: Iterable[int]) -> int:
        """Plane of the conjunction."""
        operands = sorted(set(planes) - {TRUE_PLANE})
        if FALSE_PLANE in operands:
            return FALSE_PLANE
        if not operands:
            return TRUE_PLANE
        if len(operands) == 1:
            return operands[0]
        return self._step(Instruction(Op.AND, operands=tuple(operands)))

    def disjunction(self, planes: Iterable[int]) -> int:
        """Plane of the disjunction, by De Morgan's law, which three-valued logic keeps."""
        return self.conjunction(plane ^ 1 for plane in planes) ^ 1

    def choose(self, condition: int, one: int, other: int) -> int:
        """Plane of condition ? one : other."""
        if condition in (TRUE_PLANE, FALSE_PLANE):
            return one if condition == TRUE_PLANE else other
        if condition | 1 == UNKNOWN_PLANE | 1:
            return UNKNOWN_PLANE
        return self._step(Instruction(Op.CHOOSE, condition, one, other))

    def decide(self, op: Op, a: int, b: int = 0) -> int:
        """Plane that an instruction finds from slots, or from a plane and a trigger."""
        return self._step(Instruction(op, a, b))

    def _step(self, instruction: Instruction) -> int:
        known = len(self.nodes)
        node = self._node(instruction)
        if node == known:
            self.stream.append(Step(is_node=True, target=node, instruction=instruction))
        return 2 * node

    def _node(self, key: Key) -> int:
        return _numbered(key, self.nodes, self._node_numbers)


def _numbered(key: Key, keys: list[Key], numbers: dict[Key, int]) -> int:
    # Keys of different kinds may hold equal numbers: the kind is part of the identity.
    identity = (type(key), *key)
    if identity not in numbers:
        numbers[identity] = len(keys)
        keys.append(key)
    return numbers[identity]
