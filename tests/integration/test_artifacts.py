"""Artifacts in Redis and as files, and model versions."""

import asyncio

import numpy as np
import pytest

from nextbest.artifact import digest_of, pack
from nextbest.data.artifacts import ArtifactFiles, ArtifactStore, ModelVersion, read_artifact_file
from nextbest.errors import ArtifactError

LTV = pack("ltv", {"n": 1}, {"x": np.arange(3.0)})
GRID = pack("grid", {"n": 2}, {})


@pytest.fixture
def store(connection, keys):
    """An artifact store of its own."""
    return ArtifactStore(connection, keys)


async def test_artifacts_are_found_by_digest(store):
    """What was stored comes back under its digest; the list says what there is."""
    digest = await store.put(LTV, now=5.0)
    await store.put(GRID, now=6.0)
    await store.put(LTV, now=7.0)
    assert digest == digest_of(LTV)
    assert (await store.get(digest, kind="ltv")).meta == {"n": 1}
    listed = [(a.kind, a.stored_at, a.size_bytes) for a in await store.all()]
    assert listed == [("grid", 6.0, len(GRID)), ("ltv", 5.0, len(LTV))]


async def test_missing_damaged_and_other_artifacts_are_refused(store, connection, keys):
    """An artifact that is not there, not intact or of another kind is an ArtifactError."""
    digest = await store.put(LTV, now=5.0)
    with pytest.raises(ArtifactError, match="no artifact"):
        await store.get("0" * 64)
    with pytest.raises(ArtifactError, match="of kind"):
        await store.get(digest, kind="grid")
    await connection.execute("SETRANGE", keys.artifact(digest), len(LTV) - 1, b"!")
    with pytest.raises(ArtifactError, match="damaged"):
        await store.get(digest)
    with pytest.raises(ArtifactError, match="not an artifact"):
        await store.put(b"nonsense", now=1.0)


async def test_activation_replaces_a_role_and_keeps_the_others(store):
    """Fits of different roles do not undo each other; versions can be listed and returned to."""
    ltv, grid = await store.put(LTV, now=1.0), await store.put(GRID, now=1.0)
    assert await store.active() == ModelVersion()
    await store.activate({"ltv": ltv}, now=2.0, rulebook="r1")
    version = await store.activate({"grid": grid}, now=3.0)
    assert version == ModelVersion("r1", {"ltv": ltv, "grid": grid}, 3.0) == await store.active()
    assert (await store.activate({"ltv": ""}, now=4.0)).digests == {"grid": grid}
    back = await store.roll_back(now=5.0)
    assert back.digests == {"ltv": ltv, "grid": grid}
    assert [v.activated_at for v in await store.versions()] == [5.0, 4.0, 3.0, 2.0]


async def test_activating_what_is_active_makes_no_version(store):
    """A repeated fit that finds the same adds nothing to return to."""
    digest = await store.put(LTV, now=1.0)
    first = await store.activate({"ltv": digest}, now=2.0)
    assert await store.activate({"ltv": digest}, now=3.0) == first
    assert await store.versions() == [first]


async def test_concurrent_activations_lose_nothing(store):
    """Activations at the same time all take effect."""
    digest = await store.put(LTV, now=1.0)
    await asyncio.gather(*(store.activate({f"propensity/{i}": digest}, now=2.0) for i in range(8)))
    assert len((await store.active()).digests) == 8


async def test_an_artifact_that_is_not_stored_is_not_activated(store):
    """A pointer never leads nowhere, and the first version has none before it."""
    with pytest.raises(ArtifactError, match="no artifact"):
        await store.activate({"ltv": "0" * 64}, now=1.0)
    assert await store.versions() == []
    with pytest.raises(ArtifactError, match="no earlier"):
        await store.roll_back(now=1.0)


def test_artifacts_are_files_too(tmp_path):
    """A directory holds artifacts by kind and digest; a changed file is refused."""
    files = ArtifactFiles(tmp_path / "made")
    path = files.put(LTV)
    assert files.put(LTV) == path
    assert files.all() == [path]
    assert path.name == f"ltv-{digest_of(LTV)}.nbart"
    assert files.get(digest_of(LTV)).meta == {"n": 1} == read_artifact_file(path, kind="ltv").meta
    with pytest.raises(ArtifactError, match="no artifact"):
        files.get(digest_of(GRID))
    path.write_bytes(GRID)
    for read in (lambda: files.get(digest_of(LTV)), lambda: read_artifact_file(path)):
        with pytest.raises(ArtifactError, match="damaged"):
            read()
    with pytest.raises(ArtifactError, match="cannot read"):
        read_artifact_file(tmp_path / "nothing")
