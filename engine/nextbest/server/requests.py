"""Requests of the contract → what the engine takes; everything wrong with one is said at once."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from loyalty.nextbest.v1 import common_pb2, customer_pb2, decision_pb2
from nextbest.data.keys import id_violations, request_id_violations
from nextbest.errors import InvalidFact, InvalidInput, Violation
from nextbest.fact_values import UnfitValueError, number_of
from nextbest.facts import Fact, FactType
from nextbest.model import Contexts, Direction
from nextbest.rows import RowCodec
from nextbest.rulebook.rulebook import Rulebook
from nextbest.rulebook.suggest import did_you_mean

DEFAULT_RESULTS = 3
MAX_RESULTS = 25
MAX_CONTEXTS = 64

FactLike = customer_pb2.Fact | common_pb2.Context


@dataclass(frozen=True, slots=True)
class Question:
    """One checked request."""

    customer_id: str
    request_id: str
    channel: int
    direction: int
    placements: int
    """Bit set over the rulebook's placements; 0 = any."""
    phase: int
    role: int
    """Index into the rulebook's roles, -1 = none given."""
    contexts: tuple[float, ...]
    """One number a declared context key, NaN = unknown."""
    language: str
    max_results: int
    strict: bool
    evaluation_time: float | None
    """Epoch seconds; None = now."""
    row: bytes | None
    """The inline snapshot as a row."""
    full: bool
    """Whether figures and breakdowns are wanted."""


def parse_question(request: decision_pb2.DecideRequest, rulebook: Rulebook, codec: RowCodec) -> Question:
    """Check a request against the rulebook.

    Raises:
        InvalidInput: with every violation.
    """
    found: list[Violation] = []
    found += id_violations(request.customer_id)
    found += request_id_violations(request.request_id)
    channel = _named(request.channel, rulebook.channel_index, "channel", found)
    role = -1
    if request.caller_role:
        role = _named(request.caller_role, rulebook.role_index, "caller_role", found)
    if request.direction == common_pb2.DIRECTION_UNSPECIFIED:
        found.append(Violation("direction", "is required"))
    if not 0 <= request.max_results <= MAX_RESULTS:
        found.append(Violation("max_results", f"`{request.max_results}` is not within 0 and {MAX_RESULTS}"))
    question = Question(
        customer_id=request.customer_id,
        request_id=request.request_id,
        channel=channel,
        direction=_direction(request.direction),
        placements=_placements(request.placements, rulebook, found),
        phase=request.purchase_phase,
        role=role,
        contexts=_contexts(request.contexts, rulebook.context_facts, found),
        language=choose_language(request.language, rulebook.languages),
        max_results=request.max_results or DEFAULT_RESULTS,
        strict=request.strictness == common_pb2.STRICTNESS_STRICT,
        evaluation_time=_time(request, found),
        row=_inline_row(request, codec, found),
        full=request.view != common_pb2.VIEW_BASIC,
    )
    if found:
        raise InvalidInput(found)
    return question


def gather_contexts(questions: Sequence[Question]) -> Contexts:
    """Lay the situations of n questions side by side."""
    return Contexts(
        channel=np.array([q.channel for q in questions], np.int32),
        direction=np.array([q.direction for q in questions], np.int32),
        placements=np.array([q.placements for q in questions], np.uint64),
        phase=np.array([q.phase for q in questions], np.int32),
        role=np.array([q.role for q in questions], np.int32),
        numbers=np.array([q.contexts for q in questions], np.float64).reshape(len(questions), -1),
    )


def choose_language(wanted: str, languages: tuple[str, ...]) -> str:
    """The wanted language or its base (`da-DK` → `da`) if the rulebook has it, else the default."""
    for candidate in (wanted, wanted.split("-", maxsplit=1)[0].lower()):
        if candidate in languages:
            return candidate
    return languages[0]


def fact_value(fact: FactLike) -> object:
    """The Python value of a contract fact or context; None if none is set."""
    match fact.WhichOneof("value"):
        case "number":
            return fact.number
        case "flag":
            return fact.flag
        case "text":
            return fact.text
        case "members":
            return tuple(fact.members.values)
        case "time":
            return seconds(fact.time)
        case _:
            return None


