"""The fake service that other people's tests use, through both clients."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest

from loyalty.nextbest.v1 import common_pb2, decision_pb2, explanation_pb2, interaction_pb2, snapshot_pb2
from nextbest_client import (
    AsyncNextBestClient,
    FakeNextBest,
    FieldViolation,
    InvalidRequest,
    NextBestClient,
    NotFound,
    actions_of,
    customer_snapshot,
    decide_request,
    is_fallback,
    outcome_of,
    recommended,
    timestamp,
)

NOW = datetime(2017, 7, 1, tzinfo=UTC)


@pytest.fixture
def fake():
    """A running fake."""
    with FakeNextBest() as running:
        yield running


@pytest.fixture
def client(fake):
    """A client of the fake that waits long, so that only what a test makes late is late."""
    with NextBestClient(fake.address) as made:
        made.wait_until_ready(timeout_ms=10_000)
        yield made


def ask(customer="4711", **fields):
    """A request about a customer at a till."""
    return decide_request(customer, channel="pos", **fields)


def test_recommendation_is_ranked_and_placed(fake, client):
    """A recommended action comes back ranked, placed on the request's channel, before doing nothing."""
    fake.recommend("4711", recommended("win_back", say="20 % off"), recommended("thank", placement="receipt"))
    results = client.decide(ask(language="da")).results
    assert [(r.rank, r.action) for r in results] == [(1, "win_back"), (2, "thank"), (3, "do_nothing")]
    assert [r.treatment.treatment_id for r in results] == ["win_back/pos", "thank/pos/receipt", ""]
    assert results[0].treatment.language == "da"


def test_customer_without_recommendation_is_left_in_peace(fake, client):
    """Who has no recommendation gets doing nothing, which is a decision and no fallback."""
    fake.recommend("4711", recommended("win_back"))
    decision = client.decide(ask("4712"))
    assert actions_of(decision) == []
    assert not is_fallback(decision)


def test_own_recommendation_comes_before_that_for_all(fake, client):
    """A customer's own recommendation replaces the one for everybody."""
    fake.recommend_to_all(recommended("thank"))
    fake.recommend("4711", recommended("win_back"))
    chosen = {c: client.decide(ask(c)).results[0].action for c in ("4711", "4712")}
    assert chosen == {"4711": "win_back", "4712": "thank"}


@pytest.mark.parametrize(("max_results", "expected"), [(0, 3), (1, 1), (25, 4)])
def test_max_results_is_kept(fake, client, max_results, expected):
    """At most max_results actions come back, three unless said otherwise."""
    fake.recommend_to_all(*(recommended(f"a{i}") for i in range(4)))
    assert len(actions_of(client.decide(ask(max_results=max_results)))) == expected


def test_same_request_id_gets_the_same_decision(fake, client):
    """A repeated request_id gets the decision that was given before, whatever is recommended now."""
    fake.recommend("4711", recommended("win_back"))
    first = client.decide(ask(request_id="r1"))
    fake.recommend("4711", recommended("thank"))
    assert client.decide(ask(request_id="r1")) == first
    assert client.decide(ask(request_id="r2")).results[0].action == "thank"


def test_fallback_can_be_asked_for(fake, client):
    """A customer can be made to get a fallback decision with a reason."""
    fake.fall_back("4711", decision_pb2.FALLBACK_REASON_CUSTOMER_UNKNOWN)
    decision = client.decide(ask())
    assert decision.fallback.reason == decision_pb2.FALLBACK_REASON_CUSTOMER_UNKNOWN
    assert decision.decision_id


def test_function_can_decide(fake, client):
    """A function decides in place of the recommendations until it is taken away."""
    fake.answer_with(lambda request: decision_pb2.DecideResponse(customer_id=request.channel))
    assert client.decide(ask()).customer_id == "pos"
    fake.answer_with(None)
    assert client.decide(ask()).customer_id == "4711"


