"""Every error the engine raises on purpose.

NextBestError
├── InvalidInput               one or more violations, each with a field and a description
│   ├── InvalidFact            a fact value does not fit the catalogue
│   └── IdentifierTaken        an identifier belongs to another customer
├── CatalogueError             a catalogue is inconsistent or not an extension of the stored one
├── SnapshotError
│   ├── SnapshotUnreadable     a row is cut short, of a foreign catalogue, or another customer's
│   └── CustomerUnknown        no snapshot is stored for the customer
│       └── CustomerErased     the customer was erased, and nothing is recorded any more
├── DecisionUnknown            no logged decision of that id is kept
├── DecisionUnreadable         a logged decision is damaged, of another format or another customer's
├── DecisionNotReplayable      it cannot be made again: its model is not kept, or facts were masked
├── LogFull                    the decision log takes no more, and is set to refuse then
├── RulebookCompileError       the rule files do not compile; carries every diagnostic
├── ArtifactError              an artifact is damaged, or was made for something else
├── FitError                   a model cannot be fitted to the data given
├── NoRoom                     the process may not take the memory that a run needs
├── AnswerTooLarge             an answer has no room beside the others of its batch
├── NotBuilt                   the contract offers it, the service cannot do it yet
├── DeadlinePassed             the caller's deadline left no time, and the caller wants no fallback
└── StoreUnavailable           Redis does not answer
    ├── ErasureUnfinished      it stopped answering while a customer was being erased
    └── StoreRefused           Redis answers with an error
        └── StoredWrongly      under a key of ours lies what is of another type
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong with an input."""

    field: str
    """Path of the field, such as `customer_id` or `snapshot.facts[3].name`."""
    description: str
    """What is wrong, as a lower-case fragment with the offending value in backticks."""


class NextBestError(Exception):
    """Base of every error the engine raises on purpose."""


class InvalidInput(NextBestError):  # noqa: N818  (a request's fault, named as gRPC names it)
    """Input that cannot be used; `violations` lists all that is wrong, not the first only."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations)
        super().__init__("; ".join(f"{v.field}: {v.description}" for v in self.violations))


class InvalidFact(InvalidInput):
    """A fact's value does not fit the catalogue."""


class IdentifierTaken(InvalidInput):
    """Identifiers belong to another customer; `violations` names the type of each, not the value."""


class CatalogueError(NextBestError):
    """A fact catalogue is inconsistent, or does not extend the one already stored."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class SnapshotError(NextBestError):
    """Base of what can be wrong with a stored snapshot."""


class SnapshotUnreadable(SnapshotError):  # noqa: N818  (states a condition the caller degrades on)
    """A stored row is cut short, of an unknown catalogue, or belongs to another customer."""


class CustomerUnknown(SnapshotError):  # noqa: N818  (states a condition the caller degrades on)
    """No snapshot is stored for the customer."""


class CustomerErased(CustomerUnknown):
    """The customer was erased: what was under way is not recorded any more."""


class DecisionUnknown(NextBestError):  # noqa: N818  (states what is kept)
    """No logged decision of that id is kept for the customer."""


class DecisionUnreadable(NextBestError):  # noqa: N818  (as SnapshotUnreadable)
    """A logged decision is damaged, cut short, of another format, or another customer's."""


class DecisionNotReplayable(NextBestError):  # noqa: N818  (states what is kept)
    """A logged decision cannot be made again; the message says exactly what is missing."""


class LogFull(NextBestError):  # noqa: N818  (states a condition the caller waits out)
    """The decision log takes no more, and its setting is to refuse decisions then."""


class RulebookCompileError(NextBestError):
    """The rule files do not compile; `diagnostics` holds every problem in file order."""

    def __init__(self, diagnostics: Sequence[object], rendered: str) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__(rendered)


class ArtifactError(NextBestError):
    """An artifact is damaged, or was made for another catalogue or another kind of use."""


class FitError(NextBestError):
    """A model cannot be fitted to the data given; nothing in use was replaced."""


class NoRoom(NextBestError):  # noqa: N818  (states a condition the caller mends)
    """The process may not take the memory that a run needs; nothing was begun."""


class AnswerTooLarge(NextBestError):  # noqa: N818  (states a condition the caller acts on)
    """An answer has no room beside the others of its batch, in what plain gRPC clients take."""


class NotBuilt(NextBestError):  # noqa: N818  (states what the service is)
    """The contract offers it, the service cannot do it yet."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not built yet")


class DeadlinePassed(NextBestError):  # noqa: N818  (states a condition the caller degrades on)
    """The caller's deadline left no time to decide, and the caller wants no fallback decision."""


class StoreUnavailable(NextBestError):  # noqa: N818  (states a condition the caller degrades on)
    """Redis does not answer, or answers that it cannot serve."""


class ErasureUnfinished(StoreUnavailable):
    """Redis stopped answering while a customer was being erased; the text says what is left."""


class StoreRefused(StoreUnavailable):
    """Redis answered a command with an error, such as NOAUTH, OOM, READONLY or NOSCRIPT."""

    def __init__(self, reply: str) -> None:
        self.code = reply.split(" ", 1)[0]
        """The first word of the reply."""
        super().__init__(f"Redis refuses: {reply}")


class StoredWrongly(StoreRefused):
    """Under a key of ours lies what is of another type: another program writes under this prefix."""
