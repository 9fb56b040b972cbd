"""Discounts of less than one per cent."""

from collections.abc import Iterator

from nextbest.rulebook.lint.finding import Finding, Subject

CODE: str = "tiny-discount"


def check(subject: Subject) -> Iterator[Finding]:
    """Yield offers of `percent_off` below 1: probably a share was written where per cent are asked for."""
    for _, entry, at in subject.actions():
        for key, treatment in entry.treatments.items():
            offer = treatment.offer
            if offer is not None and offer.type == "percent_off" and 0 < offer.value < 1:
                hint = f"`value` is in per cent: is `{100 * offer.value:g}` meant?"
                place = at / "treatments" / key / "offer" / "value"
                yield Finding(place, f"the till takes off {offer.value:g} per cent", hint)
