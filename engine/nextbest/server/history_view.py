"""A customer's history → the contract."""

from collections.abc import Mapping

import numpy as np

from loyalty.nextbest.v1 import common_pb2, interaction_pb2
from nextbest.data.registry import NameRegistries
from nextbest.model import NO_CODE, NO_NAME, EntryFlag, EntryKind, Histories, Ring
from nextbest.server.outcome_notes import show_note
from nextbest.server.requests import is_time, seconds
from nextbest.server.responses import timestamp

_KINDS = frozenset(EntryKind)


def history_response(
    histories: Histories,
    request: interaction_pb2.GetHistoryRequest,
    names: NameRegistries,
    now: float,
    notes: Mapping[int, bytes],
) -> interaction_pb2.GetHistoryResponse:
    """The wanted entries of one customer, the latest first, and before which time some may be lost.

    Args:
        histories: of one customer, codes as registered.
        request: which entries are wanted.
        names: of the codes.
        now: epoch seconds.
        notes: what was said about outcomes, by idempotency key.
    """
    both = np.concatenate([histories.contacts.entries, histories.events.entries])
    latest_first = both[np.argsort(both["time"], kind="stable")][::-1]
    wanted = [entry for entry in latest_first if _is_wanted(entry, request)]
    response = interaction_pb2.GetHistoryResponse(
        entries=[_shown(entry, names, notes) for entry in wanted[: request.max_entries or None]]
    )
    for ring, field in (
        (histories.contacts, response.contacts_truncated_before),
        (histories.events, response.events_truncated_before),
    ):
        lost_until = _lost_until(ring, now)
        if lost_until is not None:
            field.CopyFrom(timestamp(lost_until))
    return response


def _lost_until(ring: Ring, now: float) -> float | None:
    """Time up to which entries may be lost; of a damaged ring all of them are."""
    truncated = float(ring.truncated_before[0])
    if truncated == -np.inf:
        return None
    return truncated if is_time(truncated) and truncated < now else now


def _is_wanted(entry: np.void, request: interaction_pb2.GetHistoryRequest) -> bool:
    if not is_time(float(entry["time"])) or int(entry["kind"]) not in _KINDS:
        return False  # damaged
    if request.kinds and int(entry["kind"]) not in request.kinds:
        return False
    if request.HasField("since") and float(entry["time"]) <= seconds(request.since):
        return False
    return not request.HasField("until") or float(entry["time"]) <= seconds(request.until)


def _shown(entry: np.void, names: NameRegistries, notes: Mapping[int, bytes]) -> interaction_pb2.HistoryEntry:
    decision_id = bytes(entry["decision_id"]).ljust(16, b"\0")
    kind = EntryKind(int(entry["kind"]))
    message = interaction_pb2.HistoryEntry(
        event_time=timestamp(float(entry["time"])),
        kind=interaction_pb2.HistoryKind.ValueType(kind),
        channel=_name(names, "channel", int(entry["channel"]), NO_NAME),
        placement=_name(names, "placement", int(entry["placement"]), NO_NAME),
        action=_name(names, "action", int(entry["action"]), NO_CODE),
        treatment_id=_name(names, "treatment", int(entry["treatment"]), NO_CODE),
        trigger=_name(names, "trigger", int(entry["trigger"]), NO_CODE),
        event_type=_name(names, "event", int(entry["event_kind"]), NO_CODE),
        decision_id=decision_id.hex() if any(decision_id) else "",
        idempotency_key=f"{int(entry['idempotency_key']):016x}",
        is_override=bool(int(entry["flags"]) & EntryFlag.OVERRIDE),
    )
    if kind is not EntryKind.EVENT:
        message.direction = common_pb2.Direction.ValueType(int(entry["direction"]) + 1)
    if kind is EntryKind.OUTCOME:
        message.outcome = common_pb2.Outcome.ValueType(int(entry["outcome"]))
    if not np.isnan(entry["amount"]):
        message.amount = float(entry["amount"])
    if not np.isnan(entry["cost"]):
        message.cost = float(entry["cost"])
    if note := notes.get(int(entry["idempotency_key"])):
        show_note(message, note)
    return message


def _name(names: NameRegistries, kind: str, code: int, nothing: int) -> str:
    return "" if code == nothing else names.known(kind).name(code)
