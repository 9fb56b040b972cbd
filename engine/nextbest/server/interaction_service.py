"""InteractionService: records what became of actions, and shows a customer's history."""

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import grpc.aio
import numpy as np
import numpy.typing as npt
from google.protobuf.timestamp_pb2 import Timestamp

from loyalty.nextbest.v1 import common_pb2, interaction_pb2, interaction_pb2_grpc
from nextbest.clock import Clock
from nextbest.data.history import AppendStatus
from nextbest.data.keys import id_violations
from nextbest.data.registry import NameRegistries
from nextbest.data.store import Store
from nextbest.errors import InvalidInput, Violation
from nextbest.model import NO_CODE, NO_NAME, EntryFlag, EntryKind, Outcome
from nextbest.rings import new_entries
from nextbest.rulebook.rulebook import Rulebook
from nextbest.server.deciding import Serving
from nextbest.server.guard import guarded, not_built
from nextbest.server.requests import seconds, unknown_name
from nextbest.server.responses import timestamp

MAX_OUTCOMES = 100
MAX_KEY_BYTES = 64
LATEST_AHEAD_S = 300.0
"""An event may be this far ahead of our clock, because clocks differ."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One captured outcome, checked."""

    treatment: int
    """Index into the rulebook's treatments, -1 = only the action is known."""
    action: int
    channel: int
    placement: int
    key: str


class InteractionService(interaction_pb2_grpc.InteractionServiceServicer):
    """Writes and reads customers' histories."""

    def __init__(self, serving: Callable[[], Serving], store: Store, clock: Clock) -> None:
        self._serving = serving
        self._store = store
        self._clock = clock

    @guarded
    async def CaptureOutcomes(
        self,
        request: interaction_pb2.CaptureOutcomesRequest,
        context: grpc.aio.ServicerContext[
            interaction_pb2.CaptureOutcomesRequest, interaction_pb2.CaptureOutcomesResponse
        ],
    ) -> interaction_pb2.CaptureOutcomesResponse:
        """Record outcomes, all or none; the next decision sees them."""
        rulebook, now = self._serving().model.rulebook, self._clock()
        recorded = check_outcomes(request, rulebook, now)
        entries = await self._entries(request.outcomes, recorded, rulebook, now)
        status = await self._store.histories.append(request.customer_id, entries)
        contradictory = np.flatnonzero(status == AppendStatus.CONTRADICTORY).tolist()
        if contradictory:
            problem = "something else is recorded under this idempotency key; nothing was recorded"
            raise InvalidInput([Violation(f"outcomes[{i}].idempotency_key", problem) for i in contradictory])
        return interaction_pb2.CaptureOutcomesResponse(
            results=[
                interaction_pb2.RecordResult(
                    idempotency_key=one.key,
                    status=_status(s),
                )
                for one, s in zip(recorded, status.tolist(), strict=True)
            ]
        )

    async def _entries(
        self,
        outcomes: Sequence[interaction_pb2.CapturedOutcome],
        recorded: Sequence[Recorded],
        rulebook: Rulebook,
        now: float,
    ) -> npt.NDArray[np.void]:
        """History entries with registry codes."""
        names = self._store.names
        actions = await names.codes("action", [rulebook.actions[r.action].id for r in recorded])
        channels = await names.codes("channel", [rulebook.channels[r.channel].id for r in recorded])
        placements = await names.codes(
            "placement", [rulebook.placements[r.placement] for r in recorded if r.placement >= 0]
        )
        treatments = await names.codes(
            "treatment", [rulebook.treatments[r.treatment].id for r in recorded if r.treatment >= 0]
        )
        entries = new_entries(len(recorded))
        for entry, outcome, one in zip(entries, outcomes, recorded, strict=True):
            entry["time"] = seconds(outcome.event_time) if outcome.HasField("event_time") else now
            entry["kind"] = _kind(outcome.outcome)
            entry["direction"] = outcome.direction - 1
            entry["outcome"] = outcome.outcome
            entry["flags"] = EntryFlag.OVERRIDE if outcome.is_override else 0
            entry["action"] = actions[rulebook.actions[one.action].id]
            entry["channel"] = channels[rulebook.channels[one.channel].id]
            if one.treatment >= 0:
                entry["treatment"] = treatments[rulebook.treatments[one.treatment].id]
            if one.placement >= 0:
                entry["placement"] = placements[rulebook.placements[one.placement]]
            if outcome.HasField("amount"):
                entry["amount"] = outcome.amount
            cost = float(rulebook.action_tables.contact_cost[one.action])
            entry["cost"] = outcome.cost if outcome.HasField("cost") else cost
            entry["decision_id"] = bytes.fromhex(outcome.decision_id).ljust(16, b"\0")
            entry["idempotency_key"] = key_hash(one.key)
        return entries

    @guarded
    async def GetHistory(
        self,
        request: interaction_pb2.GetHistoryRequest,
        context: grpc.aio.ServicerContext[
            interaction_pb2.GetHistoryRequest, interaction_pb2.GetHistoryResponse
        ],
    ) -> interaction_pb2.GetHistoryResponse:
        """Show contacts, outcomes and events, the latest first."""
        found = id_violations(request.customer_id)
        if request.max_entries < 0:
            found.append(Violation("max_entries", f"`{request.max_entries}` is negative"))
        if found:
            raise InvalidInput(found)
        await self._store.names.refresh()
        histories = (await self._store.histories.read(request.customer_id)).histories
        both = np.concatenate([histories.contacts.entries, histories.events.entries])
        entries = both[np.argsort(both["time"], kind="stable")][::-1]
        wanted = [e for e in entries if _is_wanted(e, request)]
        response = interaction_pb2.GetHistoryResponse(
            entries=[_shown(e, self._store.names) for e in wanted[: request.max_entries or None]]
        )
        for ring, field in (
            (histories.contacts, response.contacts_truncated_before),
            (histories.events, response.events_truncated_before),
        ):
            if np.isfinite(ring.truncated_before[0]):
                field.CopyFrom(timestamp(float(ring.truncated_before[0])))
        return response

    async def RecordEvents(
        self,
        request: interaction_pb2.RecordEventsRequest,
        context: grpc.aio.ServicerContext[
            interaction_pb2.RecordEventsRequest, interaction_pb2.RecordEventsResponse
        ],
    ) -> interaction_pb2.RecordEventsResponse:
        """Not built yet."""
        return await not_built(context, "recording business events")


