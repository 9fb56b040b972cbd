"""What `peers_have` reads: the peer rates' offers, and UNKNOWN where too few peers are known."""

import numpy as np
import pytest
from tests.naive import peers as naive

from nextbest.artifact import unpack
from nextbest.assembly import FittedGrid, require_same_codes
from nextbest.errors import ArtifactError
from nextbest.facts import Catalogue, Fact, FactGroup, FactType
from nextbest.fitted import pack_grid, read_grid
from nextbest.potential.grid import PeerGrid
from nextbest.potential.peer_windows import asks_peers, fill_peers_have
from nextbest.potential.peers import PeerFigure, PeerRates, Z
from nextbest.rulebook.builder import ProgramBuilder
from nextbest.rulebook.expressions import Scope, compile_condition

GROUP = FactGroup.TRANSACTION
OWNED = Fact(name="owned_categories", type=FactType.SET, group=GROUP, values=("coffee", "tea"))
SEGMENT = Fact(name="peer_segment", type=FactType.ENUM, group=GROUP, values=("young", "old"))
CATALOGUE = Catalogue((OWNED, SEGMENT))


def program(*sources: str):
    """A program of conditions."""
    builder = ProgramBuilder()
    for source in sources:
        builder.add_condition(compile_condition(source, Scope(CATALOGUE)))
    return builder.build()


def fitted() -> FittedGrid:
    """60 young customers of whom 50 drink tea, 60 old ones of whom 5 do, everybody drinks coffee."""
    codes = np.repeat([0.0, 1.0], 60)[:, None]
    values = np.arange(240, dtype=np.float64).reshape(120, 2)
    grid = PeerGrid.build(codes, values, dimensions=["peer_segment"], outcomes=["value", "profit"])
    owned = np.where(np.arange(120) % 60 < np.repeat([50, 5], 60), 3, 1).astype(np.uint64)
    rates = PeerRates.build(
        grid.tree.numbers_of(codes),
        owned,
        np.ones(120, np.bool_),
        parent=grid.tree.parent,
        categories=("coffee", "tea"),
    )
    return FittedGrid(grid, 5.0, rates, CATALOGUE.fingerprint, {"peer_segment": ("young", "old")})


def test_a_peers_column_is_the_offer_of_the_customers_cell() -> None:
    """Tea is a habit of the young and not of the old; coffee, which everybody has, is nobody's."""
    tables = program('peers_have("tea")', 'peers_have("coffee")')
    rates, grid = fitted().rates.figures(), fitted().grid
    cells = grid.tree.numbers_of(np.array([[0.0], [1.0], [np.nan]]))
    columns = np.full((3, tables.n_windows), -1.0)
    fill_peers_have(tables, rates, cells, columns)
    members = [int(tables.filter_codes[w]) for w in range(tables.n_windows)]
    by_member = {member: columns[:, w].tolist() for w, member in enumerate(members)}
    assert by_member == {1: [1.0, 0.0, 0.0], 0: [0.0, 0.0, 0.0]}
    paths, owned = (
        [(0,)] * 60 + [(1,)] * 60,
        [{0, 1} if i % 60 < (50, 5)[i // 60] else {0} for i in range(120)],
    )
    for member, column in by_member.items():
        counted = [naive.figures(paths, owned, path, member, Z) for path in ((0,), (1,), ())]
        assert column == [float(offer) for *_, offer in counted]


def test_too_few_known_peers_make_it_unknown() -> None:
    """Below the privacy floor in every cell up to the root there is no answer."""
    tables = program('peers_have("tea")')
    nothing = np.full((1, 2, len(PeerFigure)), np.nan)
    columns = np.zeros((1, 1))
    fill_peers_have(tables, nothing, np.zeros(1, np.int32), columns)
    assert np.isnan(columns[0, 0])


def test_other_windows_are_left_alone() -> None:
    """Columns of histories are not the grid's to fill; a program without `peers_have` asks nothing."""
    tables = program("count(history.events, 30) > 1")
    assert not asks_peers(tables)
    assert asks_peers(program('peers_have("tea")'))
    columns = np.full((1, 1), 7.0)
    fill_peers_have(tables, np.zeros((1, 2, 4)), np.zeros(1, np.int32), columns)
    assert columns[0, 0] == 7.0


def test_the_artifact_keeps_who_owns_what() -> None:
    """Rates, members and catalogue come back out of the grid's artifact as they went in."""
    before = fitted()
    after = read_grid(unpack(pack_grid(before, CATALOGUE.fingerprint)))
    assert after.rates.categories == ("coffee", "tea")
    assert (after.rates.have == before.rates.have).all()
    assert (after.rates.n == before.rates.n).all()
    assert (after.members, after.catalogue_fingerprint) == (before.members, CATALOGUE.fingerprint)


@pytest.mark.parametrize(
    ("values", "refused"),
    [(("young", "old"), False), (("young", "old", "retired"), False), (("old", "young"), True), ((), True)],
)
def test_a_grid_of_another_catalogue_is_refused(values: tuple[str, ...], *, refused: bool) -> None:
    """A catalogue may grow; one in which the codes mean something else makes the grid useless."""
    facts = (OWNED, Fact(name="peer_segment", type=FactType.ENUM, group=GROUP, values=values), *EXTRA)
    catalogue = Catalogue(facts if values else (OWNED,))
    if refused:
        with pytest.raises(ArtifactError, match=r"fitted on another catalogue .* `peer_segment`"):
            require_same_codes(fitted(), catalogue)
    else:
        require_same_codes(fitted(), catalogue)


EXTRA = (Fact(name="later", type=FactType.BOOL, group=GROUP),)


def test_a_grid_of_another_catalogue_without_members_is_refused() -> None:
    """An artifact that does not say what its codes mean is of use to its own catalogue only."""
    grid = fitted()
    silent = FittedGrid(grid.grid, grid.fitted_at, grid.rates, 1)
    with pytest.raises(ArtifactError, match="another catalogue"):
        require_same_codes(silent, CATALOGUE)


def test_merging_onto_a_larger_tree_keeps_every_count() -> None:
    """Rates of two parts with different cells add up to those of the whole."""
    draw = np.random.default_rng(2)
    codes = draw.integers(0, 4, (300, 2)).astype(np.float64)
    codes[:150, 0] = np.minimum(codes[:150, 0], 1)
    owned, values = draw.integers(0, 4, 300).astype(np.uint64), draw.random((300, 1))

    def count(rows: slice) -> tuple[PeerGrid, PeerRates]:
        grid = PeerGrid.build(codes[rows], values[rows], dimensions=["a", "b"], outcomes=["o"])
        known = np.ones(len(codes[rows]), np.bool_)
        cells = grid.tree.numbers_of(codes[rows])
        return grid, PeerRates.build(
            cells, owned[rows], known, parent=grid.tree.parent, categories=("x", "y")
        )

    whole, rates = count(slice(None))
    parts = [count(slice(0, 150)), count(slice(150, None))]
    moved = [r.onto(whole.tree.numbers(g.tree.paths), whole.tree.parent) for g, r in parts]
    found = PeerRates.merge(moved)
    assert (found.have == rates.have).all()
    assert (found.n == rates.n).all()
