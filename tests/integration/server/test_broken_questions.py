"""A question that fails as nobody foresaw: the others are answered, and the log says which it was."""

import asyncio

import grpc
import pytest
import structlog
from tests.integration.server.test_running import CUSTOMER, answered, asking, started

import nextbest.server.batches
import nextbest.server.gathering
from nextbest.telemetry import pseudonym
from nextbest_client import ServiceFailed, is_fallback

INTERNAL = grpc.StatusCode.INTERNAL.value[0]
MODULES = (nextbest.server.batches, nextbest.server.gathering)


@pytest.fixture
def fragile(monkeypatch):
    """Makes decisions in Danish impossible; call it once the service is up."""

    def spoil():
        for module in MODULES:
            decide = module.answers

            def answers(found, decide=decide):
                if any(question.language == "da" for question in found.questions):
                    raise RuntimeError("the cause")
                return decide(found)

            monkeypatch.setattr(module, "answers", answers)

    return spoil


def mixed(n, *broken):
    """Questions of which some break."""
    return [asking(language=("en", "da")[i in broken], request_id=f"q{i}") for i in range(n)]


def faults(logged):
    """What was logged of unforeseen errors."""
    return [line for line in logged if line["event"] == "internal_error"]


def require_one_line(logged, *request_ids):
    """Each error is logged once, with its trace, and enough to find the request by."""
    lines = faults(logged)
    assert sorted(line["request_id"] for line in lines) == sorted(request_ids)
    for line in lines:
        assert line["customer"] == pseudonym(CUSTOMER)
        assert line["channel"] == "pos"
        assert str(line["exc_info"]) == "the cause"


async def test_in_a_batch(redis_process, rulebook, fragile):
    """One item of a batch says INTERNAL without the cause; all others are decided, in their places."""
    async with started(redis_process, rulebook) as (_, client):
        await answered(client)
        fragile()
        with structlog.testing.capture_logs() as logged:
            items = (await client.decide_batch(mixed(100, 7, 99))).items
        for i, item in enumerate(items):
            if i in (7, 99):
                assert item.status.code == INTERNAL
                assert item.status.message == "internal error; see the service's log"
            else:
                assert item.decision.request_id == f"q{i}"
                assert not is_fallback(item.decision)
        require_one_line(logged, "q7", "q99")
        assert [line["place"] for line in faults(logged)] == [7, 99]
        again = (await client.decide_batch(mixed(100, 7, 99))).items
        assert [item.decision for item in again] == [item.decision for item in items]


async def test_a_batch_in_which_all_break(redis_process, rulebook, fragile):
    """A batch of nothing but questions that break is answered item by item."""
    async with started(redis_process, rulebook) as (_, client):
        await answered(client)
        fragile()
        items = (await client.decide_batch(mixed(5, *range(5)))).items
        assert [item.status.code for item in items] == [INTERNAL] * 5


async def test_among_calls_of_one_moment(redis_process, rulebook, fragile):
    """Calls that are decided together with one that breaks are answered."""
    async with started(redis_process, rulebook) as (_, client):
        await answered(client)
        fragile()
        with structlog.testing.capture_logs() as logged:
            calls = [client.decide(request) for request in mixed(40, 7)]
            replies = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(replies.pop(7), ServiceFailed)
        assert not any(map(is_fallback, replies))
        require_one_line(logged, "q7")


async def test_on_a_stream(redis_process, rulebook, fragile):
    """On a stream the question that breaks has its own status; the stream goes on."""
    async with started(redis_process, rulebook) as (_, client):
        await answered(client)
        fragile()
        with structlog.testing.capture_logs() as logged:
            answers = {one.request_id: one async for one in client.decide_stream(mixed(40, 7))}
        assert answers.pop("q7").status.code == INTERNAL
        assert len(answers) == 39
        assert not any(is_fallback(one.decision) for one in answers.values())
        require_one_line(logged, "q7")


async def test_a_request_that_cannot_even_be_checked(redis_process, rulebook, monkeypatch):
    """An unforeseen error while one request of a batch is checked stays with it, too."""
    check = nextbest.server.batches.parse_question

    def checked(request, *others):
        if request.language == "da":
            raise RuntimeError("the cause")
        return check(request, *others)

    async with started(redis_process, rulebook) as (_, client):
        monkeypatch.setattr(nextbest.server.batches, "parse_question", checked)
        with structlog.testing.capture_logs() as logged:
            good, bad = (await client.decide_batch(mixed(2, 1))).items
        assert not is_fallback(good.decision)
        assert bad.status.code == INTERNAL
        require_one_line(logged, "q1")
