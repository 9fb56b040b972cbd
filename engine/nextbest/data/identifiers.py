"""Who is behind a phone or card number: each customer's own list, and an index of keyed digests to it.

The index lies in other slots of a cluster than the list, so no script can change both. The list is what
counts: an index entry is believed only while the list of the customer it names holds the identifier. Writing
an identifier is therefore claim (index, pending) → list → confirm (index); a crash in between leaves an entry
that does not resolve and that anyone may claim, or one that resolves and is confirmed by the next write.
Every change of an entry gives it a new token, so that whoever read it before cannot change it any more.
"""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from nextbest.data.connection import Commands, Reply
from nextbest.data.identifier_forms import Identifier
from nextbest.data.keys import Keys
from nextbest.data.scripts import UNLESS_ERASED, Script
from nextbest.errors import (
    CustomerErased,
    IdentifierTaken,
    InvalidInput,
    StoredWrongly,
    StoreUnavailable,
    Violation,
)

MAX_IDENTIFIERS = 32
"""Identifiers that one customer may have."""
_MAX_ATTEMPTS = 20
_PENDING, _CONFIRMED = b"p", b"c"
_TOKEN_BYTES = 16
_SECRET_BYTES = 32

# KEYS: an index entry. ARGV: what it must hold (empty = nothing), the new entry. Gives whether it was set.
_EXCHANGE = Script("""
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
""")

# KEYS: an index entry. ARGV: what it must hold. Gives whether it was removed.
_REMOVE = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
return 1
""")


# KEYS: a customer's list, tombstone, row, hash. ARGV: identifiers. Gives 0 if the customer is gone for good.
_LIST = Script(
    UNLESS_ERASED
    + """
if erased_until(KEYS[2], KEYS[3], KEYS[4]) == math.huge then return 0 end
redis.call('SADD', KEYS[1], unpack(ARGV))
return 1
"""
)


@dataclass(frozen=True, slots=True)
class Claim:
    """An identifier's index entry, held for a customer until it is confirmed."""

    identifier: Identifier
    key: bytes
    entry: bytes
    """The pending entry."""
    was_own: bool
    """Whether it named the customer before."""


