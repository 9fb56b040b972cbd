"""Pictures of fits and of the grid, drawn without a screen; the figures behind each are written beside it."""

# pyright: reportUnknownMemberType=false
# (matplotlib leaves its **kwargs untyped)

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nextbest.batch.calibration import Check
from nextbest.model import F64
from nextbest.potential.ltv_calibration import class_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS: Final = "#1f6f8b"
"""What was observed, what is actual."""
THEIRS: Final = "#e07a3f"
"""What a model expects, what a strategy aims at."""
QUIET: Final = "#9aa5ab"
DPI: Final = 130
TITLE_WIDTH: Final = 56
"""Characters of a panel's title on one line: more would run into the next panel, or off the picture."""


@dataclass(frozen=True, slots=True)
class HeatMap:
    """One panel over the position grid."""

    title: str
    values: F64
    """(4, 6) NaN = not shown."""
    labels: Sequence[Sequence[str]]
    """4 × 6 texts of the cells."""


@dataclass(frozen=True, slots=True)
class Bars:
    """Shares side by side."""

    title: str
    names: Sequence[str]
    series: Sequence[tuple[str, Sequence[float]]]
    """(legend, a share a name); NaN = not shown."""


def draw_calibration(path: Path, check: Check, title: str) -> None:
    """Draw a lifetime value fit's calibration: three panels, four with a hold-out."""
    panels = 3 if check.held_out is None else 4
    figure = Figure(figsize=(4.6 * panels, 4.2), layout="constrained")
    axes = np.atleast_1d(np.asarray(figure.subplots(1, panels), object)).tolist()
    seen = check.in_sample
    classes = class_names(seen.width)
    _pairs(axes[0], classes, seen.customers.astype(np.float64), seen.expected_customers)
    _named(axes[0], "in sample: customers by repeat purchases", "repeat purchases", "customers")
    _lines(axes[1], seen.weeks, seen.purchases, seen.expected_purchases)
    _named(axes[1], "in sample: purchases by time observed", "weeks observed", "repeat purchases, mean")
    _pairs(axes[2], classes[1:], seen.spend[1:], seen.expected_spend[1:])
    _named(axes[2], "in sample: value of a purchase", "repeat purchases", "money, mean")
    if check.held_out is not None:
        held = check.held_out
        _pairs(axes[3], class_names(held.width), held.purchases, held.expected)
        text = f"held out: {held.weeks:.0f} weeks after the fit"
        _named(axes[3], text, "repeat purchases at the fit", "purchases, mean")
    figure.suptitle(title, fontsize=11)
    _save(figure, path)


def draw_grid(path: Path, maps: Sequence[HeatMap], bars: Bars, rows: Sequence[str], title: str) -> None:
    """Draw heat maps of the position grid, and bars of how effort is shared over the stages."""
    panels = len(maps) + 1
    columns = 3
    height = -(-panels // columns)
    figure = Figure(figsize=(6.2 * columns, 3.9 * height), layout="constrained")
    axes = np.asarray(figure.subplots(height, columns), object).reshape(-1).tolist()
    for axis, panel in zip(axes, maps, strict=False):
        _heat(axis, panel, rows)
    _shares(axes[len(maps)], bars)
    for axis in axes[panels:]:
        axis.set_axis_off()
    figure.suptitle(title, fontsize=12)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(str(path), metadata={"Software": None}, pil_kwargs=None)


def _named(axis: "Axes", title: str, x: str, y: str) -> None:
    axis.set_title(title, fontsize=10)
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_ylim(top=1.18 * axis.get_ylim()[1])
    axis.legend(frameon=False, fontsize=9, loc="upper left", ncols=2)


def _pairs(axis: "Axes", names: Sequence[str], observed: F64, expected: F64) -> None:
    place = np.arange(len(names))
    axis.bar(place - 0.2, np.nan_to_num(observed), 0.4, label="observed", color=OURS)
    axis.bar(place + 0.2, np.nan_to_num(expected), 0.4, label="expected", color=THEIRS)
    axis.set_xticks(place, names, rotation=0 if max(map(len, names)) < 4 else 45)


def _lines(axis: "Axes", x: F64, observed: F64, expected: F64) -> None:
    known = ~np.isnan(x)
    axis.plot(x[known], observed[known], "o-", label="observed", color=OURS)
    axis.plot(x[known], expected[known], "s--", label="expected", color=THEIRS)
    axis.set_ylim(bottom=0)


def _heat(axis: "Axes", panel: HeatMap, rows: Sequence[str]) -> None:
    values = panel.values[::-1]
    top = float(np.nanmax(values)) if np.isfinite(values).any() else 1.0
    low = min(0.0, float(np.nanmin(values)) if np.isfinite(values).any() else 0.0)
    axis.set_facecolor("#eef1f2")
    axis.imshow(values, cmap="YlGnBu", vmin=low, vmax=top if top > low else low + 1.0, aspect="auto")
    axis.set_xticks(range(values.shape[1]), ["lowest fifth", "2", "3", "4", "highest fifth", "no LTV"])
    axis.set_yticks(range(len(rows)), list(rows)[::-1])
    axis.tick_params(length=0, labelsize=8.5)
    axis.spines[:].set_visible(False)
    axis.set_xlabel("lifetime value", fontsize=9)
    axis.set_title(textwrap.fill(panel.title, TITLE_WIDTH), fontsize=10)
    for row, texts in enumerate(list(panel.labels)[::-1]):
        for column, text in enumerate(texts):
            dark = values[row, column] > low + 0.6 * (top - low)
            axis.text(
                column, row, text, ha="center", va="center", fontsize=9, color="white" if dark else "#222222"
            )


def _shares(axis: "Axes", bars: Bars) -> None:
    place, width = np.arange(len(bars.names)), 0.8 / max(1, len(bars.series))
    colours = (THEIRS, OURS, QUIET)
    for k, (name, shares) in enumerate(bars.series):
        values = np.array(shares, np.float64)
        at = place - 0.4 + width * (k + 0.5)
        axis.bar(at, np.nan_to_num(values), width * 0.92, label=name, color=colours[k % len(colours)])
        for x, value in zip(at.tolist(), values.tolist(), strict=True):
            text = "?" if np.isnan(value) else f"{value:.0%}"
            axis.text(x, 0.0 if np.isnan(value) else value, text, ha="center", va="bottom", fontsize=8.5)
    axis.set_xticks(place, list(bars.names))
    axis.set_yticks([])
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.set_title(bars.title, fontsize=10)
    axis.margins(y=0.25)
    axis.legend(frameon=False, fontsize=9, loc="upper center", ncols=max(1, len(bars.series)))