def key_hash(key: str) -> int:
    """The 64 bits under which an idempotency key is stored; never 0, which means none."""
    digest = hashlib.blake2b(key.encode(), digest_size=8, person=b"nextbest-idem").digest()
    return int.from_bytes(digest, "little") or 1


def check_outcomes(
    request: interaction_pb2.CaptureOutcomesRequest, rulebook: Rulebook, now: float
) -> list[Recorded]:
    """Check outcomes against the rulebook.

    Raises:
        InvalidInput: with every violation of every outcome.
    """
    found = id_violations(request.customer_id)
    if not 1 <= len(request.outcomes) <= MAX_OUTCOMES:
        problem = f"{len(request.outcomes)} are given, 1 to {MAX_OUTCOMES} are allowed"
        found.append(Violation("outcomes", problem))
    recorded = [
        _check(outcome, f"outcomes[{i}]", rulebook, now, found) for i, outcome in enumerate(request.outcomes)
    ]
    if found:
        raise InvalidInput(found)
    return recorded


def _check(
    outcome: interaction_pb2.CapturedOutcome,
    field: str,
    rulebook: Rulebook,
    now: float,
    found: list[Violation],
) -> Recorded:
    if outcome.outcome == common_pb2.OUTCOME_UNSPECIFIED:
        found.append(Violation(f"{field}.outcome", "is required"))
    if outcome.direction == common_pb2.DIRECTION_UNSPECIFIED:
        found.append(Violation(f"{field}.direction", "is required"))
    if outcome.is_override and not outcome.override_reason:
        found.append(Violation(f"{field}.override_reason", "is required with is_override"))
    if len(outcome.idempotency_key.encode()) > MAX_KEY_BYTES:
        found.append(Violation(f"{field}.idempotency_key", f"is over {MAX_KEY_BYTES} bytes long"))
    found += [
        Violation(f"{field}.{name}", "is not a finite number")
        for name, amount in (("amount", outcome.amount), ("cost", outcome.cost))
        if not np.isfinite(amount)
    ]
    _check_decision_id(outcome.decision_id, field, found)
    if outcome.HasField("event_time"):
        _check_time(outcome.event_time, f"{field}.event_time", now, found)
    return _place(outcome, field, rulebook, found)


def _check_decision_id(decision_id: str, field: str, found: list[Violation]) -> None:
    if decision_id and (len(decision_id) != 32 or set(decision_id) - set("0123456789abcdef")):
        found.append(Violation(f"{field}.decision_id", f"`{decision_id[:40]}` is not a decision id"))


def _check_time(time: Timestamp, field: str, now: float, found: list[Violation]) -> None:
    try:
        moment = dt.datetime.fromtimestamp(seconds(time), dt.UTC)
    except (OverflowError, OSError, ValueError):
        found.append(Violation(field, "is not a time within years 1 and 9999"))
        return
    if seconds(time) > now + LATEST_AHEAD_S:
        found.append(Violation(field, f"`{moment.isoformat()}` is in the future"))


