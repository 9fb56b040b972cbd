"""Benefits that new customers get and loyal ones do not."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from nextbest.facts import STAGE_NAMES
from nextbest.rulebook.compile.report import At
from nextbest.rulebook.documents.actions import ActionEntry
from nextbest.rulebook.lint.finding import Finding, Subject

CODE: str = "unfair-to-loyal"
NEW, LOYAL = STAGE_NAMES[0], STAGE_NAMES[2]


class _Benefit(NamedTuple):
    entry: ActionEntry
    at: At
    worth: float


def check(subject: Subject) -> Iterator[Finding]:
    """Yield rewards and offers whose like is worth less to loyal customers."""
    for name, benefits in _by_group(subject).items():
        hint = f"raise what loyal customers get in `{name}`, or lower this: it would be withheld"
        yield from _unfair(benefits, f"in benefit group `{name}`", hint, needs_loyal=False)
    for (kind, products), benefits in _by_offer(subject).items():
        hint = "loyal customers must not get less of the same"
        yield from _unfair(benefits, f"of `{kind}` on `{products}`", hint, needs_loyal=True)


def _by_group(subject: Subject) -> dict[str, list[_Benefit]]:
    groups: dict[str, list[_Benefit]] = defaultdict(list)
    for _, entry, at in subject.actions():
        if entry.benefit_group is not None:
            worth, place = (entry.reward.worth, at / "reward" / "worth") if entry.reward else (0.0, at / "id")
            groups[entry.benefit_group].append(_Benefit(entry, place, worth))
    return groups


def _by_offer(subject: Subject) -> dict[tuple[str, str], list[_Benefit]]:
    offers: dict[tuple[str, str], list[_Benefit]] = defaultdict(list)
    for _, entry, at in subject.actions():
        for key, treatment in entry.treatments.items():
            offer = treatment.offer
            if offer is not None and offer.value > 0.0 and offer.products:
                place = at / "treatments" / key / "offer" / "value"
                offers[offer.type, offer.products].append(_Benefit(entry, place, offer.value))
    return offers


def _unfair(benefits: Iterable[_Benefit], what: str, hint: str, *, needs_loyal: bool) -> Iterator[Finding]:
    listed = list(benefits)
    loyal = [b.worth for b in listed if _is_for(b.entry, LOYAL)]
    if needs_loyal and not loyal:
        return
    best = max(loyal, default=0.0)
    for benefit in listed:
        if _is_for(benefit.entry, NEW) and benefit.worth > best:
            message = f"new customers get {benefit.worth:g} {what}, loyal ones at most {best:g}"
            yield Finding(benefit.at, message, hint)


def _is_for(entry: ActionEntry, stage: str) -> bool:
    return stage in (entry.stages or STAGE_NAMES)
