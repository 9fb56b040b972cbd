"""Everything that several services decided on one Redis, made again in one call."""

import asyncio
import re
from collections import Counter
from dataclasses import replace

import pytest
from tests.builders.command_line import nextbest
from tests.builders.small import NOW
from tests.integration.server.conftest import serving, stocked
from tests.integration.server.test_exploring import exploring
from tests.integration.server.test_replaying import PATIENT, edited, past_of, questions

from loyalty.nextbest.v1 import common_pb2, decision_pb2
from nextbest.server.replaying import KINDS
from nextbest_client import NextBestClient, outcome_of

PRESENTED = common_pb2.OUTCOME_PRESENTED
ANSWERS = (common_pb2.OUTCOME_ACCEPTED, common_pb2.OUTCOME_REJECTED)
ALL = ("--since", "2000-01-01")
FEW = 150
"""Decisions made alone, as many in a batch and on a stream."""


def lived(data, log, rulebook, live):
    """What a service decides in its life; it has logged all of it by its end."""
    with (
        serving(data, log, rulebook=rulebook) as service,
        NextBestClient(service.address, options=PATIENT) as client,
    ):
        given = live(client)
    (stopped,) = [event for event in service.events() if event["event"] == "stopped"]
    assert stopped["decision_log"] == {"written": len({decision.decision_id for decision in given})}
    return given


def capture(client, decisions):
    """Say of every third decision about somebody known that its first action was shown and answered."""
    for place, decision in enumerate(decisions[::3]):
        if decision.customer_id.startswith("p") and len(decision.results) > 1:
            first = decision.results[0]
            outcomes = [outcome_of(decision, first, outcome) for outcome in (PRESENTED, ANSWERS[place % 2])]
            client.capture_outcomes(decision.customer_id, outcomes)


def mixed(client, asked, *, learning=True):
    """Decide alone, in a batch and on a stream; capture outcomes in between."""
    given = []
    for some in (
        lambda: [client.decide(question) for question in asked[:FEW]],
        lambda: [item.decision for item in client.decide_batch(asked[FEW : 2 * FEW]).items],
        lambda: [item.decision for item in client.decide_stream(asked[2 * FEW :])],
    ):
        given += (made := some())
        if learning:
            capture(client, made)
    return given


def other_rulebook(directory):
    """Blue cheese instead of brie, nothing explored, more to be known first, and nobody is `lead`."""
    copy = edited(directory)
    for name in ("strategy.yaml", "actions/repair.yaml"):
        file = copy / name
        assert "lead" in file.read_text()
        file.write_text(re.sub(r"\blead\b", "boss", file.read_text()))
    strategy = copy / "strategy.yaml"
    assert "floor: 0.4" in strategy.read_text()
    strategy.write_text(strategy.read_text().replace("floor: 0.4", "floor: 0.8"))
    return copy


def first_of(decision):
    """The first action; doing nothing, too."""
    action = decision.results[0].action
    return "do nothing" if action == "do_nothing" else action


def asked_of_another(client, given):
    """What a service says to what another was asked, at the time it was decided; None = it refuses."""
    requests = []
    for place, (question, decision) in enumerate(zip(questions(3 * FEW, 11), given, strict=True)):
        again = decision_pb2.DecideRequest.FromString(question.SerializeToString())
        again.evaluation_time.CopyFrom(decision.evaluation_time)
        again.request_id = f"again-{place}"
        requests.append(again)
    items = client.decide_batch(requests).items
    return [item.decision if item.HasField("decision") else None for item in items]


def counted(before, after):
    """What changed, counted one by one: kinds, and first actions before and after."""
    kinds, was, now = Counter(), Counter(), Counter()
    for old, new in zip(before, after, strict=True):
        if new is None:
            kinds["cannot be asked"] += 1
            continue
        first, second = first_of(old), first_of(new)
        was[first] += 1
        now[second] += 1
        if first == second:
            kinds["same"] += 1
        elif second == "do nothing":
            kinds["nothing any more"] += 1
        else:
            kinds["something new" if first == "do nothing" else "other first action"] += 1
    return kinds, was, now


