"""Questions to the running service, asked through the client as a till and an agent's desktop ask them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from loyalty.nextbest.v1 import common_pb2, decision_pb2, explanation_pb2
from nextbest.demo.population import Chosen
from nextbest.errors import NextBestError
from nextbest_client import AsyncNextBestClient, decide_request

BATCH = 500
"""Households asked about in one call."""
TIMEOUT_MS = 60_000.0
"""The demo is no till: it waits on a busy machine rather than show a fallback."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Who asks, where and when."""

    name: str
    channel: str
    role: str
    placements: tuple[str, ...] = ()
    phase: common_pb2.PurchasePhase.ValueType = common_pb2.PURCHASE_PHASE_UNSPECIFIED

    def request(self, customer_id: str, **more: str) -> decision_pb2.DecideRequest:
        """The question about one customer; `more` are contexts, an empty one is not known."""
        return decide_request(
            customer_id,
            channel=self.channel,
            caller_role=self.role,
            placements=self.placements,
            purchase_phase=self.phase,
            contexts={key: value for key, value in more.items() if value},
        )


TILL = Situation(
    "till",
    channel="pos",
    role="till",
    placements=("receipt", "display"),
    phase=common_pb2.PURCHASE_PHASE_BEFORE_PAYMENT,
)
AGENT = Situation("agent", channel="call_centre", role="agent")
SITUATIONS = (TILL, AGENT)


class NoAnswerError(NextBestError):
    """The service gave the demo a fallback or an error where it must answer."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What one household gets, in each situation."""

    chosen: Chosen
    by_situation: Mapping[str, decision_pb2.DecideResponse]
    """Keyed by the name of the situation."""

    def to_dict(self) -> dict[str, object]:
        """The answers for JSON."""
        return {
            "customer_id": self.chosen.customer_id,
            "rule": self.chosen.rule,
            "intent": self.chosen.intent or None,
            "answers": {name: _as_dict(found) for name, found in self.by_situation.items()},
        }


@dataclass(frozen=True, slots=True)
class WhyNot:
    """Why a household did not get an action."""

    customer_id: str
    situation: str
    candidate: explanation_pb2.CandidateExplanation
    funnel: Sequence[explanation_pb2.FunnelStep]

    def to_dict(self) -> dict[str, object]:
        """The explanation for JSON."""
        return {
            "customer_id": self.customer_id,
            "situation": self.situation,
            **_as_dict(self.candidate),
            "funnel": [_as_dict(step) for step in self.funnel],
        }


async def first_answers(
    client: AsyncNextBestClient, customer_ids: Sequence[str], situation: Situation
) -> list[str]:
    """The best action for every household, `do_nothing` included.

    Raises:
        NoAnswerError: one of them was not decided on.
    """
    found: list[str] = []
    for start in range(0, len(customer_ids), BATCH):
        requests = [_brief(situation, customer_id) for customer_id in customer_ids[start : start + BATCH]]
        response = await client.decide_batch(requests, timeout_ms=TIMEOUT_MS)
        found += [_require(item.decision).results[0].action for item in response.items]
    return found


def _brief(situation: Situation, customer_id: str) -> decision_pb2.DecideRequest:
    request = situation.request(customer_id)
    request.max_results, request.view = 1, common_pb2.VIEW_BASIC
    return request


def counts_by_stage(first: Sequence[str], stages: Sequence[int]) -> dict[str, Counter[int]]:
    """How many households of each stage get each action first; the most frequent action first."""
    counts: dict[str, Counter[int]] = {}
    for action, _ in Counter(first).most_common():
        counts[action] = Counter(stage for a, stage in zip(first, stages, strict=True) if a == action)
    return counts


async def ask(client: AsyncNextBestClient, chosen: Chosen) -> Answers:
    """Ask about one household as the till and as an agent.

    Raises:
        NoAnswerError: it was not decided on.
    """
    requests = {s.name: question(s, chosen) for s in SITUATIONS}
    return Answers(
        chosen,
        {name: _require(await client.decide(r, timeout_ms=TIMEOUT_MS)) for name, r in requests.items()},
    )


def question(situation: Situation, chosen: Chosen) -> decision_pb2.DecideRequest:
    """What is asked: only an agent knows why the customer calls."""
    return situation.request(chosen.customer_id, intent=chosen.intent if situation is AGENT else "")


async def why_not(client: AsyncNextBestClient, chosen: Chosen, situation: Situation) -> WhyNot | None:
    """Explain the action that came furthest without being given, and was stopped by a number.

    Returns:
        None if no action was stopped by one.
    """
    request = question(situation, chosen)
    response = await client.explain(request, customer_id=chosen.customer_id, timeout_ms=TIMEOUT_MS)
    measured = list(_measured(response.candidates))
    if not measured:
        return None
    furthest = max(measured, key=lambda candidate: candidate.gate)
    return WhyNot(chosen.customer_id, situation.name, furthest, list(response.funnel))


def _measured(
    candidates: Sequence[explanation_pb2.CandidateExplanation],
) -> Iterator[explanation_pb2.CandidateExplanation]:
    for candidate in candidates:
        numbers = candidate.HasField("actual_value") and candidate.HasField("required_value")
        if candidate.gate != explanation_pb2.GATE_UNSPECIFIED and numbers:
            yield candidate


def _require(response: decision_pb2.DecideResponse) -> decision_pb2.DecideResponse:
    if response.HasField("fallback") or not response.results:
        reason = response.fallback.message or "no answer"
        raise NoAnswerError(f"the service did not decide for `{response.customer_id}`: {reason}")
    return response


def _as_dict(message: Message) -> dict[str, object]:
    return MessageToDict(message, preserving_proto_field_name=True)
