"""The peer grid against its oracle: cells, merging, back-off, leave-one-out, means, files."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive import grid as naive
from tests.naive import sketch as naive_sketch

from nextbest.errors import ArtifactError, FitError
from nextbest.potential import cells, counting
from nextbest.potential.grid import PeerGrid
from nextbest.potential.sketch import signed_buckets, upper_edges
from nextbest.potential.tables import potential

VECTORS = {case["name"]: case for case in json.loads(Path("tests/vectors.json").read_text())}
DIMENSIONS = ("segment", "household", "tenure")
TAUS = (0.7, 0.8, 0.9, 0.5)
code = st.sampled_from([0.0, 0.0, 1.0, 2.0, math.nan, -1.0, 0.5])
amount = st.one_of(
    st.floats(-500, 5_000),
    st.sampled_from([0.0, 100.0, 100.0, -50.0, math.nan, math.inf, -math.inf, 1e300, 5e-324]),
)
customer = st.tuples(code, code, code, amount, amount)
population = st.lists(customer, max_size=120)


def build(people: list[tuple[float, ...]], m: float = 30.0, **options: object) -> PeerGrid:
    """Build a grid of three dimensions and two outcomes."""
    table = np.array(people, np.float64).reshape(-1, 5)
    return PeerGrid.build(
        table[:, :3], table[:, 3:], dimensions=DIMENSIONS, outcomes=("value", "profit"), m=m, **options
    )


def crowd(n: int, seed: int) -> np.ndarray:
    """Make n customers whose outcomes depend on their cell, some codes and amounts missing."""
    draw = np.random.default_rng(seed)
    codes = draw.integers(0, 3, (n, 3)).astype(np.float64)
    values = np.exp(draw.normal(5, 1, (n, 2))) * (1 + codes[:, :1]) - 50
    codes[draw.random((n, 3)) < 0.1] = np.nan
    values[draw.random((n, 2)) < 0.05] = np.nan
    return np.hstack([codes, values])


def path(grid: PeerGrid, cell: int) -> naive.Path:
    """Path of a cell as the oracle writes it."""
    return tuple(int(c) for c in grid.tree.paths[cell] if c >= 0)


def oracle(people: np.ndarray, outcome: int, m: float) -> naive.Grid:
    """Count the same customers by hand."""
    return naive.Grid(naive.counts_of(people[:, :3].tolist(), people[:, 3 + outcome].tolist()), m)


def same(one: PeerGrid, other: PeerGrid) -> bool:
    """Whether two grids are equal to the last count."""
    arrays, others = one.to_arrays()[1], other.to_arrays()[1]
    return one.to_arrays()[0] == other.to_arrays()[0] and all(
        np.array_equal(arrays[name], others[name]) and arrays[name].dtype == others[name].dtype
        for name in arrays
    )


@settings(max_examples=60, deadline=None)
@given(population)
def test_cells_and_counts_equal_counting_by_hand(people: list[tuple[float, ...]]) -> None:
    """Every cell holds exactly the customers whose known codes begin with its path."""
    grid = build(people)
    table = np.array(people, np.float64).reshape(-1, 5)
    for outcome in range(2):
        expected = oracle(table, outcome, 30.0).cells
        found = {
            path(grid, c): dict(zip(sk.buckets.tolist(), sk.counts.tolist(), strict=True))
            for c in range(grid.tree.parent.size)
            for sk in [grid.sketch(c, outcome)]
        }
        assert found == {cell: dict(counts) for cell, counts in expected.items()}
        assert grid.n[outcome].tolist() == [sum(found[path(grid, c)].values()) for c in range(len(found))]


@settings(max_examples=60, deadline=None)
@given(population, st.lists(code, min_size=3, max_size=3))
def test_a_customer_is_in_the_deepest_cell_known(people: list[tuple[float, ...]], codes: list[float]) -> None:
    """Locating stops at a missing code, and at a path nobody has."""
    grid = build(people)
    known = oracle(np.array(people, np.float64).reshape(-1, 5), 0, 30.0).cells
    found = grid.tables([0.8]).locate(np.array([codes]))
    assert path(grid, int(found[0])) == naive.cell_of(known, codes)


@settings(max_examples=60, deadline=None)
@given(st.lists(population, min_size=1, max_size=3))
def test_merging_equals_building_from_all(parts: list[list[tuple[float, ...]]]) -> None:
    """merge(A, B) = build(A ∪ B) to the last count, in any order and grouping."""
    whole = build([person for part in parts for person in part])
    grids = [build(part) for part in parts]
    assert same(PeerGrid.merge(grids), whole)
    assert same(PeerGrid.merge(grids[::-1]), whole)
    assert same(PeerGrid.merge([grids[0], PeerGrid.merge(grids[1:] or [build([])])]), whole)


def test_sorting_and_tables_give_the_same_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way taken where counters would not fit ends in the same cells and counts."""
    people = crowd(2_000, 5).tolist()
    usual = build(people)
    monkeypatch.setattr(cells, "_TABLE_LIMIT", 0)
    monkeypatch.setattr(counting, "_DENSE_LIMIT", 0)
    assert same(build(people), usual)


