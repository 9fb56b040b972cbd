"""Requests of the contract → what the engine takes; everything wrong with one is said at once."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from google.protobuf.timestamp_pb2 import Timestamp

from loyalty.nextbest.v1 import common_pb2, customer_pb2, decision_pb2
from nextbest.data.identifier_forms import Identifier, checked
from nextbest.data.keys import id_violations, request_id_violations
from nextbest.errors import InvalidFact, InvalidInput, Violation
from nextbest.fact_values import FIRST_TIME_S, LAST_TIME_S, UnfitValueError, number_of, unknown_fact
from nextbest.facts import Catalogue, Fact, FactType
from nextbest.model import DAY_S, Contexts, Direction, placements_asked
from nextbest.rows import RowCodec
from nextbest.rulebook.rulebook import Rulebook
from nextbest.rulebook.suggest import did_you_mean

DEFAULT_RESULTS = 3
MAX_RESULTS = 25
MAX_CONTEXTS = 64
MAX_PLACEMENTS = 64
MAX_HINTS = 8
"""Unknown names beyond so many violations get no hint: looking for near names takes time."""

FactLike = customer_pb2.Fact | common_pb2.Context
Scalar = TypeVar("Scalar", bound=np.generic)

_FIELD_OF: Mapping[FactType, str] = {
    FactType.INT: "number",
    FactType.DOUBLE: "number",
    FactType.BOOL: "flag",
    FactType.ENUM: "text",
    FactType.SET: "members",
    FactType.TIMESTAMP: "time",
}
"""The contract's field for the values of each type."""
_DIRECTIONS = frozenset(common_pb2.Direction.values())
_PHASES = frozenset(common_pb2.PurchasePhase.values())
_STRICTNESS = frozenset(common_pb2.Strictness.values())
_VIEWS = frozenset(common_pb2.View.values())


class Question(NamedTuple):
    """One checked request."""

    request: decision_pb2.DecideRequest
    """As it was asked, for the decision log."""
    customer_id: str
    request_id: str
    channel: int
    direction: int
    placements: tuple[int, ...]
    """Indices into the rulebook's placements, in order of preference; none = any."""
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
    identifier: Identifier | None = None
    """Whom it is about, where the customer id is not known yet."""
    instead_of: bytes = b""
    """A kept answer that may no longer be given: the decision is made anew, under an id of its own."""


def parse_question(request: decision_pb2.DecideRequest, rulebook: Rulebook, codec: RowCodec) -> Question:
    """Check a request against the rulebook.

    A question by identifier is checked as far as it can be; `identifying.resolved` gives it its customer.

    Raises:
        InvalidInput: with every violation.
    """
    found: list[Violation] = []
    identifier = _identifier(request, found)
    found += [
        *(id_violations(request.customer_id) if identifier is None else ()),
        *request_id_violations(request.request_id),
        *_choice_violations(request),
    ]
    question = Question(
        request=request,
        customer_id=request.customer_id,
        request_id=request.request_id,
        channel=named(request.channel, rulebook.channel_index, "channel", found),
        direction=_direction(request.direction),
        placements=_placements(request.placements, rulebook, found),
        phase=request.purchase_phase,
        role=_role(request.caller_role, rulebook, found),
        contexts=_contexts(request.contexts, rulebook.context_facts, found),
        language=choose_language(request.language, rulebook.languages),
        max_results=request.max_results or DEFAULT_RESULTS,
        strict=request.strictness == common_pb2.STRICTNESS_STRICT,
        evaluation_time=_time(request, found),
        row=_inline_row(request, codec, found),
        full=request.view != common_pb2.VIEW_BASIC,
        identifier=identifier,
    )
    if found:
        raise InvalidInput(found)
    return question


def _identifier(request: decision_pb2.DecideRequest, found: list[Violation]) -> Identifier | None:
    if request.WhichOneof("customer") != "identifier":
        return None
    return checked(request.identifier.type, request.identifier.value, "identifier", found)


def _choice_violations(request: decision_pb2.DecideRequest) -> list[Violation]:
    """What is wrong with the closed lists and bounds of a request; an open enum takes any number."""
    found: list[Violation] = []
    required(request.direction, _DIRECTIONS, "direction", found)
    for value, known, field in (
        (request.purchase_phase, _PHASES, "purchase_phase"),
        (request.strictness, _STRICTNESS, "strictness"),
        (request.view, _VIEWS, "view"),
    ):
        if value not in known:
            found.append(Violation(field, f"`{value}` is not a value of this contract"))
    if not 0 <= request.max_results <= MAX_RESULTS:
        found.append(Violation("max_results", f"`{request.max_results}` is not within 0 and {MAX_RESULTS}"))
    return found


