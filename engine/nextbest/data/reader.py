"""The request path's reads: everything about a customer in one round trip, many customers in a few."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from nextbest.data.connection import Commands, Reply, gather_replies
from nextbest.data.keys import Keys

_CUSTOMERS_PER_COMMAND = 256
"""Three keys each; larger commands keep others waiting longer without being cheaper."""


@dataclass(frozen=True, slots=True)
class Records:
    """Stored values of n customers; None = nothing is stored."""

    rows: list[bytes | None]
    contacts: list[bytes | None]
    events: list[bytes | None]

    @classmethod
    def of(cls, values: Sequence[bytes | None]) -> "Records":
        """What is stored of one customer: row, contacts and events."""
        row, contacts, events = values
        return cls([row], [contacts], [events])

    def only(self, places: Sequence[int]) -> "Records":
        """Those of some customers."""
        return Records(
            [self.rows[i] for i in places],
            [self.contacts[i] for i in places],
            [self.events[i] for i in places],
        )


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
            Row, contacts and events of each customer, then the decisions kept for the request ids there are.
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
        return Records(values[0::3], values[1::3], values[2::3])

    def _keys_of(self, customer_ids: Sequence[str]) -> list[bytes]:
        keys = self._keys
        return [
            key
            for customer_id in customer_ids
            for key in (keys.snapshot(customer_id), keys.contacts(customer_id), keys.events(customer_id))
        ]


def _values(future: "asyncio.Future[Reply]") -> "asyncio.Future[list[bytes | None]]":
    return cast("asyncio.Future[list[bytes | None]]", future)