def test_threads_and_storage_order_change_nothing() -> None:
    """Two threads, or rows stored by column, or integer codes give the same grid."""
    people = crowd(2_000, 6)
    codes = np.where(np.isnan(people[:, :3]), -1, people[:, :3])
    usual = build(people.tolist())
    for form in (codes.astype(np.int32), codes.astype(np.int8), np.asfortranarray(codes)):
        values = np.asfortranarray(people[:, 3:])
        other = PeerGrid.build(form, values, dimensions=DIMENSIONS, outcomes=("value", "profit"), workers=2)
        assert same(other, usual)


def test_customers_without_full_exposure_are_left_out() -> None:
    """A mask gives the grid of the customers it keeps."""
    people = crowd(500, 7)
    full = np.random.default_rng(8).random(500) < 0.6
    assert same(build(people.tolist(), full=full), build(people[full].tolist()))


def test_vector_back_off() -> None:
    """On exact values, the oracle's back-off comes out as published."""
    case = VECTORS["grid_back_off"]
    root = [float(v) for v in range(100, 2_001, 100)]
    for name, expected in case["out"].items():
        tau = float(name.removeprefix("tau_"))
        assert naive.exact_quantile(root, case["in"]["cell"], case["in"]["m"], tau) == expected


def test_back_off_of_the_vector_in_buckets() -> None:
    """Ten copies of the published cell and root give its quantiles within a bucket."""
    case = VECTORS["grid_back_off"]
    inside = [(1.0, math.nan, math.nan, float(v), math.nan) for v in case["in"]["cell"] * 10]
    # the root of the example does not hold the cell: weigh it so much that the cell vanishes in it
    outside = [(0.0, math.nan, math.nan, float(v), math.nan) for v in range(100, 2_001, 100)] * 500
    grid = build(inside + outside, m=case["in"]["m"] * 10)
    tables = grid.tables([0.8])
    cell = int(tables.locate(np.array([[1.0, math.nan, math.nan]]))[0])
    for name, expected in case["out"].items():
        place = tables.tau_index(float(name.removeprefix("tau_")))
        assert tables.quantiles[0, cell, place, 0] == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("m", [0.0, 5.0, 30.0, 7.25])
def test_quantiles_equal_the_oracle(m: float) -> None:
    """Q, Q⁻ and Q⁺ of every cell come out as rational arithmetic gives them."""
    people = crowd(400, 9)
    grid = build(people.tolist(), m)
    tables = grid.tables(TAUS)
    for outcome in range(2):
        hand = oracle(people, outcome, m)
        for cell in range(grid.tree.parent.size):
            for tau in TAUS:
                number = hand.quantile(path(grid, cell), tau)
                found = tables.quantiles[outcome, cell, tables.tau_index(tau), 0]
                assert found == pytest.approx(float(naive_sketch.representative(number)), rel=1e-12)


