"""The models that decisions were made with, by digest: so that each can be made again later."""

import asyncio
import json
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from nextbest.assembly import Artifacts, Model, assemble
from nextbest.data.connection import Commands
from nextbest.data.keys import Keys
from nextbest.errors import ArtifactError, DecisionNotReplayable, RulebookCompileError
from nextbest.fitted import read_artifacts
from nextbest.rulebook.compile import compile_rulebook
from nextbest.rulebook.rulebook import Rulebook
from nextbest.rulebook.source import digest_of_files, packed_files

KEPT_LONGER_S = 86400
"""A model is kept so much longer than the last decision that was logged with it, or noted."""


class ServedModels:
    """Rulebooks, and which artifacts they were served with. Artifacts are kept where they are, for good."""

    def __init__(self, commands: Commands, keys: Keys) -> None:
        self._commands = commands
        self._keys = keys

    async def keep(self, model: Model, *, kept_s: int) -> None:
        """Keep what a model consists of; again and again while it is served.

        Args:
            model: with the files its rulebook was compiled from.
            kept_s: as long as decisions are kept that were made with it.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        rulebook, seconds = model.rulebook, kept_s + KEPT_LONGER_S
        consists_of = {"rulebook": rulebook.digest, "artifacts": dict(model.artifacts.digests)}
        text = json.dumps(consists_of, sort_keys=True)
        await self._commands.execute("SET", self._keys.served_model(model.digest), text, "EX", seconds)
        if rulebook.packed:
            key = self._keys.rulebook(rulebook.digest)
            if not await self._commands.execute("EXPIRE", key, seconds):
                await self._commands.execute("SET", key, zlib.compress(rulebook.packed), "EX", seconds)

    async def load(self, digest: str) -> Model:
        """Put a model together again; the work is done in threads, for requests are being answered.

        Raises:
            DecisionNotReplayable: a part of it is not kept, or does not fit any more; says which.
            StoreUnavailable: Redis does not answer.
        """
        consists_of = await self._consists_of(digest)
        rulebook = await self.rulebook(cast("str", consists_of["rulebook"]), of_model=digest)
        artifacts = await self.artifacts(digest)
        try:
            model = await asyncio.to_thread(assemble, rulebook, artifacts)
        except ArtifactError as error:
            raise DecisionNotReplayable(f"model `{digest}` cannot be put together: {error}") from error
        if model.digest != digest:
            raise DecisionNotReplayable(f"model `{digest}` is now `{model.digest}`")
        return model

    async def rulebook(self, digest: str, *, of_model: str) -> Rulebook:
        """Compile a kept rulebook.

        Raises:
            DecisionNotReplayable: it is not kept, is damaged, or no longer compiles.
        """
        name = f"rulebook `{digest}` of model `{of_model}`"
        data = cast("bytes | None", await self._commands.execute("GET", self._keys.rulebook(digest)))
        if data is None:
            raise DecisionNotReplayable(f"{name} is not kept")
        try:
            packed = zlib.decompress(data)
        except zlib.error:
            raise DecisionNotReplayable(f"{name} is damaged") from None
        if digest_of_files(packed) != digest:
            raise DecisionNotReplayable(f"{name} is damaged")
        try:
            return await asyncio.to_thread(compile_packed, packed)
        except (RulebookCompileError, ValueError) as error:
            raise DecisionNotReplayable(f"{name} no longer compiles: {error}") from error

    async def artifacts(self, digest: str) -> Artifacts:
        """The artifacts of a model.

        Raises:
            DecisionNotReplayable: one is not kept, or damaged.
        """
        consists_of = await self._consists_of(digest)
        roles = cast("Mapping[str, str]", consists_of["artifacts"])
        contents: list[bytes] = []
        for role, artifact in roles.items():
            data = await self._commands.execute("GET", self._keys.artifact(artifact))
            if data is None:
                raise DecisionNotReplayable(f"artifact `{artifact}` ({role}) of model `{digest}` is not kept")
            contents.append(cast("bytes", data))
        try:
            return await asyncio.to_thread(read_artifacts, contents)
        except ArtifactError as error:
            raise DecisionNotReplayable(f"an artifact of model `{digest}` is damaged: {error}") from error

    async def _consists_of(self, digest: str) -> Mapping[str, object]:
        text = await self._commands.execute("GET", self._keys.served_model(digest))
        if text is None:
            raise DecisionNotReplayable(f"what model `{digest}` consists of is not kept")
        return cast("Mapping[str, object]", json.loads(cast("bytes", text)))


def compile_packed(packed: bytes) -> Rulebook:
    """Compile a rulebook from its packed files.

    Raises:
        RulebookCompileError: it does not compile.
        ValueError: the files are not in packed form.
    """
    with tempfile.TemporaryDirectory(prefix="nextbest-rulebook-") as directory:
        for path, content in packed_files(packed):
            file = Path(directory) / path
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content)
        return compile_rulebook(Path(directory))
