"""What is summed up of a population, against counting; and that no figure of fewer than ten is shown."""

import math
from dataclasses import replace
from io import StringIO
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from tests.builders.shop import SEGMENTS, write_shop

from nextbest.assembly import FittedGrid
from nextbest.batch import grid_files, pictures
from nextbest.batch.grid_page import cell_labels, page
from nextbest.batch.ladder import BAND_OF_STEP, hidden_cells, hidden_steps, steps_of, too_small
from nextbest.batch.overview import (
    EVERYBODY,
    Overview,
    document,
    effort_of,
    overview,
    peer_cells,
    positions_of,
    segments_of,
    shares_of,
)
from nextbest.batch.portraits import KEPT, Portraits
from nextbest.behaviour.index import LADDER
from nextbest.cli.grid import show_grid
from nextbest.facts import Figure
from nextbest.potential.grid import PeerGrid
from nextbest.rulebook.compile import compile_rulebook

NAN = math.nan
DIMENSIONS = ("peer_segment", "household")
OUTCOMES = ("actual_value", "actual_profit", "revenue_net")


def people(n=400, seed=1, **given_columns):
    """Random customers; columns may be given."""
    draw = np.random.default_rng(seed)
    figures = draw.gamma(2.0, 100.0, (n, len(KEPT)))
    figures[:, KEPT.index(Figure.LEVEL)] = draw.integers(-3, 5, n)
    figures[draw.random(n) < 0.1, KEPT.index(Figure.LTV)] = NAN
    figures[draw.random(n) < 0.1, KEPT.index(Figure.PROFIT_GAP)] = NAN
    columns = {
        "figures": figures,
        "stage": draw.integers(0, 4, n),
        "cells": np.zeros(n, np.int32),
        "segments": draw.integers(0, 4, n).astype(np.uint64),
        "attitude": (draw.random(n) < 0.6).astype(np.uint8),
        "shares": draw.random((n, 3)),
        "action": draw.integers(-1, 3, n).astype(np.int32),
        "cost": draw.random(n),
        "effort": draw.random((n, 2)),
        "margin_assumed": np.zeros(n, np.uint8),
        "served": draw.random((n, 1)),
    }
    return Portraits(**(columns | given_columns))


def fitted(n=400, seed=2):
    """A grid of three segments × two households, with a cell of four customers."""
    draw = np.random.default_rng(seed)
    codes = np.column_stack([draw.integers(0, 3, n), draw.integers(0, 2, n)]).astype(np.float64)
    codes[codes[:, 0] == 2, 1] = 0
    codes[np.flatnonzero(codes[:, 0] == 2)[:4], 1] = 1
    values = draw.gamma(2.0, 100.0, (n, 3))
    grid = PeerGrid.build(codes, values, dimensions=DIMENSIONS, outcomes=OUTCOMES)
    return FittedGrid(grid, 0.0, members={"peer_segment": SEGMENTS}), codes, values


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A rulebook with two segments."""
    return compile_rulebook(write_shop(tmp_path_factory.mktemp("shop")))


def band(level):
    """Ladder band of a level, as section 3 lists them."""
    return 0 if level < 0 else 1 if level == 0 else 2 if level <= 2 else 3


def test_positions_are_sums_and_means_over_the_customers_of_a_cell():
    """Each cell's gap is the sum, its potential the mean, over customers with a known figure."""
    some = people()
    found = positions_of(some)
    ltv = some.figure(Figure.LTV)
    for b in range(4):
        for column in range(6):
            inside = [
                i
                for i, (level, worth) in enumerate(zip(some.figure(Figure.LEVEL), ltv, strict=True))
                if band(level) == b and (5 if math.isnan(worth) else sum(worth > found.ltv_bounds)) == column
            ]
            assert found.count[b, column] == len(inside)
            gaps = [g for i in inside if not math.isnan(g := some.figure(Figure.PROFIT_GAP)[i])]
            reach = [some.figure(Figure.POTENTIAL_VALUE)[i] for i in inside]
            if 0 < len(gaps) < 10:
                assert math.isnan(found.gap[1, b, column])
            else:
                assert found.gap[1, b, column] == pytest.approx(sum(gaps))
            if len(reach) >= 10:
                assert found.potential[0, b, column] == pytest.approx(np.mean(reach))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=2, max_size=9))
