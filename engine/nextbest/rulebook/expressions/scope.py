"""The names an expression may use, and where each is stored."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from nextbest.facts import BitPlace, Catalogue, Fact, FactType, Figure, figure_fact
from nextbest.model import Direction, EntryKind, Outcome, PurchasePhase
from nextbest.rulebook.expressions.types import BOOL, TIMESTAMP, Kind, Type, enum_type, fact_type
from nextbest.rulebook.program import EntryField, Source


@dataclass(frozen=True, slots=True)
class NumberPlace:
    """A column of one of the number matrices."""

    source: Source
    column: int


@dataclass(frozen=True, slots=True)
class TriggerPlace:
    """A trigger's output, false while it is in its cool-down."""

    index: int


PLACEMENTS = BitPlace(-1, 0, -1, 0)
"""The request's placements: a word of their own, UNKNOWN when the request names none."""

Place: TypeAlias = NumberPlace | BitPlace | TriggerPlace


@dataclass(frozen=True, slots=True)
class Symbol:
    """A resolved name."""

    name: str
    """As written, such as `customer.nps_relation`."""
    type: Type
    place: Place
    unit: str = ""


NOW = Symbol("now", TIMESTAMP, NumberPlace(Source.NOW, 0))
"""The time of the decision; only functions such as `days_since` read it."""

_BUILT_IN_CONTEXT = {
    "channel": Source.CHANNEL,
    "direction": Source.DIRECTION,
    "phase": Source.PHASE,
    "role": Source.ROLE,
}
ROOTS = ("customer", "context", "trigger")
"""What a name starts with."""


def _words(members: Iterable[str]) -> tuple[str, ...]:
    return tuple(member.lower() for member in members)


@dataclass(frozen=True)
class Scope:
    """What the names of a rulebook mean.

    `context.channel`, `context.direction`, `context.phase` and `context.role` are enums that every
    request carries; `context.placement` is the set of placements it asks for. Declared context keys
    may not have these names, nor may a fact have a figure's name.
    """

    catalogue: Catalogue
    context_facts: tuple[Fact, ...] = ()
    """Declared `context.<key>`, columns of `Contexts.numbers` in this order; no sets."""
    triggers: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    placements: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    treatments: tuple[str, ...] = ()
    event_kinds: tuple[str, ...] = ()
    """Names a window may filter history by, as are the lists above; in code order."""
    peer_set: str = "owned_categories"
    """The set fact whose members `peers_have` asks about."""

    @cached_property
    def customer(self) -> Mapping[str, Symbol]:
        """Facts of the catalogue and computed figures by name."""
        facts = {fact.name: self._fact(fact) for fact in self.catalogue.facts}
        figures = {
            figure.name.lower(): _symbol("customer", figure_fact(figure), Source.FIGURE, figure)
            for figure in Figure
        }
        return facts | figures

    def _fact(self, fact: Fact) -> Symbol:
        if fact.type in (FactType.BOOL, FactType.SET):
            name = f"customer.{fact.name}"
            return Symbol(name, fact_type(fact), self.catalogue.bits[fact.name], fact.unit)
        return _symbol("customer", fact, Source.FACT, self.catalogue.column(fact.name))

    @cached_property
    def context(self) -> Mapping[str, Symbol]:
        """Declared context keys and the built-in ones by name."""
        declared = {
            fact.name: _symbol("context", fact, Source.CONTEXT, column)
            for column, fact in enumerate(self.context_facts)
        }
        lists = (self.channels, _words(Direction.__members__), _words(PurchasePhase.__members__), self.roles)
        built_in = {
            name: Symbol(f"context.{name}", enum_type(values), NumberPlace(source, 0))
            for (name, source), values in zip(_BUILT_IN_CONTEXT.items(), lists, strict=True)
        }
        placement = Symbol("context.placement", Type(Kind.SET, self.placements), PLACEMENTS)
        return declared | built_in | {"placement": placement}

    @cached_property
    def trigger(self) -> Mapping[str, Symbol]:
        """Triggers by id."""
        return {
            name: Symbol(f"trigger.{name}", BOOL, TriggerPlace(index))
            for index, name in enumerate(self.triggers)
        }

    def members(self, root: str) -> Mapping[str, Symbol]:
        """What may follow `customer.`, `context.` or `trigger.`."""
        if root == "customer":
            return self.customer
        return self.context if root == "context" else self.trigger

    @cached_property
    def entry_fields(self) -> Mapping[str, tuple[EntryField, tuple[str, ...]]]:
        """What a window may filter on: `entry.<name>`, with the names of its codes.

        The code is the position in the list, except for kinds, which start at 1.
        """
        return {
            "kind": (EntryField.KIND, ("", *_words(EntryKind.__members__))),
            "channel": (EntryField.CHANNEL, self.channels),
            "direction": (EntryField.DIRECTION, _words(Direction.__members__)),
            "placement": (EntryField.PLACEMENT, self.placements),
            "outcome": (EntryField.OUTCOME, _words(Outcome.__members__)),
            "action": (EntryField.ACTION, self.actions),
            "treatment": (EntryField.TREATMENT, self.treatments),
            "trigger": (EntryField.TRIGGER, self.triggers),
            "event": (EntryField.EVENT_KIND, self.event_kinds),
        }


def _symbol(root: str, fact: Fact, source: Source, column: int) -> Symbol:
    return Symbol(f"{root}.{fact.name}", fact_type(fact), NumberPlace(source, int(column)), fact.unit)
