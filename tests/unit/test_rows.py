"""Rows of facts: the bytes, what does not fit, batches, rows of other catalogues."""

import math
import struct
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.errors import CatalogueError, CustomerUnknown, InvalidFact, SnapshotUnreadable
from nextbest.facts import Catalogue, Fact, FactGroup, FactType
from nextbest.id_check import id_check, id_checks_of
from nextbest.rows import RowCodec, RowProblem, split_rows
from nextbest.standard_facts import STANDARD_FACTS

AS_OF = 1_500_000_000.0


def fact(name, kind, *values, low=None, high=None):
    """A fact of the group profile."""
    return Fact(name=name, type=kind, group=FactGroup.PROFILE, values=values, minimum=low, maximum=high)


FACTS = (
    fact("age", FactType.INT, low=0, high=130),
    fact("spend", FactType.DOUBLE),
    fact("geo", FactType.ENUM, "north", "south"),
    fact("joined", FactType.TIMESTAMP),
    fact("locked_in", FactType.BOOL),
    fact("needs", FactType.SET, "baby", "pets", "wine"),
)
PURCHASES = (
    fact("repeat_purchases", FactType.INT, low=0),
    fact("recency_weeks", FactType.DOUBLE, low=0),
    fact("observed_weeks", FactType.DOUBLE, low=0),
)
REPEAT_VALUE = next(fact for fact in STANDARD_FACTS if fact.name == "mean_repeat_value")
CATALOGUE = Catalogue(FACTS)
CODEC = RowCodec(CATALOGUE)
VALUES = {
    "age": 41,
    "spend": 12.5,
    "geo": "south",
    "joined": 1_400_000_000.0,
    "locked_in": True,
    "needs": ("baby", "wine"),
}


def violations(codec, facts, as_of=AS_OF):
    """Everything that encoding reports."""
    with pytest.raises(InvalidFact) as caught:
        codec.encode(b"c1", as_of, facts)
    return {(v.field, v.description) for v in caught.value.violations}


def test_row_has_the_documented_bytes():
    """A row is fingerprint, as_of, id check, numbers, value words, known words, little-endian."""
    row = CODEC.encode(b"customer-1", AS_OF, VALUES)
    assert row.hex(" ", 8) == (
        "c9dc30a0ba7eb3f2 000000c00b5ad641 f43cab4199b656bd "
        "0000000000804440 0000000000002940 000000000000f03f 0000008093dcd441 "
        "0100000000000000 0500000000000000 0300000000000000"
    )


def test_bytes_follow_from_the_layout():
    """Each part of a row can be read by the offsets that the catalogue gives."""
    row = CODEC.encode(b"customer-1", AS_OF, VALUES)
    header = struct.unpack_from("<QdQ", row)
    assert header == (CATALOGUE.fingerprint, AS_OF, id_check(b"customer-1"))
    assert struct.unpack_from("<4d", row, 24) == (41.0, 12.5, 1.0, 1_400_000_000.0)
    assert struct.unpack_from("<3Q", row, 56) == (1, 0b101, 0b11)
    assert len(row) == CATALOGUE.row_bytes == 80


def test_decoding_gives_back_what_was_encoded():
    """Every fact comes back as the value and type it was given."""
    snapshot = CODEC.decode(b"customer-1", CODEC.encode(b"customer-1", AS_OF, VALUES))
    assert snapshot.as_of == AS_OF
    assert dict(snapshot.facts) == VALUES
    assert type(snapshot.facts["age"]) is int


def test_missing_facts_stay_missing():
    """A fact that is None or not named does not come back; an empty set and a false bool do."""
    row = CODEC.encode(b"c1", AS_OF, {"age": None, "needs": [], "locked_in": False})
    assert dict(CODEC.decode(b"c1", row).facts) == {"needs": (), "locked_in": False}


def test_equal_values_have_equal_bytes():
    """Minus zero and the order of set members leave no trace in the bytes."""
    one = CODEC.encode(b"c1", AS_OF, {"spend": 0.0, "needs": ["baby", "wine"]})
    other = CODEC.encode(b"c1", AS_OF, {"needs": {"wine", "baby"}, "spend": -0.0})
    assert one == other


