"""Key names, and which ids may be part of one."""

import pytest

from nextbest.data.keys import Keys, id_violations, request_id_violations
from nextbest.errors import InvalidInput

KEYS = Keys("shop")


def test_keys_of_a_customer_share_a_hash_tag():
    """Everything of one customer lies in one slot of a cluster."""
    assert [
        KEYS.snapshot("c 1"),
        KEYS.contacts("c 1"),
        KEYS.events("c 1"),
        KEYS.request("c 1", "r{2}"),
    ] == [b"shop:{c 1}:s", b"shop:{c 1}:c", b"shop:{c 1}:e", b"shop:{c 1}:r:r{2}"]


def test_keys_of_the_deployment():
    """What is not a customer's lies under the prefix by kind."""
    assert KEYS.catalogue(0xAB) == b"shop:catalogue:00000000000000ab"
    assert KEYS.registry("action") == b"shop:registry:action"
    assert KEYS.artifact("d1") == b"shop:artifact:d1"
    assert KEYS.model == b"shop:model"


@pytest.mark.parametrize("customer_id", ["1", "kunde-æøå", "a b:c", "x" * 64])
def test_a_usable_id_comes_back_from_its_key(customer_id):
    """An id of 1 to 64 bytes without control characters and braces is used as it is."""
    assert id_violations(customer_id) == []
    assert KEYS.customer_of(KEYS.snapshot(customer_id)) == customer_id


@pytest.mark.parametrize(
    ("customer_id", "texts"),
    [
        ("", ["is empty"]),
        ("x" * 65, ["is 65 bytes long, at most 64 are allowed"]),
        ("ø" * 33, ["is 66 bytes long, at most 64 are allowed"]),
        ("a\nb", ["holds a control character or a brace"]),
        ("a\x85b", ["holds a control character or a brace"]),
        ("a}b", ["holds a control character or a brace"]),
        ("\ud800", ["is not valid Unicode"]),
        ("{" * 70, ["is 70 bytes long, at most 64 are allowed", "holds a control character or a brace"]),
    ],
)
def test_an_unusable_id_says_all_that_is_wrong(customer_id, texts):
    """Every rule that an id breaks is a violation of its own."""
    assert [v.description for v in id_violations(customer_id)] == texts
    assert all(v.field == "customer_id" for v in id_violations(customer_id))


def test_request_ids_may_be_absent_and_hold_braces():
    """A request id may be empty or up to 64 bytes; only control characters are refused."""
    assert request_id_violations("") == []
    assert request_id_violations("{8f}") == []
    assert len(request_id_violations("a\x00" + "x" * 64)) == 2


@pytest.mark.parametrize("prefix", ["", "a{b", "a b", "x" * 41])
def test_a_prefix_that_would_break_keys_is_refused(prefix):
    """A deployment's prefix is plain, so that patterns and hash tags stay unambiguous."""
    with pytest.raises(InvalidInput):
        Keys(prefix)
