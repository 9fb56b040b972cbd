"""Cross-sell recall@5 on the retail panel: what peers have beside popularity, user kNN and lift (no timing).

Product categories bought for the first time from 3 July 2017 on, ranked by what was known before that day.
"""

import argparse
import json
from datetime import date

from nextbest.demo.cross_sell import cross_sell, product_categories
from nextbest.demo.history import condense
from nextbest.demo.panel import open_panel

AS_OF = date(2017, 7, 3)


def run(*, quick: bool) -> dict[str, float]:  # noqa: ARG001  (there is nothing to shorten)
    """Mean share of a household's new categories that are among the five ranked first."""
    panel = open_panel()
    found = cross_sell(panel, condense(panel), product_categories(), AS_OF)
    return {
        "cross_sell.households": float(found.households),
        "cross_sell.recall_at_5": found.penetration,
        "cross_sell.recall_at_5_popularity": found.popularity,
        "cross_sell.recall_at_5_neighbours": found.neighbours,
        "cross_sell.recall_at_5_lift": found.lift,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    print(json.dumps(run(quick=parser.parse_args().quick), indent=2))
