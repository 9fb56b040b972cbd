"""All that is kept about a customer, as one document."""

from loyalty.nextbest.v1 import common_pb2, decision_pb2, interaction_pb2, snapshot_pb2
from nextbest.data.store import Store
from nextbest.decision_record import DecisionRecord
from nextbest.errors import CustomerUnknown
from nextbest.server.history_view import history_response
from nextbest.server.responses import timestamp
from nextbest.server.snapshot_view import snapshot_message


async def exported(store: Store, customer_id: str, now: float) -> snapshot_pb2.ExportResponse:
    """Put a customer's document together; parts that there are none of are empty.

    Raises:
        SnapshotUnreadable, DecisionUnreadable: something stored is damaged.
        StoreUnavailable: Redis does not answer.
    """
    history = (await store.histories.read(customer_id)).histories
    notes = await store.histories.notes(customer_id)
    await store.names.refresh()  # after the entries, so that every name in them is known
    wanted = interaction_pb2.GetHistoryRequest(customer_id=customer_id)
    response = snapshot_pb2.ExportResponse(
        exported_at=timestamp(now),
        identifiers=[
            common_pb2.Identifier(type=one.type, value=one.value)
            for one in await store.identifiers.of(customer_id)
        ],
        history=history_response(history, wanted, store.names, now, notes).entries,
        decisions=[_logged(record) for record in await store.decisions.of_customer(customer_id)],
    )
    try:
        snapshot = await store.snapshots.get(customer_id)
    except CustomerUnknown:
        return response
    catalogue = store.snapshots.codec.catalogue
    response.snapshot.CopyFrom(snapshot_message(customer_id, snapshot, catalogue, frozenset()))
    return response


def _logged(record: DecisionRecord) -> snapshot_pb2.LoggedDecision:
    return snapshot_pb2.LoggedDecision(
        request=decision_pb2.DecideRequest.FromString(record.request),
        decision=decision_pb2.DecideResponse.FromString(record.answer),
    )
