"""The protobuf wire format, as far as answers are written by hand: tags, lengths, texts and doubles.

https://protobuf.dev/programming-guides/encoding
"""

import struct
from typing import Protocol

_VARINT, _FIXED64, _BYTES = 0, 1, 2

pack_double = struct.Struct("<d").pack
"""Eight bytes of a number."""


class _Field(Protocol):
    @property
    def number(self) -> int: ...


class _Fields(Protocol):
    def __getitem__(self, name: str, /) -> _Field: ...


def varint(value: int) -> bytes:
    """A whole number that is not negative, seven bits a byte."""
    if value < len(_SHORT):
        return _SHORT[value]
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


_SHORT = [bytes([v]) if v < 0x80 else bytes([v & 0x7F | 0x80, v >> 7]) for v in range(0x800)]


def number_tag(fields: _Fields, name: str) -> bytes:
    """The tag of a whole number, enum or bool field."""
    return varint(fields[name].number << 3 | _VARINT)


def double_tag(fields: _Fields, name: str) -> bytes:
    """The tag of a double field."""
    return varint(fields[name].number << 3 | _FIXED64)


def bytes_tag(fields: _Fields, name: str) -> bytes:
    """The tag of a text or message field."""
    return varint(fields[name].number << 3 | _BYTES)


def sized(tag: bytes, content: bytes) -> bytes:
    """A message field, or a text field's bytes."""
    return tag + varint(len(content)) + content


def text(tag: bytes, content: str) -> bytes:
    """A text field; nothing if it is empty, as the format has it."""
    return sized(tag, content.encode()) if content else b""