def test_timestamps_may_be_datetimes():
    """An aware datetime is stored as its epoch seconds; a naive one is refused."""
    row = CODEC.encode(b"c1", AS_OF, {"joined": datetime(2014, 5, 13, 16, 53, 20, tzinfo=UTC)})
    assert CODEC.decode(b"c1", row).facts["joined"] == 1_400_000_000.0
    assert violations(CODEC, {"joined": datetime(2014, 5, 13)}) == {
        ("facts.joined", "`2014-05-13 00:00:00` has no time zone")
    }


def test_all_violations_are_listed():
    """Encoding reports everything that does not fit, not the first thing only."""
    bad = {
        "agee": 1,
        "age": 131,
        "spend": math.nan,
        "geo": "nort",
        "joined": 1.5e12,
        "locked_in": 1,
        "needs": ["baby", "petz"],
    }
    assert violations(CODEC, bad, as_of=math.inf) == {
        ("facts.agee", "is not a fact of this catalogue: did you mean `age`?"),
        ("facts.age", "`131` is above 130"),
        ("facts.spend", "`nan` is not a finite number"),
        ("facts.geo", "`nort` is not one of `north`, `south`: did you mean `north`?"),
        ("facts.joined", "`1500000000000` is above 253402300799"),
        ("facts.locked_in", "`1` is not true or false"),
        ("facts.needs", "`petz` is not one of `baby`, `pets`, `wine`: did you mean `pets`?"),
        ("as_of", "`inf` is not a time in epoch seconds"),
    }


@pytest.mark.parametrize(
    ("facts", "field", "text"),
    [
        ({"age": 1.5}, "age", "`1.5` is not a whole number"),
        ({"age": True}, "age", "`True` is not a whole number"),
        ({"age": "41"}, "age", "`41` is not a whole number"),
        ({"age": -1}, "age", "`-1` is below 0"),
        ({"age": 2**53}, "age", f"`{2**53}` is beyond ±(2^53 - 1), where whole numbers are no longer exact"),
        ({"age": 2**60}, "age", f"`{2**60}` is beyond ±(2^53 - 1), where whole numbers are no longer exact"),
        ({"spend": -math.inf}, "spend", "`-inf` is not a finite number"),
        ({"spend": "much"}, "spend", "`much` is not a number"),
        ({"geo": 1}, "geo", "`1` is not one of `north`, `south`"),
        ({"needs": "baby"}, "needs", "`baby` is not a list of members"),
        (
            {"joined": "yesterday"},
            "joined",
            "`yesterday` is not a time (epoch seconds or a date-time with zone)",
        ),
    ],
)
def test_each_wrong_value_says_why(facts, field, text):
    """A value of the wrong type, out of bounds or not finite is described in words."""
    assert violations(CODEC, facts) == {(f"facts.{field}", text)}


@pytest.mark.parametrize(
    ("x", "t_x", "observed", "text"),
    [
        (2, 30.0, 26.0, "`30` must not be later than `observed_weeks`"),
        (0, 3.0, 26.0, "`3` must be 0 exactly when `repeat_purchases` is 0"),
        (2, 0.0, 26.0, "`0` must be 0 exactly when `repeat_purchases` is 0"),
    ],
)
def test_purchase_figures_must_agree(x, t_x, observed, text):
    """0 ≤ t_x ≤ T and x = 0 ⇔ t_x = 0."""
    codec = RowCodec(Catalogue(PURCHASES))
    facts = dict(zip([f.name for f in PURCHASES], (x, t_x, observed), strict=True))
    assert violations(codec, facts) == {("facts.recency_weeks", text)}


WORTHLESS = "`0` must be above 0 where `repeat_purchases` is; leave it out if it is not known"


