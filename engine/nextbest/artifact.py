"""Artifacts: what a fit or a compilation leaves behind, as one immutable block of bytes.

A container holds a header in canonical JSON (kind, format, catalogue, meta, table of arrays) and the
arrays themselves. Equal content has equal bytes, so the digest of the bytes is the artifact's name.
"""

import hashlib
import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np
import numpy.typing as npt

from nextbest.errors import ArtifactError

MAGIC = b"nbartfct"
"""The first eight bytes of every artifact."""
FORMAT = 1
"""Version of the container; a reader refuses any other."""
KINDS = ("ltv", "retention", "grid", "propensity", "rulebook")
"""What an artifact can be."""

Array: TypeAlias = npt.NDArray[np.generic]
Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None

_PREAMBLE = struct.Struct("<8sQ")
_ITEM_SIZES = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (4, 8)}


@dataclass(frozen=True, slots=True)
class Artifact:
    """A container read back; arrays are read-only views into its bytes."""

    kind: str
    catalogue_fingerprint: int | None
    """The fact catalogue it was made for; None = independent of one."""
    meta: Mapping[str, Json]
    arrays: Mapping[str, Array]
    digest: str


def digest_of(data: bytes) -> str:
    """The artifact's name: BLAKE2b-256 of all its bytes, in hex."""
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def model_digest(rulebook_digest: str, artifact_digests: Mapping[str, str]) -> str:
    """Identity of what decides: the rulebook and the artifacts by the role each plays.

    Args:
        rulebook_digest: `Rulebook.digest`.
        artifact_digests: role, such as `ltv`, `grid` or `propensity/<id>`, to artifact digest.
    """
    text = _canonical([rulebook_digest, sorted(artifact_digests.items())])
    return hashlib.blake2b(text, digest_size=32).hexdigest()


def pack(
    kind: str,
    meta: Mapping[str, object],
    arrays: Mapping[str, npt.ArrayLike],
    *,
    catalogue_fingerprint: int | None = None,
) -> bytes:
    """The container's bytes; the same content always gives the same bytes.

    Args:
        kind: one of `KINDS`.
        meta: JSON values; no NaN or infinity.
        arrays: numbers or booleans of any shape; stored little-endian, row by row.
        catalogue_fingerprint: the fact catalogue it was made for, if it depends on one.

    Raises:
        ArtifactError: a kind, a meta value or an array's type that the format does not hold.
    """
    if kind not in KINDS:
        raise ArtifactError(f"`{kind}` is not a kind of artifact: {', '.join(KINDS)}")
    stored = {name: _plain(name, arrays[name]) for name in sorted(arrays)}
    header = _canonical(
        {
            "kind": kind,
            "format": FORMAT,
            "catalogue": None if catalogue_fingerprint is None else f"{catalogue_fingerprint:016x}",
            "meta": dict(meta),
            "arrays": _table(stored),
        }
    )
    body = b"".join(_padded(array.tobytes()) for array in stored.values())
    return _padded(_PREAMBLE.pack(MAGIC, len(header)) + header) + body


def unpack(data: bytes, *, kind: str | None = None, digest: str | None = None) -> Artifact:
    """Read a container, without copying its arrays.

    Args:
        data: the bytes that `pack` made.
        kind: what it must be, if the caller cares.
        digest: the name it was asked for by, if any; compared with the bytes.

    Raises:
        ArtifactError: damaged, cut short, of another format, kind or name.
    """
    found = digest_of(data)
    if digest is not None and digest != found:
        raise ArtifactError(f"artifact is damaged: its digest is `{found}`, not `{digest}`")
    header, start = _read_header(data)
    if kind is not None and header["kind"] != kind:
        raise ArtifactError(f"artifact is of kind `{header['kind']}`, not `{kind}`")
    try:
        catalogue = header["catalogue"]
        fingerprint = None if catalogue is None else int(str(catalogue), 16)
        meta = cast("dict[str, Json]", header["meta"])
        table = cast("list[dict[str, Json]]", header["arrays"])
        arrays = dict(_views(data, start, table))
    except (KeyError, TypeError, ValueError, AttributeError) as cause:
        raise ArtifactError(f"artifact is damaged: unreadable header: {cause!r}") from None
    return Artifact(str(header["kind"]), fingerprint, meta, arrays, found)


