"""Decisions of a real service, logged, exported, explained by their id, and made again."""

import asyncio
import shutil
import signal

import numpy as np
import polars as pl
import pytest
from tests.builders.command_line import nextbest
from tests.builders.small import DIRECTORY, NOW, newcomer, offended, population, regular
from tests.integration.server.conftest import PATIENCE_S, awaited, serving

from loyalty.nextbest.v1 import common_pb2, decision_pb2
from nextbest.batch.log_export import COLUMNS
from nextbest.data.store import StoreOptions, open_past
from nextbest.decision_record import read_record
from nextbest.model import Degraded
from nextbest.rows import RowCodec
from nextbest.rulebook.compile import compile_rulebook
from nextbest.server.replayer import Replayer
from nextbest.server.replaying import Verdict
from nextbest_client import (
    ClientOptions,
    Conflict,
    InvalidRequest,
    NextBestClient,
    NotFound,
    customer_snapshot,
    decide_request,
    outcome_of,
)

PATIENT = ClientOptions(timeout_ms=60_000.0)
ACCEPTED, REJECTED = common_pb2.OUTCOME_ACCEPTED, common_pb2.OUTCOME_REJECTED
CHANNELS = (("pos", 1), ("call_centre", 1), ("call_centre", 2), ("email", 2))


def questions(n, seed=1):
    """Requests of every kind about the population and about strangers, at all sorts of times."""
    random = np.random.default_rng(seed)
    ids = [*population(), "nobody", "ghost ü"]
    return [question(random, ids[i % len(ids)]) for i in range(n)]


def question(random, customer):
    """One of them."""
    channel, direction = CHANNELS[random.integers(len(CHANNELS))]
    now = NOW.timestamp() + random.uniform(-400.0, 400.0) * 86400.0
    request = decide_request(
        customer,
        channel=channel,
        direction=direction,
        placements=random.permutation(["receipt", "display"]).tolist()[: random.integers(3)]
        if channel == "pos"
        else [],
        contexts={"basket_value": float(random.uniform(0, 900))} if random.random() < 0.5 else {},
        purchase_phase=int(random.integers(6)),
        caller_role=str(random.choice(["", "agent", "lead"])),
        language=str(random.choice(["", "da-DK", "en", "fr"])),
        max_results=int(random.integers(6)),
        view=int(random.integers(3)),
        request_id=f"replay-{random.integers(2**62)}",
    )
    if random.random() < 0.5:
        request.evaluation_time.FromMicroseconds(round(now * 1e6))
    if random.random() < 0.3:
        facts = (regular, newcomer, offended)[random.integers(3)](satisfaction=float(random.uniform(0, 100)))
        request.snapshot.CopyFrom(customer_snapshot(customer, as_of=NOW, facts=facts))
    return request


def past_of(data_directory):
    """The log behind a service."""
    return open_past(StoreOptions(data_directory=data_directory, timeout_s=60.0))


async def logged(data_directory, ids):
    """The records of some decisions, once all are logged, in the order of the log."""
    async with past_of(data_directory) as past, asyncio.timeout(PATIENCE_S):
        while True:
            found = [entry.record async for batch in past.decisions.scan() for entry in batch]
            records = [r for r in found if r.decision_id.hex() in ids]
            if len(records) == len(ids):
                return records
            await asyncio.sleep(0.05)


def exchanged(client, requests):
    """Ask alone, in batches and on a stream; the decisions by id."""
    alone, batched, streamed = requests[:200], requests[200:-400], requests[-400:]
    answers = [client.decide(request) for request in alone]
    for start in range(0, len(batched), 250):
        answers += [item.decision for item in client.decide_batch(batched[start : start + 250]).items]
    answers += [item.decision for item in client.decide_stream(streamed)]
    return {answer.decision_id: answer for answer in answers}