def test_failure_with_violations_reaches_the_caller(fake, client):
    """A failure that a test asks for carries its violations, once."""
    wrong = FieldViolation("channel", "unknown `pos`")
    fake.fail_next(grpc.StatusCode.INVALID_ARGUMENT, "invalid request", violations=[wrong])
    with pytest.raises(InvalidRequest) as caught:
        client.decide(ask())
    assert caught.value.violations == (wrong,)
    assert caught.value.message == "invalid request"
    assert not is_fallback(client.decide(ask()))


def test_delay_makes_the_caller_fall_back(fake, client):
    """An answer that is delayed beyond the caller's time gives the client's own fallback decision."""
    fake.delay(10_000)
    decision = client.decide(ask(), timeout_ms=30)
    assert decision.fallback.reason == decision_pb2.FALLBACK_REASON_DEADLINE


def test_requests_can_be_read(fake, client):
    """The requests that came can be read by kind, those inside a batch or stream included."""
    client.decide(ask("1"))
    client.decide_batch([ask("2"), ask("3")])
    list(client.decide_stream([ask("4")]))
    client.get_history(interaction_pb2.GetHistoryRequest(customer_id="1"))
    assert [r.customer_id for r in fake.received(decision_pb2.DecideRequest)] == ["1", "2", "3", "4"]
    assert len(fake.received(interaction_pb2.GetHistoryRequest)) == 1


def test_outcome_is_recorded_once(fake, client):
    """An outcome that is sent twice is in the history once, and the second answer says so."""
    fake.recommend("4711", recommended("win_back"))
    decision = client.decide(ask())
    taken = [outcome_of(decision, decision.results[0], common_pb2.OUTCOME_ACCEPTED, amount=0.0)]
    first = client.capture_outcomes("4711", taken)
    again = client.capture_outcomes("4711", taken)
    assert [result.status for result in (*first, *again)] == [
        interaction_pb2.RECORD_STATUS_RECORDED,
        interaction_pb2.RECORD_STATUS_DUPLICATE,
    ]
    (entry,) = client.get_history(interaction_pb2.GetHistoryRequest(customer_id="4711")).entries
    assert entry.treatment_id == "win_back/pos"
    assert entry.HasField("amount")
    assert not entry.HasField("cost")


def test_history_is_the_latest_first(client):
    """The history holds outcomes and events, the latest first, and can be narrowed."""
    events = [
        interaction_pb2.Event(idempotency_key=key, event_time=timestamp(NOW), event_type="purchase")
        for key in ("e1", "e2")
    ]
    client.record_events("4711", events)
    loose = interaction_pb2.CapturedOutcome(action="greet", outcome=common_pb2.OUTCOME_PRESENTED)
    client.capture_outcomes("4711", [loose])

    def keys(**narrowed):
        request = interaction_pb2.GetHistoryRequest(customer_id="4711", **narrowed)
        return [entry.idempotency_key for entry in client.get_history(request).entries]

    assert keys()[1:] == ["e2", "e1"]
    assert keys(kinds=[interaction_pb2.HISTORY_KIND_EVENT], max_entries=1) == ["e2"]


def test_snapshot_is_merged_and_read_back(client):
    """A merged snapshot keeps the facts it leaves out, and drops those that are cleared."""
    client.put_snapshot(customer_snapshot("4711", as_of=NOW, facts={"a": 1, "b": 2, "c": 3}))
    later = customer_snapshot("4711", as_of=NOW, facts={"b": 5})
    client.put_snapshot(later, mode=snapshot_pb2.WRITE_MODE_MERGE, cleared_facts=["c"])
    facts = {fact.name: fact.number for fact in client.get_snapshot("4711").snapshot.facts}
    assert facts == {"a": 1, "b": 5}
    client.put_snapshot(later)
    assert [fact.name for fact in client.get_snapshot("4711").snapshot.facts] == ["b"]


