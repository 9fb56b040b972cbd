"""Customer snapshots in Redis: put, merge, get, many at once, and a walk over all."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from enum import IntEnum
from typing import TypeAlias, cast

import numpy as np

from nextbest.data.catalogues import CatalogueStore
from nextbest.data.connection import Commands, Part, gather_replies
from nextbest.data.hashes import HashReader
from nextbest.data.keys import Keys, id_violations
from nextbest.data.scripts import Script
from nextbest.data.snapshot_scripts import COMPARE_AND_SET_ROW, EXCHANGE, PUT, number_runs
from nextbest.errors import InvalidFact, InvalidInput, SnapshotError, StoreUnavailable
from nextbest.fact_values import FactValue
from nextbest.facts import Catalogue
from nextbest.id_check import id_checks_of
from nextbest.model import U8
from nextbest.rows import DecodedRows, RowCodec, RowProblem, Snapshot, time_violations
from nextbest.standard_facts import STAGE_FACTS

CUSTOMERS_PER_COMMAND = 256
"""Keys a script or MGET handles at once: about a millisecond of Redis' time."""
_CALLS_AT_ONCE = 8
"""Scripts under way together, so that Redis works while the next rows are sent."""
_MAX_ATTEMPTS = 100
"""One of several that change a row at once succeeds in every round, so that so many never starve."""
_LONGEST_PAUSE_S = 0.002
_CHANGED_MEANWHILE = 5
"""What `EXCHANGE` says of a row that is another than the one that was read."""

Facts: TypeAlias = Mapping[str, object]
Advance: TypeAlias = Callable[[bytes | None, bytes], bytes]
"""The stored row and the new one to what is written: stage state and behaviour are advanced."""
AdvanceRows: TypeAlias = Callable[[Sequence[str], Sequence[bytes | None]], Sequence[bytes | None]]
"""Ids and stored rows of some customers to their new rows; None = this one stays as it is."""


def _as_given(_old: bytes | None, new: bytes) -> bytes:
    return new


class WriteStatus(IntEnum):
    """What became of a row that was to be written."""

    ABSENT = 0
    """There is no snapshot to change."""
    WRITTEN = 1
    UNCHANGED = 2
    """The stored row has these bytes already."""
    FOREIGN = 3
    """The stored row is of another catalogue."""
    WRONG_CUSTOMER = 4
    """The stored row is another customer's, or damaged."""


