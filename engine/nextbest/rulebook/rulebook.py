"""The compiled rulebook: immutable, all numbers in arrays, all words in tuples."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from nextbest.facts import Catalogue, Fact
from nextbest.model import F64, U8
from nextbest.rulebook.actions import Action, ActionTables, Treatment
from nextbest.rulebook.patterns import Pattern
from nextbest.rulebook.periods import Period
from nextbest.rulebook.program import Program
from nextbest.rulebook.strategy import Strategy, ValueModel
from nextbest.rulebook.texts import Texts
from nextbest.rulebook.watching import Series, Watch


@dataclass(frozen=True, slots=True)
class Channel:
    """A way to reach the customer."""

    id: str
    inbound_threshold: float
    """Least relevance when the customer starts the contact."""
    outbound_threshold: float
    """Least relevance when the company does."""
    pressure_weight: float
    """w_ch of an outbound contact; an inbound one weighs 0."""
    quiet_hours: tuple[float, float] | None
    """Local hours (from, until) without outbound contact; may wrap midnight."""
    location_bound: bool
    """A location push: at most one in 7 days."""
    max_text_length: int | None


@dataclass(frozen=True, slots=True)
class Role:
    """Who asks on the customer's behalf, and how far they may go."""

    id: str
    authority: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A named predicate over customers; segments may overlap."""

    id: str
    condition: int
    """Index of a condition output of the program."""
    source: str = ""
    """The expression as written, for explanations; empty for one that no row of a table gives."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """An event in a customer's behaviour that calls for an action."""

    id: str
    kind: str
    """`snapshot`, `detector`, `pattern` or `change`."""
    condition: int
    """Index of a condition output of the program."""
    cool_down_days: float
    """After a contact caused by the trigger it does not fire again for so long; 0 = at once."""
    source: str
    """The expression as written, for explanations."""
    fired_at: str = ""
    """Fact that says when it fired last; empty for a snapshot trigger."""
    pattern: str = ""
    """Event pattern that fires it; empty if none does."""
    detects: str = ""
    """Change of behaviour that fires it, such as `drop`; empty if it is no detector."""
    series: str = ""
    """Id of the series in which it is found; empty if it is in none."""
    watch: Watch | None = None
    """Change from one snapshot to the next that fires it; None if none does."""
    evidence: Mapping[str, str] = field(default_factory=dict[str, str])
    """Kind of evidence, such as `observed` or `z`, to the fact that holds it."""
    text: Texts = field(default_factory=dict[str, str])
    """The trigger in words, for staff; may quote facts and figures."""


@dataclass(frozen=True, slots=True)
class ChannelTables:
    """What kernels read of C channels, each (C,) or (C, 2) by `Direction`."""

    threshold: F64
    """(C, 2) least relevance inbound, outbound."""
    weight: F64
    """(C, 2) contact weight w_ch; inbound 0."""
    location_bound: U8
    quiet_from: F64
    """(C,) local hour, NaN = no quiet hours."""
    quiet_until: F64


@dataclass(frozen=True, slots=True)
class StageModel:
    """Index, ladder and stage thresholds (domain model, section 6), as written in stages.yaml."""

    numbers: Mapping[str, float]
    """Every threshold by name, in the order of `behaviour.index.STAGE_PARAMETERS`."""
    array: F64
    """The same numbers as the kernels take them."""


@dataclass(frozen=True)
class Rulebook:
    """A rulebook as the engine runs it. Equal digests decide equally."""

    id: str
    digest: str
    """Hex of a hash over every file's path and content that the compiler read."""
    currency: str
    """ISO 4217."""
    languages: tuple[str, ...]
    """The first is the default."""
    catalogue: Catalogue
    context_facts: tuple[Fact, ...]
    """Declared `context.<key>`; columns of `Contexts.numbers` in this order."""
    event_kinds: tuple[str, ...]
    """Kinds of business event that history windows filter by, in code order."""
    strategy: Strategy
    value: ValueModel
    stages: StageModel
    channels: tuple[Channel, ...]
    placements: tuple[str, ...]
    roles: tuple[Role, ...]
    segments: tuple[Segment, ...]
    triggers: tuple[Trigger, ...]
    actions: tuple[Action, ...]
    treatments: tuple[Treatment, ...]
    propensity_models: tuple[str, ...]
    """Ids of the fitted models that actions name."""
    action_tables: ActionTables
    channel_tables: ChannelTables
    program: Program
    patterns: tuple[Pattern, ...] = ()
    """Event patterns that fire triggers, by id; found off the request path."""
    series: tuple[Series, ...] = ()
    """Series that writers of snapshots follow, in the order of the file."""
    periods: tuple[Period, ...] = ()
    """Parts of the calendar in which limits and caps count."""
    packed: bytes = field(default=b"", repr=False)
    """The files it was compiled from, see `rulebook.source.packed_files`; kept beside logged decisions."""

    @property
    def revision(self) -> str:
        """Short name for logs and answers: id and the digest's first twelve digits."""
        return f"{self.id}@{self.digest[:12]}"

    @cached_property
    def has_quiet_hours(self) -> bool:
        """Whether a channel has hours without outbound contact."""
        return not bool(np.isnan(self.channel_tables.quiet_from).all())

    @cached_property
    def channel_index(self) -> Mapping[str, int]:
        """Index of each channel by id."""
        return {channel.id: i for i, channel in enumerate(self.channels)}

    @cached_property
    def placement_index(self) -> Mapping[str, int]:
        """Index of each placement by name."""
        return {name: i for i, name in enumerate(self.placements)}

    @cached_property
    def role_index(self) -> Mapping[str, int]:
        """Index of each role by id."""
        return {role.id: i for i, role in enumerate(self.roles)}

    @cached_property
    def action_index(self) -> Mapping[str, int]:
        """Index of each action by id."""
        return {action.id: i for i, action in enumerate(self.actions)}

    @cached_property
    def trigger_index(self) -> Mapping[str, int]:
        """Index of each trigger by id."""
        return {trigger.id: i for i, trigger in enumerate(self.triggers)}

    @cached_property
    def treatment_index(self) -> Mapping[str, int]:
        """Index of each treatment by id."""
        return {treatment.id: i for i, treatment in enumerate(self.treatments)}
