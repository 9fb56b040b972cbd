"""What differs between two messages, field by field."""

import math
from collections.abc import Iterator
from typing import NamedTuple, cast

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

TOLERANCE = 1e-12
"""Relative; what figures and scores may differ by between builds."""


class Difference(NamedTuple):
    """One value that differs; None = it is not there."""

    what: str
    was: object
    now: object

    @property
    def is_within_tolerance(self) -> bool:
        """Whether both are numbers, and as close as builds are promised to be."""
        if not isinstance(self.was, float) or not isinstance(self.now, float):
            return False
        return math.isclose(self.was, self.now, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def differences_of(was: Message, now: Message) -> Iterator[Difference]:
    """Every field that differs, by its path."""
    before, after = dict(_leaves("", _plain(was))), dict(_leaves("", _plain(now)))
    for path in dict.fromkeys((*before, *after)):
        if before.get(path) != after.get(path):
            yield Difference(path, before.get(path), after.get(path))


def _plain(message: Message) -> object:
    return MessageToDict(message, preserving_proto_field_name=True)


def _leaves(path: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, part in cast("dict[str, object]", value).items():
            yield from _leaves(f"{path}.{key}" if path else key, part)
    elif isinstance(value, list):
        for place, part in enumerate(cast("list[object]", value)):
            yield from _leaves(f"{path}[{place}]", part)
    else:
        yield path, value
