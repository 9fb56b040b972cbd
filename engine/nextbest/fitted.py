"""Fitted models as artifacts and back: what `fit` writes is what a service assembles."""

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from nextbest.artifact import Artifact, pack, unpack
from nextbest.assembly import Artifacts, FittedGrid
from nextbest.errors import ArtifactError
from nextbest.learning.propensity import PropensityModel
from nextbest.potential.grid import PeerGrid
from nextbest.potential.ltv_parameters import LtvParameters
from nextbest.potential.peers import PeerRates
from nextbest.potential.retention import RetentionModel

LTV, GRID, PROPENSITY, RETENTION = "ltv", "grid", "propensity", "retention"
PEERS = "peers/"
"""First part of the names of the peer rates' arrays, which lie in the grid's artifact."""


def pack_ltv(parameters: LtvParameters) -> bytes:
    """Lifetime-value parameters as an artifact; they depend on no catalogue."""
    return pack(LTV, parameters.to_dict(), {})


def pack_retention(model: RetentionModel) -> bytes:
    """Retention of contracts as an artifact; it depends on no catalogue."""
    return pack(RETENTION, model.to_dict(), {})


def pack_grid(fitted: FittedGrid, catalogue_fingerprint: int) -> bytes:
    """A peer grid as an artifact; its codes are those of one catalogue."""
    meta, arrays = fitted.grid.to_arrays()
    meta["fitted_at"] = fitted.fitted_at
    meta["accepted_leaks"] = list(fitted.accepted_leaks)
    meta["members"] = {name: list(values) for name, values in fitted.members.items()}
    if fitted.rates is not None:
        owned, counts = fitted.rates.to_arrays()
        meta["peers"] = owned
        arrays |= {f"{PEERS}{name}": array for name, array in counts.items()}
    return pack(GRID, meta, arrays, catalogue_fingerprint=catalogue_fingerprint)


def pack_propensity(model: PropensityModel) -> bytes:
    """A propensity model as an artifact; it names its facts, so it depends on no catalogue."""
    return pack(PROPENSITY, model.to_dict(), {})


def role_of(artifact: Artifact) -> str:
    """What an artifact is used as: `ltv`, `retention`, `grid` or `propensity/<id>`."""
    return f"{PROPENSITY}/{artifact.meta.get('id', '')}" if artifact.kind == PROPENSITY else artifact.kind


def read_artifacts(contents: Iterable[bytes]) -> Artifacts:
    """Read artifacts, one of each role.

    Raises:
        ArtifactError: one is damaged or of a kind that is not fitted, or two have the same role.
    """
    found: dict[str, Artifact] = {}
    for content in contents:
        artifact = unpack(content)
        if found.setdefault(role_of(artifact), artifact) is not artifact:
            raise ArtifactError(f"two artifacts are given as `{role_of(artifact)}`")
    unknown = [
        role for role, artifact in found.items() if artifact.kind not in (LTV, RETENTION, GRID, PROPENSITY)
    ]
    if unknown:
        raise ArtifactError(f"artifacts of kind {unknown} are not fitted models")
    models = [_propensity(artifact) for artifact in found.values() if artifact.kind == PROPENSITY]
    return Artifacts(
        ltv=LtvParameters.from_dict(found[LTV].meta) if LTV in found else None,
        retention=RetentionModel.from_dict(found[RETENTION].meta) if RETENTION in found else None,
        grid=read_grid(found[GRID]) if GRID in found else None,
        propensity={model.id: model for model in models},
        digests={role: artifact.digest for role, artifact in found.items()},
    )


def read_grid(artifact: Artifact) -> FittedGrid:
    """The peer grid of an artifact.

    Raises:
        ArtifactError: it is damaged.
    """
    meta = cast("Mapping[str, object]", artifact.meta)
    try:
        fitted_at = float(cast("float", meta["fitted_at"]))
        written = cast("Mapping[str, Sequence[str]]", meta.get("members", {}))
        members = {name: tuple(values) for name, values in written.items()}
        leaks = tuple(cast("Sequence[str]", meta.get("accepted_leaks", ())))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"grid does not say when or on what it was fitted: {error!r}") from error
    grid = PeerGrid.from_arrays(meta, artifact.arrays)
    rates = _rates(artifact, grid) if "peers" in meta else None
    return FittedGrid(
        grid, fitted_at, rates, artifact.catalogue_fingerprint, accepted_leaks=leaks, members=members
    )


def _rates(artifact: Artifact, grid: PeerGrid) -> PeerRates:
    owned = cast("Mapping[str, object]", artifact.meta["peers"])
    counts = {n.removeprefix(PEERS): a for n, a in artifact.arrays.items() if n.startswith(PEERS)}
    return PeerRates.from_arrays(owned, counts, grid.tree.parent)


def _propensity(artifact: Artifact) -> PropensityModel:
    return PropensityModel.from_dict(cast("Mapping[str, object]", artifact.meta))
