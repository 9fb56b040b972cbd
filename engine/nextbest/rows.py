"""The bytes of a customer snapshot: facts to a row and back, one at a time or a batch at once."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from nextbest.column_map import ColumnMap
from nextbest.errors import CustomerUnknown, InvalidFact, SnapshotError, SnapshotUnreadable, Violation
from nextbest.fact_values import (
    FIRST_TIME_S,
    LAST_TIME_S,
    FactChecks,
    FactValue,
    UnfitValueError,
    bits_of,
    number_of,
    shown,
    unknown_fact,
    value_of_bits,
    value_of_number,
)
from nextbest.facts import HEADER_WORDS, Catalogue
from nextbest.id_check import id_check
from nextbest.model import F64, U8, U64, Rows
from nextbest.values import value_type

_FLOAT, _WORD = np.dtype("<f8"), np.dtype("<u8")
_CHUNK = 2048
"""Rows decoded at a time, so that a batch's intermediate copy stays in the cache."""


class RowProblem(IntEnum):
    """What can be wrong with a stored row; 0 = readable."""

    NONE = 0
    ABSENT = 1
    """There is no row."""
    WRONG_LENGTH = 2
    """Cut short, or longer than its catalogue says."""
    FOREIGN = 3
    """Written under a catalogue that is not registered."""
    WRONG_CUSTOMER = 4
    """The id in the row is not the one asked for."""
    DAMAGED = 5
    """It holds what no snapshot can: a time that is none."""


@value_type
class DecodedRows:
    """A decoded batch; a row with a problem holds no fact."""

    rows: Rows
    problems: U8
    """(n,) of `RowProblem`."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One customer's facts as Python values; a missing fact is not among them."""

    as_of: float
    """Epoch seconds UTC."""
    facts: Mapping[str, FactValue]