class IdentifierStore:
    """Identifiers of one deployment's customers."""

    def __init__(self, commands: Commands, keys: Keys) -> None:
        self._commands = commands
        self._keys = keys
        self._secret = b""

    async def resolve(self, identifier: Identifier) -> str | None:
        """The customer behind an identifier; None if there is none.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        customer_id = await self.candidate(identifier)
        if customer_id is None or not await self.holds(customer_id, identifier):
            return None
        return customer_id

    async def candidate(self, identifier: Identifier) -> str | None:
        """Whom the index names; `holds` says whether that is so."""
        secret = await self._known_secret()
        entry = await self._commands.execute("GET", self._key(identifier, secret))
        if entry is None and (fresh := await self._read_secret()) != secret:
            # The store was emptied and filled anew behind our back.
            entry = await self._commands.execute("GET", self._key(identifier, fresh))
        return None if entry is None else _owner(cast("bytes", entry))

    async def holds(self, customer_id: str, identifier: Identifier) -> bool:
        """Whether a customer's own list has the identifier."""
        return await self.membership(customer_id, identifier) == 1

    def membership(self, customer_id: str, identifier: Identifier) -> "asyncio.Future[Reply]":
        """As `holds`, asked for at once: the future holds 1 or 0."""
        key = self._keys.identifiers(customer_id)
        return self._commands.execute("SISMEMBER", key, identifier.text)

    async def of(self, customer_id: str) -> list[Identifier]:
        """A customer's identifiers, in order."""
        return await self._listed(self._keys.identifiers(customer_id))

    async def remembered(self, customer_id: str) -> list[Identifier]:
        """As `of`, and those that an interrupted erasure has still to remove; none where no list lies."""
        found: list[Identifier] = []
        for key in (self._keys.identifiers(customer_id), self._keys.erased_identifiers(customer_id)):
            with contextlib.suppress(StoredWrongly):
                found += await self._listed(key)
        return found

    async def claim(
        self, customer_id: str, identifiers: Sequence[Identifier], *, beside: bool, field: str
    ) -> list[Claim]:
        """Hold identifiers for a customer, all or none; `settle` or `give_up` follows.

        Args:
            customer_id: the customer.
            identifiers: different ones.
            beside: whether those known stay.
            field: path of the list in the request, for errors.

        Raises:
            IdentifierTaken: another customer has one of them; lists all of these.
            InvalidInput: there would be too many.
            StoreUnavailable: Redis does not answer.
        """
        known = await self.of(customer_id) if beside else []
        total = len({*known, *identifiers})
        if total > MAX_IDENTIFIERS:
            raise InvalidInput([Violation(field, f"would be {total}, at most {MAX_IDENTIFIERS} are allowed")])
        if not identifiers:
            return []
        secret = await self._read_secret()
        claims = await asyncio.gather(*(self._claim(customer_id, one, secret) for one in identifiers))
        taken = [
            Violation(f"{field}[{i}]", f"another customer has this {identifiers[i].type}")
            for i, claim in enumerate(claims)
            if claim is None
        ]
        held = [claim for claim in claims if claim is not None]
        if taken:
            await self.give_up(held)
            raise IdentifierTaken(taken)
        return held

    async def give_up(self, claims: Iterable[Claim]) -> None:
        """Free what was claimed and was nobody's; an own entry stays, the list still speaks for it."""
        await asyncio.gather(
            *(_REMOVE.run(self._commands, [c.key], [c.entry]) for c in claims if not c.was_own)
        )

    async def settle(self, customer_id: str, claims: Sequence[Claim], *, beside: bool, field: str) -> None:
        """Make claimed identifiers the customer's, beside those known or instead of them.

        Raises:
            IdentifierTaken: another customer took one over since it was claimed, which only happens to a
                writer that was held up between the two.
            CustomerErased: the customer was erased and has no snapshot.
            StoreUnavailable: Redis does not answer; repeat the whole.
        """
        key = self._keys.identifiers(customer_id)
        wanted = {claim.identifier for claim in claims}
        dropped = [] if beside else [one for one in await self._listed(key) if one not in wanted]
        if dropped:
            await self._drop(key, dropped)
        if not claims:
            return
        await self._list(customer_id, claims)
        confirmed = await asyncio.gather(*(self._confirm(customer_id, claim) for claim in claims))
        lost = [i for i, is_ours in enumerate(confirmed) if not is_ours]
        if lost:
            await self._commands.execute("SREM", key, *(claims[i].identifier.text for i in lost))
            raise IdentifierTaken(
                [
                    Violation(f"{field}[{i}]", f"another customer has this {claims[i].identifier.type}")
                    for i in lost
                ]
            )

    async def finish_erasure(self, customer_id: str) -> int:
        """Remove the index entries of an erased customer, then the list of them; their count.

        The order makes a crash in between harmless: what is still listed is removed by a repetition.
        """
        key = self._keys.erased_identifiers(customer_id)
        listed = await self._listed(key)
        if listed:
            secret = await self._read_secret()
            await asyncio.gather(*(self._unlink(customer_id, one, secret) for one in listed))
            await self._commands.execute("SREM", key, *(one.text for one in listed))
        return len(listed)

    async def _claim(self, customer_id: str, identifier: Identifier, secret: bytes) -> Claim | None:
        key = self._key(identifier, secret)
        for _ in range(_MAX_ATTEMPTS):
            entry = cast("bytes | None", await self._commands.execute("GET", key))
            owner = None if entry is None else _owner(entry)
            was_own = owner == customer_id
            if owner is not None and not was_own and await self.holds(owner, identifier):
                return None
            pending = _entry(_PENDING, customer_id)
            if await _EXCHANGE.run(self._commands, [key], [entry or b"", pending]) == 1:
                return Claim(identifier, key, pending, was_own)
        raise StoreUnavailable("an identifier is being changed by too many at once")

    async def _list(self, customer_id: str, claims: Sequence[Claim]) -> None:
        keys = self._keys
        mine = (
            keys.identifiers(customer_id),
            keys.tombstone(customer_id),
            keys.snapshot(customer_id),
            keys.hash_snapshot(customer_id),
        )
        if await _LIST.run(self._commands, mine, [claim.identifier.text for claim in claims]) == 0:
            await self.give_up(claims)
            raise CustomerErased("the customer was erased")

    async def _confirm(self, customer_id: str, claim: Claim) -> bool:
        confirmed = _entry(_CONFIRMED, customer_id)
        if await _EXCHANGE.run(self._commands, [claim.key], [claim.entry, confirmed]) == 1:
            return True
        # A second write of the same customer may have confirmed it meanwhile.
        entry = cast("bytes | None", await self._commands.execute("GET", claim.key))
        return entry is not None and _owner(entry) == customer_id

    async def _drop(self, key: bytes, dropped: Sequence[Identifier]) -> None:
        secret = await self._read_secret()
        index = [self._key(one, secret) for one in dropped]
        entries = [cast("bytes | None", await self._commands.execute("GET", one)) for one in index]
        await self._commands.execute("SREM", key, *(one.text for one in dropped))
        await asyncio.gather(
            *(
                _REMOVE.run(self._commands, [place], [entry])
                for place, entry in zip(index, entries, strict=True)
                if entry is not None
            )
        )

    async def _unlink(self, customer_id: str, identifier: Identifier, secret: bytes) -> None:
        key = self._key(identifier, secret)
        entry = cast("bytes | None", await self._commands.execute("GET", key))
        if entry is None or _owner(entry) != customer_id or await self.holds(customer_id, identifier):
            return  # gone, another's by now, or the customer has come back with it
        await _REMOVE.run(self._commands, [key], [entry])

    async def _listed(self, key: bytes) -> list[Identifier]:
        reply = cast("list[bytes]", await self._commands.execute("SMEMBERS", key))
        return sorted(Identifier.of_text(text.decode()) for text in reply)

    def _key(self, identifier: Identifier, secret: bytes) -> bytes:
        text = identifier.text.encode()
        return self._keys.identifier(hashlib.blake2b(text, key=secret, digest_size=16).hexdigest())

    async def _known_secret(self) -> bytes:
        return self._secret or await self._read_secret()

    async def _read_secret(self) -> bytes:
        """The key of the digests; the first to need one makes it."""
        secret: Reply = await self._commands.execute("GET", self._keys.identifier_secret)
        if secret is None:
            await self._commands.execute("SET", self._keys.identifier_secret, os.urandom(_SECRET_BYTES), "NX")
            secret = await self._commands.execute("GET", self._keys.identifier_secret)
        self._secret = cast("bytes", secret)
        return self._secret


def _entry(state: bytes, customer_id: str) -> bytes:
    return state + os.urandom(_TOKEN_BYTES // 2).hex().encode() + customer_id.encode()


def _owner(entry: bytes) -> str:
    return entry[1 + _TOKEN_BYTES :].decode()