def test_no_hidden_number_is_what_is_left_over(counts):
    """Groups of one to nine are hidden, and never one alone while another could hide it."""
    customers = np.array(counts)
    hidden = too_small(customers)
    assert hidden[(customers > 0) & (customers < 10)].all()
    assert not hidden[customers == 0].any()
    assert hidden.sum() != 1 or (customers > 0).sum() == 1
    if not ((customers > 0) & (customers < 10)).any():
        assert not hidden.any()


def follows(equations, place):
    """Whether one unknown is fixed by linear equations: its unit vector lies in the space of their rows."""
    unit = np.zeros((1, equations.shape[1]))
    unit[0, place] = 1
    rank = np.linalg.matrix_rank
    return rank(np.vstack([equations, unit])) == rank(equations)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-3, 4), st.integers(0, 5), st.integers(1, 30)), min_size=1, max_size=16)
)
def test_no_hidden_count_of_ladder_or_grid_follows_from_what_is_shown(groups):
    """Neither the total, nor cells of the grid and steps that are shown, give a hidden count away (C2)."""
    steps, cells = np.zeros(8, np.int64), np.zeros((4, 6), np.int64)
    for level, column, n in groups:
        steps[level + 3] += n
        cells[band(level), column] += n
    hidden = np.concatenate([hidden_steps(steps), hidden_cells(cells).ravel()])
    small = np.concatenate([steps, cells.ravel()])
    small = (small > 0) & (small < 10)
    assert hidden[small].all()
    sums = np.zeros((5, 32))
    for b in range(4):
        sums[b, :8] = [band(level) == b for level in range(-3, 5)]
        sums[b, 8 + 6 * b : 14 + 6 * b] = -1
    sums[4, :8] = 1
    equations = np.vstack([sums, np.eye(32)[~hidden]])
    if np.count_nonzero(np.bincount(BAND_OF_STEP, steps)) > 1:
        assert not any(follows(equations, place) for place in np.flatnonzero(hidden))


def test_steps_of_the_ladder_are_counted_and_small_ones_said_to_be():
    """Eight steps by name; `<10` hides a small one and the rest of its band hides it again (C2)."""
    levels = np.repeat([-3.0, -2.0, -1.0, 0.0, NAN, 1.0, 2.0, 4.0], [4, 20, 30, 11, 5, 12, 13, 40])
    steps = steps_of(levels)
    assert [step.name for step in steps] == list(LADDER)
    assert [step.level for step in steps] == list(range(-3, 5))
    assert [int(step.band) for step in steps] == [band(level) for level in range(-3, 5)]
    assert [step.text for step in steps] == ["<10", "hidden", "30", "16", "12", "13", "0", "40"]


def test_the_ladder_is_in_page_and_data(shop):
    """Page and data name the steps, and what is hidden is hidden in both (C2)."""
    some = people(n=200)
    some.figures[:, KEPT.index(Figure.LEVEL)] = np.repeat([-3.0, -2.0, 0.0, 4.0], [4, 21, 75, 100])
    found = overview(some, fitted()[0], shop, scenario="in a test", market=NAN)
    ladder = document(found)["ladder"]
    assert [(s["name"], s["customers"], s["shown"]) for s in ladder if s["shown"] != "0"] == [
        ("terrorist", None, "<10"),
        ("win_back", None, "hidden"),
        ("new_or_existing", 75, "75"),
        ("evangelist", 100, "100"),
    ]
    text = page(found, "t")
    assert "<td class=t>terrorist</td><td class=t>repair</td><td class=n>&lt;10</td>" in text
    assert "<td class=t>win back</td><td class=t>repair</td><td class=n>hidden</td>" in text


def test_effort_is_shared_by_customers_and_by_cost():
    """Know me is acquired, Hear me and Grow me are retained, Forgive me is repaired."""
    some = people(n=4, stage=np.array([0, 1, 2, 3]), cost=np.array([1.0, 2.0, 3.0, 4.0]))
    found = effort_of(some, np.array([0.2, 0.58, 0.22]))
    assert found.customers.tolist() == [0.25, 0.5, 0.25]
    assert found.cost.tolist() == [0.1, 0.5, 0.4]
    assert found.money == 10.0


def test_nothing_recommended_costs_nothing():
    """Without a cost there is no share of it, rather than a division by zero."""
    found = effort_of(people(cost=np.zeros(400)), np.array([0.2, 0.58, 0.22]))
    assert np.isnan(found.cost).all()
    assert found.money == 0.0


