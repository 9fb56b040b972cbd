"""DecideStream, and single questions that are decided together because they come together."""

import asyncio

import grpc
import pytest
from tests.builders.small import NOW, population
from tests.integration.server.test_running import CUSTOMER, answered, asking, started

import nextbest.server.gathering
from loyalty.nextbest.v1 import common_pb2, decision_pb2
from nextbest.server.gathering import MOST
from nextbest.server.streaming import MAX_IN_FLIGHT
from nextbest_client import decide_request

STRICT = common_pb2.STRICTNESS_STRICT


def varied(customers, n):
    """Requests that differ in all that a request can differ in."""
    return [
        decide_request(
            customers[i % len(customers)],
            channel=("pos", "call_centre", "email")[i % 3],
            contexts={"basket_value": 10.0 * i},
            max_results=1 + i % 4,
            evaluation_time=NOW,
            view=(common_pb2.VIEW_BASIC, common_pb2.VIEW_FULL)[i % 2],
            language=("en", "da")[i // 2 % 2],
            request_id=f"varied-{i}",
        )
        for i in range(n)
    ]


def bare(decision):
    """A decision without what is new in every one."""
    plain = decision_pb2.DecideResponse()
    plain.CopyFrom(decision)
    plain.ClearField("decision_id")
    plain.ClearField("request_id")
    return plain.SerializeToString(deterministic=True)


def answered_alone(client, request):
    """What the request is answered when nothing else is asked."""
    alone = decision_pb2.DecideRequest()
    alone.CopyFrom(request)
    alone.request_id = ""
    return bare(client.decide(alone))


def test_stream_answers_like_single_calls(client):
    """Each request on a stream is answered once, as Decide would, more of them than may be in flight."""
    requests = varied(list(population(70)), 2 * MAX_IN_FLIGHT)
    answers = {answer.request_id: answer for answer in client.decide_stream(requests)}
    assert answers.keys() == {request.request_id for request in requests}
    for request in requests[:140]:
        assert bare(answers[request.request_id].decision) == answered_alone(client, request)


def test_stream_retries_get_the_same_decision(client):
    """A request id that comes twice on a stream, or again later, has one decision."""
    request = varied(["p0001"], 1)[0]
    request.request_id = "twice"
    first, second = (answer.decision for answer in client.decide_stream([request, request]))
    assert first.decision_id == second.decision_id
    assert client.decide(request).decision_id == first.decision_id


def test_wrong_requests_on_a_stream_stay_alone(client):
    """What is wrong with one request of a stream is said of that one; the stream goes on."""
    good, bad, strict = varied(["p0001", "p0002", "nobody"], 3)
    bad.channel, bad.customer_id, strict.strictness = "poss", "x" * 65, STRICT
    for request, name in ((good, "good"), (bad, "bad"), (strict, "strict")):
        request.request_id = name
    answers = {a.request_id: a for a in client.decide_stream([bad, strict, good])}
    assert answers["good"].decision.customer_id == "p0001"
    assert {v.field for v in answers["bad"].status.violations} == {"channel", "customer_id"}
    assert answers["strict"].status.code == grpc.StatusCode.NOT_FOUND.value[0]


def test_stream_needs_request_ids(decisions):
    """A request without a request_id cannot be matched with its answer, and is told so."""
    nameless = decide_request("p0001", channel="pos")
    nameless.request_id = ""
    (answer,) = decisions.DecideStream(iter([decision_pb2.DecideStreamRequest(request=nameless)]))
    assert [v.field for v in answer.status.violations] == ["request.request_id"]


def test_empty_stream(client):
    """A stream without requests ends without answers."""
    assert list(client.decide_stream([])) == []


@pytest.fixture
def sizes(monkeypatch):
    """How many questions were decided together, time after time."""
    seen, decide = [], nextbest.server.gathering.answers

    def noted(found):
        seen.append(len(found.questions))
        return decide(found)

    monkeypatch.setattr(nextbest.server.gathering, "answers", noted)
    return seen


async def test_questions_that_come_together(redis_process, rulebook, sizes):
    """Calls that arrive within a moment are decided together, 64 at most, each with its own answer."""
    async with started(redis_process, rulebook) as (_, client):
        await answered(client)
        sizes.clear()
        replies = await asyncio.gather(*(client.decide(asking(max_results=1 + i % 3)) for i in range(200)))
        assert sum(sizes) == 200
        assert 1 < max(sizes) <= MOST
        assert len({reply.decision_id for reply in replies}) == 200
        assert all(len(reply.results) <= 2 + i % 3 for i, reply in enumerate(replies))


async def test_stream_without_redis(redis_process, rulebook):
    """While Redis is away, a stream gives fallbacks, and UNAVAILABLE to the strict."""
    async with started(redis_process, rulebook) as (_, client):
        redis_process.kill()
        requests = [asking(request_id="till"), asking(request_id="strict", strictness=STRICT)]
        answers = {a.request_id: a async for a in client.decide_stream(requests)}
    assert answers["till"].decision.HasField("fallback")
    assert answers["strict"].status.code == grpc.StatusCode.UNAVAILABLE.value[0]


async def test_stream_whose_caller_leaves(redis_process, rulebook):
    """A caller that stops reading in the middle leaves a service that answers others."""
    async with started(redis_process, rulebook) as (_, client):
        async for answer in client.decide_stream([asking() for _ in range(2 * MAX_IN_FLIGHT)]):
            assert answer.decision.customer_id == CUSTOMER
            break
        assert await answered(client)