@pytest.mark.parametrize("at_the_edge", [False, True])
def test_leaving_one_out_equals_taking_the_customer_out(at_the_edge: bool) -> None:
    """A customer of the fit gets the quantile of the cell without them; others get that of the cell.

    Also where every amount is the largest of its bucket.
    """
    people = crowd(200, 10)
    if at_the_edge:
        people[:, 3:] = upper_edges(signed_buckets(people[:, 3:].ravel())).reshape(-1, 2)
    grid = build(people.tolist())
    tables = grid.tables(TAUS)
    own_cells = tables.locate(people[:, :3])
    hand = oracle(people, 1, 30.0)
    for tau in (0.8, 0.5):
        place = np.full(len(people), tables.tau_index(tau), np.int64)
        for in_fit in (True, False):
            known = np.full(len(people), in_fit)
            found = potential(tables.quantiles[1], own_cells, place, people[:, 4].copy(), known)
            expected = [
                hand.potential_of(path(grid, c), tau, own, in_fit=in_fit)
                for c, own in zip(own_cells.tolist(), people[:, 4].tolist(), strict=True)
            ]
            assert found == pytest.approx(expected, rel=1e-12)


def test_leaving_one_out_stops_at_two_hundred() -> None:
    """Cells of 200 and more, and those below ten, give every customer the same potential."""
    for n, applies in ((9, False), (10, True), (199, True), (200, False)):
        people = [(0.0, math.nan, math.nan, 1.1**i, 0.0) for i in range(n)]
        tables = build(people + [(1.0, 0.0, 0.0, 1.0, 1.0)] * 300, m=0.0).tables([0.8])
        cell = int(tables.locate(np.array([[0.0, math.nan, math.nan]]))[0])
        usual, below, above, _ = tables.quantiles[0, cell, 0]
        assert ((usual == below) and (usual == above)) != applies


@settings(max_examples=60, deadline=None)
@given(population, st.floats(0, 200))
def test_quantiles_do_not_cross(people: list[tuple[float, ...]], m: float) -> None:
    """A higher τ never gives a lower potential, with or without the customer."""
    quantiles = build(people, m).tables([0.05, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0]).quantiles
    order = quantiles[:, :, [0, 1, 2, 3, 4, 5, 6], :3]
    steps = np.diff(order, axis=2)
    assert (np.isnan(steps) | (steps >= 0)).all()
    assert not (order[..., 1] > order[..., 2]).any()


@settings(max_examples=40, deadline=None)
@given(population)
def test_small_cells_show_their_parents_figures(people: list[tuple[float, ...]]) -> None:
    """Below ten customers a cell has no figure of its own."""
    grid = build(people)
    tables = grid.tables(TAUS)
    for outcome in range(2):
        for cell in range(1, grid.tree.parent.size):
            if not tables.visible[outcome, cell]:
                up = grid.tree.parent[cell]
                assert np.array_equal(
                    tables.quantiles[outcome, cell, :, 0], tables.quantiles[outcome, up, :, 0], equal_nan=True
                )
                one, other = tables.backed_off_mean[outcome, [cell, up]]
                assert one == other or (math.isnan(one) and math.isnan(other))


@pytest.mark.parametrize(("n", "own"), [(9, False), (10, True)])
def test_ten_customers_are_a_cell_of_their_own(n: int, own: bool) -> None:
    """From ten customers on a cell has figures that may be shown."""
    people = [(0.0, math.nan, math.nan, 5.0, 5.0)] * n + [(1.0, math.nan, math.nan, 900.0, 900.0)] * 100
    tables = build(people, m=0.0).tables(TAUS)
    cell = tables.locate(np.array([[0.0, math.nan, math.nan]]))
    assert tables.visible[0, cell[0]] == own
    assert tables.sizes(0, cell)[0] == pytest.approx(n if own else math.nan, nan_ok=True)
    assert (tables.quantiles[0, cell[0], 0, 0] < 10.0) == own
    assert (tables.backed_off_mean[0, cell[0]] < 10.0) == own


