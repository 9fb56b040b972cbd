"""A service for tests of programs that use the client: real gRPC on a free local port, answers you choose.

    def test_agent_sees_the_script():
        with FakeNextBest() as fake, NextBestClient(fake.address) as client:
            fake.recommend("4711", recommended("win_back", say="Your usual coffee is 20 % off"))
            decision = client.decide(decide_request("4711", channel="pos"))
            assert actions_of(decision)[0].treatment.say == "Your usual coffee is 20 % off"
            assert fake.received(decision_pb2.DecideRequest)[0].channel == "pos"

It keeps decisions by request_id and remembers snapshots, outcomes and events as the service does, in memory.
It checks no request and computes no figure.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

import grpc
from google.protobuf.message import Message

from loyalty.nextbest.v1 import (
    common_pb2,
    decision_pb2,
    decision_pb2_grpc,
    interaction_pb2_grpc,
    snapshot_pb2_grpc,
)
from nextbest_client.errors import FieldViolation
from nextbest_client.fake_memory import FakeFailure, FakeMemory
from nextbest_client.fake_services import FakeDecisions, FakeInteractions, FakeSnapshots

M = TypeVar("M", bound=Message)


class FakeNextBest:
    """A service in this process; start it as a context manager, or with `start` and `stop`.

    Whoever has no recommendation is to be left in peace: the decision is to do nothing.
    """

    def __init__(self) -> None:
        self._memory = FakeMemory()
        self._server: grpc.Server | None = None
        self.address = ""
        """Where it listens, such as `127.0.0.1:41234`; empty before it is started."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen on a free port of this machine."""
        self._memory.stopped.clear()
        server = grpc.server(ThreadPoolExecutor(max_workers=8))  # pyright: ignore[reportUnknownMemberType]  (partly untyped in grpc-stubs)
        decision_pb2_grpc.add_DecisionServiceServicer_to_server(FakeDecisions(self._memory), server)
        interaction_pb2_grpc.add_InteractionServiceServicer_to_server(FakeInteractions(self._memory), server)
        snapshot_pb2_grpc.add_SnapshotServiceServicer_to_server(FakeSnapshots(self._memory), server)
        self.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        self._server = server

    def stop(self) -> None:
        """Stop at once: calls that are under way are cut off, later ones find nobody."""
        if self._server is None:
            return
        cut_off = self._server.stop(grace=None)
        self._memory.stopped.set()  # only now: a delayed answer must not slip out
        cut_off.wait()
        self._server = None

    def recommend(self, customer_id: str, *results: decision_pb2.RankedAction) -> None:
        """From now on decide like this for a customer; doing nothing is added as the last row."""
        self._memory.results[customer_id] = list(results)

    def recommend_to_all(self, *results: decision_pb2.RankedAction) -> None:
        """From now on decide like this for everybody who has no recommendation of their own."""
        self._memory.default_results = list(results)

    def fall_back(self, customer_id: str, reason: decision_pb2.FallbackReason.ValueType) -> None:
        """From now on answer with a fallback decision for a customer."""
        self._memory.fallbacks[customer_id] = reason

    def answer_with(
        self, answer: Callable[[decision_pb2.DecideRequest], decision_pb2.DecideResponse] | None
    ) -> None:
        """From now on let a function decide; None = the recommendations again."""
        self._memory.answer = answer

    def explain_with(self, explanation: decision_pb2.ExplainResponse | None) -> None:
        """From now on give this explanation; None = the decision and its results as chosen."""
        self._memory.explanation = explanation

    def fail_next(
        self,
        code: grpc.StatusCode,
        message: str = "",
        *,
        times: int = 1,
        violations: Iterable[FieldViolation] = (),
    ) -> None:
        """Let the next calls fail, each attempt counted: a client that retries uses up several."""
        self._memory.failures.extend([FakeFailure(code, message, tuple(violations))] * times)

    def delay(self, delay_ms: float) -> None:
        """From now on wait before every answer; 0 = do not."""
        self._memory.delay_ms = delay_ms

    def received(self, kind: type[M]) -> list[M]:
        """Requests of a kind in the order they came, retries and those that were made to fail included.

        Requests inside a batch or stream are found as `DecideRequest` too.
        """
        return [request for request in self._memory.requests if isinstance(request, kind)]


def recommended(
    action: str,
    *,
    say: str = "",
    staff_reason: str = "",
    customer_reason: str = "",
    desired_action: common_pb2.DesiredAction.ValueType = common_pb2.DESIRED_ACTION_COMMUNICATION,
    score: float = 1.0,
    placement: str = "",
    offer: decision_pb2.Offer | None = None,
) -> decision_pb2.RankedAction:
    """A result for `FakeNextBest.recommend`; rank and channel are filled in when it is returned."""
    return decision_pb2.RankedAction(
        action=action,
        desired_action=desired_action,
        score=score,
        customer_reason=customer_reason,
        staff_reason=staff_reason,
        treatment=decision_pb2.Treatment(say=say, placement=placement, offer=offer),
    )
