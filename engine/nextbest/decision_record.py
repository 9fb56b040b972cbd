"""The bytes of a logged decision: everything that deciding again needs, and the answer as it was given.

docs/formats.md shows them. Registries and catalogues are append-only, so the row's and the rings' bytes
stay readable as they are.
"""

import struct
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from nextbest.errors import DecisionUnreadable
from nextbest.id_check import id_check
from nextbest.model import F64, I32, Degraded, Term

MARK = b"nbdl"
FORMAT = 1
"""Version of the bytes; a reader refuses any other."""
MASKED, INLINE = 1, 2
"""Flags: facts were left out on purpose; the snapshot came with the request."""
HANDLE_AT = 16
"""Offset of the handle, which erasing reads without the rest."""

_HEAD = struct.Struct("<4sHHQ16s16sQddQ32sBBH13I")
_PARTS = (
    "customer_id",
    "revision",
    "build",
    "request",
    "row",
    "contacts",
    "events",
    "state",
    "figures",
    "chosen",
    "selection",
    "masked",
    "answer",
)
"""What follows the header, in this order, each as long as the header says."""


@dataclass(slots=True)
class DecisionRecord:
    """One decision that was made, with what it was made from."""

    customer_id: str
    decision_id: bytes
    """16 bytes."""
    handle: bytes
    """16 random bytes that stand for the decision where nothing personal may lie."""
    model_digest: str
    """64 hexadecimal digits."""
    revision: str
    """Of the rulebook."""
    catalogue_fingerprint: int
    """Of the rulebook's fact catalogue; the row's own is in the row."""
    build: str
    """Version of the service and type of processor: bits are promised between equal ones only."""
    seed: int
    now: float
    """The time that was decided for, epoch seconds."""
    made_at: float
    """When it was decided by the service's clock, epoch seconds."""
    degraded: Degraded | None
    """Why it is a fallback decision; None = it was decided on data."""
    request: bytes
    """The DecideRequest, with the customer's id and without an inline snapshot."""
    row: bytes
    """The snapshot row that was decided on; empty = there was none, or it could not be read."""
    contacts: bytes
    """The ring of contacts as it was stored; empty = none. So `events`."""
    events: bytes
    state: bytes
    """`learning.state_excerpt` of what was learnt."""
    figures: bytes
    """float64 by `facts.Figure`; empty in a fallback decision."""
    chosen: bytes
    """The k ranked actions: int32 indices of the model's actions, then of its treatments, then float64 terms
    of the scores; empty = doing nothing."""
    selection: bytes
    """float64 by action of the model, then for doing nothing: with what probability each would have been the
    first answer that is not mandatory, NaN = it was no candidate; empty = nothing was left to chance."""
    answer: bytes
    """The DecideResponse that was given."""
    n_terms: int = len(Term)
    """Terms of a score when it was logged."""
    masked: tuple[str, ...] = ()
    """Facts and context keys that were left out on purpose; then it cannot be decided again."""
    inline: bool = False
    """Whether the snapshot came with the request."""
    tombstone: bytes = b""
    """The tombstone that was read with the row. Not stored: it tells the log whether to keep the record."""

    def to_bytes(self) -> bytes:
        """The record as it is stored.

        Cost: 3 µs.
        """
        customer = self.customer_id.encode()
        parts = (
            customer,
            self.revision.encode(),
            self.build.encode(),
            self.request,
            self.row,
            self.contacts,
            self.events,
            self.state,
            self.figures,
            self.chosen,
            self.selection,
            "\0".join(self.masked).encode(),
            self.answer,
        )
        head = _HEAD.pack(
            MARK,
            FORMAT,
            MASKED * bool(self.masked) | INLINE * self.inline,
            id_check(customer),
            self.handle,
            self.decision_id,
            self.seed,
            self.now,
            self.made_at,
            self.catalogue_fingerprint,
            bytes.fromhex(self.model_digest),
            self.degraded or 0,
            self.n_terms,
            0,
            *map(len, parts),
        )
        return b"".join((head, *parts))

    @property
    def figure_values(self) -> F64:
        """(figures,) of `facts.Figure`; empty in a fallback decision."""
        return np.frombuffer(self.figures, "<f8")

    @property
    def selection_probabilities(self) -> F64:
        """(actions + 1,) the last for doing nothing, NaN = no candidate; empty = nothing left to chance."""
        return np.frombuffer(self.selection, "<f8")

    @property
    def ranking(self) -> "Ranking":
        """The answer's actions by rank."""
        k = len(self.chosen) // (8 + 8 * self.n_terms)
        codes = np.frombuffer(self.chosen, "<i4", 2 * k)
        terms = np.frombuffer(self.chosen, "<f8", k * self.n_terms, 8 * k)
        return Ranking(codes[:k], codes[k:], terms.reshape(k, self.n_terms))