async def test_thousands_come_out_the_same(client, data_directory):
    """Every decision, alone, in a batch or on a stream, is logged as given and made again bit for bit."""
    given = exchanged(client, questions(2400))
    for customer in list(population())[:60]:
        decision = client.decide(decide_request(customer, channel="pos", max_results=3))
        given[decision.decision_id] = decision
        outcomes = [
            outcome_of(decision, r, ACCEPTED if r.rank % 2 else REJECTED) for r in decision.results[:-1]
        ]
        if outcomes:
            client.capture_outcomes(customer, outcomes)
    more = exchanged(client, questions(700, seed=2))
    given |= more
    assert len(given) > 3000

    records = await logged(data_directory, given)
    for record in records:
        answer = decision_pb2.DecideResponse.FromString(record.answer)
        assert answer == given[record.decision_id.hex()]
    assert sum(record.inline for record in records) > 500
    assert sum(record.degraded is Degraded.CUSTOMER_UNKNOWN for record in records) > 5
    assert sum(bool(record.contacts) for record in records) > 20
    async with past_of(data_directory) as past:
        again = await Replayer(past).replay(records)
    different = [one for one in again if one.verdict is not Verdict.IDENTICAL]
    assert not different, different[:3]


async def test_a_changed_record_is_different(client, data_directory):
    """A replay is no formality: another fact, another answer or another time does not come out the same."""
    decision = client.decide(decide_request("p0003", channel="pos"))
    (record,) = await logged(data_directory, [decision.decision_id])
    other = client.decide(decide_request("p0004", channel="pos"))
    (others,) = await logged(data_directory, [other.decision_id])
    async with past_of(data_directory) as past:
        replayer = Replayer(past)
        for name, value in (
            ("now", record.now + 86400.0),
            ("answer", others.answer),
            ("figures", others.figures),
        ):
            changed = read_record(record.to_bytes())
            setattr(changed, name, value)
            (again,) = await replayer.replay([changed])
            assert again.verdict is Verdict.DIFFERENT
            assert again.differences


async def test_other_bits_are_equivalent(client, data_directory):
    """What differs in the last bit only, as between builds, is told apart from what differs."""
    decision = client.decide(decide_request("p0005", channel="pos"))
    (record,) = await logged(data_directory, [decision.decision_id])
    figures = record.figure_values * (1.0 + 2e-16)
    record.figures = figures.tobytes()
    async with past_of(data_directory) as past:
        (again,) = await Replayer(past).replay([record])
    assert again.verdict is Verdict.EQUIVALENT


def test_one_decision_by_command(client, data_directory):
    """`nextbest replay ID` says that it comes out the same; an unknown id is an error, a wrong one too."""
    decision = client.decide(decide_request("p0001", channel="pos"))
    where = ("--data-directory", data_directory)
    said = awaited(lambda: (s := nextbest("replay", decision.decision_id, *where)).code == 0 and s)
    assert "replayed 1 decisions: 1 identical" in said.out
    assert nextbest("replay", decision.decision_id, "--customer", "p0001", *where).code == 0
    unknown = nextbest("replay", "0" * 32, *where)
    assert (unknown.code, "is in the log" in unknown.err) == (1, True)
    wrong = nextbest("replay", "nonsense", *where)
    assert (wrong.code, "`nonsense` is not 32 hexadecimal digits" in wrong.err) == (1, True)


def edited(directory):
    """The small rulebook without brie, and with coffee for everybody worth more."""
    copy = directory / "edited"
    shutil.copytree(DIRECTORY, copy)
    selling = copy / "actions" / "selling.yaml"
    text = selling.read_text()
    assert "- id: brie" in text
    selling.write_text(text.replace("- id: brie", "- id: blue_cheese"))
    return copy


