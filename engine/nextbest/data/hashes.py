"""Snapshots that others keep as Redis hashes, fact by fact as text: read, never written."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

from nextbest.data.casting import EMPTY_SET, SET_SEPARATOR
from nextbest.data.connection import Commands
from nextbest.data.keys import Keys
from nextbest.errors import InvalidFact, SnapshotUnreadable, Violation
from nextbest.fact_values import UnfitValueError
from nextbest.facts import Fact, FactType
from nextbest.rows import RowCodec

TIME_FIELD = "as_of"


class HashReader:
    """Reads `prefix:{customer_id}:h`: the field as_of, and facts by name in the text of files to load."""

    def __init__(self, commands: Commands, keys: Keys) -> None:
        self._commands = commands
        self._keys = keys

    async def rows(self, customer_ids: Sequence[str], codec: RowCodec) -> list[bytes | None]:
        """The hashes as rows; None where there is none or it does not fit the catalogue.

        Cost: about 100 µs a customer of 60 facts.
        """
        replies = await asyncio.gather(
            *(self._commands.execute("HGETALL", self._keys.hash_snapshot(c)) for c in customer_ids)
        )
        return [
            _row_or_none(customer_id, cast("list[bytes]", reply), codec)
            for customer_id, reply in zip(customer_ids, replies, strict=True)
        ]

    async def row(self, customer_id: str, codec: RowCodec) -> bytes | None:
        """The hash as a row; None if there is none.

        Raises:
            SnapshotUnreadable: it does not fit the catalogue; lists everything.
        """
        reply = await self._commands.execute("HGETALL", self._keys.hash_snapshot(customer_id))
        return _row(customer_id, cast("list[bytes]", reply), codec)


def value_of_text(fact: Fact, text: str) -> object:
    """A fact's value from text, as files to load write it; empty = None.

    Raises:
        UnfitValueError: it cannot be read. Whether it fits is the codec's matter.
    """
    if not text:
        return None
    if fact.type is FactType.BOOL:
        return _flag(text)
    if fact.type is FactType.SET:
        return () if text == EMPTY_SET else tuple(text.split(SET_SEPARATOR))
    if fact.type is FactType.ENUM:
        return text
    return time_of_text(text) if fact.type is FactType.TIMESTAMP else _number(text)


def time_of_text(text: str) -> float:
    """Epoch seconds from ISO 8601 text (without zone = UTC) or a number.

    Raises:
        UnfitValueError: it is neither.
    """
    try:
        return float(text)
    except ValueError:
        pass
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UnfitValueError(f"`{text}` is not a time (ISO 8601 or epoch seconds)") from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "1", "false", "0"):
        raise UnfitValueError(f"`{text}` is not true or false")
    return text.lower() in ("true", "1")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UnfitValueError(f"`{text}` is not a number") from None


def _row_or_none(customer_id: str, reply: list[bytes], codec: RowCodec) -> bytes | None:
    try:
        return _row(customer_id, reply, codec)
    except SnapshotUnreadable:
        return None


def _row(customer_id: str, reply: list[bytes], codec: RowCodec) -> bytes | None:
    if not reply:
        return None
    flat = [part.decode(errors="replace").strip() for part in reply]
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    try:
        as_of = time_of_text(fields.pop(TIME_FIELD, ""))
        return codec.encode(customer_id.encode(), as_of, _values(fields, codec))
    except (InvalidFact, UnfitValueError) as cause:
        raise SnapshotUnreadable(f"the stored hash does not fit the catalogue: {cause}") from None


def _values(fields: Mapping[str, str], codec: RowCodec) -> dict[str, object]:
    """Values of the fields that are facts; others write what they like beside them."""
    values: dict[str, object] = {}
    violations: list[Violation] = []
    for name, text in fields.items():
        if name in codec.catalogue:
            try:
                values[name] = value_of_text(codec.catalogue[name], text)
            except UnfitValueError as unfit:
                violations.append(Violation(f"facts.{name}", str(unfit)))
    if violations:
        raise InvalidFact(violations)
    return values
