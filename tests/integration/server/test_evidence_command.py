"""`nextbest evidence` beside a running service: what was learnt is shown, and forgotten on request."""

import asyncio
import io
import json

import pytest
from tests.builders.command_line import nextbest
from tests.builders.small import DIRECTORY, NOW, regular
from tests.integration.server.test_learning import ACCEPTED, PRESENTED, capture, p_of, started
from tests.integration.server.test_running import until

from nextbest_client import customer_snapshot


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """A wide terminal, so that no table is folded."""
    monkeypatch.setenv("COLUMNS", "400")


@pytest.fixture
def options(redis_process):
    """Where rules and data are."""
    return ("--rulebook", str(DIRECTORY), "--redis-url", redis_process.url)


async def test_what_was_learnt_is_shown_and_forgotten_while_the_service_runs(
    redis_process, rulebook, options
):
    """Counts and the propensity decided with; after a reset the service decides with the prior again."""

    def shown(*arguments):
        said = nextbest("evidence", "show", *arguments, "--json", *options)
        assert said.code == 0, said
        return {(row["action"], row["stage"]): row for row in json.loads(said.out)}

    async with started(redis_process, rulebook) as client:
        for name in ("one", "two"):
            await client.put_snapshot(customer_snapshot(name, as_of=NOW, facts=regular()))
        prior = await p_of(client)
        assert await asyncio.to_thread(shown) == {}
        await capture(client, "one", PRESENTED, ACCEPTED)
        learnt = await p_of(client)
        rows = await asyncio.to_thread(shown)
        here, elsewhere = rows["brie", "hear_me"], rows["brie", "know_me"]
        assert (here["successes"], here["trials"], here["known_from"]) == (1, 1, "stage")
        assert here["propensity"] == learnt
        assert (elsewhere["trials"], elsewhere["known_from"]) == (0, "action")
        assert prior < elsewhere["propensity"] < learnt
        table = await asyncio.to_thread(nextbest, "evidence", "show", "brie", *options)
        assert f"{learnt:.4f}" in table.out
        said = await asyncio.to_thread(nextbest, "evidence", "reset", "brie", "--yes", *options)
        assert "1 successes and 0 failures of `brie` in 1 places" in said.out

        async def begins_again():
            return await p_of(client) == prior

        await until(begins_again)
        rows = await asyncio.to_thread(shown, "brie")
        assert {row["known_from"] for row in rows.values()} == {"prior"}


async def test_an_unknown_action_changes_nothing(redis_process, rulebook, options, monkeypatch):
    """Both commands name it, and what it may have meant; without a yes nothing is forgotten."""
    async with started(redis_process, rulebook) as client:
        await client.put_snapshot(customer_snapshot("one", as_of=NOW, facts=regular()))
        await client.put_snapshot(customer_snapshot("two", as_of=NOW, facts=regular()))
        await capture(client, "one", PRESENTED, ACCEPTED)
        learnt = await p_of(client)
        for command in (("show", "bri"), ("reset", "bri", "--yes")):
            said = await asyncio.to_thread(nextbest, "evidence", *command, *options)
            assert said.code == 1
            assert "`bri` is no known action" in said.err
            assert "brie" in said.err.replace("`bri`", "")
        monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
        said = await asyncio.to_thread(nextbest, "evidence", "reset", "brie", *options)
        assert said.code == 1
        assert "for good?" in said.out + said.err
        async with started(redis_process, rulebook) as other:
            assert await p_of(other) == learnt
