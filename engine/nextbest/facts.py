"""The fact catalogue: which facts a customer snapshot holds, and where each lies in a row."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from functools import cached_property

from nextbest.errors import CatalogueError

ROW_FORMAT = 1
"""Version of the row's bytes; part of every fingerprint."""
HEADER_WORDS = 3
"""Eight-byte words before the facts: fingerprint, as_of, check of the customer id."""
MAX_SET_MEMBERS = 64
"""A set lies in one word, so that membership is one bit test."""


class FactType(StrEnum):
    """What a fact can be. Enums and timestamps are stored as numbers."""

    INT = "int"
    DOUBLE = "double"
    BOOL = "bool"
    ENUM = "enum"
    SET = "set"
    TIMESTAMP = "timestamp"


class FactGroup(StrEnum):
    """The boxes of the model's data basis; every fact is in one."""

    MASTER = "master"
    PROFILE = "profile"
    TRANSACTION = "transaction"
    RELATION = "relation"
    WEB = "web"
    SERVICE = "service"
    INFORMATION = "information"
    COMMUNICATION = "communication"
    DISTRIBUTION = "distribution"
    SATISFACTION = "satisfaction"
    EXTERNAL_SOCIAL = "external_social"
    EXTERNAL_REGISTRY = "external_registry"
    EXTERNAL_GEO = "external_geo"
    EXTERNAL_PARTNER = "external_partner"
    SERVICE_LEVEL = "service_level"


class FactSource(StrEnum):
    """Who a fact comes from: the customer said it, the company measured it, a third party sold it."""

    CUSTOMER = "customer"
    COMPANY = "company"
    THIRD_PARTY = "third_party"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One named property of a customer."""

    name: str
    type: FactType
    group: FactGroup
    source: FactSource = FactSource.COMPANY
    unit: str = ""
    """Unit of a number: `money`, `share`, `days`, `weeks`, `count`, `score`, `minutes` or empty."""
    values: tuple[str, ...] = ()
    """Members of an enum or a set, in code order; append-only."""
    observed_at: str = ""
    """Name of the companion fact that holds when this one was observed; empty if there is none."""
    minimum: float | None = None
    maximum: float | None = None
    maximum_because: str = ""
    """Where the bound comes from and what to do about it, if not from the fact itself."""
    quality_weight: float = 0.0
    """Weight in the data-quality score; 0 = not a required fact."""
    fresh_days: float | None = None
    """Age after which a required fact no longer counts as known; None = never stale."""
    description: str = ""


@dataclass(frozen=True, slots=True)
class BitPlace:
    """Where a bool or a set lies: a value mask in one word, and its known bit in another."""

    word: int
    """Index into the row's value words."""
    shift: int
    """Lowest bit of the value in that word; 0 for a set."""
    known_word: int
    """Index into the row's known words."""
    known_bit: int