def test_a_segment_whose_effort_costs_more_than_it_is_worth_is_to_be_integrated():
    """Sums over the customers judged decide; too few customers decide nothing."""
    benefit = np.where(np.arange(400) % 2 == 0, 3.0, 1.0)
    effort = np.column_stack([benefit, np.full(400, 2.0)])
    bits = np.where(np.arange(400) % 2 == 0, 1, 2).astype(np.uint64)
    bits[:5] |= np.uint64(4)
    found = segments_of(people(segments=bits, effort=effort), ["rich", "poor", "few", "none"])
    assert [(s.id, s.integrate) for s in found] == [
        (EVERYBODY, False),
        ("rich", False),
        ("poor", True),
        ("few", None),
        ("none", None),
    ]
    assert [s.customers for s in found] == [400, 200, 200, None, 0]
    assert found[2].cost == pytest.approx(400.0)


def test_attitude_coverage_is_the_share_with_any_attitude():
    """Everybody and each segment are counted apart, and segments may overlap."""
    some = people()
    found = {s.id: s for s in segments_of(some, ["one", "two"])}
    inside = (some.segments & np.uint64(2)) > 0
    assert found["two"].attitude == pytest.approx(some.attitude[inside].mean())
    assert found[EVERYBODY].attitude == pytest.approx(some.attitude.mean())


def test_shares_are_of_market_wallet_and_life():
    """Revenue over the market; what customers said; revenue over the best tenth of peers; areas used."""
    grid, codes, values = fitted()
    cells = grid.grid.tree.numbers_of(codes)
    shares = np.column_stack([values[:, 2], np.full(400, 0.25), np.full(400, NAN)])
    found = shares_of(people(shares=shares, cells=cells), grid, market=2 * values[:, 2].sum())
    assert found.market == pytest.approx(0.5)
    assert (found.wallet_known, found.wallet_known_customers) == (0.25, 400)
    wallet = {cell: np.quantile(values[cells == cell, 2], 0.9) for cell in np.unique(cells)}
    expected = np.mean([min(1.0, v / wallet[c]) for v, c in zip(values[:, 2], cells, strict=True)])
    assert found.wallet_estimated == pytest.approx(expected, rel=0.05)
    assert math.isnan(found.life)
    assert math.isnan(shares_of(people(shares=shares), grid, market=NAN).market)


def test_peer_cells_below_the_floor_are_counted_and_not_shown():
    """A cell of four has no line; names are the catalogue's, numbers where it has none."""
    grid, _, _ = fitted()
    cells = peer_cells(grid, 0.8)
    assert cells[0].path == ()
    assert all(min(cell.n) >= 10 for cell in cells)
    assert ("old", "1") not in {cell.path for cell in cells}
    assert {("young",), ("old",), ("young", "0")} <= {cell.path for cell in cells}
    assert all(cell.median[0] <= cell.potential[0] for cell in cells)


def made(shop, **columns) -> Overview:
    """The overview of random customers."""
    return overview(people(**columns), fitted()[0], shop, scenario="in a test", market=NAN)


def test_the_document_is_plain_json_without_hidden_figures(shop):
    """NaN never reaches the file; a hidden cell is null in every panel."""
    found = made(shop, n=60)
    text = document(found)
    hidden = np.argwhere(found.positions.hidden)
    assert len(hidden)
    panels = text["position_grid"]
    for row, column in hidden.tolist():
        for name in ("customers", "mean_potential_value", "mean_actual_profit", "value_gap", "profit_gap"):
            assert panels[name][row][column] is None
    assert "forecast" in text["note"]
    assert "nan" not in repr(text).lower()


def test_the_page_stands_alone_and_escapes_what_it_quotes(shop):
    """No script and nothing fetched; a name with markup stays text."""
    text = page(made(shop), "A & <b>")
    assert text.startswith("<!doctype html>")
    assert "<script" not in text
    assert "http" not in text
    assert "A &amp; &lt;b&gt;" in text
    assert "not a forecast" in text


def test_small_cells_say_few_and_empty_ones_nothing(shop):
    """A reader can tell a cell that is hidden from one where nobody is."""
    found = made(shop, n=30)
    labels = cell_labels(found.positions.count.astype(np.float64), found)
    for row, column in np.ndindex(4, 6):
        count, text = found.positions.count[row, column], labels[row][column]
        if count == 0:
            assert text == ""
        elif count < 10:
            assert text == "few"