def require_catalogue(artifact: Artifact, fingerprint: int) -> Artifact:
    """The artifact, if it was made for this catalogue or depends on none.

    Raises:
        ArtifactError: it was made for another.
    """
    made_for = artifact.catalogue_fingerprint
    if made_for is not None and made_for != fingerprint:
        raise ArtifactError(
            f"{artifact.kind} artifact was made for catalogue `{made_for:016x}`, not `{fingerprint:016x}`: "
            "fit it again"
        )
    return artifact


def _canonical(value: object) -> bytes:
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as cause:
        raise ArtifactError(f"meta is not plain JSON: {cause}") from None
    return text.encode()


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def _plain(name: str, value: npt.ArrayLike) -> Array:
    array = np.asarray(value)
    if array.dtype.itemsize not in _ITEM_SIZES.get(array.dtype.kind, ()):
        raise ArtifactError(f"array `{name}` has type `{array.dtype}`, which an artifact does not hold")
    return cast("Array", np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(array.shape))


def _table(stored: Mapping[str, Array]) -> list[dict[str, object]]:
    entries: list[dict[str, object]] = []
    offset = 0
    for name, array in stored.items():
        dtype = array.dtype.newbyteorder("<").str
        entries.append({"name": name, "dtype": dtype, "shape": list(array.shape), "offset": offset})
        offset += array.nbytes + -array.nbytes % 8
    return entries


def _read_header(data: bytes) -> tuple[dict[str, Json], int]:
    if len(data) < _PREAMBLE.size or data[:8] != MAGIC:
        raise ArtifactError("not an artifact: the first bytes are not its mark")
    length = int.from_bytes(data[8:16], "little")
    if _PREAMBLE.size + length > len(data):
        raise ArtifactError(f"artifact is cut short: {len(data)} bytes end within the header")
    try:
        header = json.loads(data[_PREAMBLE.size : _PREAMBLE.size + length])
    except ValueError:
        raise ArtifactError("artifact is damaged: its header is not JSON") from None
    if not isinstance(header, dict):
        raise ArtifactError("artifact is damaged: its header is not an object")
    document = cast("dict[str, Json]", header)
    if document.get("format") != FORMAT:
        raise ArtifactError(f"artifact is of format {document.get('format')}, not {FORMAT}")
    if document.get("kind") not in KINDS:
        raise ArtifactError(f"artifact is of unknown kind `{document.get('kind')}`")
    return document, _PREAMBLE.size + length + -(_PREAMBLE.size + length) % 8


def _views(data: bytes, start: int, table: Iterable[Mapping[str, Json]]) -> Iterable[tuple[str, Array]]:
    expected = 0
    for entry in table:
        name, dtype = str(entry["name"]), _safe_dtype(str(entry["dtype"]))
        shape = tuple(int(cast("int", size)) for size in cast("list[Json]", entry["shape"]))
        offset = cast("int", entry["offset"])
        count = 1
        for size in shape:
            count *= size
        if offset != expected or count < 0 or min(shape, default=0) < 0:
            raise ArtifactError(f"artifact is damaged: array `{name}` is out of place")
        end = start + offset + count * dtype.itemsize
        if end > len(data):
            raise ArtifactError(f"artifact is cut short: array `{name}` ends at byte {end} of {len(data)}")
        yield name, np.frombuffer(data, dtype, count, start + offset).reshape(shape)
        expected = offset + count * dtype.itemsize + -(count * dtype.itemsize) % 8
    if len(data) != start + expected:
        raise ArtifactError(f"artifact is damaged: {len(data)} bytes where {start + expected} are expected")


def _safe_dtype(text: str) -> np.dtype[np.generic]:
    dtype = np.dtype(text)
    if dtype.itemsize not in _ITEM_SIZES.get(dtype.kind, ()) or dtype.byteorder == ">":
        raise ArtifactError(f"artifact is damaged: `{text}` is no type that an artifact holds")
    return dtype