def _place(
    outcome: interaction_pb2.CapturedOutcome, field: str, rulebook: Rulebook, found: list[Violation]
) -> Recorded:
    """Which treatment it was, or which action in which channel and placement."""
    if outcome.treatment_id:
        index = _index(outcome.treatment_id, rulebook.treatment_index, f"{field}.treatment_id", found)
        if index >= 0:
            treatment = rulebook.treatments[index]
            if outcome.action and outcome.action != rulebook.actions[treatment.action].id:
                found.append(Violation(f"{field}.action", "is not the action of the treatment"))
            return Recorded(index, treatment.action, treatment.channel, treatment.placement, _key(outcome))
    elif not outcome.action:
        found.append(Violation(f"{field}.treatment_id", "either this or action is required"))
    else:
        action = _index(outcome.action, rulebook.action_index, f"{field}.action", found)
        channel = _index(outcome.channel, rulebook.channel_index, f"{field}.channel", found)
        placement = -1
        if outcome.placement:
            placement = _index(outcome.placement, rulebook.placement_index, f"{field}.placement", found)
        return Recorded(-1, action, channel, placement, _key(outcome))
    return Recorded(-1, -1, -1, -1, "")


def _index(name: str, index: Mapping[str, int], field: str, found: list[Violation]) -> int:
    if name in index:
        return index[name]
    found.append(Violation(field, f"`{name}` {unknown_name(name, index)}" if name else "is required"))
    return -1


def _key(outcome: interaction_pb2.CapturedOutcome) -> str:
    """The key given, or one made of what the outcome is about."""
    if outcome.idempotency_key:
        return outcome.idempotency_key
    about = [
        outcome.decision_id,
        outcome.treatment_id or f"{outcome.action}/{outcome.channel}/{outcome.placement}",
        str(outcome.outcome),
    ]
    if not outcome.decision_id:
        about.append(str(seconds(outcome.event_time)))
    digest = hashlib.blake2b("\0".join(about).encode(), digest_size=12)
    return f"made-{digest.hexdigest()}"


def _status(status: int) -> interaction_pb2.RecordStatus.ValueType:
    if status == AppendStatus.DUPLICATE:
        return interaction_pb2.RECORD_STATUS_DUPLICATE
    return interaction_pb2.RECORD_STATUS_RECORDED


def _kind(outcome: int) -> int:
    """An impression is the contact itself; everything else is what became of one."""
    return int(EntryKind.CONTACT if outcome == Outcome.PRESENTED else EntryKind.OUTCOME)


def _is_wanted(entry: np.void, request: interaction_pb2.GetHistoryRequest) -> bool:
    if request.kinds and int(entry["kind"]) not in request.kinds:
        return False
    if request.HasField("since") and float(entry["time"]) <= seconds(request.since):
        return False
    return not request.HasField("until") or float(entry["time"]) <= seconds(request.until)


def _shown(entry: np.void, names: NameRegistries) -> interaction_pb2.HistoryEntry:
    decision_id = bytes(entry["decision_id"]).ljust(16, b"\0")
    event = int(entry["kind"]) == EntryKind.EVENT
    message = interaction_pb2.HistoryEntry(
        event_time=timestamp(float(entry["time"])),
        kind=interaction_pb2.HistoryKind.ValueType(int(entry["kind"])),
        channel=_name(names, "channel", int(entry["channel"]), NO_NAME),
        direction=common_pb2.Direction.ValueType(0 if event else int(entry["direction"]) + 1),
        placement=_name(names, "placement", int(entry["placement"]), NO_NAME),
        outcome=common_pb2.Outcome.ValueType(int(entry["outcome"])),
        action=_name(names, "action", int(entry["action"]), NO_CODE),
        treatment_id=_name(names, "treatment", int(entry["treatment"]), NO_CODE),
        trigger=_name(names, "trigger", int(entry["trigger"]), NO_CODE),
        event_type=_name(names, "event", int(entry["event_kind"]), NO_CODE),
        decision_id=decision_id.hex() if any(decision_id) else "",
        idempotency_key=f"{int(entry['idempotency_key']):016x}",
        is_override=bool(int(entry["flags"]) & EntryFlag.OVERRIDE),
    )
    if not np.isnan(entry["amount"]):
        message.amount = float(entry["amount"])
    if not np.isnan(entry["cost"]):
        message.cost = float(entry["cost"])
    return message


def _name(names: NameRegistries, kind: str, code: int, nothing: int) -> str:
    return "" if code == nothing else names.known(kind).name(code)