@dataclass(frozen=True)
class Catalogue:
    """An ordered, append-only list of facts and the row layout that follows from it.

    A row is `HEADER_WORDS` words, then one float64 a number, then value words (all bools packed,
    then one word a set), then known words (one bit a bool or set), all little-endian.
    """

    facts: tuple[Fact, ...]
    _by_name: Mapping[str, Fact] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        problems = list(_problems(self.facts))
        if problems:
            raise CatalogueError(problems)
        object.__setattr__(self, "_by_name", {fact.name: fact for fact in self.facts})

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Fact:
        return self._by_name[name]

    @cached_property
    def columns(self) -> Mapping[str, int]:
        """Column of every number, enum and timestamp in the row's float64 part."""
        stored = (f.name for f in self.facts if f.type not in (FactType.BOOL, FactType.SET))
        return {name: column for column, name in enumerate(stored)}

    @cached_property
    def bits(self) -> Mapping[str, BitPlace]:
        """Place of every bool and set in the row's word part."""
        bools = [f.name for f in self.facts if f.type is FactType.BOOL]
        sets = [f.name for f in self.facts if f.type is FactType.SET]
        first_set_word = -(-len(bools) // 64)
        places = {name: (i // 64, i % 64) for i, name in enumerate(bools)}
        places |= {name: (first_set_word + i, 0) for i, name in enumerate(sets)}
        order = [f.name for f in self.facts if f.name in places]
        return {name: BitPlace(*places[name], i // 64, i % 64) for i, name in enumerate(order)}

    @property
    def n_numbers(self) -> int:
        """Count of float64 columns."""
        return len(self.columns)

    @cached_property
    def n_words(self) -> int:
        """Count of value words."""
        return 1 + max((place.word for place in self.bits.values()), default=-1)

    @property
    def n_known_words(self) -> int:
        """Count of known words."""
        return -(-len(self.bits) // 64)

    @property
    def row_words(self) -> int:
        """Length of a row in eight-byte words, header included."""
        return HEADER_WORDS + self.n_numbers + self.n_words + self.n_known_words

    @property
    def row_bytes(self) -> int:
        """Length of a row in bytes, header included."""
        return 8 * self.row_words

    @cached_property
    def fingerprint(self) -> int:
        """Identity of the layout: 64 bits of a hash over format, names, types and members."""
        layout = [[f.name, f.type.value, list(f.values)] for f in self.facts]
        text = json.dumps([ROW_FORMAT, layout], ensure_ascii=False, separators=(",", ":"))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")

    def column(self, name: str) -> int:
        """Column of a number, or -1 when the catalogue has no such number.

        Kernels read column -1 as missing, so a rulebook need not carry facts it has no use for.
        """
        return self.columns.get(name, -1)

    def code(self, name: str, value: str) -> int:
        """Code of an enum's or set's member, or -1 when it has no such member."""
        values = self[name].values
        return values.index(value) if value in values else -1

    def extension_problems(self, older: "Catalogue") -> list[str]:
        """Say what keeps this catalogue from reading rows written under `older`."""
        return [problem for fact in older.facts for problem in self._changes(fact)]

    def _changes(self, old: Fact) -> Iterable[str]:
        new = self._by_name.get(old.name)
        if new is None:
            yield (
                f"fact `{old.name}` was removed: a catalogue is append-only, because stored rows hold it; put"
                " it back in facts.yaml, and name it under `retired` if nothing fills it any more"
            )
        elif new.type is not old.type:
            yield (
                f"fact `{old.name}` changed from {old.type} to {new.type}: a catalogue is append-only; make"
                f" it {old.type} again, and declare the {new.type} as a fact of another name"
            )
        elif new.values[: len(old.values)] != old.values:
            yield (
                f"fact `{old.name}` must keep its values {list(old.values)} in this order, because stored"
                " rows hold their places; put new ones after them"
            )

    def to_json(self) -> str:
        """The layout as JSON, as stored under its fingerprint."""
        facts = [{"name": f.name, "type": f.type, "group": f.group, "values": f.values} for f in self.facts]
        return json.dumps({"row_format": ROW_FORMAT, "facts": facts}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Catalogue":
        """Read what `to_json` wrote.

        Raises:
            CatalogueError: the text is of another row format, or inconsistent.
        """
        document = json.loads(text)
        if document["row_format"] != ROW_FORMAT:
            raise CatalogueError([f"row format {document['row_format']} is not {ROW_FORMAT}"])
        return cls(
            tuple(
                Fact(
                    name=f["name"],
                    type=FactType(f["type"]),
                    group=FactGroup(f["group"]),
                    values=tuple(f["values"]),
                )
                for f in document["facts"]
            )
        )


def _problems(facts: Iterable[Fact]) -> Iterable[str]:
    seen: set[str] = set()
    for fact in facts:
        if fact.name in seen:
            yield f"fact `{fact.name}` is declared twice"
        seen.add(fact.name)
        if len(set(fact.values)) != len(fact.values):
            yield f"fact `{fact.name}` names a value twice"
        if fact.type is FactType.SET and len(fact.values) > MAX_SET_MEMBERS:
            yield f"set `{fact.name}` has {len(fact.values)} members, at most {MAX_SET_MEMBERS} fit"
        if fact.values and fact.type not in (FactType.ENUM, FactType.SET):
            yield f"fact `{fact.name}` is a {fact.type} and cannot list values"


class Figure(IntEnum):
    """Figures computed for every decision; columns of the figures matrix, NaN = missing.

    In expressions they are `customer.<name in lower case>`. Booleans are 0 or 1.
    """

    STAGE = 0
    LEVEL = 1
    LOYALTY_INDEX = 2
    ALIVE = 3
    LTV = 4
    MULTIPLIER = 5
    ACTUAL_VALUE = 6
    ACTUAL_PROFIT = 7
    POTENTIAL_VALUE = 8
    POTENTIAL_PROFIT = 9
    VALUE_GAP = 10
    PROFIT_GAP = 11
    VALUE_REACHED = 12
    PROFIT_REACHED = 13
    FALSE_LOYALTY = 14
    ACTION_LOYAL = 15
    DATA_QUALITY = 16
    INVESTMENT_CEILING = 17
    COST_TO_SERVE = 18
    VALUE_FOR_MONEY = 19
    OVERDUE_SURVIVAL = 20
    DAYS_SINCE_PURCHASE = 21
    TENURE_DAYS = 22
    SNAPSHOT_AGE_DAYS = 23
    PEER_CELL_SIZE = 24
    LTV_WITH_REFERRALS = 25
    LTV_BACK = 26
    EV_WIN_BACK = 27
    EV_DAMAGE_CONTROL = 28
    FORGIVE_MODE = 29
    FORGIVE_CAUSE = 30
    PRICE_PREMIUM = 31
    """Part of `LTV`; NaN where the strategy assumes none."""


STAGE_NAMES = ("know_me", "hear_me", "grow_me", "forgive_me")
"""Stages in code order."""

FORGIVE_MODES = ("win_back", "damage_control", "apology")
"""What is done in Forgive me, in code order."""

FORGIVE_CAUSES = ("open_complaint", "detractor", "contract_cancelled", "lapsed", "ladder_bottom")
"""Reason codes of Forgive me, in code order: what decided for it now."""

FIGURE_VALUES: Mapping[Figure, tuple[str, ...]] = {
    Figure.STAGE: STAGE_NAMES,
    Figure.FORGIVE_MODE: FORGIVE_MODES,
    Figure.FORGIVE_CAUSE: FORGIVE_CAUSES,
}
"""Members of the figures that are enums, in code order."""

FIGURE_TYPES: Mapping[Figure, FactType] = {
    **dict.fromkeys(FIGURE_VALUES, FactType.ENUM),
    Figure.LEVEL: FactType.INT,
    Figure.VALUE_REACHED: FactType.BOOL,
    Figure.PROFIT_REACHED: FactType.BOOL,
    Figure.FALSE_LOYALTY: FactType.BOOL,
    Figure.ACTION_LOYAL: FactType.BOOL,
    Figure.PEER_CELL_SIZE: FactType.INT,
}
"""Types of the figures that are not doubles."""

FIGURE_UNITS: Mapping[Figure, str] = {
    Figure.LOYALTY_INDEX: "score",
    Figure.ALIVE: "share",
    Figure.LTV: "money",
    Figure.ACTUAL_VALUE: "money",
    Figure.ACTUAL_PROFIT: "money",
    Figure.POTENTIAL_VALUE: "money",
    Figure.POTENTIAL_PROFIT: "money",
    Figure.VALUE_GAP: "money",
    Figure.PROFIT_GAP: "money",
    Figure.DATA_QUALITY: "share",
    Figure.INVESTMENT_CEILING: "money",
    Figure.COST_TO_SERVE: "money",
    Figure.OVERDUE_SURVIVAL: "share",
    Figure.DAYS_SINCE_PURCHASE: "days",
    Figure.TENURE_DAYS: "days",
    Figure.SNAPSHOT_AGE_DAYS: "days",
    Figure.PEER_CELL_SIZE: "count",
    Figure.LTV_WITH_REFERRALS: "money",
    Figure.LTV_BACK: "money",
    Figure.EV_WIN_BACK: "money",
    Figure.EV_DAMAGE_CONTROL: "money",
    Figure.PRICE_PREMIUM: "money",
}
"""Units of the figures that have one; others are plain numbers."""


def figure_fact(figure: Figure) -> Fact:
    """The figure as a fact, for the expression checker and for documentation."""
    return Fact(
        name=figure.name.lower(),
        type=FIGURE_TYPES.get(figure, FactType.DOUBLE),
        group=FactGroup.RELATION,
        unit=FIGURE_UNITS.get(figure, ""),
        values=FIGURE_VALUES.get(figure, ()),
    )
