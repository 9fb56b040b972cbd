"""Captured outcomes of the contract → entries of a customer's history; everything wrong is said at once."""

import datetime as dt
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loyalty.nextbest.v1 import common_pb2, interaction_pb2
from nextbest.data.keys import id_violations
from nextbest.data.lessons import Lesson
from nextbest.data.registry import NameRegistries
from nextbest.errors import InvalidInput, Violation
from nextbest.model import DesiredAction, EntryFlag, EntryKind, Outcome
from nextbest.rings import new_entries
from nextbest.rulebook.rulebook import Rulebook
from nextbest.server.outcome_notes import check_notes
from nextbest.server.requests import is_time, named, required, seconds
from nextbest.server.responses import DO_NOTHING

MAX_OUTCOMES = 100
MAX_KEY_BYTES = 64
LATEST_AHEAD_S = 300.0
"""An outcome may be this far ahead of our clock, because clocks differ."""
MAX_MONEY = 1e12
"""Most money that an outcome may be about, in the rulebook's currency."""
DECISION_ID_DIGITS = 32

_OUTCOMES = frozenset(common_pb2.Outcome.values())
_DIRECTIONS = frozenset(common_pb2.Direction.values())


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one checked outcome is about, by name; empty = none."""

    action: str
    channel: str
    placement: str
    treatment: str
    key: str
    """Idempotency key, as given or as made."""


_NOTHING = Recorded("", "", "", "", "")


def check_outcomes(
    request: interaction_pb2.CaptureOutcomesRequest, rulebook: Rulebook, names: NameRegistries, now: float
) -> list[Recorded]:
    """Check outcomes against the rulebook, and against names of rulebooks that were in use before.

    What was decided yesterday may be captured today, whatever marketing has published in between.

    Raises:
        InvalidInput: with every violation of every outcome.
    """
    found = id_violations(request.customer_id)
    if not 1 <= len(request.outcomes) <= MAX_OUTCOMES:
        problem = f"{len(request.outcomes)} are given, 1 to {MAX_OUTCOMES} are allowed"
        raise InvalidInput([*found, Violation("outcomes", problem)])
    known = _Names(rulebook, names)
    recorded = [
        _check(outcome, f"outcomes[{i}]", known, now, found) for i, outcome in enumerate(request.outcomes)
    ]
    if found:
        raise InvalidInput(found)
    return recorded


def _check(
    outcome: interaction_pb2.CapturedOutcome,
    field: str,
    known: "_Names",
    now: float,
    found: list[Violation],
) -> Recorded:
    required(outcome.outcome, _OUTCOMES, f"{field}.outcome", found)
    required(outcome.direction, _DIRECTIONS, f"{field}.direction", found)
    check_notes(outcome, field, known.rulebook.strategy.reason_codes, found)
    _check_money(outcome, field, found)
    _check_identity(outcome, field, found)
    if outcome.HasField("event_time"):
        _check_time(seconds(outcome.event_time), f"{field}.event_time", now, found)
    recorded = _place(outcome, field, known, found)
    if _closes_repair(outcome, recorded, known.rulebook) and not outcome.reason_code:
        problem = "is required when a repair has solved the problem, so that something is learnt from it"
        found.append(Violation(f"{field}.reason_code", problem))
    return recorded


def _closes_repair(outcome: interaction_pb2.CapturedOutcome, recorded: Recorded, rulebook: Rulebook) -> bool:
    action = rulebook.action_index.get(recorded.action)
    if action is None or outcome.outcome != Outcome.PROBLEM_SOLVED:
        return False
    return rulebook.actions[action].desired_action == DesiredAction.REPAIR


def _check_money(outcome: interaction_pb2.CapturedOutcome, field: str, found: list[Violation]) -> None:
    """Sums over a history must not overflow, and a cost below nothing would make an action pay for itself."""
    for name, amount, least in (("amount", outcome.amount, -MAX_MONEY), ("cost", outcome.cost, 0.0)):
        if not math.isfinite(amount):
            found.append(Violation(f"{field}.{name}", "is not a finite number"))
        elif not least <= amount <= MAX_MONEY:
            found.append(
                Violation(f"{field}.{name}", f"`{amount:g}` is not within {least:g} and {MAX_MONEY:g}")
            )


def _check_identity(outcome: interaction_pb2.CapturedOutcome, field: str, found: list[Violation]) -> None:
    """Decision id and idempotency key; without either, or a time, a retry could not be told from news."""
    decision_id, key = outcome.decision_id, outcome.idempotency_key
    if decision_id and (len(decision_id) != DECISION_ID_DIGITS or set(decision_id) - set("0123456789abcdef")):
        found.append(Violation(f"{field}.decision_id", f"`{decision_id[:40]}` is not a decision id"))
    if len(key.encode()) > MAX_KEY_BYTES:
        found.append(Violation(f"{field}.idempotency_key", f"is over {MAX_KEY_BYTES} bytes long"))
    if not (key or decision_id or outcome.HasField("event_time")):
        found.append(
            Violation(f"{field}.idempotency_key", "is required without a decision_id or an event_time")
        )


def _check_time(time: float, field: str, now: float, found: list[Violation]) -> None:
    if not is_time(time):
        found.append(Violation(field, f"`{time:.15g}` is not a time within years 1 and 9999"))
    elif time > now + LATEST_AHEAD_S:
        moment = dt.datetime.fromtimestamp(time, dt.UTC)
        found.append(Violation(field, f"`{moment.isoformat()}` is in the future"))


@dataclass(frozen=True, slots=True)
class _Names:
    """Names of the rulebook, and of all that were ever registered."""

    rulebook: Rulebook
    registered: NameRegistries

    def check(self, kind: str, name: str, field: str, found: list[Violation]) -> bool:
        """Whether there is such a name; else a violation says so."""
        if name in self.registered.known(kind).codes:
            return True
        indices: Mapping[str, Mapping[str, int]] = {
            "action": self.rulebook.action_index,
            "channel": self.rulebook.channel_index,
            "placement": self.rulebook.placement_index,
            "treatment": self.rulebook.treatment_index,
        }
        return named(name, indices[kind], field, found) >= 0


def _place(
    outcome: interaction_pb2.CapturedOutcome, field: str, known: _Names, found: list[Violation]
) -> Recorded:
    """Which treatment it was, or which action in which channel and placement."""
    if outcome.treatment_id:
        return _treatment(outcome, field, known, found)
    if not outcome.action:
        found.append(Violation(f"{field}.treatment_id", "is required without an action"))
        return _NOTHING
    if outcome.action != DO_NOTHING:
        known.check("action", outcome.action, f"{field}.action", found)
    known.check("channel", outcome.channel, f"{field}.channel", found)
    if outcome.placement:
        known.check("placement", outcome.placement, f"{field}.placement", found)
    return Recorded(outcome.action, outcome.channel, outcome.placement, "", _key(outcome))


def _treatment(
    outcome: interaction_pb2.CapturedOutcome, field: str, known: _Names, found: list[Violation]
) -> Recorded:
    if not known.check("treatment", outcome.treatment_id, f"{field}.treatment_id", found):
        return _NOTHING
    action, channel, placement = (*outcome.treatment_id.split("/"), "", "")[:3]
    if not placement and outcome.placement:  # a treatment without one is shown wherever there is room
        known.check("placement", outcome.placement, f"{field}.placement", found)
        placement = outcome.placement
    recorded = Recorded(action, channel, placement, outcome.treatment_id, _key(outcome))
    for name, given, own in (
        ("action", outcome.action, recorded.action),
        ("channel", outcome.channel, recorded.channel),
        ("placement", outcome.placement, recorded.placement),
    ):
        if given not in ("", own):
            found.append(Violation(f"{field}.{name}", f"`{given}` is not that of the treatment, `{own}`"))
    return recorded


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


def key_hash(key: str) -> int:
    """The 64 bits under which an idempotency key is stored; never 0, which means none."""
    digest = hashlib.blake2b(key.encode(), digest_size=8, person=b"nextbest-idem").digest()
    return int.from_bytes(digest, "little") or 1


async def history_entries(
    outcomes: Sequence[interaction_pb2.CapturedOutcome],
    recorded: Sequence[Recorded],
    rulebook: Rulebook,
    names: NameRegistries,
    now: float,
) -> npt.NDArray[np.void]:
    """Checked outcomes as history entries with registry codes.

    Raises:
        StoreUnavailable: a name is new to the registry and Redis does not answer.
    """
    entries = new_entries(len(recorded))
    for entry, outcome, one in zip(entries, outcomes, recorded, strict=True):
        entry["time"] = seconds(outcome.event_time) if outcome.HasField("event_time") else now
        entry["kind"] = _kind(outcome.outcome, one)
        entry["direction"] = outcome.direction - 1
        entry["outcome"] = outcome.outcome
        entry["flags"] = EntryFlag.OVERRIDE if outcome.is_override else 0
        entry["amount"] = outcome.amount if outcome.HasField("amount") else np.nan
        entry["cost"] = outcome.cost if outcome.HasField("cost") else _cost(outcome.outcome, rulebook, one)
        entry["decision_id"] = bytes.fromhex(outcome.decision_id).ljust(16, b"\0")
        entry["idempotency_key"] = key_hash(one.key)
    await _fill_codes(entries, recorded, names)
    return entries


async def _fill_codes(
    entries: npt.NDArray[np.void], recorded: Sequence[Recorded], names: NameRegistries
) -> None:
    for kind, given in (
        ("action", [r.action for r in recorded]),
        ("channel", [r.channel for r in recorded]),
        ("placement", [r.placement for r in recorded]),
        ("treatment", [r.treatment for r in recorded]),
    ):
        codes = await names.codes(kind, filter(None, given))
        for entry, name in zip(entries, given, strict=True):
            if name:
                entry[kind] = codes[name]


def _kind(outcome: int, recorded: Recorded) -> int:
    """An impression is the contact itself; everything else is what became of one."""
    presented = outcome == Outcome.PRESENTED and recorded.action != DO_NOTHING
    return int(EntryKind.CONTACT if presented else EntryKind.OUTCOME)


def _cost(outcome: int, rulebook: Rulebook, recorded: Recorded) -> float:
    """What the rulebook says it cost: the contact as it is made, the rest when it is accepted."""
    tables, action = rulebook.action_tables, rulebook.action_index.get(recorded.action)
    if action is not None and outcome == Outcome.PRESENTED:
        return float(tables.contact_cost[action])
    if action is not None and outcome == Outcome.ACCEPTED:
        return float(tables.accepted_cost[action])
    return 0.0


def lessons_of(
    outcomes: Sequence[interaction_pb2.CapturedOutcome],
    recorded: Sequence[Recorded],
    entries: npt.NDArray[np.void],
) -> list[Lesson | None]:
    """What is counted of each outcome, if it is new; None = it has no reason code."""
    return [
        Lesson.of(
            float(entry["time"]), outcome.reason_code, one.action, Outcome(outcome.outcome).name.lower()
        )
        if outcome.reason_code
        else None
        for outcome, one, entry in zip(outcomes, recorded, entries, strict=True)
    ]