@pytest.mark.parametrize(
    ("x", "zbar", "said"),
    [
        (2, -3.0, "`-3` is below 0"),
        (2, 0.0, WORTHLESS),
        (0, -3.0, "`-3` is below 0"),
        (None, -0.01, "`-0.01` is below 0"),
        (0, 0.0, None),
        (None, 0.0, None),
        (2, 0.01, None),
        (2, None, None),
    ],
)
def test_repeat_purchases_are_worth_something(x, zbar, said):
    """The mean value of repeat purchases is above 0 where there are any, never below, or not known."""
    codec = RowCodec(Catalogue((*PURCHASES, REPEAT_VALUE)))
    bought = {} if x is None else {"repeat_purchases": x, "recency_weeks": 10.0 * (x > 0)}
    facts = bought | ({} if zbar is None else {"mean_repeat_value": zbar})
    if said is None:
        codec.encode(b"c1", AS_OF, facts)
    else:
        assert violations(codec, facts) == {("facts.mean_repeat_value", said)}


@pytest.mark.parametrize(
    ("x", "t_x", "observed"), [(0, 0.0, 0.0), (3, 26.0, 26.0), (3, None, 1.0), (None, 2, None)]
)
def test_purchase_figures_that_agree_pass(x, t_x, observed):
    """Bounds are inclusive, and a missing figure contradicts nothing."""
    codec = RowCodec(Catalogue(PURCHASES))
    facts = dict(zip([f.name for f in PURCHASES], (x, t_x, observed), strict=True))
    assert codec.decode(b"c", codec.encode(b"c", AS_OF, facts)).facts == {
        name: value for name, value in facts.items() if value is not None
    }


def test_unusable_rows_are_told_apart():
    """No row, a row cut short, one of an unknown catalogue and another customer's are different problems."""
    row = CODEC.encode(b"c1", AS_OF, VALUES)
    foreign = RowCodec(Catalogue(PURCHASES)).encode(b"c1", AS_OF, {})
    stored = [row, None, row[:-8], row[:5], foreign, row + row, CODEC.encode(b"c2", AS_OF, VALUES)]
    decoded = CODEC.decode_batch(stored, id_checks_of([b"c1"] * len(stored)))
    assert [RowProblem(p).name for p in decoded.problems] == [
        "NONE",
        "ABSENT",
        "WRONG_LENGTH",
        "WRONG_LENGTH",
        "FOREIGN",
        "WRONG_LENGTH",
        "WRONG_CUSTOMER",
    ]
    assert decoded.rows.numbers[0, 0] == 41
    assert np.isnan(decoded.rows.numbers[1:]).all()
    assert np.isnan(decoded.rows.as_of[1:]).all()
    assert not decoded.rows.known[1:].any()


@pytest.mark.parametrize(
    ("row", "error"),
    [
        (None, CustomerUnknown),
        (b"", CustomerUnknown),
        (b"short", SnapshotUnreadable),
        (CODEC.encode(b"c2", AS_OF, {}), SnapshotUnreadable),
        (CODEC.encode(b"c1", AS_OF, {})[:-1], SnapshotUnreadable),
        (RowCodec(Catalogue(PURCHASES)).encode(b"c1", AS_OF, {}), SnapshotUnreadable),
    ],
)
def test_decoding_an_unusable_row_raises(row, error):
    """A single row that cannot be used is an exception of its own kind."""
    with pytest.raises(error):
        CODEC.decode(b"c1", row)


def test_a_damaged_enum_code_is_unreadable():
    """A stored code that its enum does not have is not passed on as a value."""
    row = bytearray(CODEC.encode(b"c1", AS_OF, VALUES))
    struct.pack_into("<d", row, 24 + 16, 7.0)
    with pytest.raises(SnapshotUnreadable, match="code 7 of 2"):
        CODEC.decode(b"c1", bytes(row))


def test_one_row_decodes_as_a_batch_of_one():
    """The quick path for one customer gives the same arrays as the batch path."""
    row = CODEC.encode(b"c1", AS_OF, VALUES)
    one, problem = CODEC.decode_one(row, id_check(b"c1"))
    batch = CODEC.decode_batch([row], id_checks_of([b"c1"]))
    assert problem == RowProblem.NONE == batch.problems[0]
    for name in ("as_of", "numbers", "words", "known"):
        ours, theirs = getattr(one, name), getattr(batch.rows, name)
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype
        assert not ours.flags.writeable
        assert not theirs.flags.writeable
        assert ours.flags.c_contiguous
        assert theirs.flags.c_contiguous


