"""policies.yaml → channels, placements and the limits that hold for every action."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from nextbest.facts import Catalogue
from nextbest.rulebook.actions import EVIDENCE_WEIGHTS, Evidence
from nextbest.rulebook.compile.reading import Read
from nextbest.rulebook.compile.report import At, Report
from nextbest.rulebook.documents.policies import ChannelEntry, PoliciesFile, PolicyLimit
from nextbest.rulebook.rulebook import Channel, ChannelTables
from nextbest.rulebook.suggest import did_you_mean


@dataclass(frozen=True, slots=True)
class ChannelDefaults:
    """What is known of a channel by its name (domain model, section 8)."""

    inbound: float
    outbound: float
    weight: float
    location_bound: bool = False
    consent: tuple[str, ...] | None = None
    """None: by the channel's name and the action's purpose."""


DEFAULTS: Mapping[str, ChannelDefaults] = {
    "call_centre": ChannelDefaults(0.2, 0.6, 3.0),
    "pos": ChannelDefaults(0.3, 0.3, 0.0, consent=()),
    "web": ChannelDefaults(0.3, 0.5, 0.0, consent=()),
    "email": ChannelDefaults(0.5, 0.5, 1.0),
    "mail": ChannelDefaults(0.5, 0.5, 1.0),
    "sms": ChannelDefaults(0.6, 0.6, 2.0),
    "push": ChannelDefaults(0.7, 0.7, 1.5),
    "location": ChannelDefaults(0.8, 0.8, 2.0, location_bound=True),
}
"""Channels that need no thresholds of their own. A letter is weighed as an e-mail; what is shown at
the till or on our own pages is no contact that the company starts, and weighs nothing."""


@dataclass(frozen=True)
class Channels:
    """Channels, placements, and what follows from a channel's name in the files."""

    channels: tuple[Channel, ...]
    placements: tuple[str, ...]
    index: dict[str, int]
    placement_index: dict[str, int]
    entries: Mapping[str, ChannelEntry]
    evidence_weights: tuple[float, ...]
    limits: tuple[tuple[PolicyLimit, At], ...]
    product_sets: tuple[str, ...]
    """What offers may be about; empty where they name it freely."""
    survey_reward: float
    """Most that a question may be rewarded with, money; infinite = no limit."""
    known: tuple[str, ...]
    """Names that an action may use: those declared or, where none are, those with defaults."""

    def consent(self, channel: str, purpose: str, catalogue: Catalogue) -> tuple[str, ...] | None:
        """Consents that an outbound contact needs; None if nothing says which."""
        entry, defaults = self.entries[channel], DEFAULTS.get(channel)
        if entry.consent is not None:
            return tuple(entry.consent)
        if defaults is not None and defaults.consent is not None:
            return defaults.consent
        name = f"{channel}_{purpose}"
        known = "consent" in catalogue and name in catalogue["consent"].values
        return (name,) if known else None


def compile_channels(
    read: Read[PoliciesFile] | None, used: Iterable[str], catalogue: Catalogue, report: Report
) -> Channels:
    """Channels as declared or, where none are, those that treatments use and whose defaults are known.

    Args:
        read: policies.yaml, if there is one.
        used: treatment keys of all actions, `channel[/placement]`.
        catalogue: for the members of `consent`.
        report: receives the problems.
    """
    declared = read.document.channels if read else {}
    entries = declared or _entries_of(used)
    placements = tuple(dict.fromkeys(p for entry in entries.values() for p in entry.placements))
    if read and len(placements) > 64:
        report.error(read.at / "channels", "too-many", f"at most 64 placements, not {len(placements)}")
    if read:
        for name, entry in declared.items():
            _check_channel(name, entry, read.at / "channels" / name, catalogue, report)
    return Channels(
        channels=tuple(_channel(name, entry) for name, entry in entries.items()),
        placements=placements,
        index={name: i for i, name in enumerate(entries)},
        placement_index={name: i for i, name in enumerate(placements)},
        entries=entries,
        evidence_weights=_evidence_weights(read),
        limits=_limits(read),
        product_sets=tuple(read.document.product_sets) if read else (),
        survey_reward=_survey_reward(read),
        known=tuple(declared or DEFAULTS),
    )


