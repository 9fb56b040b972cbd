"""Artifacts by digest, in Redis or as files, and which of them are in use."""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from nextbest.artifact import Artifact, digest_of, unpack
from nextbest.data.connection import Commands
from nextbest.data.keys import Keys
from nextbest.data.scripts import Script
from nextbest.errors import ArtifactError, StoreUnavailable

KEPT_VERSIONS = 50
"""Model versions that can be returned to."""
_MAX_ATTEMPTS = 20
_SUFFIX = ".nbart"

# KEYS: versions, the active one first. ARGV: the one expected there (empty = none), the new one, how many
# to keep.
_ACTIVATE = Script("""
if (redis.call('LINDEX', KEYS[1], 0) or '') ~= ARGV[1] then return 0 end
redis.call('LPUSH', KEYS[1], ARGV[2])
redis.call('LTRIM', KEYS[1], 0, tonumber(ARGV[3]) - 1)
return 1
""")


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """Which rulebook and which artifacts are, or were, in use together."""

    rulebook: str = ""
    """Digest of the rulebook; empty = whatever the service was started with."""
    artifacts: Mapping[str, str] | None = None
    """Role, such as `ltv`, `grid` or `propensity/<id>`, to digest."""
    activated_at: float = 0.0
    """Epoch seconds."""

    @property
    def digests(self) -> Mapping[str, str]:
        """Role to digest."""
        return self.artifacts or {}


@dataclass(frozen=True, slots=True)
class StoredArtifact:
    """An entry of the list of artifacts."""

    digest: str
    kind: str
    size_bytes: int
    stored_at: float
    """Epoch seconds."""


class ArtifactStore:
    """Artifacts and model versions in Redis."""

    def __init__(self, commands: Commands, keys: Keys) -> None:
        self._commands = commands
        self._keys = keys

    async def put(self, data: bytes, *, now: float) -> str:
        """Store an artifact; storing it again changes nothing.

        Returns:
            Its digest.

        Raises:
            ArtifactError: the bytes are no artifact.
            StoreUnavailable: Redis does not answer.
        """
        artifact = unpack(data)
        entry = json.dumps({"kind": artifact.kind, "size_bytes": len(data), "stored_at": now})
        await self._commands.execute("SET", self._keys.artifact(artifact.digest), data)
        await self._commands.execute("HSETNX", self._keys.artifact_index, artifact.digest, entry)
        return artifact.digest

    async def get(self, digest: str, *, kind: str | None = None) -> Artifact:
        """Read an artifact.

        Raises:
            ArtifactError: there is none of that digest, it is damaged or of another kind.
            StoreUnavailable: Redis does not answer.
        """
        data = await self._commands.execute("GET", self._keys.artifact(digest))
        if data is None:
            raise ArtifactError(f"no artifact `{digest}` is stored")
        return unpack(cast("bytes", data), kind=kind, digest=digest)

    async def all(self) -> list[StoredArtifact]:
        """What is stored, the latest first."""
        reply = cast("list[bytes]", await self._commands.execute("HGETALL", self._keys.artifact_index))
        stored = [
            StoredArtifact(digest=digest.decode(), **json.loads(entry))
            for digest, entry in zip(reply[::2], reply[1::2], strict=True)
        ]
        return sorted(stored, key=lambda entry: (-entry.stored_at, entry.digest))

    async def active(self) -> ModelVersion:
        """The model version in use; an empty one if none was ever activated."""
        versions = await self.versions()
        return versions[0] if versions else ModelVersion()

    async def versions(self) -> list[ModelVersion]:
        """Model versions, the active one first."""
        reply = await self._commands.execute("LRANGE", self._keys.model, 0, -1)
        return [ModelVersion(**json.loads(text)) for text in cast("list[bytes]", reply)]

    async def activate(
        self, artifacts: Mapping[str, str], *, now: float, rulebook: str | None = None
    ) -> ModelVersion:
        """Put artifacts into use in one step; the other roles, and the rulebook unless named, stay.

        Activating what is active already makes no version: there is nothing to return to.

        Args:
            artifacts: role to digest; an empty digest takes the role's artifact out of use.
            now: epoch seconds.
            rulebook: digest of the rulebook to use from now on.

        Returns:
            The version in use now.

        Raises:
            ArtifactError: an artifact is not stored, or damaged; nothing changed.
            StoreUnavailable: Redis does not answer; it may have been activated.
        """
        for digest in filter(None, artifacts.values()):
            await self.get(digest)
        for _ in range(_MAX_ATTEMPTS):
            before = cast("bytes | None", await self._commands.execute("LINDEX", self._keys.model, 0))
            old = ModelVersion(**json.loads(before)) if before else ModelVersion()
            roles = {role: digest for role, digest in {**old.digests, **artifacts}.items() if digest}
            new = ModelVersion(old.rulebook if rulebook is None else rulebook, roles, now)
            if (new.rulebook, new.digests) == (old.rulebook, old.digests):
                return old
            if await self._swap(before or b"", new):
                return new
        raise StoreUnavailable("the model is being changed by too many at once")

    async def roll_back(self, *, now: float) -> ModelVersion:
        """Put the version before the active one into use again.

        Raises:
            ArtifactError: there is none.
            StoreUnavailable: Redis does not answer.
        """
        versions = await self.versions()
        if len(versions) < 2:
            raise ArtifactError("there is no earlier model version")
        before = cast("bytes", await self._commands.execute("LINDEX", self._keys.model, 0))
        new = replace(versions[1], activated_at=now)
        if not await self._swap(before, new):
            raise StoreUnavailable("the model is being changed by someone else")
        return new

    async def _swap(self, before: bytes, new: ModelVersion) -> bool:
        document = {"rulebook": new.rulebook, "artifacts": new.digests, "activated_at": new.activated_at}
        text = json.dumps(document, sort_keys=True)
        return await _ACTIVATE.run(self._commands, [self._keys.model], [before, text, KEPT_VERSIONS]) == 1


class ArtifactFiles:
    """Artifacts as files of a directory, named by kind and digest."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, data: bytes) -> Path:
        """Store an artifact; a reader sees all of the file or none.

        Raises:
            ArtifactError: the bytes are no artifact.
            OSError: it cannot be written; nothing is left of it.
        """
        artifact = unpack(data)
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / f"{artifact.kind}-{artifact.digest}{_SUFFIX}"
        with tempfile.NamedTemporaryFile(dir=self._directory, delete=False) as file:
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink()
                raise
        return path

    def get(self, digest: str, *, kind: str | None = None) -> Artifact:
        """Read an artifact.

        Raises:
            ArtifactError: there is no file of that digest, it is damaged or of another kind.
        """
        for path in self._directory.glob(f"*-{digest}{_SUFFIX}"):
            return unpack(path.read_bytes(), kind=kind, digest=digest)
        raise ArtifactError(f"no artifact `{digest}` in `{self._directory}`")

    def all(self) -> list[Path]:
        """The files, by name."""
        return sorted(self._directory.glob(f"*{_SUFFIX}"))


def read_artifact_file(path: Path, *, kind: str | None = None) -> Artifact:
    """Read an artifact from any file.

    Raises:
        ArtifactError: the file cannot be read, or is no artifact of that kind.
    """
    try:
        data = path.read_bytes()
    except OSError as cause:
        raise ArtifactError(f"cannot read `{path}`: {cause.strerror}") from None
    artifact = unpack(data, kind=kind)
    expected = path.stem.rpartition("-")[2]
    if len(expected) == len(artifact.digest) and expected != digest_of(data):
        raise ArtifactError(f"`{path}` is damaged: its name says digest `{expected}`")
    return artifact