def test_means_equal_the_oracle() -> None:
    """Means come from counts alone, outliers clamped to the root's outer quantiles."""
    people = crowd(300, 11)
    people[0, 3:] = 1e300
    grid = build(people.tolist())
    tables = grid.tables(TAUS)
    for outcome in range(2):
        hand = oracle(people, outcome, 30.0)
        for cell in range(grid.tree.parent.size):
            at = path(grid, cell)
            assert tables.mean[outcome, cell] == pytest.approx(hand.mean(at), rel=1e-12, nan_ok=True)
            assert tables.backed_off_mean[outcome, cell] == pytest.approx(hand.star_mean(at), rel=1e-12)


def test_a_prospect_is_worth_what_its_peers_are() -> None:
    """Look-alike value and size come from the prospect's cell, the size only where it may be shown."""
    people = [(0.0, 0.0, 0.0, 200.0, 50.0)] * 40 + [(1.0, 0.0, 0.0, 900.0, 300.0)] * 5
    tables = build(people).tables(TAUS)
    cells_ = tables.locate(np.array([[0.0, 0.0, 2.0], [1.0, 0.0, 0.0]]))
    worth = tables.look_alike(1, cells_)
    assert worth[0] < worth[1] < 100
    assert worth[1] == tables.backed_off_mean[1, 0]
    assert tables.sizes(1, cells_).tolist() == pytest.approx([40, math.nan], nan_ok=True)


def test_nobody_has_no_potential() -> None:
    """An empty grid is a root without figures, and locates everyone in it."""
    grid = build([])
    tables = grid.tables(TAUS)
    assert grid.tree.parent.tolist() == [-1]
    assert np.isnan(tables.quantiles).all()
    assert np.isnan(tables.mean).all()
    assert tables.locate(np.array([[0.0, 1.0, 2.0]])).tolist() == [0]
    assert np.isnan(grid.thirds()).all()


def test_one_customer_is_their_own_benchmark() -> None:
    """With one customer every cell has the root's figure, which is their own bucket."""
    tables = build([(0.0, 0.0, 0.0, 250.0, -40.0)]).tables([0.8])
    assert tables.quantiles[0, :, :, :3] == pytest.approx(np.full((4, 2, 3), 250), rel=0.01)
    assert tables.quantiles[1, :, :, :3] == pytest.approx(np.full((4, 2, 3), -40), rel=0.01)
    assert not tables.visible.any()


def test_equal_customers_all_get_the_same() -> None:
    """Where all are equal, every quantile and every mean is that amount."""
    tables = build([(0.0, 1.0, 2.0, 99.0, -7.0)] * 50).tables(TAUS)
    assert tables.quantiles[0, :, :, :3] == pytest.approx(np.full((4, 4, 3), 99), rel=0.01)
    assert tables.backed_off_mean[1] == pytest.approx(np.full(4, -7), rel=0.01)


def test_a_grid_without_dimensions_is_its_root() -> None:
    """A rulebook that names no peer dimension compares everyone with everyone."""
    values = np.arange(1.0, 101.0).reshape(-1, 1)
    grids = [
        PeerGrid.build(np.empty((50, 0)), part, dimensions=(), outcomes=("profit",))
        for part in (values[:50], values[50:])
    ]
    tables = PeerGrid.merge(grids).tables([0.8])
    assert tables.quantiles[0, 0, 0, 0] == pytest.approx(80, rel=0.01)
    assert tables.locate(np.empty((3, 0))).tolist() == [0, 0, 0]


def test_sparse_and_large_codes_are_found() -> None:
    """Codes need not be dense: a postal district of nine digits is a code like any other."""
    codes = np.array([[7.0, 999_999_999.0], [7.0, 5.0], [3.0, 2_147_483_646.0], [3.0, 2_147_483_647.0]])
    grid = PeerGrid.build(codes, np.ones((4, 1)), dimensions=("a", "b"), outcomes=("profit",))
    found = grid.tables([0.8]).locate(codes)
    assert [tuple(grid.tree.paths[c]) for c in found] == [
        (7, 999_999_999),
        (7, 5),
        (3, 2_147_483_646),
        (3, -1),
    ]


