"""A contract whose margin grows faster than it is discounted and lost would be worth endlessly much."""

import math
from dataclasses import replace

from nextbest.facts import Catalogue
from nextbest.rulebook.documents.strategy import Lifetime

RETENTION = "contract_retention"


def diverging_retention(discount: float, growth: float) -> float:
    """(1+d)/(1+g): retention from which on r(1+g) ≥ 1+d (domain model, section 4)."""
    return (1.0 + discount) / (1.0 + growth)


def bounded_by_growth(catalogue: Catalogue, lifetime: Lifetime) -> Catalogue:
    """Bound retention where the growth of contracts would make a customer worth endlessly much (section 4).

    A growth below the discount never does, whatever the retention; else snapshots of more are refused.
    """
    growth, discount = lifetime.contract_growth, lifetime.discount_rate
    if growth < discount or growth <= 0 or RETENTION not in catalogue:
        return catalogue
    # Six digits can be read; rounding must not lift the bound to the diverging one.
    bound = math.floor((diverging_retention(discount, growth) - 1e-9) * 1e6) / 1e6
    because = (
        f"with `lifetime.contract_growth` {growth:g} and `discount_rate` {discount:g} such a contract would"
        " be worth endlessly much: lower the growth below the discount rate"
    )
    changed = replace(catalogue[RETENTION], maximum=bound, maximum_because=because)
    return Catalogue(tuple(changed if fact.name == RETENTION else fact for fact in catalogue.facts))
