"""Artifacts: bytes, digests, and damage that is noticed."""

import contextlib
import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.artifact import digest_of, model_digest, pack, require_catalogue, unpack
from nextbest.errors import ArtifactError

ARRAYS = {"theta": np.array([0.25, 4.0]), "codes": np.array([[1, 2, 3]], np.uint8)}
META = {"fitted_on": "panel", "n": 3, "converged": True, "note": "blåbær"}
PACKED = pack("ltv", META, ARRAYS, catalogue_fingerprint=0xABC)


def test_artifact_has_the_documented_bytes():
    """Mark, header length, canonical JSON, then arrays in order of name, each padded to 8 bytes."""
    data = pack("ltv", {"n": 1}, {"b": np.array([1.5]), "a": np.array([7], np.uint8)})
    header = (
        b'{"arrays":[{"dtype":"|u1","name":"a","offset":0,"shape":[1]},'
        b'{"dtype":"<f8","name":"b","offset":8,"shape":[1]}],'
        b'"catalogue":null,"format":1,"kind":"ltv","meta":{"n":1}}'
    )
    padding = bytes(-(16 + len(header)) % 8)
    expected = b"nbartfct" + len(header).to_bytes(8, "little") + header + padding
    assert data == expected + bytes.fromhex("0700000000000000 000000000000f83f")
    assert digest_of(data) == hashlib.blake2b(data, digest_size=32).hexdigest()


def test_unpacking_gives_back_what_was_packed():
    """Kind, catalogue, meta and arrays come back; arrays are read-only and aligned."""
    artifact = unpack(PACKED, kind="ltv", digest=digest_of(PACKED))
    assert artifact.kind == "ltv"
    assert artifact.catalogue_fingerprint == 0xABC
    assert artifact.meta == META
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(artifact.arrays[name], array)
        assert artifact.arrays[name].dtype == array.dtype
        assert artifact.arrays[name].flags.aligned
        assert not artifact.arrays[name].flags.writeable


def test_equal_content_has_equal_bytes():
    """The order in which meta and arrays are given, and memory layout, leave no trace."""
    turned = {"codes": np.asfortranarray(ARRAYS["codes"]), "theta": ARRAYS["theta"].astype(">f8")}
    again = pack("ltv", dict(reversed(META.items())), turned, catalogue_fingerprint=0xABC)
    assert again == PACKED


@pytest.mark.parametrize(
    "array", [np.float64(3.5), np.empty((0, 4)), np.zeros((2, 0, 3), np.int32), np.array([True, False])]
)
def test_odd_shapes_survive(array):
    """Scalars, empty arrays and booleans are arrays like others."""
    back = unpack(pack("grid", {}, {"x": array})).arrays["x"]
    assert back.shape == np.asarray(array).shape
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("cut", [0, 7, 15, 20, 100, len(PACKED) - 8, len(PACKED) - 1])
def test_truncation_is_noticed(cut):
    """An artifact that ends early is refused wherever it ends."""
    with pytest.raises(ArtifactError):
        unpack(PACKED[:cut])


@given(st.integers(0, len(PACKED) - 1), st.integers(1, 255))
@settings(max_examples=100)
def test_damage_never_raises_anything_else(position, change):
    """A changed byte is an ArtifactError, or at least another digest; never another exception."""
    damaged = bytearray(PACKED)
    damaged[position] ^= change
    with pytest.raises(ArtifactError, match="damaged"):
        unpack(bytes(damaged), digest=digest_of(PACKED))
    with contextlib.suppress(ArtifactError):
        assert unpack(bytes(damaged)).digest != digest_of(PACKED)


def reheaded(**changes):
    """A container without arrays whose header says what is asked."""
    document = {"kind": "ltv", "format": 1, "catalogue": None, "meta": {}, "arrays": []} | changes
    header = json.dumps({k: v for k, v in document.items() if v != "gone"}).encode()
    data = b"nbartfct" + len(header).to_bytes(8, "little") + header
    return data + bytes(-len(data) % 8)


def entry(**changes):
    """A header's entry for an array, as asked."""
    return {"name": "x", "dtype": "<f8", "shape": [1], "offset": 0} | changes


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ({"format": 2}, "format 2"),
        ({"kind": "virus"}, "unknown kind `virus`"),
        ({"meta": "gone"}, "unreadable header"),
        ({"catalogue": "xyz"}, "unreadable header"),
        ({"arrays": [entry()]}, "cut short"),
        ({"arrays": [entry(shape=[-1])]}, "out of place"),
        ({"arrays": [entry(shape=["a"])]}, "unreadable header"),
        ({"arrays": [entry(shape=[2**62, 2**62])]}, "cut short"),
        ({"arrays": [entry(shape=[0], offset=8)]}, "out of place"),
        ({"arrays": [entry(dtype="|O", shape=[0])]}, "no type"),
        ({"arrays": [entry(dtype=">f8", shape=[0])]}, "no type"),
        ({"arrays": [entry(dtype="nonsense", shape=[0])]}, "unreadable header"),
        ({"arrays": ["x"]}, "unreadable header"),
    ],
)
def test_a_forged_header_is_refused(header, text):
    """A header that does not fit its bytes, or names a type with a meaning, is an ArtifactError."""
    with pytest.raises(ArtifactError, match=text):
        unpack(reheaded(**header))


def test_bytes_after_the_last_array_are_refused():
    """Nothing may hide behind the arrays."""
    with pytest.raises(ArtifactError, match="are expected"):
        unpack(PACKED + bytes(8))


def test_another_kind_is_refused():
    """A caller that asks for a grid does not get LTV parameters."""
    with pytest.raises(ArtifactError, match="of kind `ltv`, not `grid`"):
        unpack(PACKED, kind="grid")


def test_another_catalogue_is_refused():
    """An artifact fitted on another catalogue says so; one without a catalogue fits all."""
    assert require_catalogue(unpack(PACKED), 0xABC).kind == "ltv"
    assert require_catalogue(unpack(pack("ltv", {}, {})), 1).kind == "ltv"
    with pytest.raises(ArtifactError, match="fit it again"):
        require_catalogue(unpack(PACKED), 0xABD)


@pytest.mark.parametrize(
    ("kind", "meta", "arrays"),
    [
        ("virus", {}, {}),
        ("ltv", {"x": float("nan")}, {}),
        ("ltv", {"x": object()}, {}),
        ("ltv", {}, {"x": np.array(["text"])}),
        ("ltv", {}, {"x": np.array([None])}),
        ("ltv", {}, {"x": np.array([1j])}),
    ],
)
def test_what_the_format_cannot_hold_is_refused(kind, meta, arrays):
    """Packing refuses what it could not give back."""
    with pytest.raises(ArtifactError):
        pack(kind, meta, arrays)


def test_model_digest_depends_on_each_part_and_no_order():
    """The same rulebook with the same artifacts in the same roles is the same model."""
    one = model_digest("r", {"ltv": "a", "grid": "b"})
    assert one == model_digest("r", {"grid": "b", "ltv": "a"})
    others = [
        model_digest("s", {"ltv": "a", "grid": "b"}),
        model_digest("r", {"ltv": "b", "grid": "a"}),
        model_digest("r", {"ltv": "a"}),
    ]
    assert len({one, *others}) == 4
    assert len(one) == 64
