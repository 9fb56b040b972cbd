"""What is said about an outcome beside its figures: kept under its key, erased with the customer."""

import json
from collections.abc import Mapping, Sequence
from typing import cast

from loyalty.nextbest.v1 import interaction_pb2
from nextbest.errors import Violation
from nextbest.rulebook.suggest import did_you_mean

MAX_BYTES: Mapping[str, int] = {"override_reason": 500, "comment": 2000}
FIELDS = ("override_reason", "comment", "reason_code")


def check_notes(
    outcome: interaction_pb2.CapturedOutcome, field: str, codes: Sequence[str], found: list[Violation]
) -> None:
    """Note what is wrong with the texts of an outcome.

    Args:
        outcome: as captured.
        field: its path.
        codes: the rulebook's reason codes. Free text may name somebody and goes with the customer; what is
            counted by code stays, so nothing else is taken as one.
        found: violations are added to it.
    """
    texts = {"override_reason": outcome.override_reason, "comment": outcome.comment}
    for name, text in texts.items():
        size = len(text.encode())
        if size > MAX_BYTES[name]:
            problem = f"is {size} bytes long, at most {MAX_BYTES[name]} are allowed"
            found.append(Violation(f"{field}.{name}", problem))
    if outcome.reason_code and outcome.reason_code not in codes:
        hint = did_you_mean(outcome.reason_code[:64], codes)
        problem = "is not a reason code of the rulebook" + (f"; {hint}" if hint else "")
        found.append(Violation(f"{field}.reason_code", f"`{outcome.reason_code[:64]}` {problem}"))
    if outcome.is_override and not outcome.override_reason:
        found.append(Violation(f"{field}.override_reason", "is required with is_override"))


def note_of(outcome: interaction_pb2.CapturedOutcome) -> bytes:
    """The texts of an outcome to keep; empty if there are none."""
    texts = (outcome.override_reason, outcome.comment, outcome.reason_code)
    said = {name: text for name, text in zip(FIELDS, texts, strict=True) if text}
    return json.dumps(said, ensure_ascii=False).encode() if said else b""


def show_note(entry: interaction_pb2.HistoryEntry, note: bytes) -> None:
    """Fill the texts of a history entry; what cannot be read is left out."""
    try:
        said = cast("Mapping[str, object]", json.loads(note))
        texts = [said.get(name, "") for name in FIELDS]
    except (ValueError, AttributeError):
        return
    entry.override_reason, entry.comment, entry.reason_code = (str(text) for text in texts)
