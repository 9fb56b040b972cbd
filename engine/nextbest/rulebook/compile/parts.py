"""A compiled rulebook together with what it was made of, for what looks at both: lints and tests."""

from collections.abc import Sequence
from dataclasses import dataclass

from nextbest.rulebook.compile.actions import PlacedAction
from nextbest.rulebook.compile.conditions import PlacedTrigger
from nextbest.rulebook.compile.decision_tables import Choices
from nextbest.rulebook.compile.expressions import Use
from nextbest.rulebook.compile.patterns import PlacedPattern
from nextbest.rulebook.compile.reading import Read
from nextbest.rulebook.documents.author_tests import TestsFile
from nextbest.rulebook.documents.conditions import SegmentsFile
from nextbest.rulebook.documents.experiments import ExperimentsFile
from nextbest.rulebook.documents.facts import FactsFile
from nextbest.rulebook.documents.policies import PoliciesFile
from nextbest.rulebook.documents.strategy import StrategyFile
from nextbest.rulebook.expressions import Scope
from nextbest.rulebook.rulebook import Rulebook


@dataclass(frozen=True, slots=True)
class Parts:
    """A rulebook without errors, its entries and where they stand."""

    rulebook: Rulebook
    strategy: Read[StrategyFile]
    facts: Read[FactsFile]
    segments: Read[SegmentsFile] | None
    policies: Read[PoliciesFile] | None
    experiments: Sequence[Read[ExperimentsFile]]
    triggers: Sequence[PlacedTrigger]
    """In the rulebook's order."""
    patterns: Sequence[PlacedPattern]
    """Event patterns by id."""
    actions: Sequence[PlacedAction]
    """In the rulebook's order."""
    tests: Sequence[Read[TestsFile]]
    """Author's tests, by file."""
    choices: Choices
    """What decision tables decide."""
    scope: Scope
    uses: Sequence[Use]
    """Every expression at every place that uses it."""
