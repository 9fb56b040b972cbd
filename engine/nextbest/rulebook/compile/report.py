"""Where the compiler is in the files, and what it has found wrong there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nextbest.rulebook.diagnostics import Diagnostic, Severity
from nextbest.rulebook.nodes import Scalar
from nextbest.rulebook.offsets import span_in_file
from nextbest.rulebook.source import PathLike, SourceFile
from nextbest.rulebook.suggest import did_you_mean


def with_article(noun: str) -> str:
    """The noun with its indefinite article."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


@dataclass(frozen=True, slots=True)
class At:
    """A value in a file, by the keys and list indices that lead to it."""

    file: SourceFile
    path: PathLike = ()
    kept: Mapping[PathLike, Sequence[int]] = field(default_factory=dict[PathLike, Sequence[int]], repr=False)
    """Per list of which items were left out, by its path: where the remaining ones stand."""

    def __truediv__(self, label: str | int) -> "At":
        if isinstance(label, int) and self.path in self.kept:
            label = self.kept[self.path][label]
        return At(self.file, (*self.path, label), self.kept)

    def down(self, labels: PathLike) -> "At":
        """Several steps at once."""
        place = self
        for label in labels:
            place = place / label
        return place


class Report:
    """Collects diagnostics. Nothing is reported about what an earlier error has left incomplete."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []
        self.broken: set[str] = set()
        """Names declared in entries that could not be read: references to them are not called unknown."""

        self.unreadable: set[str] = set()
        """Kinds of name some of whose declarations lie in a file that cannot be read: likewise."""

    def is_sure(self, noun: str, name: str) -> bool:
        """Whether an undeclared name is really undeclared, as far as the files could be read."""
        return name not in self.broken and noun not in self.unreadable

    def error(self, at: At, code: str, message: str, hint: str = "") -> None:
        """Report an error about a value."""
        span = at.file.value_span(at.path)
        self.diagnostics.append(at.file.diagnostic(span, code, message, hint))

    def key_error(self, at: At, code: str, message: str, hint: str = "") -> None:
        """Report an error about a key rather than its value."""
        span = at.file.key_span(at.path)
        self.diagnostics.append(at.file.diagnostic(span, code, message, hint))

    def warning(self, at: At, code: str, message: str, hint: str = "") -> None:
        """Report something that is allowed but probably a mistake."""
        span = at.file.value_span(at.path)
        self.diagnostics.append(at.file.diagnostic(span, code, message, hint, severity=Severity.WARNING))

    def within(
        self,
        at: At,
        span: tuple[int, int],
        code: str,
        message: str,
        hint: str = "",
        *,
        severity: Severity = Severity.ERROR,
    ) -> None:
        """Report about some characters of a text's content, given as offsets into the content."""
        node = at.file.node(at.path)
        place = at.file.value_span(at.path)
        if isinstance(node, Scalar):
            place = span_in_file(at.file.text, node, *span)
        self.diagnostics.append(at.file.diagnostic(place, code, message, hint, severity=severity))

    def unknown(self, at: At, noun: str, name: str, known: Iterable[str]) -> None:
        """Report a reference to something that is not declared, unless its declaration is broken."""
        if self.is_sure(noun, name):
            code = f"unknown-{noun.replace(' ', '-')}"
            self.error(at, code, f"unknown {noun} `{name}`", did_you_mean(name, known))

    def unknown_key(self, at: At, noun: str, name: str, known: Iterable[str], hint: str = "") -> None:
        """Report a key that names something that is not declared; the hint is the nearest name by default."""
        if self.is_sure(noun, name):
            code = f"unknown-{noun.replace(' ', '-')}"
            self.key_error(at, code, f"unknown {noun} `{name}`", hint or did_you_mean(name, known))

    def index(self, at: At, noun: str, name: str, known: dict[str, int]) -> int:
        """Index of a declared name; -1 after reporting that there is none."""
        found = known.get(name, -1)
        if found < 0:
            self.unknown(at, noun, name, known)
        return found