def test_identifier_resolves_and_erasure_forgets(fake, client):
    """An identifier leads to its customer until the customer is erased."""
    card = common_pb2.Identifier(type="card", value="99")
    client.put_snapshot(customer_snapshot("4711", as_of=NOW, facts={}), identifiers=[card])
    fake.recommend("4711", recommended("win_back"))
    assert client.resolve(card) == "4711"
    assert client.decide(ask(card)).results[0].action == "win_back"
    assert client.export("4711").identifiers == [card]
    erased = client.erase("4711", reason="asked for it")
    assert (erased.snapshot_erased, erased.identifiers_erased) == (True, 1)
    with pytest.raises(NotFound):
        client.resolve(card)
    with pytest.raises(NotFound):
        client.get_snapshot("4711")
    unknown = client.decide(ask(card)).fallback.reason
    assert unknown == decision_pb2.FALLBACK_REASON_CUSTOMER_UNKNOWN


def test_explanation_follows_the_decision_or_the_test(fake, client):
    """Results are explained as chosen, an unknown decision is not found, and a test may say it all itself."""
    fake.recommend("4711", recommended("win_back", staff_reason="overdue"))
    decision = client.decide(ask())
    explained = client.explain(decision.decision_id, customer_id="4711").candidates[0]
    assert (explained.action, explained.sentence) == ("win_back", "overdue")
    assert explained.code == explanation_pb2.REASON_CODE_CHOSEN
    assert client.explain(ask()).decision.results[0].action == "win_back"
    with pytest.raises(NotFound):
        client.explain("no-such-decision", customer_id="4711")
    fake.explain_with(decision_pb2.ExplainResponse(candidates=[{"action": "thank"}]))
    assert client.explain(ask()).candidates[0].action == "thank"


def test_stopped_fake_is_away_and_may_start_again(fake):
    """After `stop` nobody listens; after `start` it listens on a new address."""
    fake.stop()
    with NextBestClient(fake.address) as client:
        assert is_fallback(client.decide(ask()))
    fake.start()
    with NextBestClient(fake.address) as client:
        assert not is_fallback(client.decide(ask(), timeout_ms=10_000))


async def test_asynchronous_client_speaks_to_the_fake(fake):
    """Every call of the asynchronous client reaches the fake and brings back the same as the other."""
    fake.recommend("4711", recommended("win_back"))
    card = common_pb2.Identifier(type="card", value="99")
    snapshot = customer_snapshot("4711", as_of=NOW, facts={"a": 1})
    event = interaction_pb2.Event(idempotency_key="e", event_time=timestamp(NOW), event_type="purchase")
    async with AsyncNextBestClient(fake.address) as client:
        assert await client.wait_until_ready(timeout_ms=10_000)
        decision = await client.decide(ask())
        batch = await client.decide_batch([ask(), ask("4712")])
        assert [len(item.decision.results) for item in batch.items] == [2, 1]
        assert (await client.explain(decision.decision_id, customer_id="4711")).decision == decision
        taken = [outcome_of(decision, decision.results[0], common_pb2.OUTCOME_ACCEPTED)]
        assert len(await client.capture_outcomes("4711", taken)) == 1
        assert len(await client.record_events("4711", [event])) == 1
        history = await client.get_history(interaction_pb2.GetHistoryRequest(customer_id="4711"))
        assert len(history.entries) == 2
        await client.put_snapshot(snapshot, identifiers=[card])
        assert (await client.get_snapshot("4711")).snapshot == snapshot
        assert await client.resolve(card) == "4711"
        assert (await client.export("4711")).snapshot == snapshot
        assert (await client.erase("4711")).history_entries_erased == 2


README = Path(__file__).parents[2] / "clients" / "python" / "README.md"


def shown_in_readme(containing: str) -> str:
    """The README's first Python block that holds a text."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    return next(block for block in blocks if containing in block)


def test_tests_in_the_readme_pass():
    """The tests that the README shows to other people run as they stand."""
    names: dict[str, Any] = {}
    exec(compile(shown_in_readme("def test_"), str(README), "exec"), names)
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()


def test_first_program_in_the_readme_runs(fake, capsys):
    """The program that the README begins with shows the advice and records the outcome."""
    fake.recommend("4711", recommended("win_back", say="20 % off", staff_reason="overdue"))
    exec(shown_in_readme("localhost:50051").replace("localhost:50051", fake.address), {})
    assert capsys.readouterr().out == "1 20 % off | overdue\n"
    assert len(fake.received(interaction_pb2.CaptureOutcomesRequest)) == 1
