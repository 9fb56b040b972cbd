"""One situation for many customers: what is asked of everybody in a run, checked against the rulebook."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nextbest.errors import InvalidInput, Violation
from nextbest.fact_values import UnfitValueError, number_of
from nextbest.facts import Fact, FactType
from nextbest.model import I32, Contexts, Direction, PurchasePhase, placements_asked
from nextbest.rulebook.rulebook import Rulebook
from nextbest.rulebook.suggest import did_you_mean


@dataclass(frozen=True, slots=True)
class Situation:
    """A request without its customer, as codes of one rulebook."""

    channel: int
    direction: Direction
    placements: tuple[int, ...]
    """Indices into the rulebook's placements, in order of preference; none = any."""
    phase: PurchasePhase
    role: int
    """Index into the rulebook's roles, -1 = none."""
    numbers: tuple[float, ...]
    """One a declared context key, NaN = unknown."""

    def contexts(self, n: int) -> Contexts:
        """The situation n times."""

        def same(code: int) -> I32:
            return np.full(n, code, np.int32)

        places = placements_asked([self.placements])
        return Contexts(
            channel=same(self.channel),
            direction=same(self.direction),
            placements=np.repeat(places.members, n),
            preference=np.repeat(places.order, n, axis=0),
            phase=same(self.phase),
            role=same(self.role),
            numbers=np.tile(np.array(self.numbers, np.float64), (n, 1)),
        )


def situation_of(
    rulebook: Rulebook,
    *,
    channel: str,
    outbound: bool = False,
    placements: Sequence[str] = (),
    role: str = "",
    phase: str = "unspecified",
    keys: Sequence[str] = (),
) -> Situation:
    """Check a situation that is given in words.

    Args:
        rulebook: whose names they are.
        channel: where the contact would be.
        outbound: whether the company starts it.
        placements: each can show one action; in order of preference; none = any.
        role: of the caller; empty = none.
        phase: of the purchase.
        keys: context keys as `name=value`.

    Raises:
        InvalidInput: with every name and value that is not known.
    """
    found: list[Violation] = []
    phases = {p.name.lower(): p.value for p in PurchasePhase}
    where = _index(rulebook.channel_index, channel, "channel", found)
    places = [_index(rulebook.placement_index, name, "placement", found) for name in placements]
    twice = sorted({name for i, name in enumerate(placements) if name in placements[:i]})
    found += [Violation("placement", f"`{name}` is given twice") for name in twice]
    made = Situation(
        channel=where,
        direction=Direction.OUTBOUND if outbound else Direction.INBOUND,
        placements=tuple(places),
        phase=PurchasePhase(max(_index(phases, phase, "phase", found), 0)),
        role=_index(rulebook.role_index, role, "role", found) if role else -1,
        numbers=_numbers(rulebook.context_facts, keys, found),
    )
    if found:
        raise InvalidInput(found)
    return made


def _index(codes: Mapping[str, int], name: str, noun: str, found: list[Violation]) -> int:
    """The code of a name; -1 and a violation if there is none."""
    if name not in codes:
        hint = did_you_mean(name, codes)
        found.append(Violation(noun, f"`{name}` is not in the rulebook" + (f": {hint}" * bool(hint))))
    return codes.get(name, -1)


def _numbers(declared: Sequence[Fact], keys: Sequence[str], found: list[Violation]) -> tuple[float, ...]:
    known = {fact.name: i for i, fact in enumerate(declared)}
    numbers, given = [np.nan] * len(declared), set[str]()
    for text in keys:
        name, _, value = text.partition("=")
        place = _index(known, name, "key", found)
        if name in given:
            found.append(Violation(name, "is given twice"))
        elif place >= 0:
            numbers[place] = _number(declared[place], value, found)
        given.add(name)
    return tuple(numbers)


def _number(fact: Fact, text: str, found: list[Violation]) -> float:
    try:
        match fact.type:
            case FactType.BOOL if text in ("true", "false"):
                return float(text == "true")
            case FactType.ENUM:
                return number_of(fact, text)
            case FactType.TIMESTAMP:
                time = dt.datetime.fromisoformat(text)
                return (time if time.tzinfo else time.replace(tzinfo=dt.UTC)).timestamp()
            case FactType.INT:
                return number_of(fact, int(text))
            case _:
                return number_of(fact, float(text))
    except UnfitValueError as unfit:
        found.append(Violation(fact.name, str(unfit)))
    except ValueError:
        found.append(Violation(fact.name, f"`{text}` is not a {fact.type.value}"))
    return np.nan
