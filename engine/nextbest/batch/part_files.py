"""Output that is written in parts, so that an interrupted run goes on, and that is complete or not there.

While it is being written it lies in `<out>.partial/`: `run.json` says of what run, each part is a Parquet
file with a JSON document beside it that is written after it. In the end `out` appears in one step: a file
if its name ends with `.parquet`, else a directory of the parts.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Final, cast

import polars as pl

from nextbest.batch.arrow_batches import ParquetOut, append_parquet
from nextbest.errors import InvalidInput, Violation

Document = Mapping[str, object]
_RUN: Final = "run.json"
_LOCK: Final = "lock"
_WHOLE: Final = "whole"


class PartFiles:
    """The parts of one output."""

    def __init__(self, out: Path, *, overwrite: bool = False, restart: bool = False) -> None:
        """Look what is there, and keep others from writing the same.

        Args:
            out: where the output will be.
            overwrite: whether something may be there already; it stays until the new output is complete.
            restart: whether to forget what an interrupted run has written.

        Raises:
            InvalidInput: there is something already, another run is writing the same, or the directory
                cannot be written to.
        """
        self.out = out
        self._directory = out.with_name(out.name + ".partial")
        if out.exists() and not overwrite:
            raise _refused(f"`{out}` is there already (`--overwrite` replaces it)")
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self._directory / _LOCK)
        except OSError as cause:
            raise _refused(f"cannot write to `{self._directory}`: {cause.strerror}") from None
        if restart:
            self._clear()
        self.run = self._read(_RUN)
        """What the interrupted run was begun with; None = there was none."""
        self.done = 0
        """How many of its parts are there, without a gap."""
        while self.run is not None and (self._directory / f"{_name(self.done)}.json").exists():
            self.done += 1

    def begin(self, run: Document) -> None:
        """Say what is written, before the first part.

        Raises:
            InvalidInput: an interrupted run was of something else.
        """
        if self.run is None:
            self._clear()
            self._write(_RUN, run)
            self.run = run
            return
        other = sorted(k for k in {*run, *self.run} if json.dumps(run.get(k)) != json.dumps(self.run.get(k)))
        if other:
            text = f"an interrupted run in `{self._directory}` had another {', '.join(other)}"
            raise _refused(f"{text} (`--restart` begins anew)")

    def documents(self) -> Iterator[Document]:
        """Those of the parts that are done, in order."""
        for place in range(self.done):
            yield cast("Document", self._read(f"{_name(place)}.json"))

    def write(self, place: int, frame: pl.DataFrame, about: Mapping[str, str], document: Document) -> None:
        """Write a part; it counts once its document is there. Parts may be written in any order."""
        path = self._directory / f"{_name(place)}.parquet"
        with ParquetOut(path, frame.schema, about) as file:
            file.add(frame)
        _synced(path)
        self._write(f"{_name(place)}.json", document)

    def finish(self, count: int, nothing: pl.DataFrame, about: Mapping[str, str]) -> None:
        """Make the output of the first `count` parts appear; `nothing` is its content without any."""
        if not count:
            self.write(0, nothing, about, {})
        parts = [self._directory / f"{_name(place)}.parquet" for place in range(max(count, 1))]
        whole = self._directory / _WHOLE
        _remove(whole)
        if self.out.suffix == ".parquet":
            append_parquet(parts, whole)
            _synced(whole)
        else:
            whole.mkdir()
            for part in parts:
                os.link(part, whole / part.name)
        if self.out.is_dir():
            _remove(self.out)
        whole.replace(self.out)
        _synced(self.out.parent)
        shutil.rmtree(self._directory)

    def _clear(self) -> None:
        for path in self._directory.iterdir():
            if path.name != _LOCK:
                _remove(path)

    def _read(self, name: str) -> Document | None:
        try:
            return cast("Document", json.loads((self._directory / name).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def _write(self, name: str, document: Document) -> None:
        path = self._directory / f"{name}.new"
        path.write_text(json.dumps(document), encoding="utf-8")
        _synced(path)
        path.replace(self._directory / name)
        _synced(self._directory)

    def __enter__(self) -> "PartFiles":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.close()


def _name(place: int) -> str:
    return f"part-{place:06}"


def _locked(path: Path) -> IO[str]:
    """The open file, which locks out others until it is closed or its process is gone."""
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise _refused(f"another run is writing to `{path.parent}`") from None
    return file


def _synced(path: Path) -> None:
    """Wait until it is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _refused(text: str) -> InvalidInput:
    return InvalidInput([Violation("out", text)])
