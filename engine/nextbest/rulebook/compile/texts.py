"""Texts by language, and the facts that texts for staff may quote."""

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass

from nextbest.facts import Catalogue, Figure
from nextbest.rulebook.compile.report import At, Report
from nextbest.rulebook.nodes import Scalar
from nextbest.rulebook.suggest import did_you_mean
from nextbest.rulebook.texts import Texts
from nextbest.standard_facts import STAGE_FACTS

_QUOTE = re.compile(r"\{([^{}]*)\}?|\}")
_FIGURES = frozenset(figure.name.lower() for figure in Figure)
_INTERNAL = _FIGURES.union(STAGE_FACTS)
"""What customers are never shown: computed figures, and the stage that is held."""


@dataclass(frozen=True, slots=True)
class Languages:
    """The rulebook's languages; the first is the default."""

    names: Sequence[str]

    @property
    def default(self) -> str:
        """The language of plain texts."""
        return self.names[0]

    def resolve(self, value: "str | dict[str, str] | None", at: At, report: Report) -> Texts:
        """A text by language; has the default language whatever was written."""
        if value is None or isinstance(value, str):
            node = at.file.node(at.path)
            if isinstance(node, Scalar) and node.text == value:  # else it stands in for what was refused
                self._warn_of_missing([self.default], at, report)
            return {self.default: value or ""}
        for language in value:
            if language not in self.names:
                report.unknown_key(at / language, "language", language, self.names)
        if self.default not in value and report.is_sure("language", self.default):
            report.key_error(at, "missing-language", f"missing the default language `{self.default}`")
        self._warn_of_missing(value, at, report)
        return {self.default: ""} | value

    def _warn_of_missing(self, given: Container[str], at: At, report: Report) -> None:
        missing = [name for name in self.names[1:] if name not in given]
        if missing:
            listed = ", ".join(f"`{name}`" for name in missing)
            report.warning(
                at, "missing-language", f"no text in {listed}", "the default language is shown instead"
            )


def check_quotes(
    value: "str | dict[str, str] | None", at: At, report: Report, catalogue: Catalogue, *, shows_figures: bool
) -> None:
    """Check every `{customer.<fact>}` of a text.

    Args:
        value: the text or texts as written.
        at: where.
        report: receives the problems.
        catalogue: what may be quoted.
        shows_figures: whether figures and the held stage may be quoted: for staff, never for customers.
    """
    if isinstance(value, dict):
        for language, text in value.items():
            check_quotes(text, at / language, report, catalogue, shows_figures=shows_figures)
    elif value is not None:
        for match in _QUOTE.finditer(value):
            _check_quote(match, at, report, catalogue, shows_figures)


def _check_quote(
    match: re.Match[str],
    at: At,
    report: Report,
    catalogue: Catalogue,
    shows_figures: bool,  # noqa: FBT001  (passed through)
) -> None:
    span, inner = match.span(), (match[1] or "").strip()
    name = inner.removeprefix("customer.")
    if not inner.startswith("customer.") or not match[0].endswith("}"):
        hint = "write `{customer.<fact>}`"
        report.within(at, span, "invalid-quote", f"`{match[0]}` quotes no fact", hint)
    elif name in _INTERNAL and not shows_figures:
        hint = "customers are shown neither computed figures nor stages; quote it in `staff`"
        report.within(at, span, "internal-figure", f"`{match[0]}` is not for customers", hint)
    elif name not in catalogue and name not in _FIGURES and report.is_sure("fact", name):
        known = [*(fact.name for fact in catalogue.facts), *_FIGURES]
        report.within(at, span, "unknown-fact", f"unknown fact `{name}`", did_you_mean(name, known))
