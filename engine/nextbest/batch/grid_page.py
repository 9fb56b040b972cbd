"""The overview as a page of its own: no script, no file beside it, nothing fetched."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

import numpy as np

from nextbest.assembly import PROFIT, VALUE
from nextbest.batch.overview import CLASSES, LEVELS, NOT_A_FORECAST, Overview
from nextbest.facts import STAGE_NAMES
from nextbest.model import F64
from nextbest.potential.position import TASKS

QUINTILE_NAMES: Final = ("lowest fifth", "second", "third", "fourth", "highest fifth", "no LTV")
CELLS_ON_PAGE: Final = 200
_OBJECTIVES: Final = ("share_of_market", "share_of_wallet", "share_of_wallet", "share_of_life")
"""What the rows of the table of shares tell about."""
_LOW, _HIGH = (247, 251, 240), (20, 85, 122)
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1d2a30;background:#fff;
margin:2rem auto;max-width:82rem;padding:0 1rem}
h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.1rem;margin:2rem 0 .4rem}
.note{border-left:4px solid #e07a3f;padding:.4rem .8rem;background:#fdf3ec;max-width:60rem}
.maps{display:flex;flex-wrap:wrap;gap:1rem 2.5rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th{font-weight:600;font-size:.82rem;text-align:left;padding:.25rem .5rem;color:#44545c}
td{padding:.35rem .6rem;text-align:right}td.t,th.t{text-align:left}th.n{text-align:right}
.heat td{border:2px solid #fff;min-width:3.6rem;text-align:center}
.heat th{white-space:nowrap}.heat caption{text-align:left;padding:.2rem .5rem}
.list tr+tr td{border-top:1px solid #e4e9eb}
.bar{display:inline-block;height:.8rem;background:#1f6f8b;vertical-align:middle;margin-right:.4rem}
.target{background:#e07a3f}.quiet{color:#66777f;font-size:.88rem}
"""

FEW: Final = "Figures of fewer than ten are not shown, nor what would tell them: <i>few</i>."


def page(found: Overview, title: str) -> str:
    """The whole page."""
    grid, money, mark = found.positions, found.currency, found.margin.mark
    maps = [
        _map("customers", grid.count.astype(np.float64), found),
        _map(f"potential value, mean a customer ({money} a year)", grid.potential[VALUE], found),
        _map(f"potential profit, mean a customer ({money} a year{mark})", grid.potential[PROFIT], found),
        _map(f"customer value gap, sum ({money} a year)", grid.gap[VALUE], found),
        _map(f"company profit gap, sum ({money} a year{mark})", grid.gap[PROFIT], found),
    ]
    leaks = (f"<p class=note>Accepted at the fit: {escape(leak)}</p>" for leak in found.leaks)
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p class=quiet>{found.customers:,} customers. {FEW}</p>",
        f"<p class=note>{escape(NOT_A_FORECAST)}</p>",
        *(f"<p class=note>{escape(caveat)}</p>" for caveat in found.caveats),
        *([f"<p class=note>{escape(found.margin.note)}</p>"] if found.margin.note else []),
        *leaks,
        "<h2>Position grid: ladder band × lifetime value</h2>",
        f"<div class=maps>{''.join(maps)}</div>",
        "<h2>Steps of the ladder</h2>",
        _ladder(found),
        "<h2>Effort over the stages</h2>",
        _effort(found),
        f"<h2>Mutual value segments{found.margin.mark}</h2>",
        _mutual(found),
        "<h2>Segments</h2>",
        _segments(found),
        "<h2>Share of market, of wallet, of life</h2>",
        _shares(found),
        "<h2>Cost to serve, by stage and activity</h2>",
        _served(found),
        f"<h2>Peer cells{found.margin.mark}</h2>",
        _cells(found),
    ]
    head = f"<meta charset=utf-8><title>{escape(title)}</title><style>{_STYLE}</style>"
    return f"<!doctype html><html lang=en><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def number(value: float | None, digits: int = 0) -> str:
    """A figure for people; a dash where there is none."""
    return "–" if value is None or math.isnan(value) else f"{value:,.{digits}f}"


