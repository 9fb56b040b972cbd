"""Names across kinds: what is called alike is told apart by nobody."""

from collections.abc import Iterable

from nextbest.rulebook.compile.report import At, Report, with_article

Named = tuple[str, str, At]
"""Kind, id, and where the entry stands."""


def check_names(named: Iterable[Named], report: Report) -> None:
    """Report ids that two kinds of thing share: reasons, reports and `rules show` name them bare."""
    first: dict[str, str] = {}
    for kind, name, at in named:
        if first.setdefault(name, kind) != kind:
            message = f"`{name}` is the name of {with_article(first[name])} already"
            report.error(at / "id", "duplicate-id", message, f"give the {kind} a name of its own")
