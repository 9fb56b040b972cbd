"""The examples in docs/formats.md are what the code writes."""

import re
from pathlib import Path

import numpy as np
import pytest
from tests.builders.decisions import record

from nextbest.artifact import digest_of, pack
from nextbest.facts import Catalogue
from nextbest.id_check import id_check
from nextbest.model import EntryKind, Outcome
from nextbest.rings import encode_ring, new_entries
from nextbest.rows import RowCodec

TEXT = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")


def block(kind):
    """The text of the one block of that kind."""
    return re.search(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL).group(1)


def example(name):
    """The bytes of an example: on each line the hexadecimal digits before the explanation."""
    lines = block(f"hex {name}").splitlines()
    digits = [
        re.match(r"(?:[0-9a-f]{2}){1,17}(?: (?:[0-9a-f]{2}){1,16}(?= ))*", line).group() for line in lines
    ]
    return bytes.fromhex("".join(digits))


def row():
    """The row of the example."""
    facts = {
        "age": 41,
        "spend": 12.5,
        "geo": "south",
        "joined": 1.4e9,
        "locked_in": True,
        "needs": ["baby", "wine"],
    }
    catalogue = Catalogue.from_json(block("json catalogue"))
    return RowCodec(catalogue).encode(b"customer-1", 1.5e9, facts)


def ring():
    """The ring of the example."""
    entry = new_entries(1)
    entry["time"], entry["kind"], entry["channel"], entry["direction"] = 1.5e9, EntryKind.OUTCOME, 2, 1
    entry["outcome"], entry["action"], entry["treatment"] = Outcome.REJECTED, 5, 260
    entry["amount"], entry["decision_id"], entry["idempotency_key"] = (
        12.5,
        bytes(range(16)),
        0x0102030405060708,
    )
    return encode_ring(id_check(b"customer-1"), entry, truncated_before=1.4e9, recorded=9)


def artifact():
    """The artifact of the example."""
    return pack("ltv", {"n": 1}, {"b": np.array([1.5]), "a": np.array([7], np.uint8)})


def decision():
    """The logged decision of the example."""
    return record(
        decision_id=bytes(range(16)),
        handle=bytes(range(16, 32)),
        revision="small@a",
        build="0.1.0",
        seed=0x0001020304050607,
        made_at=1500000000.25,
        request=b"rq",
        contacts=b"",
        events=b"",
        state=b"",
        figures=np.array([1.0]).tobytes(),
        chosen=np.array([3, 7], np.int32).tobytes() + np.array([0.5]).tobytes(),
        n_terms=1,
        answer=b"an",
    ).to_bytes()


@pytest.mark.parametrize("make", [row, ring, artifact, decision])
def test_the_examples_are_what_the_code_writes(make):
    """The documented bytes of a row, a ring, an artifact and a logged decision are the code's."""
    assert example(make.__name__).hex() == make().hex()


def test_the_documented_names_are_the_codes():
    """Digest, fingerprint and catalogue text stand in the document as the code makes them."""
    assert digest_of(artifact()) in TEXT
    catalogue = Catalogue.from_json(block("json catalogue"))
    assert f"{catalogue.fingerprint:016x}" in TEXT
    assert catalogue.to_json() + "\n" == block("json catalogue")
