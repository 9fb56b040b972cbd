"""Reading rows that were written under another catalogue of the same line."""

import numpy as np

from nextbest.errors import CatalogueError
from nextbest.facts import HEADER_WORDS, BitPlace, Catalogue, Fact, FactType
from nextbest.model import F64, U64


class ColumnMap:
    """Where each fact of `target` lies in a row of `source`.

    Works both ways along an append-only line: facts that the source lacks read as missing; members
    that only the source has read as missing (enum) or as absent from the set.
    """

    def __init__(self, source: Catalogue, target: Catalogue) -> None:
        """Raises CatalogueError when a fact changed its type or the order of its members."""
        shared = [(source[f.name], f) for f in target.facts if f.name in source]
        problems = [problem for old, new in shared if (problem := _conflict(old, new))]
        if problems:
            raise CatalogueError(problems)
        self.source, self.target = source, target
        self._numbers = [
            (target.columns[f.name], HEADER_WORDS + source.columns[f.name], _code_limit(f))
            for _, f in shared
            if f.name in target.columns
        ]
        self._bits = [
            (source.bits[f.name], target.bits[f.name], _bit_mask(old, f))
            for old, f in shared
            if f.name in target.bits
        ]

    def numbers(self, matrix: U64) -> F64:
        """(n, target.n_numbers) from (n, source.row_words); NaN = missing."""
        values = matrix.view(np.float64)
        out = np.full((len(matrix), self.target.n_numbers), np.nan)
        for to, come_from, limit in self._numbers:
            column = values[:, come_from]
            out[:, to] = column if limit is None else np.where(column < limit, column, np.nan)
        return out

    def bits(self, matrix: U64) -> tuple[U64, U64]:
        """Value words (n, target.n_words) and known words (n, target.n_known_words)."""
        first = HEADER_WORDS + self.source.n_numbers
        source_words, source_known = matrix[:, first:], matrix[:, first + self.source.n_words :]
        words = np.zeros((len(matrix), self.target.n_words), np.uint64)
        known = np.zeros((len(matrix), self.target.n_known_words), np.uint64)
        for old, new, mask in self._bits:
            words[:, new.word] |= _extract(source_words, old.word, old.shift, mask) << np.uint64(new.shift)
            known[:, new.known_word] |= _known_bit(source_known, old) << np.uint64(new.known_bit)
        return words, known


def _conflict(old: Fact, new: Fact) -> str:
    if old.type is not new.type:
        return f"fact `{new.name}` is {new.type} here and {old.type} in the stored rows"
    shared = min(len(old.values), len(new.values))
    if old.values[:shared] != new.values[:shared]:
        return f"fact `{new.name}` has its values in another order in the stored rows"
    return ""


def _code_limit(fact: Fact) -> int | None:
    return len(fact.values) if fact.type is FactType.ENUM else None


def _bit_mask(old: Fact, new: Fact) -> int:
    return 1 if new.type is FactType.BOOL else (1 << min(len(old.values), len(new.values))) - 1


def _extract(words: U64, word: int, shift: int, mask: int) -> U64:
    return (words[:, word] >> np.uint64(shift)) & np.uint64(mask)


def _known_bit(known: U64, place: BitPlace) -> U64:
    return _extract(known, place.known_word, place.known_bit, 1)
