"""Product sets that no offer is about."""

from collections.abc import Iterator

from nextbest.rulebook.lint.finding import Finding, Subject

CODE: str = "unused-product-set"


def check(subject: Subject) -> Iterator[Finding]:
    """Yield product sets that are declared and offered nowhere."""
    read = subject.parts.policies
    offered = {t.offer.products for t in subject.parts.rulebook.treatments if t.offer}
    for name in read.document.product_sets if read else ():
        if name not in offered:
            assert read is not None
            hint = "name it under `offer.products` of a treatment, or leave it out"
            place = read.at / "product_sets" / name
            yield Finding(place, f"no offer is about `{name}`", hint, key=True)