def _survey_reward(read: Read[PoliciesFile] | None) -> float:
    most = read.document.survey_reward if read else None
    return math.inf if most is None else most


def channel_tables(channels: tuple[Channel, ...]) -> ChannelTables:
    """What the kernels read of the channels."""
    quiet = [c.quiet_hours or (np.nan, np.nan) for c in channels]
    thresholds = [(c.inbound_threshold, c.outbound_threshold) for c in channels]
    return ChannelTables(
        threshold=np.array(thresholds, np.float64).reshape(-1, 2),
        weight=np.array([(0.0, c.pressure_weight) for c in channels], np.float64).reshape(-1, 2),
        location_bound=np.array([c.location_bound for c in channels], np.uint8),
        quiet_from=np.array([start for start, _ in quiet], np.float64),
        quiet_until=np.array([end for _, end in quiet], np.float64),
    )


def _entries_of(used: Iterable[str]) -> dict[str, ChannelEntry]:
    placements: dict[str, dict[str, None]] = {}
    for key in used:
        channel, _, placement = key.partition("/")
        if channel in DEFAULTS:
            placements.setdefault(channel, {}).update({placement: None} if placement else {})
    return {name: ChannelEntry(placements=list(found)) for name, found in sorted(placements.items())}


def _channel(name: str, entry: ChannelEntry) -> Channel:
    defaults = DEFAULTS.get(name, ChannelDefaults(1.0, 1.0, 1.0))
    quiet = entry.quiet_hours
    return Channel(
        id=name,
        inbound_threshold=_given(entry.threshold.inbound, defaults.inbound),
        outbound_threshold=_given(entry.threshold.outbound, defaults.outbound),
        pressure_weight=_given(entry.pressure_weight, defaults.weight),
        quiet_hours=(quiet.start, quiet.end) if quiet else None,
        location_bound=defaults.location_bound if entry.location_bound is None else entry.location_bound,
        max_text_length=entry.max_text_length,
    )


def _given(value: float | None, default: float) -> float:
    return float(default if value is None else value)


def _check_channel(name: str, entry: ChannelEntry, at: At, catalogue: Catalogue, report: Report) -> None:
    if name not in DEFAULTS:
        threshold = entry.threshold
        if threshold.inbound is None or threshold.outbound is None or entry.pressure_weight is None:
            message = (
                f"channel `{name}` needs `threshold.inbound`, `threshold.outbound` and `pressure_weight`"
            )
            near = did_you_mean(name, DEFAULTS)
            hint = near if near.startswith("did") else "only well-known channels have defaults"
            report.key_error(at, "missing-key", message, hint)
    check_members(entry.consent or [], at / "consent", "consent", catalogue, report)
    for i, placement in enumerate(entry.placements):
        if placement in entry.placements[:i]:
            report.error(at / "placements" / i, "duplicate-id", f"placement `{placement}` is listed twice")


def check_members(names: Iterable[str], at: At, fact: str, catalogue: Catalogue, report: Report) -> int:
    """Bit set of members of a set fact; unknown ones are reported."""
    bits = 0
    known = catalogue[fact].values if fact in catalogue else ()
    for i, name in enumerate(names):
        if name in known:
            bits |= 1 << known.index(name)
        elif fact not in report.broken:
            hint = (
                did_you_mean(name, known)
                if known
                else f"list it in facts.yaml under `values: {{{fact}: [...]}}`"
            )
            report.error(
                at / i, f"unknown-{fact.replace('_', '-')}", f"`{fact}` has no member `{name}`", hint
            )
    return bits


def _evidence_weights(read: Read[PoliciesFile] | None) -> tuple[float, ...]:
    given = read.document.relevance if read else {}
    names = {
        kind.name.lower(): float(weight) for kind, weight in zip(Evidence, EVIDENCE_WEIGHTS, strict=True)
    }
    return tuple(
        (names | {str(k): float(v) for k, v in given.items()})[kind.name.lower()] for kind in Evidence
    )


def _limits(read: Read[PoliciesFile] | None) -> tuple[tuple[PolicyLimit, At], ...]:
    if read is None:
        return ()
    return tuple((limit, read.at / "limits" / i) for i, limit in enumerate(read.document.limits))