def test_another_rulebook_says_what_changes(client, put, data_directory, customer_id, tmp_path):
    """`--against` shows per decision and in sums what another rulebook recommends."""
    put(customer_id, regular())
    ids = [client.decide(decide_request(customer_id, channel="pos")).decision_id for _ in range(3)]
    assert client.decide(decide_request(customer_id, channel="pos")).results[0].action == "brie"
    asyncio.run(logged(data_directory, ids))
    where = ("--customer", customer_id, "--data-directory", data_directory)
    same = nextbest("replay", *where, "--against", DIRECTORY)
    assert (same.code, "100.0%" in same.out, "same" in same.out) == (0, True, True)
    other = nextbest("replay", *where, "--against", edited(tmp_path))
    assert other.code == 0
    assert "other first action" in other.out
    assert "blue_cheese" in other.out
    broken = tmp_path / "broken"
    shutil.copytree(DIRECTORY, broken)
    (broken / "strategy.yaml").write_text("id: [")
    assert nextbest("replay", *where, "--against", broken).code == 1


def test_a_decision_is_explained_by_its_id(client, put, customer_id):
    """The explanation of a decision is what Explain would have said at its time, whatever happened since."""
    put(customer_id, regular())
    request = decide_request(customer_id, channel="pos", evaluation_time=NOW, language="da")
    before = client.explain(request)
    decision = client.decide(request)
    client.capture_outcomes(customer_id, [outcome_of(decision, decision.results[0], REJECTED)])
    put(customer_id, offended())
    assert client.explain(request).candidates != before.candidates
    explained = client.explain(decision.decision_id, customer_id=customer_id)
    assert explained.decision == decision
    assert explained.candidates == before.candidates
    assert explained.funnel == before.funnel
    some = client.explain(decision.decision_id, customer_id=customer_id, actions=["welcome"], language="en")
    assert [c.action for c in some.candidates] == ["welcome"]
    assert some.candidates[0].sentence.startswith("the customer is in")


def test_why_takes_a_decision(client, put, service, customer_id):
    """`nextbest why CUSTOMER --decision ID` shows why; a channel or a decision has to be named, not both."""
    put(customer_id, regular())
    decision = client.decide(decide_request(customer_id, channel="pos"))
    where = ("--address", service.address)
    said = nextbest("why", customer_id, "--decision", decision.decision_id, *where)
    assert (said.code, "brie" in said.out, "rank 1" in said.out) == (0, True, True)
    both = ("--decision", decision.decision_id, "--channel", "pos")
    for wrong in ((), both):
        refused = nextbest("why", customer_id, *wrong, *where)
        assert (refused.code, "--channel: is required, or else --decision" in refused.err) == (1, True)


def test_a_fallback_decision_is_explained_by_itself(client):
    """A decision that was made on no data has no candidates, and says why."""
    decision = client.decide(decide_request("nobody", channel="pos"))
    explained = client.explain(decision.decision_id, customer_id="nobody")
    assert explained.decision == decision
    assert not explained.candidates


def test_unknown_decisions_are_not_found(client, put, customer_id):
    """An id that is not in the log, another customer's, and one that is none are told apart."""
    put(customer_id, regular())
    decision = client.decide(decide_request(customer_id, channel="pos"))
    with pytest.raises(NotFound, match="was never logged, or is older than"):
        client.explain("0" * 32, customer_id=customer_id)
    with pytest.raises(NotFound):
        client.explain(decision.decision_id, customer_id="p0001")
    with pytest.raises(InvalidRequest, match="is not 32 hexadecimal digits"):
        client.explain("nonsense", customer_id=customer_id)
    with pytest.raises(InvalidRequest, match="customer_id"):
        client.explain(decision.decision_id)
    with pytest.raises(InvalidRequest, match="actions"):
        client.explain(decision.decision_id, customer_id=customer_id, actions=["nonsense"])