def required(value: int, known: frozenset[int], field: str, found: list[Violation]) -> None:
    """Note an enum that is not given, or holds a number that the contract does not know."""
    if value == 0:
        found.append(Violation(field, "is required"))
    elif value not in known:
        found.append(Violation(field, f"`{value}` is not a value of this contract"))


def gather_contexts(questions: Sequence[Question]) -> Contexts:
    """Lay the situations of n questions side by side."""
    if len(questions) == 1:
        one = questions[0]
        return _one_context(one.channel, one.direction, one.placements, one.phase, one.role, one.contexts)
    places = placements_asked([q.placements for q in questions])
    return Contexts(
        channel=np.array([q.channel for q in questions], np.int32),
        direction=np.array([q.direction for q in questions], np.int32),
        placements=places.members,
        preference=places.order,
        phase=np.array([q.phase for q in questions], np.int32),
        role=np.array([q.role for q in questions], np.int32),
        numbers=np.array([q.contexts for q in questions], np.float64).reshape(len(questions), -1),
    )


@lru_cache(maxsize=1024)
def _one_context(
    channel: int,
    direction: int,
    placements: tuple[int, ...],
    phase: int,
    role: int,
    contexts: tuple[float, ...],
) -> Contexts:
    """A situation of its own; tills ask from few of them, again and again."""
    places = placements_asked([placements])
    return Contexts(
        channel=_shared(np.array([channel], np.int32)),
        direction=_shared(np.array([direction], np.int32)),
        placements=_shared(places.members),
        preference=_shared(places.order),
        phase=_shared(np.array([phase], np.int32)),
        role=_shared(np.array([role], np.int32)),
        numbers=_shared(np.array([contexts], np.float64)),
    )