class Ranking(NamedTuple):
    """Ranked actions as indices of the model."""

    action: I32
    """(k,)."""
    treatment: I32
    """(k,)."""
    terms: F64
    """(k, terms)."""


def read_record(data: bytes, customer_id: str | None = None) -> DecisionRecord:
    """Read a stored record.

    Args:
        data: what `to_bytes` made.
        customer_id: whose it must be; None = the one it names.

    Raises:
        DecisionUnreadable: it is damaged, cut short, of another format or another customer's.
    """
    head = _read_head(data)
    parts = _read_parts(data, head.lengths)
    named = _text(parts["customer_id"])
    if head.check != id_check(parts["customer_id"]) or named != (customer_id or named):
        raise DecisionUnreadable("the logged decision belongs to another customer")
    masked = _text(parts["masked"])
    return DecisionRecord(
        customer_id=named,
        decision_id=head.decision_id,
        handle=head.handle,
        model_digest=head.model_digest.hex(),
        revision=_text(parts["revision"]),
        catalogue_fingerprint=head.catalogue_fingerprint,
        build=_text(parts["build"]),
        seed=head.seed,
        now=head.now,
        made_at=head.made_at,
        degraded=_reason(head.degraded),
        request=parts["request"],
        row=parts["row"],
        contacts=parts["contacts"],
        events=parts["events"],
        state=parts["state"],
        figures=parts["figures"],
        chosen=parts["chosen"],
        selection=parts["selection"],
        answer=parts["answer"],
        n_terms=head.n_terms,
        masked=tuple(masked.split("\0")) if masked else (),
        inline=bool(head.flags & INLINE),
    )


class _Head(NamedTuple):
    mark: bytes
    format: int
    flags: int
    check: int
    handle: bytes
    decision_id: bytes
    seed: int
    now: float
    made_at: float
    catalogue_fingerprint: int
    model_digest: bytes
    degraded: int
    n_terms: int
    reserved: int
    lengths: tuple[int, ...]


def _read_head(data: bytes) -> _Head:
    if data[: len(MARK)] != MARK:
        raise DecisionUnreadable("not a logged decision: the first bytes are not its mark")
    if len(data) < _HEAD.size:
        raise DecisionUnreadable("the logged decision is cut short")
    fields = _HEAD.unpack_from(data)
    head = _Head(*fields[:_FIXED], lengths=fields[_FIXED:])
    if head.format != FORMAT:
        raise DecisionUnreadable(f"the logged decision is of format {head.format}, not {FORMAT}")
    return head


_FIXED = len(_Head._fields) - 1


def _read_parts(data: bytes, lengths: tuple[int, ...]) -> dict[str, bytes]:
    if _HEAD.size + sum(lengths) != len(data):
        expected = _HEAD.size + sum(lengths)
        raise DecisionUnreadable(f"the logged decision has {len(data)} bytes where {expected} are expected")
    ends = list(accumulate(lengths, initial=_HEAD.size))
    return {name: data[ends[i] : ends[i + 1]] for i, name in enumerate(_PARTS)}


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise DecisionUnreadable("the logged decision is damaged: a text is not UTF-8") from None


def _reason(code: int) -> Degraded | None:
    try:
        return Degraded(code) if code else None
    except ValueError:
        raise DecisionUnreadable(f"the logged decision is damaged: `{code}` is no reason") from None