def test_terciles_split_the_population() -> None:
    """The bounds of the mutual segments leave a third on each side, within a bucket."""
    values = np.exp(np.random.default_rng(12).normal(5, 1, (9_000, 1)))
    grid = PeerGrid.build(np.zeros((9_000, 1)), values, dimensions=("a",), outcomes=("profit",))
    assert (values > grid.thirds()[0]).mean(axis=0) == pytest.approx([2 / 3, 1 / 3], abs=0.01)


def test_files_give_the_grid_back() -> None:
    """A grid survives its description in JSON and its arrays."""
    grid = build(crowd(300, 13).tolist(), 20.0)
    meta, arrays = grid.to_arrays()
    assert same(PeerGrid.from_arrays(json.loads(json.dumps(meta)), arrays), grid)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("paths", lambda a: np.concatenate([a[:1], a[:0:-1]]), "paths are out of order"),
        ("paths", lambda a: np.delete(a, 1, axis=0), "a cell lacks its parent"),
        ("paths", lambda a: a[1:], "the root is missing"),
        ("paths", lambda a: a[:0], "the root is missing"),
        ("paths", lambda a: a[:, :2], "cannot reshape"),
        ("pointers", lambda a: a[:-1], "different sizes"),
        ("pointers", lambda a: a + 1, "pointers do not fit"),
        ("pointers", lambda a: np.concatenate([a[:1], a[2:3], a[1:2], a[3:]]), "pointers do not fit"),
        ("counts", lambda a: a - a.max(), "a count is below 1"),
        ("counts", lambda a: a[1:], "different sizes"),
        ("buckets", lambda a: a + np.int32(10**6), "a bucket is out of range"),
        ("buckets", lambda a: a[::-1].copy(), "buckets are out of order"),
        ("buckets", lambda a: np.where(np.arange(a.size) == a.size - 1, 35_000, a), "not in the root"),
    ],
)
def test_damaged_files_are_refused(name: str, damage: object, message: str) -> None:
    """Arrays that contradict each other are an error, never a read outside them."""
    meta, arrays = build(crowd(300, 14).tolist()).to_arrays()
    with pytest.raises(ArtifactError, match=message):
        PeerGrid.from_arrays(meta, {**arrays, name: damage(arrays[name])})


def test_incomplete_files_are_refused() -> None:
    """A missing part is an error that names it."""
    meta, arrays = build([]).to_arrays()
    with pytest.raises(ArtifactError, match="counts"):
        PeerGrid.from_arrays(meta, {k: v for k, v in arrays.items() if k != "counts"})
    with pytest.raises(ArtifactError, match="dimensions"):
        PeerGrid.from_arrays({}, arrays)
    with pytest.raises(ArtifactError, match="another width"):
        PeerGrid.from_arrays({**meta, "alpha": 0.02}, arrays)
    with pytest.raises(ArtifactError, match="no weight"):
        PeerGrid.from_arrays({**meta, "m": math.inf}, arrays)


def test_misfits_are_refused() -> None:
    """Shapes, names and weights that do not fit are an error before anything is counted."""
    codes, values = np.zeros((3, 1)), np.zeros((3, 1))
    with pytest.raises(FitError, match="codes have shape"):
        PeerGrid.build(codes, values, dimensions=("a", "b"), outcomes=("profit",))
    with pytest.raises(FitError, match="outcomes have shape"):
        PeerGrid.build(codes, values[:2], dimensions=("a",), outcomes=("profit",))
    with pytest.raises(FitError, match="m is a number"):
        PeerGrid.build(codes, values, dimensions=("a",), outcomes=("profit",), m=math.nan)
    with pytest.raises(FitError, match="no grid"):
        PeerGrid.merge([])
    with pytest.raises(FitError, match="cannot be merged"):
        PeerGrid.merge([build([], 10.0), build([], 20.0)])
    with pytest.raises(ValueError, match="each tau"):
        build([]).tables([0.0])
    with pytest.raises(KeyError, match="no quantile"):
        build([]).tables([0.8]).tau_index(0.75)
