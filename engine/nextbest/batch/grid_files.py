"""The overview as files: picture, page, data and the peer cells as a table."""

import csv
import json
from pathlib import Path

import numpy as np

from nextbest.assembly import PROFIT, VALUE
from nextbest.batch.grid_page import cell_labels, page
from nextbest.batch.overview import CLASSES, NOT_A_FORECAST, Overview, document
from nextbest.model import F64
from nextbest.potential.position import TASKS


def write_overview(directory: Path, stem: str, found: Overview) -> list[Path]:
    """Write `<stem>.png`, `.html`, `.json` and `-cells.csv`; returns their paths."""
    from nextbest.batch.pictures import Bars, HeatMap, draw_grid  # noqa: PLC0415  (matplotlib is slow to import)

    directory.mkdir(parents=True, exist_ok=True)
    grid, money = found.positions, found.currency
    panels: tuple[tuple[str, F64], ...] = (
        ("customers", grid.count.astype(np.float64)),
        (f"potential value, mean a customer ({money} a year)", grid.potential[VALUE]),
        (f"potential profit, mean a customer ({money} a year{found.margin.mark})", grid.potential[PROFIT]),
        (f"customer value gap, sum ({money} a year)", grid.gap[VALUE]),
        (f"company profit gap, sum ({money} a year{found.margin.mark})", grid.gap[PROFIT]),
    )
    nothing = grid.hidden | (grid.count == 0)
    maps = [
        HeatMap(title, np.where(nothing, np.nan, values), cell_labels(values, found))
        for title, values in panels
    ]
    effort = found.effort
    bars = Bars(
        "effort over the stages",
        CLASSES,
        (
            ("strategy's target", effort.target.tolist()),
            ("customers", effort.customers.tolist()),
            ("expected cost", effort.cost.tolist()),
        ),
    )
    picture = directory / f"{stem}.png"
    draw_grid(picture, maps, bars, TASKS, _title(found))
    html, data, cells = (directory / f"{stem}{ending}" for ending in (".html", ".json", "-cells.csv"))
    html.write_text(page(found, "Position and peers of the customers"), encoding="utf-8")
    data.write_text(json.dumps(document(found), indent=1) + "\n", encoding="utf-8")
    _write_cells(cells, found)
    return [picture, html, data, cells]


def _title(found: Overview) -> str:
    """What the picture says of itself: it travels without the page."""
    lines = [f"{found.customers:,} customers. {NOT_A_FORECAST}", *found.caveats, found.margin.note]
    return "\n".join(filter(None, lines))


def _write_cells(path: Path, found: Overview) -> None:
    heads = ("cell", "customers", "median_value", "potential_value", "median_profit", "potential_profit")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(heads)
        for cell in found.cells:
            writer.writerow(
                (
                    " > ".join(cell.path),
                    cell.n[PROFIT],
                    cell.median[VALUE],
                    cell.potential[VALUE],
                    cell.median[PROFIT],
                    cell.potential[PROFIT],
                )
            )
