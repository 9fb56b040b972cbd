"""Histories as bytes: decoding, translation of codes, damage."""

import numpy as np
import pytest

from nextbest.id_check import id_check, id_checks_of
from nextbest.model import HISTORY_ENTRY, NO_CODE, NO_NAME, EntryKind, Outcome
from nextbest.rings import CodeTranslation, HistoryCodec, encode_ring, new_entries

CHECK = id_check(b"c1")


def entries(*times):
    """Entries of these times whose codes count up."""
    made = new_entries(len(times))
    made["time"] = times
    made["kind"] = EntryKind.CONTACT
    for name in ("action", "treatment", "trigger", "event_kind", "channel", "placement"):
        made[name] = np.arange(len(times))
    return made


def test_a_ring_has_the_documented_bytes():
    """A ring is truncated_before, entries ever recorded, half an id check, then entries of 72 bytes."""
    entry = new_entries(1)
    entry["time"], entry["kind"], entry["channel"], entry["direction"] = 1.5e9, EntryKind.OUTCOME, 2, 1
    entry["outcome"], entry["action"], entry["treatment"] = Outcome.REJECTED, 5, 260
    entry["amount"], entry["decision_id"], entry["idempotency_key"] = (
        12.5,
        bytes(range(16)),
        0x0102030405060708,
    )
    ring = encode_ring(id_check(b"customer-1"), entry, truncated_before=1.4e9, recorded=9)
    assert ring[:16].hex(" ", 4) == "00000080 93dcd441 09000000 f43cab41"
    assert ring[16:].hex(" ", 8) == (
        "000000c00b5ad641 020201ff04000000 0500000004010000 ffffffffffffffff "
        "0000000000002940 000000000000f87f 0001020304050607 08090a0b0c0d0e0f "
        "0807060504030201"
    )


def test_entries_lie_where_the_translation_expects_them():
    """The offsets that the kernel uses are those of the entry's type."""
    offsets = {name: HISTORY_ENTRY.fields[name][1] for name in HISTORY_ENTRY.names}
    assert HISTORY_ENTRY.itemsize == 72
    assert [offsets[n] for n in ("action", "treatment", "trigger", "event_kind")] == [16, 20, 24, 28]
    assert (offsets["channel"], offsets["placement"], offsets["idempotency_key"]) == (9, 11, 64)


def test_histories_of_many_customers_are_laid_end_to_end():
    """Each customer's entries lie between its starts; customers without history have none."""
    ids = [b"c1", b"c2", b"c3"]
    checks = id_checks_of(ids)
    contacts = [
        encode_ring(int(checks[0]), entries(1.0, 2.0)),
        None,
        encode_ring(int(checks[2]), entries(3.0), truncated_before=2.5),
    ]
    decoded = HistoryCodec().decode(contacts, [None] * 3, checks)
    ring = decoded.histories.contacts
    assert ring.starts.tolist() == [0, 2, 2, 3]
    assert ring.entries["time"].tolist() == [1.0, 2.0, 3.0]
    assert ring.truncated_before.tolist() == [-np.inf, -np.inf, 2.5]
    assert len(decoded.histories.events.entries) == 0
    assert not decoded.damaged.any()


def test_codes_become_the_rulebooks_indices():
    """Registry codes are translated by name; names and codes the rulebook lacks become none."""
    registered = {"action": ["a", "b", "c"], "treatment": ["a/pos"], "channel": ["pos", "call"]}
    wanted = {"action": {"c": 0, "a": 1}, "treatment": {"a/pos": 7}, "channel": {"call": 3}}
    codec = HistoryCodec(CodeTranslation.between(registered, wanted))
    ring = codec.decode_one(encode_ring(CHECK, entries(1.0, 2.0, 3.0, 4.0)), None, CHECK).histories.contacts
    assert ring.entries["action"].tolist() == [1, NO_CODE, 0, NO_CODE]
    assert ring.entries["treatment"].tolist() == [7, NO_CODE, NO_CODE, NO_CODE]
    assert ring.entries["trigger"].tolist() == [NO_CODE] * 4
    assert ring.entries["channel"].tolist() == [NO_NAME, 3, NO_NAME, NO_NAME]
    assert ring.entries["placement"].tolist() == [NO_NAME] * 4
    assert ring.entries["time"].tolist() == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("count", [0, 1, 5, 300])
@pytest.mark.parametrize(
    "translation", [None, CodeTranslation.between({"action": ["a"]}, {"action": {"a": 4}})]
)
def test_one_customer_decodes_as_a_batch_of_one(count, translation):
    """The quick path for one customer gives what the batch path gives."""
    codec = HistoryCodec(translation)
    value = encode_ring(CHECK, entries(*range(count)), truncated_before=-5.0)
    one = codec.decode_one(value, value, CHECK)
    batch = codec.decode([value], [value], id_checks_of([b"c1"]))
    for ours, theirs in (
        (one.histories.contacts, batch.histories.contacts),
        (one.histories.events, batch.histories.events),
    ):
        assert ours.entries.tobytes() == theirs.entries.tobytes()
        assert ours.starts.tolist() == theirs.starts.tolist() == [0, count]
        assert ours.truncated_before.tolist() == theirs.truncated_before.tolist() == [-5.0]
        assert ours.starts.dtype == theirs.starts.dtype == np.int64
        assert not ours.entries.flags.writeable
    assert one.damaged.tolist() == batch.damaged.tolist() == [False]


def test_without_history_everything_is_complete():
    """A customer to whom nothing happened has an empty, complete history."""
    codec = HistoryCodec()
    for decoded in (codec.decode_one(None, None, CHECK), codec.decode([None], [None], id_checks_of([b"c1"]))):
        assert decoded.histories.contacts.truncated_before.tolist() == [-np.inf]
        assert decoded.histories.events.starts.tolist() == [0, 0]
        assert not decoded.damaged.any()


@pytest.mark.parametrize(
    "value",
    [
        b"short",
        encode_ring(CHECK, entries(1.0))[:-1],
        encode_ring(CHECK, entries(1.0)) + b"x",
        encode_ring(id_check(b"c2"), entries(1.0)),
    ],
)
def test_a_damaged_ring_makes_every_window_unknown(value):
    """A ring that is cut short or another customer's is empty, truncated for ever, and said to be damaged."""
    good = encode_ring(id_check(b"c0"), entries(9.0))
    codec = HistoryCodec()
    one = codec.decode_one(value, None, CHECK)
    both = codec.decode([good, value], [None, None], id_checks_of([b"c0", b"c1"]))
    assert one.damaged.tolist() == [True]
    assert both.damaged.tolist() == [False, True]
    assert one.histories.contacts.truncated_before.tolist() == [np.inf]
    assert both.histories.contacts.truncated_before.tolist() == [-np.inf, np.inf]
    assert both.histories.contacts.starts.tolist() == [0, 1, 1]
