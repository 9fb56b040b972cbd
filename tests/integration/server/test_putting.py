"""Put and Get: snapshots replaced, merged and read; the stage advances on every write."""

from datetime import UTC

import pytest
from tests.builders.small import NOW, days_ago, newcomer, offended, regular

from loyalty.nextbest.v1 import common_pb2, customer_pb2, snapshot_pb2
from nextbest_client import InvalidRequest, NotFound, fact

MERGE = snapshot_pb2.WRITE_MODE_MERGE
HEAR_ME, FORGIVE_ME = common_pb2.STAGE_HEAR_ME, common_pb2.STAGE_FORGIVE_ME
STAGE_FACTS = {"held_stage", "stage_since", "up_qualified_since"}


def values(response):
    """Facts by name, as Python values; times as datetimes, sets as lists."""
    read = {
        "number": lambda fact: fact.number,
        "flag": lambda fact: fact.flag,
        "text": lambda fact: fact.text,
        "members": lambda fact: list(fact.members.values),
        "time": lambda fact: fact.time.ToDatetime(UTC),
    }
    return {f.name: read[f.WhichOneof("value")](f) for f in response.snapshot.facts}


@pytest.fixture
def merge(client, customer_id):
    """Merges facts into the customer's snapshot."""

    def merge(facts, *, as_of=None, cleared=()):
        snapshot = customer_pb2.Snapshot(
            customer_id=customer_id, facts=[fact(name, value) for name, value in facts.items()]
        )
        if as_of is not None:
            snapshot.as_of.FromDatetime(as_of)
        return client.put_snapshot(snapshot, mode=MERGE, cleared_facts=cleared)

    return merge


def test_what_is_put_is_got(client, put, customer_id):
    """Every fact comes back as it was put, in catalogue order, with the snapshot's time."""
    put(customer_id, regular())
    found = client.get_snapshot(customer_id)
    facts = values(found)
    assert {name: value for name, value in facts.items() if name not in STAGE_FACTS} == regular()
    assert found.snapshot.customer_id == customer_id
    assert found.snapshot.as_of.ToDatetime(UTC) == NOW


def test_catalogue_order_and_fingerprint(client, put, rulebook, customer_id):
    """Facts come in the catalogue's order, under the fingerprint of the catalogue they were written under."""
    put(customer_id, regular())
    found = client.get_snapshot(customer_id)
    names = [fact.name for fact in rulebook.catalogue.facts]
    places = [names.index(fact.name) for fact in found.snapshot.facts]
    assert places == sorted(places)
    assert found.catalogue_fingerprint == f"{rulebook.catalogue.fingerprint:016x}"


def test_selected_facts(client, put, customer_id):
    """Only the facts asked for are returned; one that is unknown is left out."""
    put(customer_id, regular())
    found = client.get_snapshot(customer_id, facts=["needs", "share_of_wallet", "revenue_net"])
    assert values(found) == {"revenue_net": 6000.0, "needs": ["cheese"]}


def test_replace_forgets(client, put, customer_id):
    """A replaced snapshot has only the facts of the new one; the stage is carried on."""
    put(customer_id, regular())
    put(customer_id, regular(favourite=None, nps_relation=None, nps_relation_at=None))
    facts = values(client.get_snapshot(customer_id))
    assert "favourite" not in facts
    assert "nps_relation" not in facts
    assert facts["held_stage"] == "hear_me"


def test_merge_keeps_and_clears(client, put, merge, customer_id):
    """Merged facts change, cleared ones become unknown, the others stay; so does the time unless given."""
    put(customer_id, regular())
    response = merge({"satisfaction": 90.0, "needs": ["wine"]}, cleared=["favourite", "consent"])
    facts = values(client.get_snapshot(customer_id))
    assert (facts["satisfaction"], facts["needs"], facts["revenue_net"]) == (90.0, ["wine"], 6000.0)
    assert not {"favourite", "consent"} & facts.keys()
    assert response.as_of.ToDatetime(UTC) == NOW
    assert merge({}, as_of=days_ago(-1)).as_of.ToDatetime(UTC) == days_ago(-1)


def test_empty_set_is_not_unknown(client, put, merge, customer_id):
    """A set that is known to be empty comes back empty; one that is unknown does not come."""
    put(customer_id, regular(needs=[]))
    assert values(client.get_snapshot(customer_id, facts=["needs"])) == {"needs": []}
    merge({}, cleared=["needs"])
    assert values(client.get_snapshot(customer_id, facts=["needs"])) == {}


def test_merge_into_nothing_is_not_found(merge):
    """There is nothing to merge into of an unknown customer."""
    with pytest.raises(NotFound):
        merge({"satisfaction": 90.0})


def test_merge_must_agree_with_what_is_stored(client, put, merge, customer_id):
    """Merged purchase facts that contradict stored ones are refused, and nothing is written."""
    put(customer_id, regular())
    with pytest.raises(InvalidRequest) as raised:
        merge({"recency_weeks": 500.0})
    assert [v.field for v in raised.value.violations] == ["snapshot.facts.recency_weeks"]
    assert values(client.get_snapshot(customer_id))["recency_weeks"] == 99.0


def test_get_of_nobody_is_not_found(client):
    """A customer without a snapshot is NOT_FOUND."""
    with pytest.raises(NotFound, match="no snapshot is stored for the customer"):
        client.get_snapshot("nobody")


def test_first_put_holds_the_raw_stage(put, client, customer_id):
    """The first evaluation gives the stage that the figures point to, since now."""
    response = put(customer_id, regular())
    assert response.stage == HEAR_ME
    since = response.stage_since.ToDatetime(UTC)
    assert since >= NOW
    facts = values(client.get_snapshot(customer_id))
    assert (facts["held_stage"], facts["stage_since"]) == ("hear_me", since)


def test_stage_falls_at_once_and_returns_by_a_sign(put, customer_id):
    """Trust that fails shows at once; it takes more than a closed complaint to come back."""
    put(customer_id, regular())
    assert put(customer_id, offended()).stage == FORGIVE_ME
    assert put(customer_id, regular()).stage == FORGIVE_ME
    forgiven = regular(nps_relation=9, nps_relation_at=days_ago(-1))
    assert put(customer_id, forgiven).stage == HEAR_ME


def test_stage_state_may_be_given(put, client, customer_id):
    """Stage state in the snapshot is taken as given, and advanced from there."""
    since = days_ago(400)
    response = put(customer_id, regular(held_stage="grow_me", stage_since=since))
    assert response.stage == HEAR_ME  # the index does not carry Grow me
    kept = put(customer_id, regular(held_stage="hear_me", stage_since=since))
    assert (kept.stage, kept.stage_since.ToDatetime(UTC)) == (HEAR_ME, since)


def test_newcomer_is_in_know_me(put, customer_id):
    """Someone who bought once, lately, is in Know me."""
    assert put(customer_id, newcomer()).stage == common_pb2.STAGE_KNOW_ME


def test_repeating_a_put_changes_nothing(put, client, customer_id):
    """The same snapshot again leaves stage and facts as they are."""
    first = put(customer_id, regular())
    before = client.get_snapshot(customer_id)
    assert put(customer_id, regular()) == first
    assert client.get_snapshot(customer_id) == before