def share(value: float | None) -> str:
    """A share in per cent; a dash where there is none."""
    return "–" if value is None or math.isnan(value) else f"{value:.0%}"


def cell_labels(values: F64, found: Overview) -> list[list[str]]:
    """4 × 6 texts for a panel over the position grid: small cells say so, empty ones nothing."""
    hidden, empty = found.positions.hidden, found.positions.count == 0
    return [
        [
            "few" if hidden[row, column] else "" if empty[row, column] else number(float(values[row, column]))
            for column in range(values.shape[1])
        ]
        for row in range(values.shape[0])
    ]


def _map(title: str, values: F64, found: Overview) -> str:
    visible = np.where(found.positions.hidden | (found.positions.count == 0), np.nan, values)
    known = visible[~np.isnan(visible)]
    low, high = (min(0.0, float(known.min())), float(known.max())) if known.size else (0.0, 1.0)
    labels = cell_labels(values, found)
    rows: list[str] = []
    for band in reversed(range(len(TASKS))):
        cells = (
            f"<td{_shade(float(visible[band, k]), low, high)}>{escape(labels[band][k])}</td>"
            for k in range(len(QUINTILE_NAMES))
        )
        rows.append(f"<tr><th>{escape(TASKS[band])}</th>{''.join(cells)}</tr>")
    heads = "".join(f"<th>{escape(name)}</th>" for name in QUINTILE_NAMES)
    caption = f"<caption class=quiet>{escape(title)}</caption>"
    return f"<table class=heat>{caption}<tr><th></th>{heads}</tr>{''.join(rows)}</table>"


