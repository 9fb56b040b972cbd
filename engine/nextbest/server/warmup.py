"""Run every kernel of the request path once, so that no customer waits for a compiler."""

import time

import numpy as np

from loyalty.nextbest.v1 import common_pb2, decision_pb2
from nextbest.data.reader import Records
from nextbest.id_check import id_check
from nextbest.model import NO_CODE, EntryKind
from nextbest.rings import encode_ring, new_entries
from nextbest.server.deciding import Serving, answers, explained, situation
from nextbest.server.requests import parse_question
from nextbest.telemetry import logger

_CUSTOMER = "warm-up"


async def warm_up(serving: Serving, now: float) -> None:
    """Decide and explain for nobody, alone and in a batch, with and without history."""
    started = time.perf_counter()
    rulebook = serving.model.rulebook
    request = decision_pb2.DecideRequest(
        customer_id=_CUSTOMER,
        channel=rulebook.channels[0].id,
        direction=common_pb2.DIRECTION_OUTBOUND,
    )
    question = parse_question(request, rulebook, serving.rows)
    row = serving.rows.encode(_CUSTOMER.encode(), now, {})
    entries = new_entries(1)
    entries["time"], entries["kind"], entries["action"] = now, EntryKind.CONTACT, NO_CODE
    ring = encode_ring(id_check(_CUSTOMER.encode()), entries)
    for ring_bytes in (None, ring):
        for n in (1, 2):
            records = Records([row] * n, [ring_bytes] * n, [ring_bytes] * n)
            found = situation(serving, [question] * n, records, lambda: now)
            answers(found)
        explained(situation(serving, [question], Records([row], [ring_bytes], [None]), lambda: now), [], "en")
    logger().info("warm", seconds=round(time.perf_counter() - started, 3), time=float(np.round(now, 3)))