class RowCodec:
    """Encodes and decodes rows under one catalogue; reads those of registered others."""

    def __init__(self, catalogue: Catalogue, others: Iterable[Catalogue] = ()) -> None:
        """Raises CatalogueError when rows of another catalogue cannot be read under this one."""
        self.catalogue = catalogue
        self.checks = FactChecks(catalogue)
        self._fingerprint = np.uint64(catalogue.fingerprint)
        self._head = catalogue.fingerprint.to_bytes(8, "little")
        self._row_bytes = catalogue.row_bytes
        self._first_word = HEADER_WORDS + catalogue.n_numbers
        self._first_known = self._first_word + catalogue.n_words
        self._maps = {
            other.fingerprint.to_bytes(8, "little"): ColumnMap(other, catalogue)
            for other in others
            if other.fingerprint != catalogue.fingerprint
        }

    def with_others(self, others: Iterable[Catalogue]) -> "RowCodec":
        """A codec that reads rows of these catalogues as well."""
        return RowCodec(self.catalogue, [*(m.source for m in self._maps.values()), *others])

    def reads(self, row: bytes) -> bool:
        """Whether the row's catalogue is registered."""
        return row[:8] == self._head or row[:8] in self._maps

    def catalogue_of(self, row: bytes) -> Catalogue | None:
        """The registered catalogue that a row was written under; None if it is not registered."""
        if row[:8] == self._head:
            return self.catalogue
        other = self._maps.get(row[:8])
        return None if other is None else other.source

    @property
    def n_readable(self) -> int:
        """Count of catalogues whose rows can be read."""
        return 1 + len(self._maps)

    def encode(
        self,
        customer_id: bytes,
        as_of: float,
        facts: Mapping[str, object],
        *,
        stored: Collection[Violation] = (),
    ) -> bytes:
        """The row's bytes. A fact that is None or not named is missing.

        Args:
            customer_id: in UTF-8.
            as_of: epoch seconds.
            facts: what is known.
            stored: misfits that are none, since they are stored already.

        Raises:
            InvalidFact: with everything that does not fit the catalogue.
        """
        numbers, words, known = self.fact_arrays(facts, violations := [])
        violations += [misfit for misfit in self.misfits(numbers) if misfit not in stored]
        violations += time_violations(as_of)
        if violations:
            raise InvalidFact(violations)
        check = np.array([id_check(customer_id)], np.uint64)
        return self.assemble(np.array([as_of], np.float64), check, numbers, words, known).tobytes()

    def with_numbers(self, row: bytes, numbers: Mapping[str, float]) -> bytes:
        """A row of this catalogue with numbers, enums or timestamps (as rows hold them) replaced."""
        values = np.frombuffer(bytearray(row), _FLOAT)
        for name, number in numbers.items():
            values[HEADER_WORDS + self.catalogue.columns[name]] = (
                np.nan if math.isnan(number) else number + 0.0
            )
        return values.tobytes()

    def fact_arrays(self, facts: Mapping[str, object], violations: list[Violation]) -> tuple[F64, U64, U64]:
        """Facts as one row's numbers, words and known words; what does not fit is added to `violations`."""
        catalogue = self.catalogue
        numbers = np.full((1, catalogue.n_numbers), np.nan)
        words = [0] * catalogue.n_words
        known = [0] * catalogue.n_known_words
        for name, value in facts.items():
            try:
                if name in catalogue.columns and value is not None:
                    numbers[0, catalogue.columns[name]] = number_of(catalogue[name], value)
                elif name in catalogue.bits and value is not None:
                    place = catalogue.bits[name]
                    words[place.word] |= bits_of(catalogue[name], value) << place.shift
                    known[place.known_word] |= 1 << place.known_bit
                elif name not in catalogue:
                    violations.append(Violation(f"facts.{name}", unknown_fact(name, catalogue)))
            except UnfitValueError as unfit:
                violations.append(Violation(f"facts.{name}", str(unfit)))
        return numbers, np.array([words], np.uint64), np.array([known], np.uint64)

    def misfits(self, numbers: F64) -> Iterator[Violation]:
        """What is wrong with one row's numbers, beyond their types."""
        return (Violation(f"facts.{m.fact}", m.describe(0)) for m in self.checks.misfits(numbers))

    def assemble(self, as_of: F64, checks: U64, numbers: F64, words: U64, known: U64) -> U64:
        """Rows of a batch from its columns, without a look at their values.

        Args:
            as_of: (n,) epoch seconds.
            checks: (n,) id checks.
            numbers: (n, n_numbers), NaN = missing; -0.0 and other NaNs become their plain forms.
            words: (n, n_words), bits of missing facts cleared.
            known: (n, n_known_words).

        Returns:
            (n, row_words); each row's bytes are the stored value.
        """
        matrix = np.empty((len(as_of), self.catalogue.row_words), np.uint64)
        values = matrix.view(np.float64)
        matrix[:, 0] = self._fingerprint
        values[:, 1] = as_of
        matrix[:, 2] = checks
        np.add(numbers, 0.0, out=values[:, HEADER_WORDS : self._first_word])
        values[:, HEADER_WORDS : self._first_word][np.isnan(numbers)] = np.nan
        matrix[:, self._first_word : self._first_known] = words
        matrix[:, self._first_known :] = known
        return matrix

    def rows_of(self, matrix: U64) -> Rows:
        """The rows of an assembled batch, as they would be read back from a store."""
        values = matrix.view(np.float64)
        return _freeze(
            Rows(
                values[:, 1].copy(),
                values[:, HEADER_WORDS : self._first_word].copy(),
                matrix[:, self._first_word : self._first_known].copy(),
                matrix[:, self._first_known :].copy(),
            )
        )

    def decode(self, customer_id: bytes, row: bytes | None) -> Snapshot:
        """The facts of one row.

        Raises:
            CustomerUnknown: there is no row.
            SnapshotUnreadable: the row is damaged, foreign or another customer's.
        """
        rows, problem = self.decode_one(row, id_check(customer_id))
        if problem:
            raise snapshot_error(problem)
        try:
            return Snapshot(float(rows.as_of[0]), dict(self._values(rows)))
        except UnfitValueError as unfit:
            raise SnapshotUnreadable(f"the stored snapshot {unfit}") from None

    def _values(self, rows: Rows, index: int = 0) -> Iterator[tuple[str, FactValue]]:
        numbers, words, known = rows.numbers[index], rows.words[index], rows.known[index]
        for fact in self.catalogue.facts:
            place = self.catalogue.bits.get(fact.name)
            if place is None:
                number = float(numbers[self.catalogue.columns[fact.name]])
                if not math.isnan(number):
                    yield fact.name, value_of_number(fact, number)
            elif int(known[place.known_word]) >> place.known_bit & 1:
                yield fact.name, value_of_bits(fact, int(words[place.word]) >> place.shift)

    def decode_one(self, row: bytes | None, check: int) -> tuple[Rows, RowProblem]:
        """One row as a batch of one, without copying where it is of this catalogue.

        Cost: about 2 µs.
        """
        if row is None or len(row) != self._row_bytes or row[:8] != self._head:
            decoded = self.decode_batch([row], np.array([check], np.uint64))
            return decoded.rows, RowProblem(int(decoded.problems[0]))
        if int.from_bytes(row[16:24], "little") != check:
            return _freeze(self._blank(1)), RowProblem.WRONG_CUSTOMER
        values, words = np.frombuffer(row, _FLOAT), np.frombuffer(row, _WORD)
        return (
            Rows(
                values[1:2],
                values[np.newaxis, HEADER_WORDS : self._first_word],
                words[np.newaxis, self._first_word : self._first_known],
                words[np.newaxis, self._first_known :],
            ),
            RowProblem.NONE,
        )

    def decode_batch(self, values: Sequence[bytes | None], checks: U64) -> DecodedRows:
        """Many rows at memory speed; what is wrong with a row stays with that row.

        Args:
            values: n stored values; None = no row.
            checks: (n,) id checks of the customers asked for.
        """
        rows = self._blank(len(values))
        problems = np.zeros(len(values), np.uint8)
        for start in range(0, len(values), _CHUNK):
            part = slice(start, start + _CHUNK)
            self._decode_chunk(
                [v or b"" for v in values[part]], checks[part], _part(rows, part), problems[part]
            )
        problems.setflags(write=False)
        return DecodedRows(_freeze(rows), problems)

    def _blank(self, n: int) -> Rows:
        return Rows(
            np.full(n, np.nan),
            np.full((n, self.catalogue.n_numbers), np.nan),
            np.zeros((n, self.catalogue.n_words), np.uint64),
            np.zeros((n, self.catalogue.n_known_words), np.uint64),
        )

    def _decode_chunk(self, values: list[bytes], checks: U64, out: Rows, problems: U8) -> None:
        lengths = np.fromiter(map(len, values), np.int64, len(values))
        if (lengths == self._row_bytes).all():
            matrix = np.frombuffer(b"".join(values), "<u8").reshape(len(values), -1)
            if (matrix[:, 0] == self._fingerprint).all():
                self._take_own(matrix, checks, out, problems)
                return
        self._decode_mixed(values, checks, out, problems)

    def _take_own(self, matrix: U64, checks: U64, out: Rows, problems: U8) -> None:
        values = matrix.view(np.float64)
        out.as_of[:] = values[:, 1]
        out.numbers[:] = values[:, HEADER_WORDS : self._first_word]
        out.words[:] = matrix[:, self._first_word : self._first_known]
        out.known[:] = matrix[:, self._first_known :]
        strangers = matrix[:, 2] != checks
        if strangers.any():
            _erase(out, strangers)
            problems[strangers] = RowProblem.WRONG_CUSTOMER

    def _decode_mixed(self, values: list[bytes], checks: U64, out: Rows, problems: U8) -> None:
        by_head: dict[bytes, list[int]] = {}
        for index, value in enumerate(values):
            problem = self._problem(value)
            if problem:
                problems[index] = problem
            else:
                by_head.setdefault(value[:8], []).append(index)
        for head, indices in by_head.items():
            matrix = np.frombuffer(b"".join([values[i] for i in indices]), "<u8").reshape(len(indices), -1)
            part = self._blank(len(indices))
            part_problems = np.zeros(len(indices), np.uint8)
            self._taker(head)(matrix, checks[indices], part, part_problems)
            _scatter(part, indices, out)
            problems[indices] = part_problems

    def _problem(self, value: bytes) -> RowProblem:
        if not value:
            return RowProblem.ABSENT
        if len(value) < 8 * HEADER_WORDS:
            return RowProblem.WRONG_LENGTH
        if value[:8] == self._head:
            expected = self._row_bytes
        elif value[:8] in self._maps:
            expected = self._maps[value[:8]].source.row_bytes
        else:
            return RowProblem.FOREIGN
        return RowProblem.NONE if len(value) == expected else RowProblem.WRONG_LENGTH

    def _taker(self, head: bytes) -> Callable[[U64, U64, Rows, U8], None]:
        if head == self._head:
            return self._take_own
        column_map = self._maps[head]

        def take(matrix: U64, checks: U64, out: Rows, problems: U8) -> None:
            out.as_of[:] = matrix.view(np.float64)[:, 1]
            out.numbers[:] = column_map.numbers(matrix)
            out.words[:], out.known[:] = column_map.bits(matrix)
            strangers = matrix[:, 2] != checks
            _erase(out, strangers)
            problems[strangers] = RowProblem.WRONG_CUSTOMER

        return take


