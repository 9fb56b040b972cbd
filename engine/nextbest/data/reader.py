"""The request path's reads: everything about a customer in one round trip, many customers in a few."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from nextbest.data.connection import Commands, Reply, gather_replies
from nextbest.data.keys import Keys

_CUSTOMERS_PER_COMMAND = 256
"""Some keys each; larger commands keep others waiting longer without being cheaper."""


KEYS_EACH = 4
"""Row, contacts, events and tombstone."""


@dataclass(frozen=True, slots=True)
class Records:
    """Stored values of n customers; None = nothing is stored."""

    rows: list[bytes | None]
    contacts: list[bytes | None]
    events: list[bytes | None]
    tombstones: list[bytes | None] = field(default_factory=list[bytes | None])
    """Of customers who were erased lately; read along, because what is written of a decision must not outlive
    an erasure since. Empty = not read."""

    @classmethod
    def of(cls, values: Sequence[bytes | None]) -> "Records":
        """What is stored of one customer: row, contacts, events and, if it was read, the tombstone."""
        return cls(*([value] for value in values))

    def only(self, places: Sequence[int]) -> "Records":
        """Those of some customers."""
        return Records(
            [self.rows[i] for i in places],
            [self.contacts[i] for i in places],
            [self.events[i] for i in places],
            [self.tombstones[i] for i in places] if self.tombstones else [],
        )

    @classmethod
    def read(cls, values: Sequence[bytes | None]) -> "Records":
        """What a command for `KEYS_EACH` keys a customer gave."""
        return cls(*(list(values[i::KEYS_EACH]) for i in range(KEYS_EACH)))


class CustomerReader:
    """Reads what a decision needs over one implicitly pipelined connection."""

    def __init__(self, commands: Commands, keys: Keys) -> None:
        self._commands = commands
        self._keys = keys

    def read(self, customer_id: str) -> "asyncio.Future[list[bytes | None]]":
        """The customer's row, contacts and events.

        Raises (in the future):
            StoreUnavailable: Redis does not answer.
        """
        keys = self._keys
        return _values(
            self._commands.execute(
                "MGET", keys.snapshot(customer_id), keys.contacts(customer_id), keys.events(customer_id)
            )
        )

    def read_asked(self, asked: Sequence[tuple[str, str]]) -> "asyncio.Future[Reply]":
        """What a few requests need, in one command.

        Args:
            asked: (customer id, request id) of each; no request id if it is empty.

        Returns:
            `KEYS_EACH` values of each customer, then the decisions kept for the request ids there are.
        """
        keys = self._keys
        kept = [keys.request(customer, request) for customer, request in asked if request]
        return self._commands.execute("MGET", *self._keys_of([customer for customer, _ in asked]), *kept)

    async def read_many(self, customer_ids: Sequence[str]) -> Records:
        """Rows, contacts and events of many customers, in their order."""
        size = _CUSTOMERS_PER_COMMAND
        parts = [customer_ids[i : i + size] for i in range(0, len(customer_ids), size)]
        replies = await gather_replies(
            [self._commands.execute("MGET", *self._keys_of(part)) for part in parts]
        )
        values = [value for reply in replies for value in cast("list[bytes | None]", reply)]
        return Records.read(values)

    def _keys_of(self, customer_ids: Sequence[str]) -> list[bytes]:
        keys = self._keys
        return [
            key
            for customer_id in customer_ids
            for key in (
                keys.snapshot(customer_id),
                keys.contacts(customer_id),
                keys.events(customer_id),
                keys.tombstone(customer_id),
            )
        ]


def _values(future: "asyncio.Future[Reply]") -> "asyncio.Future[list[bytes | None]]":
    return cast("asyncio.Future[list[bytes | None]]", future)