def shown(text):
    """The same from what `--against` prints."""
    kinds = {name: int(n) for name, n in re.findall(r"│ (\w[\w ]*?) +│ (\d+) +│ [\d.]+% +│", text)}
    rows = re.findall(r"│ (\w[\w ]*?) +│ (\d+) +│ (\d+) +│ [+-]\d+ +│", text)
    return (
        Counter(kinds),
        Counter({name: int(n) for name, n, _ in rows if int(n)}),
        Counter({name: int(n) for name, _, n in rows if int(n)}),
    )


async def records(data):
    """All that is logged."""
    async with past_of(data) as past:
        return [entry.record async for batch in past.decisions.scan() for entry in batch]


async def tamper(data, record):
    """Say in the log that the first action was worth a cent more."""
    answer = decision_pb2.DecideResponse.FromString(record.answer)
    answer.results[0].score += 0.01
    async with past_of(data) as past:
        assert await past.decisions.write([replace(record, answer=answer.SerializeToString())]) == [True]


@pytest.mark.parametrize("method", ["epsilon", "thompson"])
def test_a_history_of_services_is_made_again(tmp_path, method):
    """Two rulebooks, two fits, exploration, outcomes, all ways to ask: one call makes all of it again.

    In between another rulebook's changes are counted, and a service of it is asked the same; at the end a
    record is tampered with.
    """
    data, where = stocked(tmp_path), ("--data-directory", tmp_path / "data")
    exploring(
        tmp_path, explore={"method": method, "share": 0.5}, maturity={"trials": 1000, "least_reach": 0.5}
    )
    ours, other = tmp_path / "rules", other_rulebook(tmp_path)

    given = lived(
        data,
        tmp_path / "1.log",
        ours,
        lambda client: mixed(client, questions(3 * FEW, seed=11), learning=False),
    )
    against = nextbest("replay", *ALL, *where, "--against", other)
    assert against.code == 0, against.err

    said = []

    def second_life(client):
        said.extend(asked_of_another(client, given))
        asked = questions(3 * FEW, seed=12)
        for question in asked:
            question.caller_role = question.caller_role.replace("lead", "boss")
        return [decision for decision in said if decision is not None] + mixed(client, asked)

    more = lived(data, tmp_path / "2.log", other, second_life)
    kinds, was, now = counted(given, said)
    assert shown(against.out) == (kinds, was, now)
    assert set(kinds) == set(KINDS)

    refitted = nextbest("fit", "grid", "--as-of", NOW.isoformat(), "--m", "60", "--rulebook", ours, *where)
    assert refitted.code == 0, refitted.err
    more += lived(data, tmp_path / "3.log", ours, lambda client: mixed(client, questions(3 * FEW, seed=13)))

    kept = asyncio.run(records(data))
    everything = {decision.decision_id for decision in [*given, *more]}
    assert {record.decision_id.hex() for record in kept} == everything
    assert len(kept) == len(everything) > 1300
    assert len({record.model_digest for record in kept}) == 3
    assert len({record.state for record in kept}) > 20
    assert sum(bool(record.contacts) for record in kept) > 20
    again = nextbest("replay", *ALL, *where)
    assert f"replayed {len(kept):,} decisions: {len(kept):,} identical" in again.out
    assert again.code == 0

    victim = next(record for record in kept if record.contacts and len(record.selection))
    asyncio.run(tamper(data, victim))
    again = nextbest("replay", *ALL, *where)
    assert f"decisions: {len(kept) - 1:,} identical, 1 different" in again.out
    assert f"{victim.decision_id.hex()} different" in again.out
    assert "results[0].score" in again.out
    assert again.code == 3