def test_nobody_makes_an_empty_overview(shop):
    """A store without customers is shown as such."""
    found = made(shop, n=0)
    assert found.customers == 0
    assert document(found)["effort"]["by_customers"] == [None, None, None]


def test_cost_to_serve_is_by_stage_and_activity(shop):
    """Each stage's costs are the sums of its customers', hidden below ten of them (B13)."""
    stage = np.array([0] * 12 + [1] * 3 + [2] * 4 + [3] * 15)
    served = np.arange(34.0).reshape(34, 1)
    found = made(shop, n=34, stage=stage, served=served).served
    assert found.activities == ("n_visits",)
    assert found.cost[0, 0] == sum(range(12))
    assert np.isnan(found.cost[1:3, 0]).all()
    assert found.cost[3, 0] == sum(range(19, 34))
    shown = document(made(shop, n=34, stage=stage, served=served))["cost_to_serve"]
    assert shown["by_stage"]["know_me"] == [sum(range(12))]
    assert shown["by_stage"]["hear_me"] == [None]


@pytest.mark.parametrize(
    ("new", "known", "found", "said"),
    [
        (5.0, 3.0, True, "holds here"),
        (3.0, 3.0, False, "fails here"),
        (3.0, 5.0, False, "fails here"),
        (None, 3.0, None, "cannot be told"),
        (5.0, None, None, "cannot be told"),
    ],
)
def test_that_known_customers_cost_less_is_checked(shop, new, known, found, said):
    """Means per customer of Hear me and Grow me against Know me decide; the broken do not count (B13)."""
    costs = [(0, new), (1, known), (2, known), (3, 1000.0)]
    stage = np.array([k for k, cost in costs if cost is not None for _ in range(12 + k)])
    served = np.array([[costs[k][1]] for k in stage])
    report = made(shop, n=len(stage), stage=stage, served=served)
    shown = document(report)["cost_to_serve"]
    assert shown["known_customers_cost_less"] is found
    assert shown["per_customer"]["know_me"] == new
    assert f"cost less each to serve {said}" in page(report, "t")


CASES_OF_MARGIN = [
    (400, "400"),
    (399, "all but fewer than ten"),
    (390, "390"),
    (12, "12"),
    (9, "fewer than ten"),
    (0, None),
]


@pytest.mark.parametrize(("assumed", "who"), CASES_OF_MARGIN)
def test_an_assumed_margin_is_said_wherever_profit_is_shown(shop, tmp_path, assumed, who):
    """Page, picture, screen and data say whose profit rests on the default margin; nobody's, nothing."""
    marks = (np.arange(400) < assumed).astype(np.uint8)
    found = overview(people(margin_assumed=marks), fitted()[0], shop, scenario="")
    text = page(found, "t")
    drawn = []
    with mock.patch.object(pictures, "draw_grid", lambda *given: drawn.append(given)):
        grid_files.write_overview(tmp_path, "grid", found)
    ((_, panels, _, _, title),) = drawn
    screen = Console(record=True, width=300, file=StringIO())
    show_grid(screen, found, 1000, [])
    shown = " ".join(screen.export_text().split())
    profits = [panel.title for panel in panels if "profit" in panel.title]
    if who is None:
        assert "ssumed margin" not in text + title + shown
        assert "margin partly assumed" not in text + shown + "".join(profits)
        assert document(found)["assumed_margin"]["note"] == ""
        return
    note = f"Assumed margin: of {who} of 400 customers"
    assert note in text
    assert note in title
    assert note in shown
    assert f"default, {shop.value.default_margin_rate:.0%} of revenue" in shown
    assert len(profits) == 2
    assert all("margin partly assumed" in profit for profit in profits)
    assert shown.count("margin partly assumed") == 4
    expected = int(who) if who.isdigit() else None
    assert document(found)["assumed_margin"]["customers"] == expected


@pytest.mark.parametrize("objective", ["share_of_market", "share_of_wallet", "share_of_life"])
def test_the_strategys_objective_is_marked(shop, objective):
    """The share that the strategy is to win is said in the page and in the data (C16)."""
    strategy = replace(shop.strategy, objective=objective)
    found = made(replace(shop, strategy=strategy))
    assert document(found)["objective"] == objective
    rows = 2 if objective == "share_of_wallet" else 1
    assert page(found, "t").count("the strategy's objective") == rows
