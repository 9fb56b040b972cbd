"""Fitted models as artifacts: what is packed is read back, and what is damaged is said."""

import numpy as np
import pytest

from nextbest.artifact import pack
from nextbest.assembly import OUTCOMES, Artifacts, FittedGrid
from nextbest.errors import ArtifactError
from nextbest.fitted import pack_grid, pack_ltv, pack_propensity, read_artifacts
from nextbest.learning.propensity import PropensityModel
from nextbest.potential.grid import PeerGrid
from nextbest.potential.ltv_parameters import BgNbd, GammaGamma, LtvParameters

LTV = LtvParameters(
    bgnbd=BgNbd(0.1 + 0.2, 5.0, 0.7, 2.6),
    gamma_gamma=GammaGamma(6.0, 4.0, 1 / 3),
    margin=0.3,
    yearly_discount=0.1,
    step_weeks=4.0,
    steps=39,
    standard_errors={"r": 0.01, "alpha": 0.2},
    log_likelihood=-123.456,
    gamma_gamma_log_likelihood=-45.6,
    penalised=True,
    n=100,
    n_repeat=50,
    frequency_top_quartile=0.3,
    warnings=("careful",),
)


def some_grid():
    """A grid of two dimensions."""
    random = np.random.default_rng(3)
    codes = random.integers(0, 3, (200, 2)).astype(np.float64)
    values = random.normal(100.0, 60.0, (200, 2))
    grid = PeerGrid.build(codes, values, dimensions=("a", "b"), outcomes=OUTCOMES, m=20.0)
    return FittedGrid(grid, 1.5e9 + 1 / 3)


def some_model(name):
    """A propensity model of two facts."""
    table = np.array([[0.0, 1.0, 2.0, 0.3, 1.0, -0.1], [10.0, 3.0, 1.0, -0.7, 5.0, 0.2]])
    return PropensityModel(name, ("visits", "spent"), table, np.array([-1.0, 0.9, 0.05]))


def test_lifetime_value_round_trip():
    """Parameters come back bit for bit, with what the fit said of itself."""
    assert read_artifacts([pack_ltv(LTV)]).ltv == LTV


def test_grid_round_trip():
    """A grid comes back with the same counts, the time of its data and the catalogue it was made for."""
    fitted = some_grid()
    back = read_artifacts([pack_grid(fitted, 0xABCDEF0123456789)]).grid
    assert back is not None
    assert back.fitted_at == fitted.fitted_at
    assert back.catalogue_fingerprint == 0xABCDEF0123456789
    assert (back.grid.dimensions, back.grid.outcomes, back.grid.m) == (("a", "b"), OUTCOMES, 20.0)
    for name in ("pointers", "buckets", "counts"):
        np.testing.assert_array_equal(getattr(back.grid, name), getattr(fitted.grid, name))
    np.testing.assert_array_equal(back.grid.tree.paths, fitted.grid.tree.paths)


def test_propensity_round_trip():
    """A model comes back with the same facts and figures, and scores alike."""
    model = some_model("brie")
    back = read_artifacts([pack_propensity(model)]).propensity["brie"]
    values = np.array([[3.0, 100.0], [np.nan, np.nan]])
    np.testing.assert_array_equal(back.score(values), model.score(values))
    assert (back.id, back.facts) == ("brie", ("visits", "spent"))


def test_same_content_same_digest():
    """Equal models have equal bytes, so that a fit on the same data activates nothing new."""
    assert pack_ltv(LTV) == pack_ltv(LTV)
    assert pack_grid(some_grid(), 1) == pack_grid(some_grid(), 1)
    assert pack_propensity(some_model("a")) == pack_propensity(some_model("a"))


def test_all_roles_together():
    """Artifacts are read by role, each propensity model one of its own, with their digests."""
    contents = [
        pack_propensity(some_model("b")),
        pack_ltv(LTV),
        pack_grid(some_grid(), 1),
        pack_propensity(some_model("a")),
    ]
    found = read_artifacts(contents)
    assert set(found.digests) == {"ltv", "grid", "propensity/a", "propensity/b"}
    assert set(found.propensity) == {"a", "b"}
    assert len(set(found.digests.values())) == 4


def test_nothing_fitted():
    """Without artifacts there are none, and that is fine."""
    assert read_artifacts([]) == Artifacts()


def test_one_of_each_role():
    """Two artifacts of one role are refused."""
    with pytest.raises(ArtifactError, match="two artifacts are given as `ltv`"):
        read_artifacts([pack_ltv(LTV), pack_ltv(LTV)])
    with pytest.raises(ArtifactError, match="two artifacts are given as `propensity/a`"):
        read_artifacts([pack_propensity(some_model("a"))] * 2)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (pack("rulebook", {}, {}), r"artifacts of kind \['rulebook'\] are not fitted models"),
        (pack("ltv", {"bgnbd": [1.0]}, {}), "."),
        (pack("grid", {"dimensions": ["a"]}, {}), "does not say when or on what it was fitted"),
        (pack("grid", {"fitted_at": 1.0, "dimensions": ["a"]}, {}), "."),
        (pack("propensity", {"format": 1}, {}), "a propensity model is damaged"),
        (pack("propensity", {"id": "x", "format": 99}, {}), "format `99`"),
        (b"nonsense", "."),
    ],
)
def test_damage_is_said(content, says):
    """Whatever is wrong inside an artifact is an error of ours, never a KeyError."""
    with pytest.raises(ArtifactError, match=says):
        read_artifacts([content])