def _shade(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return ' style="background:#eef1f2"'
    part = (value - low) / (high - low) if high > low else 0.0
    red, green, blue = (round(a + part * (b - a)) for a, b in zip(_LOW, _HIGH, strict=True))
    ink = "#fff" if part > 0.55 else "#1d2a30"
    return f' style="background:rgb({red},{green},{blue});color:{ink}"'


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """Cells are HTML; numbers stand right, the columns `left` stand left."""
    kind = [" class=t" if k in left else " class=n" for k in range(len(heads))]
    top = "".join(f"<th{kind[k]}>{escape(head)}</th>" for k, head in enumerate(heads))
    body = "".join(
        "<tr>" + "".join(f"<td{kind[k]}>{cell}</td>" for k, cell in enumerate(row)) + "</tr>" for row in rows
    )
    return f"<table class=list><tr>{top}</tr>{body}</table>"


def _ladder(found: Overview) -> str:
    rows = [
        [step.signed_level, escape(step.name.replace("_", " ")), TASKS[step.band], escape(step.text)]
        for step in reversed(found.ladder)
    ]
    text = (
        "A step that is hidden has ten or more: with it, one of fewer than ten could be computed."
        " Customers without a loyalty index count as new."
    )
    return _table(("level", "step", "band", "customers"), rows, (0, 1, 2)) + f"<p class=quiet>{text}</p>"


def _effort(found: Overview) -> str:
    effort = found.effort
    rows = [
        [
            escape(name),
            _bar(float(effort.target[k]), "target"),
            _bar(float(effort.customers[k]), ""),
            _bar(float(effort.cost[k]), ""),
        ]
        for k, name in enumerate(CLASSES)
    ]
    text = (
        f"Expected cost of the first recommendation, {number(effort.money)} {found.currency} in all:"
        f" {found.scenario}. Acquire is stage Know me, retain Hear me and Grow me, repair Forgive me."
    )
    heads = ("effort", "target of the strategy", "customers", "expected cost of what is recommended")
    return _table(heads, rows, range(len(heads))) + f"<p class=quiet>{escape(text)}</p>"


def _bar(value: float, kind: str) -> str:
    if math.isnan(value):
        return "–"
    return f'<span class="bar {kind}" style="width:{8 * value:.2f}rem"></span>{share(value)}'


def _mutual(found: Overview) -> str:
    rows = [
        [f"{LEVELS[k]} customer value", *(_count(float(v)) for v in found.mutual[k])]
        for k in reversed(range(len(LEVELS)))
    ]
    heads = ("customers", *(f"{level} company profit" for level in LEVELS))
    text = f"Thirds of those counted in the grid. {found.without_segment:,} have no known value or profit."
    return _table(heads, rows) + f"<p class=quiet>{text}</p>"


def _count(value: float) -> str:
    return "few" if math.isnan(value) else number(value)


def _segments(found: Overview) -> str:
    rows = [
        [
            escape(s.id),
            "few" if s.customers is None else number(s.customers),
            share(s.attitude),
            "few" if s.growing is None else number(s.growing),
            number(s.benefit, 2),
            number(s.cost, 2),
            {None: "–", True: "<b>integrate</b>", False: "grow"}[s.integrate],
        ]
        for s in found.segments
    ]
    heads = ("segment", "customers", "attitude known", "in Grow me", "benefit B", "cost", "strategy")
    text = (
        "Attitude known: an NPS, a satisfaction score or a declared preference. Benefit and cost are of"
        " the best action for each customer in Grow me, even one that doing nothing beats; where effort costs"
        " more than it is worth to both, integrate: make it easy through linked services instead."
    )
    return _table(heads, rows) + f"<p class=quiet>{text}</p>"


def _shares(found: Overview) -> str:
    s = found.shares
    rows = [
        ["share of market (goal: revenue)", share(s.market), "revenue over the market's size, if given"],
        [
            "share of wallet, known (goal: growth)",
            share(s.wallet_known),
            f"what {s.wallet_known_customers:,} customers said",
        ],
        [
            "share of wallet, estimated",
            share(s.wallet_estimated),
            "revenue over what the best tenth of peers spend",
        ],
        ["share of life (goal: retention)", share(s.life), "areas of life used, of nine"],
    ]
    for row, objective in zip(rows, _OBJECTIVES, strict=True):
        row[0] += ": the strategy's objective" if objective == found.objective else ""
    return _table(("share", "mean", "what it is"), rows, (0, 2))


def _served(found: Overview) -> str:
    rows = [
        [stage.replace("_", " "), *("few" if math.isnan(c) else number(c) for c in [*costs, costs.sum()])]
        for stage, costs in zip(STAGE_NAMES, found.served.cost, strict=True)
    ]
    text = f"{found.currency} a year, by what was done and in which stage the customers are now."
    text += f" {found.served.verdict}"
    return (
        _table(("stage", *map(escape, found.served.activities), "sum"), rows)
        + f"<p class=quiet>{escape(text)}</p>"
    )


def _cells(found: Overview) -> str:
    money = found.currency
    rows = [
        [
            escape(" › ".join(cell.path) or "everybody"),
            number(cell.n[PROFIT]),
            *(number(v) for v in (cell.median[VALUE], cell.potential[VALUE])),
            *(number(v) for v in (cell.median[PROFIT], cell.potential[PROFIT])),
        ]
        for cell in found.cells[:CELLS_ON_PAGE]
    ]
    heads = (
        "peers",
        "customers",
        "value, half",
        f"value, {found.tau:.0%}",
        "profit, half",
        f"profit, {found.tau:.0%}",
    )
    left = len(found.cells) - len(rows)
    text = (
        f"{money} a year that half of the peers, and the {found.tau:.0%} quantile, reach, after back-off to"
        f" the wider group, whose figures {found.small_cells:,} cells of fewer than ten customers have"
        + (f"; {left:,} more cells are in the data file." if left else ".")
    )
    return _table(heads, rows) + f"<p class=quiet>{escape(text)}</p>"