def seconds(time: Timestamp) -> float:
    """Epoch seconds of a timestamp."""
    return time.seconds + time.nanos / 1e9


def snapshot_facts(snapshot: customer_pb2.Snapshot, field: str, found: list[Violation]) -> dict[str, object]:
    """Facts of a contract snapshot by name; names given twice are violations."""
    facts: dict[str, object] = {}
    for i, fact in enumerate(snapshot.facts):
        if fact.name in facts:
            found.append(Violation(f"{field}.facts[{i}].name", f"`{fact.name}` is given twice"))
        facts[fact.name] = fact_value(fact)
    return facts


def _named(name: str, index: Mapping[str, int], field: str, found: list[Violation]) -> int:
    if name in index:
        return index[name]
    found.append(Violation(field, f"`{name}` {unknown_name(name, index)}" if name else "is required"))
    return -1


def unknown_name(name: str, known: Iterable[str]) -> str:
    """Say that the rulebook has no such name, and which it may have meant."""
    hint = did_you_mean(name, known)
    return "is not in the rulebook" + (f"; {hint}" if hint else "")


def _direction(direction: int) -> int:
    return int(Direction.OUTBOUND if direction == common_pb2.DIRECTION_OUTBOUND else Direction.INBOUND)


def _placements(names: Sequence[str], rulebook: Rulebook, found: list[Violation]) -> int:
    bits = 0
    for i, name in enumerate(names):
        place = _named(name, rulebook.placement_index, f"placements[{i}]", found)
        if place >= 0:
            bits |= 1 << place
    return bits


def _contexts(
    contexts: Sequence[common_pb2.Context], declared: tuple[Fact, ...], found: list[Violation]
) -> tuple[float, ...]:
    if len(contexts) > MAX_CONTEXTS:
        found.append(Violation("contexts", f"{len(contexts)} are given, at most {MAX_CONTEXTS} are allowed"))
        return ()
    facts = {fact.name: fact for fact in declared}
    given: dict[str, float] = {}
    for i, context in enumerate(contexts):
        field = f"contexts[{i}]"
        if context.key in given:
            found.append(Violation(f"{field}.key", f"`{context.key}` is given twice"))
        if context.key not in facts:
            found.append(Violation(f"{field}.key", f"`{context.key}` {unknown_name(context.key, facts)}"))
            continue
        try:
            given[context.key] = _context_number(facts[context.key], fact_value(context))
        except UnfitValueError as unfit:
            found.append(Violation(f"{field}.value", str(unfit)))
    return tuple(given.get(fact.name, np.nan) for fact in declared)


def _context_number(fact: Fact, value: object) -> float:
    if value is None:
        return np.nan
    if fact.type is FactType.BOOL:
        if not isinstance(value, bool):
            raise UnfitValueError(f"`{value}` is not true or false")
        return float(value)
    return number_of(fact, value)


def _time(request: decision_pb2.DecideRequest, found: list[Violation]) -> float | None:
    if not request.HasField("evaluation_time"):
        return None
    time = seconds(request.evaluation_time)
    try:
        dt.datetime.fromtimestamp(time, dt.UTC)
    except (OverflowError, OSError, ValueError):
        found.append(Violation("evaluation_time", f"`{time:.15g}` is not a time within years 1 and 9999"))
    return time


def _inline_row(request: decision_pb2.DecideRequest, codec: RowCodec, found: list[Violation]) -> bytes | None:
    if not request.HasField("snapshot"):
        return None
    snapshot = request.snapshot
    if snapshot.customer_id not in ("", request.customer_id):
        found.append(Violation("snapshot.customer_id", "is not the request's customer"))
    if not snapshot.HasField("as_of"):
        found.append(Violation("snapshot.as_of", "is required"))
    try:
        facts = snapshot_facts(snapshot, "snapshot", found)
        return codec.encode(request.customer_id.encode(), seconds(snapshot.as_of), facts)
    except InvalidFact as invalid:
        found += [Violation(f"snapshot.{v.field}", v.description) for v in invalid.violations]
        return None