def test_another_models_decision(client, put, service, store, data_directory, customer_id, tmp_path):
    """A decision is explained with the model that made it, while that is kept; then it says what is not."""
    put(customer_id, regular())
    rulebook = edited(tmp_path)
    with (
        serving(data_directory, tmp_path / "log", rulebook=rulebook) as other,
        NextBestClient(other.address, options=PATIENT) as others_client,
    ):
        decision = others_client.decide(decide_request(customer_id, channel="pos"))
        assert decision.results[0].action == "blue_cheese"
        others_client.explain(decision.decision_id, customer_id=customer_id)  # it is in the log by now
        here = client.explain(decision.decision_id, customer_id=customer_id)
        assert here.decision == decision
        assert "blue_cheese" in {c.action for c in here.candidates}
        store.delete(
            f"nextbest:model:{decision.model_digest}",
            f"nextbest:rulebook:{compile_rulebook(rulebook).digest}",
        )
        again = others_client.explain(decision.decision_id, customer_id=customer_id)
        assert again.candidates == here.candidates
    where = ("--data-directory", data_directory)
    said = nextbest("replay", decision.decision_id, *where)
    assert said.code == 4
    assert f"what model `{decision.model_digest}` consists of is not kept" in " ".join(said.out.split())


def test_what_is_missing_is_named(put, data_directory, store, customer_id, tmp_path):
    """Without the rulebook that decided, an explanation fails with its digest; until it is there (again)."""
    rulebook = edited(tmp_path)
    with (
        serving(data_directory, tmp_path / "log", rulebook=rulebook) as other,
        NextBestClient(other.address, options=PATIENT) as others_client,
    ):
        put(customer_id, regular())
        decision = others_client.decide(decide_request(customer_id, channel="pos"))
        others_client.explain(decision.decision_id, customer_id=customer_id)
    digest = compile_rulebook(rulebook).digest
    key = f"nextbest:rulebook:{digest}"
    files = store.getdel(key)
    with (
        serving(data_directory, tmp_path / "third") as third,
        NextBestClient(third.address, options=PATIENT) as third_client,
    ):
        with pytest.raises(Conflict, match=digest):
            third_client.explain(decision.decision_id, customer_id=customer_id)
        store.set(key, files)
        found = third_client.explain(decision.decision_id, customer_id=customer_id)
        assert found.decision == decision


def test_masked_facts_are_nowhere(put, data_directory, store, customer_id, tmp_path):
    """What is masked is not in the log, in no part of it; and a replay says that it cannot be made again."""
    masked = "revenue_net, needs,complaint_open, context.basket_value"
    environment = {"NEXTBEST_DECISION_LOG_MASKED": masked}
    with (
        serving(data_directory, tmp_path / "log", **environment) as service,
        NextBestClient(service.address, options=PATIENT) as client,
    ):
        put(customer_id, regular(revenue_net=123456.789))
        decision = client.decide(
            decide_request(customer_id, channel="pos", contexts={"basket_value": 321.125})
        )
        assert decision.results[0].treatment.say
        (record,) = asyncio.run(logged(data_directory, [decision.decision_id]))
        with pytest.raises(Conflict, match="which are masked"):
            client.explain(decision.decision_id, customer_id=customer_id)
    assert record.masked == ("complaint_open", "context.basket_value", "needs", "revenue_net")
    whole = record.to_bytes()
    for number in (123456.789, 321.125):
        assert np.float64(number).tobytes() not in whole
    for text in (decision.results[0].treatment.say, decision.results[0].staff_reason):
        assert text.encode() not in whole
    stored = asyncio.run(stored_facts(data_directory, record))
    assert not {"revenue_net", "needs", "complaint_open"} & set(stored)
    assert stored["margin_rate"] == 0.3
    assert nextbest("replay", decision.decision_id, "--data-directory", data_directory).code == 4


async def stored_facts(data_directory, record):
    """The facts of a logged row."""
    async with past_of(data_directory) as past:
        model = await past.models.load(record.model_digest)
    return RowCodec(model.rulebook.catalogue).decode(record.customer_id.encode(), record.row).facts


def test_masking_what_is_no_fact(data_directory, tmp_path):
    """A service does not start with names to mask that it does not know: they would not be masked."""
    environment = {"NEXTBEST_DECISION_LOG_MASKED": "revenue_nett,needs,context.nothing"}
    with (
        pytest.raises(AssertionError, match="revenue_nett"),
        serving(data_directory, tmp_path / "l", **environment),
    ):
        pass
    said = (tmp_path / "l").read_text()
    assert "did you mean `revenue_net`?" in said
    assert "context.nothing" in said
    assert "`needs`" not in said