def time_violations(as_of: float) -> list[Violation]:
    """What is wrong with a snapshot's time."""
    if math.isfinite(as_of) and FIRST_TIME_S <= as_of <= LAST_TIME_S:
        return []
    return [Violation("as_of", f"`{shown(as_of)}` is not a time in epoch seconds")]


def split_rows(matrix: U64) -> list[bytes]:
    """The stored value of each row of an assembled batch."""
    size, data = 8 * matrix.shape[1], matrix.tobytes()
    return [data[i : i + size] for i in range(0, len(data), size)]


def snapshot_error(problem: RowProblem) -> SnapshotError:
    """The exception that says what is wrong with a row."""
    if problem is RowProblem.ABSENT:
        return CustomerUnknown("no snapshot is stored for the customer")
    texts = {
        RowProblem.WRONG_LENGTH: "the stored snapshot is cut short",
        RowProblem.FOREIGN: "the stored snapshot was written under an unknown fact catalogue",
        RowProblem.WRONG_CUSTOMER: "the stored snapshot belongs to another customer",
        RowProblem.DAMAGED: "the stored snapshot is damaged",
    }
    return SnapshotUnreadable(texts[problem])


def _freeze(rows: Rows) -> Rows:
    for array in (rows.as_of, rows.numbers, rows.words, rows.known):
        array.setflags(write=False)
    return rows


def _part(rows: Rows, part: slice) -> Rows:
    return Rows(rows.as_of[part], rows.numbers[part], rows.words[part], rows.known[part])


def _erase(rows: Rows, where: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
    rows.as_of[where] = np.nan
    rows.numbers[where] = np.nan
    rows.words[where] = 0
    rows.known[where] = 0


def _scatter(part: Rows, indices: list[int], out: Rows) -> None:
    out.as_of[indices] = part.as_of
    out.numbers[indices] = part.numbers
    out.words[indices] = part.words
    out.known[indices] = part.known
