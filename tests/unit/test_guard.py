"""What the guard around handlers takes from requests."""

import pytest

from loyalty.nextbest.v1 import decision_pb2, snapshot_pb2
from nextbest.server.guard import request_id_of

LONG = decision_pb2.DecideRequest(request_id="r" * 10_000)


@pytest.mark.parametrize(
    ("request_", "logged"),
    [
        (decision_pb2.DecideRequest(request_id="till-7"), "till-7"),
        (decision_pb2.ExplainRequest(request=decision_pb2.DecideRequest(request_id="till-7")), "till-7"),
        (snapshot_pb2.GetRequest(customer_id="anna"), ""),
        (LONG, "r" * 64),
        (decision_pb2.ExplainRequest(request=LONG), "r" * 64),
    ],
)
def test_request_id_in_the_log(request_, logged):
    """A request is named in the log by no more of its id than a right one is long."""
    assert request_id_of(request_) == logged