def _shared(array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    array.setflags(write=False)
    return array


def choose_language(wanted: str, languages: tuple[str, ...]) -> str:
    """The wanted language or its base (`da-DK` → `da`) if the rulebook has it, else the default."""
    for candidate in (wanted, wanted.split("-", maxsplit=1)[0].lower()):
        if candidate in languages:
            return candidate
    return languages[0]


def typed_value(fact: Fact, given: FactLike) -> object:
    """The Python value of a contract fact or context of a declared type; None if none is set.

    Raises:
        UnfitValueError: the value is of another type.
    """
    field = given.WhichOneof("value")
    if field is None:
        return None
    wanted = _FIELD_OF[fact.type]
    if field != wanted:
        raise UnfitValueError(f"is given as `{field}`, but a value of type {fact.type} goes into `{wanted}`")
    return _READ[wanted](given)


def seconds(time: Timestamp) -> float:
    """Epoch seconds of a timestamp."""
    return time.seconds + time.nanos / 1e9


_READ: Mapping[str, Callable[[FactLike], object]] = {
    "number": lambda given: given.number,
    "flag": lambda given: given.flag,
    "text": lambda given: given.text,
    "members": lambda given: tuple(given.members.values),
    "time": lambda given: seconds(given.time),
}


def is_time(time: float) -> bool:
    """Whether epoch seconds lie in years 1 to 9999, in every time zone."""
    return FIRST_TIME_S + DAY_S <= time <= LAST_TIME_S - DAY_S


def snapshot_facts(
    snapshot: customer_pb2.Snapshot, catalogue: Catalogue, field: str, found: list[Violation]
) -> dict[str, object]:
    """Facts of a contract snapshot by name; what is given twice or as another type is noted.

    Names that the catalogue lacks are kept: `fact_violations` says what is wrong with them.
    """
    facts: dict[str, object] = {}
    found += too_many(snapshot.facts, len(catalogue.facts), f"{field}.facts")
    for i, fact in enumerate(snapshot.facts[: len(catalogue.facts)]):
        if fact.name in facts:
            found.append(Violation(f"{field}.facts[{i}].name", f"`{fact.name}` is given twice"))
        facts[fact.name] = None
        if fact.name in catalogue:
            try:
                facts[fact.name] = typed_value(catalogue[fact.name], fact)
            except UnfitValueError as unfit:
                found.append(Violation(f"{field}.facts.{fact.name}", str(unfit)))
    return facts


def fact_violations(codec: RowCodec, facts: Mapping[str, object], field: str) -> list[Violation]:
    """Everything that keeps facts from being written into a row."""
    found: list[Violation] = []
    numbers, _, _ = codec.fact_arrays(facts, found)
    return prefixed([*found, *codec.misfits(numbers)], field)


def prefixed(violations: Iterable[Violation], field: str) -> list[Violation]:
    """Violations of a part as violations of the whole."""
    return [Violation(f"{field}.{v.field}", v.description) for v in violations]


def named(name: str, index: Mapping[str, int], field: str, found: list[Violation]) -> int:
    """The index of a required name; -1 and a violation if there is none."""
    if name in index:
        return index[name]
    known = index if len(found) < MAX_HINTS else ()
    found.append(Violation(field, f"`{name}` {unknown_name(name, known)}" if name else "is required"))
    return -1


def unknown_name(name: str, known: Iterable[str]) -> str:
    """Say that the rulebook has no such name, and which it may have meant."""
    hint = did_you_mean(name, known)
    return "is not in the rulebook" + (f"; {hint}" if hint else "")


def unknown_facts(names: Sequence[str], field: str, catalogue: Catalogue) -> list[Violation]:
    """What is wrong with a list of names of facts."""
    found = too_many(names, len(catalogue.facts), field)
    if found:
        return found
    for i, name in enumerate(names):
        if name not in catalogue:
            what = unknown_fact(name, catalogue) if len(found) < MAX_HINTS else "is not a fact"
            found.append(Violation(f"{field}[{i}]", f"`{name}` {what}"))
    return found


def too_many(given: Sized, most: int, field: str) -> list[Violation]:
    """A violation if a list is longer than it can be with each of its members once."""
    if len(given) <= most:
        return []
    return [Violation(field, f"{len(given)} are given, at most {most} are allowed")]


def _direction(direction: int) -> int:
    return int(Direction.OUTBOUND if direction == common_pb2.DIRECTION_OUTBOUND else Direction.INBOUND)


def _role(name: str, rulebook: Rulebook, found: list[Violation]) -> int:
    return named(name, rulebook.role_index, "caller_role", found) if name else -1


def _placements(names: Sequence[str], rulebook: Rulebook, found: list[Violation]) -> tuple[int, ...]:
    if not names:
        return ()
    found += too_many(names, MAX_PLACEMENTS, "placements")
    places: list[int] = []
    for i, name in enumerate(names[:MAX_PLACEMENTS]):
        place = named(name, rulebook.placement_index, f"placements[{i}]", found)
        if place >= 0 and place in places:
            found.append(Violation(f"placements[{i}]", f"`{name}` is given twice"))
        places.append(place)
    return tuple(places)


def _contexts(
    contexts: Sequence[common_pb2.Context], declared: tuple[Fact, ...], found: list[Violation]
) -> tuple[float, ...]:
    if not contexts:
        return (np.nan,) * len(declared)
    if len(contexts) > MAX_CONTEXTS:
        found += too_many(contexts, MAX_CONTEXTS, "contexts")
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
            given[context.key] = _context_number(facts[context.key], context)
        except UnfitValueError as unfit:
            found.append(Violation(f"{field}.value", str(unfit)))
    return tuple(given.get(fact.name, np.nan) for fact in declared)


def _context_number(fact: Fact, context: common_pb2.Context) -> float:
    value = typed_value(fact, context)
    if value is None:
        return np.nan
    number = float(value) if isinstance(value, bool) else number_of(fact, value)
    if fact.type is FactType.INT and not number.is_integer():
        raise UnfitValueError(f"`{number:.15g}` is not a whole number")
    return number


def _time(request: decision_pb2.DecideRequest, found: list[Violation]) -> float | None:
    if not request.HasField("evaluation_time"):
        return None
    time = seconds(request.evaluation_time)
    if not is_time(time):
        found.append(Violation("evaluation_time", f"`{time:.15g}` is not a time within years 1 and 9999"))
    return time


def _inline_row(request: decision_pb2.DecideRequest, codec: RowCodec, found: list[Violation]) -> bytes | None:
    if not request.HasField("snapshot"):
        return None
    snapshot = request.snapshot
    by_id = request.WhichOneof("customer") != "identifier"
    if by_id and snapshot.customer_id not in ("", request.customer_id):
        found.append(Violation("snapshot.customer_id", "is not the request's customer"))
    if not snapshot.HasField("as_of"):
        found.append(Violation("snapshot.as_of", "is required"))
    facts = snapshot_facts(snapshot, codec.catalogue, "snapshot", found)
    try:
        return codec.encode(request.customer_id.encode(), seconds(snapshot.as_of), facts)
    except InvalidFact as invalid:
        found += prefixed(invalid.violations, "snapshot")
        return None