class SnapshotStore:
    """Snapshots of one deployment, written under one catalogue."""

    def __init__(self, commands: Commands, keys: Keys, codec: RowCodec, *, expiry_s: int = 0) -> None:
        """Use `open`, which registers the catalogue first."""
        self.expiry_s = expiry_s
        """A row that is not put anew for so long is dropped; 0 = it stays."""
        self._commands = commands
        self._keys = keys
        self.codec = codec
        self._catalogues = CatalogueStore(commands, keys)
        self._hashes = HashReader(commands, keys)

    @classmethod
    async def open(
        cls, commands: Commands, keys: Keys, catalogue: Catalogue, *, expiry_s: int = 0
    ) -> "SnapshotStore":
        """Register the catalogue and learn to read rows of all registered ones.

        Args:
            commands: runs Redis commands.
            keys: key names.
            catalogue: of the rows to write.
            expiry_s: a row that is not put anew for so long is dropped; 0 = it stays.

        Raises:
            CatalogueError: the catalogue does not extend the newest registered.
            StoreUnavailable: Redis does not answer.
        """
        catalogues = CatalogueStore(commands, keys)
        await catalogues.register(catalogue)
        codec = RowCodec(catalogue, await catalogues.all())
        return cls(commands, keys, codec, expiry_s=expiry_s)

    async def put(
        self, customer_id: str, as_of: float, facts: Facts, *, advance: Advance = _as_given
    ) -> bytes:
        """Replace a customer's snapshot in one step; stage facts that are not named are carried on.

        Args:
            customer_id: the customer.
            as_of: when it was true, epoch seconds.
            facts: what is known.
            advance: given the stored row and the new one, stage facts carried on, makes what is written.

        Returns:
            The row as stored now.

        Raises:
            InvalidFact: with everything that does not fit; nothing is written.
            StoreUnavailable: Redis does not answer; it may have been written.
        """
        row = self._encode(customer_id, as_of, facts)
        kept = [name for name in STAGE_FACTS if name not in facts]
        return await self._exchange(
            customer_id, lambda old: advance(old, self._carried(customer_id, row, old, kept))
        )

    async def put_rows(
        self, customer_ids: Sequence[str], rows: Sequence[bytes], *, keep: Sequence[str] = STAGE_FACTS
    ) -> U8:
        """Replace many snapshots by rows of this store's catalogue.

        Args:
            customer_ids: n different ids.
            rows: n rows.
            keep: numbers, enums or timestamps whose stored value is carried on into the new row.

        Returns:
            (n,) of `WriteStatus`, WRITTEN or UNCHANGED.
        """
        columns = self.codec.catalogue.columns
        kept = [name for name in keep if name in columns]
        runs = number_runs([columns[name] for name in kept])
        status = await self._run(PUT, customer_ids, [self._fingerprint, self.expiry_s, *_ranges(runs)], rows)
        for index in np.flatnonzero(status == WriteStatus.FOREIGN).tolist():
            status[index] = await self._put_over_foreign(customer_ids[index], rows[index], kept)
        return status

    async def merge(
        self, customer_id: str, facts: Facts, *, as_of: float | None = None, advance: Advance = _as_given
    ) -> bytes:
        """Change facts of a stored snapshot in one step; the others stay as they are.

        Args:
            customer_id: the customer.
            facts: new values; None makes a fact missing.
            as_of: new time of the snapshot; None leaves it.
            advance: given the stored row and the changed one, makes what is written.

        Returns:
            The row as stored now.

        Raises:
            InvalidFact: with everything that does not fit; nothing is written.
            CustomerUnknown: there is no snapshot to change.
            SnapshotUnreadable: what is stored is not this customer's row.
            StoreUnavailable: Redis does not answer; it may have been written.
        """
        self._require_fit(customer_id, facts, as_of)
        change = _changed_by(facts, as_of)
        return await self._exchange(
            customer_id,
            lambda old: advance(old, self._changed(customer_id, old, change)),
        )

    async def exchange_rows(
        self, customer_ids: Sequence[str], advance: AdvanceRows, *, expiry_s: int = 0
    ) -> U8:
        """Replace many rows by what is made of them, each in one step: what changed meanwhile is read anew.

        Args:
            customer_ids: n different ids.
            advance: called again for those that others changed in between.
            expiry_s: the rows are dropped after so long; 0 = when they were to be dropped before.

        Returns:
            (n,) of `WriteStatus`; ABSENT or WRONG_CUSTOMER where a row that is, or is not, there was left.

        Raises:
            StoreUnavailable: Redis does not answer, or too many change the same rows.
        """
        status = np.zeros(len(customer_ids), np.uint8)
        left = list(range(len(customer_ids)))
        for attempt in range(_MAX_ATTEMPTS):
            status[left] = found = await self._exchange_once(
                [customer_ids[i] for i in left], advance, expiry_s
            )
            left = [
                place for place, outcome in zip(left, found, strict=True) if outcome == _CHANGED_MEANWHILE
            ]
            if not left:
                return status
            await asyncio.sleep(random.uniform(0, _LONGEST_PAUSE_S) if attempt else 0)  # noqa: S311  (no secret)
        raise StoreUnavailable("snapshots are being changed by too many at once")

    async def _exchange_once(
        self, customer_ids: Sequence[str], advance: AdvanceRows, expiry_s: int
    ) -> list[int]:
        old = await self._rows(customer_ids)
        new = advance(customer_ids, old)
        found = [int(WriteStatus.WRONG_CUSTOMER if row else WriteStatus.ABSENT) for row in old]
        made = [(place, row) for place, row in enumerate(new) if row is not None]
        header: list[Part] = [self.codec.catalogue.row_bytes, expiry_s]
        pairs = [row + (old[place] or b"") for place, row in made]
        status = await self._run(EXCHANGE, [customer_ids[place] for place, _ in made], header, pairs)
        for (place, _), outcome in zip(made, status.tolist(), strict=True):
            found[place] = outcome
        return found

    async def get(self, customer_id: str) -> Snapshot:
        """A customer's snapshot.

        Raises:
            CustomerUnknown: there is none.
            SnapshotUnreadable: what is stored is damaged, foreign or another customer's.
            StoreUnavailable: Redis does not answer.
        """
        row = await self._row(customer_id) or await self.hash_row(customer_id)
        return self.codec.decode(customer_id.encode(), row)

    async def hash_row(self, customer_id: str) -> bytes | None:
        """The row of a customer whose snapshot others keep as a hash; None if they do not.

        Raises:
            SnapshotUnreadable: the hash does not fit the catalogue.
            StoreUnavailable: Redis does not answer.
        """
        return await self._hashes.row(customer_id, self.codec)

    async def get_many(self, customer_ids: Sequence[str]) -> DecodedRows:
        """The snapshots of many customers, decoded; what is wrong with one stays with that one."""
        rows = await self.rows(customer_ids)
        checks = id_checks_of([c.encode() for c in customer_ids])
        decoded = self.codec.decode_batch(rows, checks)
        if (decoded.problems == RowProblem.FOREIGN).any() and await self.refresh():
            return self.codec.decode_batch(rows, checks)
        return decoded

    async def rows(self, customer_ids: Sequence[str]) -> list[bytes | None]:
        """The stored rows of many customers, of hashes where there is no row; None = there is neither."""
        rows = await self._values(customer_ids)
        absent = [index for index, row in enumerate(rows) if row is None]
        hashes = await self._hashes.rows([customer_ids[i] for i in absent], self.codec) if absent else []
        for index, row in zip(absent, hashes, strict=True):
            rows[index] = row
        return rows

    async def refresh(self) -> bool:
        """Learn catalogues that others registered since; whether there were any."""
        catalogues = await self._catalogues.all()
        known = self.codec.n_readable
        self.codec = self.codec.with_others(catalogues)
        return self.codec.n_readable > known

    async def scan(self, *, count: int = 1000) -> AsyncIterator[list[str]]:
        """The ids of all customers with a snapshot, in batches of about `count`.

        A customer present all along comes at least once, seldom twice; one added or removed meanwhile
        may or may not come (Redis SCAN).
        """
        cursor = b"0"
        while True:
            reply = await self._commands.execute(
                "SCAN", cursor, "MATCH", self._keys.snapshot_pattern, "COUNT", count
            )
            cursor, found = cast("tuple[bytes, list[bytes]]", reply)
            if found:
                yield [self._keys.customer_of(key) for key in found]
            if cursor == b"0":
                return

    @property
    def _fingerprint(self) -> bytes:
        return self.codec.catalogue.fingerprint.to_bytes(8, "little")

    def _encode(self, customer_id: str, as_of: float, facts: Facts) -> bytes:
        problems = id_violations(customer_id)
        try:
            row = self.codec.encode(customer_id.encode(errors="replace"), as_of, facts)
        except InvalidFact as invalid:
            raise InvalidFact([*problems, *invalid.violations]) from None
        if problems:
            raise InvalidInput(problems)
        return row

    async def _row(self, customer_id: str) -> bytes | None:
        row = cast("bytes | None", await self._commands.execute("GET", self._keys.snapshot(customer_id)))
        if row and not self.codec.reads(row):
            await self.refresh()
        return row

    async def _rows(self, customer_ids: Sequence[str]) -> list[bytes | None]:
        """The stored rows, of catalogues that can be read as far as there are any."""
        rows = await self._values(customer_ids)
        if any(row and not self.codec.reads(row) for row in rows):
            await self.refresh()
        return rows

    async def _values(self, customer_ids: Sequence[str]) -> list[bytes | None]:
        parts = [
            self._commands.execute(
                "MGET", *map(self._keys.snapshot, customer_ids[i : i + CUSTOMERS_PER_COMMAND])
            )
            for i in range(0, len(customer_ids), CUSTOMERS_PER_COMMAND)
        ]
        return [row for reply in await gather_replies(parts) for row in cast("list[bytes | None]", reply)]

    async def _run(
        self, script: Script, customer_ids: Sequence[str], header: Sequence[Part], payload: Sequence[bytes]
    ) -> U8:
        """Run a script over many rows, some hundred a call and some calls at once; (n,) of `WriteStatus`."""
        size = CUSTOMERS_PER_COMMAND
        keys = [self._keys.snapshot(customer_id) for customer_id in customer_ids]
        parts = [slice(start, start + size) for start in range(0, len(keys), size)]
        status = np.empty(len(keys), np.uint8)
        for group in (parts[i : i + _CALLS_AT_ONCE] for i in range(0, len(parts), _CALLS_AT_ONCE)):
            replies = await asyncio.gather(
                *(script.run(self._commands, keys[part], [*header, *payload[part]]) for part in group)
            )
            for part, reply in zip(group, replies, strict=True):
                status[part] = cast("list[int]", reply)
        return status

    def _require_fit(self, customer_id: str, facts: Facts, as_of: float | None) -> None:
        violations = id_violations(customer_id)
        numbers, _, _ = self.codec.fact_arrays(facts, violations)
        violations += self.codec.misfits(numbers)
        if as_of is not None:
            violations += time_violations(as_of)
        if violations:
            raise InvalidFact(violations)

    def _decoded(self, customer_id: str, row: bytes | None) -> Snapshot:
        return self.codec.decode(customer_id.encode(), row)

    def _changed(self, customer_id: str, old: bytes | None, change: Callable[[Snapshot], Snapshot]) -> bytes:
        """The row with a change; of what lies stored, and fits a later rulebook no more, it is not guilty."""
        before = self._decoded(customer_id, old)
        numbers, _, _ = self.codec.fact_arrays(before.facts, [])
        stored, after = list(self.codec.misfits(numbers)), change(before)
        return self.codec.encode(customer_id.encode(), after.as_of, after.facts, stored=stored)

    def _encoded(self, customer_id: str, snapshot: Snapshot) -> bytes:
        return self.codec.encode(customer_id.encode(), snapshot.as_of, snapshot.facts)

    async def _put_over_foreign(self, customer_id: str, row: bytes, kept: Sequence[str]) -> WriteStatus:
        await self._exchange(customer_id, lambda old: self._carried(customer_id, row, old, kept))
        return WriteStatus.WRITTEN

    def _carried(self, customer_id: str, row: bytes, old: bytes | None, kept: Sequence[str]) -> bytes:
        """The row with facts of the old one that are carried on; what cannot be read carries nothing."""
        try:
            before = self._decoded(customer_id, old)
        except SnapshotError:
            return row
        new = self._decoded(customer_id, row)
        carried = {name: before.facts[name] for name in kept if name in before.facts}
        return self._encoded(customer_id, Snapshot(new.as_of, carried | dict(new.facts)))

    async def _exchange(self, customer_id: str, make: Callable[[bytes | None], bytes]) -> bytes:
        """Replace a row by what `make` makes of it, unless someone else was quicker; then again.

        So a row and the stage state in it are always one writer's, made from the row before.
        """
        for attempt in range(_MAX_ATTEMPTS):
            old = await self._row(customer_id)
            new = make(old)
            if await self._compare_and_set(customer_id, old or b"", new):
                return new
            # Apart from each other, those who meet again and again do not.
            await asyncio.sleep(random.uniform(0, _LONGEST_PAUSE_S) if attempt else 0)  # noqa: S311  (no secret)
        raise StoreUnavailable("the snapshot is being changed by too many at once")

    async def _compare_and_set(self, customer_id: str, old: bytes, new: bytes) -> bool:
        key = self._keys.snapshot(customer_id)
        return await COMPARE_AND_SET_ROW.run(self._commands, [key], [old, new, self.expiry_s]) == 1


def _ranges(runs: Iterable[tuple[int, int]]) -> list[Part]:
    flat = [part for run in runs for part in run]
    return [len(flat) // 2, *flat]


def _changed_by(facts: Facts, as_of: float | None) -> Callable[[Snapshot], Snapshot]:
    def change(old: Snapshot) -> Snapshot:
        changed = cast("Mapping[str, FactValue]", {**old.facts, **facts})
        return Snapshot(old.as_of if as_of is None else as_of, changed)

    return change