def test_one_row_of_another_customer_is_refused():
    """The quick path compares the id as well."""
    rows, problem = CODEC.decode_one(CODEC.encode(b"c1", AS_OF, VALUES), id_check(b"c2"))
    assert problem == RowProblem.WRONG_CUSTOMER
    assert np.isnan(rows.numbers).all()


EXTENDED = Catalogue(
    (
        fact("score", FactType.DOUBLE),
        *FACTS[:2],
        fact("geo", FactType.ENUM, "north", "south", "west"),
        FACTS[3],
        fact("open", FactType.BOOL),
        FACTS[4],
        fact("needs", FactType.SET, "baby", "pets", "wine", "garden"),
        fact("topics", FactType.SET, "credit"),
    )
)


def test_older_rows_are_read_under_an_extended_catalogue():
    """Facts are found by name; those the older catalogue lacks are missing."""
    codec = RowCodec(EXTENDED, [CATALOGUE])
    old, new = CODEC.encode(b"c1", AS_OF, VALUES), codec.encode(b"c1", AS_OF, VALUES | {"score": 1.0})
    assert dict(codec.decode(b"c1", old).facts) == VALUES
    decoded = codec.decode_batch([new, old, None, old[:-8]], id_checks_of([b"c1", b"c2", b"c1", b"c1"]))
    assert decoded.problems.tolist() == [
        RowProblem.NONE,
        RowProblem.WRONG_CUSTOMER,
        RowProblem.ABSENT,
        RowProblem.WRONG_LENGTH,
    ]


def test_newer_rows_are_read_after_a_rollback():
    """Members that only the newer catalogue has read as missing, or as absent from the set."""
    newer = RowCodec(EXTENDED)
    row = newer.encode(
        b"c1", AS_OF, {"geo": "west", "needs": ["pets", "garden"], "topics": ["credit"], "age": 3}
    )
    codec = RowCodec(CATALOGUE, [EXTENDED])
    assert dict(codec.decode(b"c1", row).facts) == {"age": 3, "needs": ("pets",)}


def test_a_catalogue_that_changed_a_fact_is_refused():
    """Rows whose fact has another type or order of members cannot be mapped."""
    changed = Catalogue(
        (fact("age", FactType.DOUBLE), fact("geo", FactType.ENUM, "south", "north"), *FACTS[1:2], *FACTS[3:])
    )
    with pytest.raises(CatalogueError) as caught:
        RowCodec(CATALOGUE, [changed])
    assert len(caught.value.problems) == 2


def test_columns_assemble_to_the_same_bytes():
    """Encoding a batch by columns gives the bytes that encoding each customer gives."""
    customers = [{"age": i, "spend": -0.0 if i == 2 else None} for i in range(5)]
    single = [CODEC.encode(b"c%d" % i, AS_OF, facts) for i, facts in enumerate(customers)]
    numbers = np.full((5, 4), np.nan)
    numbers[:, 0] = range(5)
    numbers[2, 1] = -0.0
    numbers[3, 1] = -np.nan
    empty = np.zeros((5, 2), np.uint64), np.zeros((5, 1), np.uint64)
    checks = id_checks_of([b"c%d" % i for i in range(5)])
    assert split_rows(CODEC.assemble(np.full(5, AS_OF), checks, numbers, *empty)) == single


MANY_BOOLS = Catalogue((*(fact(f"b{i}", FactType.BOOL) for i in range(70)), fact("s", FactType.SET, "x")))


@given(
    st.dictionaries(st.sampled_from([f.name for f in MANY_BOOLS.facts[:70]]), st.booleans()), st.booleans()
)
@settings(max_examples=50)
def test_bits_beyond_a_word_round_trip(bools, has_set):
    """Bools and known bits spread over several words keep apart."""
    facts = bools | ({"s": ("x",)} if has_set else {})
    codec = RowCodec(MANY_BOOLS)
    assert dict(codec.decode(b"c", codec.encode(b"c", AS_OF, facts)).facts) == facts


@given(st.lists(st.binary(max_size=128), max_size=20))
@settings(max_examples=50)
def test_id_checks_equal_hashlib(ids):
    """The column of checks is BLAKE2b of each id."""
    assert id_checks_of(ids).tolist() == [id_check(i) for i in ids]
