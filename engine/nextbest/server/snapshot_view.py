"""Stored snapshots → the contract."""

from collections.abc import Mapping, Set

from google.protobuf.timestamp_pb2 import Timestamp

from loyalty.nextbest.v1 import common_pb2, customer_pb2
from nextbest.fact_values import FactValue
from nextbest.facts import Catalogue, FactType
from nextbest.rows import RowProblem, Snapshot, snapshot_error
from nextbest.server.requests import is_time
from nextbest.server.responses import timestamp


def snapshot_message(
    customer_id: str, snapshot: Snapshot, catalogue: Catalogue, wanted: Set[str]
) -> customer_pb2.Snapshot:
    """A snapshot, or the wanted facts of it; none wanted = all.

    Raises:
        SnapshotUnreadable: a time in it is none.
    """
    facts: Mapping[str, FactValue] = snapshot.facts
    return customer_pb2.Snapshot(
        customer_id=customer_id,
        as_of=_time(snapshot.as_of),
        facts=[
            _fact(catalogue, name, value) for name, value in facts.items() if not wanted or name in wanted
        ],
    )


def _fact(catalogue: Catalogue, name: str, value: FactValue) -> customer_pb2.Fact:
    match value:
        case bool():
            return customer_pb2.Fact(name=name, flag=value)
        case str():
            return customer_pb2.Fact(name=name, text=value)
        case tuple():
            return customer_pb2.Fact(name=name, members=common_pb2.StringSet(values=value))
        case _ if catalogue[name].type is FactType.TIMESTAMP:
            return customer_pb2.Fact(name=name, time=_time(value))
        case _:
            return customer_pb2.Fact(name=name, number=value)


def _time(seconds: float) -> Timestamp:
    """A stored time.

    Raises:
        SnapshotUnreadable: it is none, so the row is damaged.
    """
    if not is_time(seconds):
        raise snapshot_error(RowProblem.DAMAGED)
    return timestamp(seconds)