def test_nothing_is_lost_when_a_service_ends(put, data_directory, store, customer_id, tmp_path):
    """A service that is told to end writes what it has decided first, and says what became of decisions."""
    with (
        serving(data_directory, tmp_path / "log") as service,
        NextBestClient(service.address, options=PATIENT) as client,
    ):
        requests = [decide_request(f"p{i % 400:04d}", channel="pos") for i in range(1000)]
        items = client.decide_batch(requests).items
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(PATIENCE_S) == 0
    keys = [f"nextbest:{{{i.decision.customer_id}}}:d:{i.decision.decision_id}" for i in items]
    assert store.exists(*keys) == 1000
    (stopped,) = [event for event in service.events() if event["event"] == "stopped"]
    assert stopped["decision_log"] == {"written": 1000}


def test_no_log(data_directory, store, customer_id, tmp_path):
    """With a sampling rate of 0 nothing is logged."""
    with (
        serving(data_directory, tmp_path / "log", NEXTBEST_DECISION_LOG_SAMPLING="0") as service,
        NextBestClient(service.address, options=PATIENT) as client,
    ):
        decision = client.decide(decide_request("p0001", channel="pos"))
        with pytest.raises(NotFound):
            client.explain(decision.decision_id, customer_id="p0001")
    (stopped,) = [event for event in service.events() if event["event"] == "stopped"]
    assert stopped["decision_log"] == {"sampled_out": 1}


def test_the_log_as_a_file(client, data_directory, tmp_path):
    """The exported file has every decision with its documented columns, and each record as it was logged."""
    given = {d.decision_id: d for d in (client.decide(q) for q in questions(60, seed=3))}
    records = {r.decision_id.hex(): r for r in asyncio.run(logged(data_directory, given))}
    file = tmp_path / "log.parquet"
    said = nextbest("log", "export", "--out", file, "--data-directory", data_directory)
    assert said.code == 0, said.err
    frame = pl.read_parquet(file)
    assert frame.columns == [name for name, _, _ in COLUMNS]
    assert f"{len(frame):,} decisions written" in said.out
    rows = {row["decision_id"]: row for row in frame.iter_rows(named=True)}
    for decision_id, decision in given.items():
        row = rows[decision_id]
        assert row["actions"] == [r.action for r in decision.results[:-1]]
        assert row["scores"] == [r.score for r in decision.results[:-1]]
        assert row["customer_id"] == decision.customer_id
        assert (row["fallback"] is not None) == decision.HasField("fallback")
        assert row["evaluation_time"].timestamp() == pytest.approx(records[decision_id].now, abs=1e-5)
        assert read_record(row["record"]) == records[decision_id]
        if decision.HasField("figures") and decision.figures.HasField("ltv"):
            assert row["figure_ltv"] == decision.figures.ltv
    assert nextbest("log", "export", "--columns").out.count("\n") == len(COLUMNS)
    assert not list(tmp_path.glob("*.partial"))


def test_an_export_of_a_time(client, data_directory, tmp_path):
    """`--since` in the future exports nothing; the file is there and has its columns."""
    file = tmp_path / "log.parquet"
    where = ("--data-directory", data_directory)
    assert nextbest("log", "export", "--out", file, "--since", "2200-01-01", *where).code == 0
    assert pl.read_parquet(file).shape == (0, len(COLUMNS))
    assert nextbest("log", "export", *where).code == 1
    assert nextbest("log", "export", "--out", file, "--since", "yesterday", *where).code == 1


def test_asking_for_a_view_is_kept(client):
    """The logged request is the one that was asked, without its snapshot."""
    request = decide_request("p0001", channel="pos", view=common_pb2.VIEW_BASIC)
    decision = client.decide(request)
    assert not decision.HasField("figures")
    explained = client.explain(decision.decision_id, customer_id="p0001")
    assert explained.decision == decision
    assert isinstance(explained, decision_pb2.ExplainResponse)
