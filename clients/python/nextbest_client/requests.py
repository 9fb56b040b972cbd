"""Builds requests from plain Python values."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import TypeAlias, TypedDict, cast

from google.protobuf.timestamp_pb2 import Timestamp

from loyalty.nextbest.v1 import common_pb2, customer_pb2, decision_pb2, interaction_pb2

Value: TypeAlias = bool | int | float | str | datetime | AbstractSet[str] | Sequence[str]
"""Value of a fact or a context. A set or a sequence of strings is a set of names."""


class _ValueField(TypedDict, total=False):
    flag: bool
    number: float
    text: str
    time: Timestamp
    members: common_pb2.StringSet


def decide_request(
    customer: str | common_pb2.Identifier,
    *,
    channel: str,
    direction: common_pb2.Direction.ValueType = common_pb2.DIRECTION_INBOUND,
    placements: Iterable[str] = (),
    contexts: Mapping[str, Value] | Iterable[common_pb2.Context] = (),
    purchase_phase: common_pb2.PurchasePhase.ValueType = common_pb2.PURCHASE_PHASE_UNSPECIFIED,
    caller_role: str = "",
    language: str = "",
    max_results: int = 0,
    strictness: common_pb2.Strictness.ValueType = common_pb2.STRICTNESS_UNSPECIFIED,
    evaluation_time: datetime | None = None,
    snapshot: customer_pb2.Snapshot | None = None,
    view: common_pb2.View.ValueType = common_pb2.VIEW_UNSPECIFIED,
    request_id: str = "",
) -> decision_pb2.DecideRequest:
    """A request to decide; see the contract for each field.

    Args:
        customer: the customer's id, or an identifier that resolves to the customer.
        channel: channel, as the rulebook names it.
        direction: who starts the contact; the customer unless said otherwise.
        placements: places that can each show one action, in order of preference.
        contexts: what is known about the situation, as values by key or as messages.
        purchase_phase: when in the purchase the customer was identified.
        caller_role: role of the caller, as the rulebook names it.
        language: BCP 47 tag; empty = the rulebook's default.
        max_results: most results, 0 = 3.
        strictness: what to do when the customer cannot be decided on, or the service is late or away.
        evaluation_time: time to decide for, with a time zone.
        snapshot: snapshot to decide on instead of the stored one.
        view: how much of the decision to return.
        request_id: identity of the request; the client makes one where it is empty.

    Raises:
        ValueError: a time has no time zone.
        TypeError: a context's value is of no type that a context can have.
    """
    request = decision_pb2.DecideRequest(
        request_id=request_id,
        channel=channel,
        direction=direction,
        placements=placements,
        contexts=_contexts(contexts),
        purchase_phase=purchase_phase,
        caller_role=caller_role,
        language=language,
        max_results=max_results,
        strictness=strictness,
        evaluation_time=timestamp(evaluation_time) if evaluation_time else None,
        snapshot=snapshot,
        view=view,
    )
    if isinstance(customer, str):
        request.customer_id = customer
    else:
        request.identifier.CopyFrom(customer)
    return request


def _contexts(
    contexts: Mapping[str, Value] | Iterable[common_pb2.Context],
) -> Iterable[common_pb2.Context]:
    if isinstance(contexts, Mapping):
        by_key = cast("Mapping[str, Value]", contexts)
        return [context(key, value) for key, value in by_key.items()]
    return contexts


def context(key: str, value: Value, *, type: str = "") -> common_pb2.Context:  # noqa: A002  (the field's name)
    """One thing known about the situation.

    Raises:
        ValueError: a time has no time zone.
        TypeError: the value is of no type that a context can have.
    """
    return common_pb2.Context(type=type, key=key, **_value_field(value))


def fact(name: str, value: Value) -> customer_pb2.Fact:
    """One fact of a snapshot, or one attribute of an event.

    Raises:
        ValueError: a time has no time zone.
        TypeError: the value is of no type that a fact can have.
    """
    return customer_pb2.Fact(name=name, **_value_field(value))


def customer_snapshot(
    customer_id: str, *, as_of: datetime, facts: Mapping[str, Value | None]
) -> customer_pb2.Snapshot:
    """A snapshot of a customer; a fact that is None is unknown and left out.

    Raises:
        ValueError: a time has no time zone.
        TypeError: a value is of no type that a fact can have.
    """
    known = [fact(name, value) for name, value in facts.items() if value is not None]
    return customer_pb2.Snapshot(customer_id=customer_id, as_of=timestamp(as_of), facts=known)


def outcome_of(
    decision: decision_pb2.DecideResponse,
    result: decision_pb2.RankedAction,
    outcome: common_pb2.Outcome.ValueType,
    *,
    channel: str = "",
    direction: common_pb2.Direction.ValueType = common_pb2.DIRECTION_INBOUND,
    event_time: datetime | None = None,
    override_reason: str = "",
    amount: float | None = None,
    comment: str = "",
    reason_code: str = "",
) -> interaction_pb2.CapturedOutcome:
    """What became of one result of a decision, to be given to `capture_outcomes`.

    Args:
        decision: the decision.
        result: one of its results.
        outcome: what became of it.
        channel: channel of the contact; needed only for the row for doing nothing, which has no treatment.
        direction: who started the contact; the customer unless said otherwise.
        event_time: when it happened, with a time zone; None = when the service receives it.
        override_reason: why staff chose otherwise; empty = they did not.
        amount: money that changed hands because of it; None = not known.
        comment: the customer's own words.
        reason_code: code of the reason; required for a repair that has solved the problem.

    Raises:
        ValueError: the time has no time zone.
    """
    return interaction_pb2.CapturedOutcome(
        decision_id=decision.decision_id,
        treatment_id=result.treatment.treatment_id,
        action=result.action,
        channel=result.treatment.channel or channel,
        direction=direction,
        placement=result.treatment.placement,
        outcome=outcome,
        event_time=timestamp(event_time) if event_time else None,
        is_override=bool(override_reason),
        override_reason=override_reason,
        amount=amount,
        comment=comment,
        reason_code=reason_code,
    )


def timestamp(moment: datetime) -> Timestamp:
    """The moment as a message.

    Raises:
        ValueError: the moment has no time zone, so that it names no instant.
    """
    if moment.tzinfo is None:
        raise ValueError(f"`{moment.isoformat()}` has no time zone")
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def _value_field(value: Value) -> _ValueField:
    if isinstance(value, bool):  # before int, of which it is one
        return {"flag": value}
    if isinstance(value, int | float):
        return {"number": float(value)}
    if isinstance(value, str):
        return {"text": value}
    if isinstance(value, datetime):
        return {"time": timestamp(value)}
    if isinstance(value, AbstractSet):
        return {"members": common_pb2.StringSet(values=sorted(value))}  # sorted: same set, same bytes
    return {"members": common_pb2.StringSet(values=list(value))}  # protobuf would take None for empty
