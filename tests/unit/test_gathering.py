"""What is decided together: who is answered, what is logged, and that nobody waits for ever."""

import asyncio
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import structlog

from nextbest.data.reader import KEYS_EACH
from nextbest.errors import StoreUnavailable
from nextbest.model import Direction
from nextbest.rows import RowProblem
from nextbest.server import gathering
from nextbest.server.gathering import Gathering
from nextbest.server.keeping import Keeping


class Redis:
    """Reads nothing of anybody, and keeps answers when it is told to."""

    def __init__(self, kept=()):
        self.kept_before = list(kept)
        self.may_keep = asyncio.Event()
        self.error = self.another = None

    def read_asked(self, asked):
        """Nothing of the customers, then what was kept."""
        reply = asyncio.get_running_loop().create_future()
        before = self.kept_before or [None] * len(asked)
        reply.set_result([None] * (KEYS_EACH * len(asked)) + before)
        return reply

    async def keep(self, _customer_id, _request_id, reply, **_):
        """Keep an answer, unless something is wrong or another process was first."""
        await self.may_keep.wait()
        if self.error:
            raise self.error
        return self.another or reply


class Question(SimpleNamespace):
    """As much of a question as is looked at."""

    def _replace(self, **changes):
        return Question(**{**vars(self), **changes})


def question(request_id):
    """A question with an identity."""
    return Question(
        customer_id="c",
        request_id=request_id,
        strict=False,
        instead_of=b"",
        breaks=False,
        row=None,
        direction=Direction.INBOUND,
    )


def found(serving, questions, stored, began):
    """A situation in which rows can be read, unless the serving cannot."""
    problem = RowProblem.FOREIGN if serving.rows == "old" else RowProblem.NONE
    problems = np.full(len(questions), problem, np.uint8)
    return SimpleNamespace(questions=questions, decoded=SimpleNamespace(problems=problems))


def decided(found):
    """An answer to each."""
    if any(question.breaks for question in found.questions):
        raise RuntimeError("the cause")
    return [
        SimpleNamespace(
            question=q,
            reply=q.reply if hasattr(q, "reply") else f"answer {q.request_id}".encode(),
            began=0.0,
            decision_id=q.request_id.encode(),
            stored=(None, None, None),
            tombstone=b"",
        )
        for q in found.questions
    ]


@dataclass(frozen=True)
class Serving:
    """As much of what answers are made with as is looked at."""

    rows: str


@pytest.fixture(autouse=True)
def kernels(monkeypatch):
    """Decisions without a rulebook."""
    monkeypatch.setattr(gathering, "situation", found)
    monkeypatch.setattr(gathering, "answers", decided)


class World:
    """A gathering, and what it noted."""

    def __init__(self, redis, *, is_old=False):
        self.redis, self.noted = redis, []
        self.serving = Serving("old" if is_old else "new")

        def note(one):
            self.noted.append(one.reply)

        self.gathering = Gathering(redis, Keeping(redis, note), lambda: 0.0, self.learn, note)

    async def learn(self):
        """What reads everything."""
        return "new"

    def ask(self, request_id="r", time_left_s=None, **changes):
        """The answer to come."""
        return self.gathering.ask(self.serving, question(request_id)._replace(**changes), time_left_s)

    async def work(self):
        """Let everything happen that can."""
        for _ in range(100):
            await asyncio.sleep(0)


@pytest.mark.parametrize("error", [None, StoreUnavailable("the reply was lost")])
async def test_what_is_kept_for_a_caller_who_hung_up_is_logged_once(error):
    """A retry is given what was kept, so it is in the log even if the first caller did not wait for it."""
    world = World(Redis())
    world.redis.error = error
    answer = world.ask()
    await world.work()
    answer.cancel()
    world.redis.may_keep.set()
    await world.work()
    assert world.noted == [b"answer r"]


async def test_what_is_given_before_it_is_kept_is_logged_once():
    """At the deadline the decision is given as it is; that it is kept then does not log it again."""
    world = World(Redis())
    answer = world.ask(time_left_s=1.0)
    assert await answer == b"answer r"
    world.redis.may_keep.set()
    await world.work()
    assert world.noted == [b"answer r"]


@pytest.mark.parametrize("is_old", [False, True])
async def test_one_that_breaks_fails_alone(is_old):
    """Those decided together with one that breaks are answered, also once a catalogue had to be learnt."""
    world = World(Redis(), is_old=is_old)
    world.redis.may_keep.set()
    asked = [world.ask(f"r{i}", breaks=i == 1) for i in range(3)]
    first, broken, third = await asyncio.gather(*asked, return_exceptions=True)
    assert (first, third) == (b"answer r0", b"answer r2")
    assert isinstance(broken, RuntimeError)


async def test_nobody_waits_for_ever(monkeypatch):
    """If what was kept cannot be judged, everybody who is waiting is told."""

    def fails(*_):
        raise ValueError("damaged")

    monkeypatch.setattr(gathering, "may_give_again", fails)
    world = World(Redis(kept=[b"damaged"]))
    with pytest.raises(ValueError, match="damaged"):
        async with asyncio.timeout(60.0):
            await world.ask()


async def test_one_whose_kept_answer_cannot_be_judged_fails_alone(monkeypatch):
    """A kept answer that cannot be read harms nobody who asked at the same moment."""

    def judges(_serving, _question, kept, _row):
        if kept == b"damaged":
            raise ValueError("damaged")
        return True

    monkeypatch.setattr(gathering, "may_give_again", judges)
    world = World(Redis(kept=[b"damaged", b"sound"]))
    broken, sound = await asyncio.gather(world.ask("r0"), world.ask("r1"), return_exceptions=True)
    assert isinstance(broken, ValueError)
    assert sound == b"sound"


async def test_racing_calls_share_one_decision_at_the_deadline():
    """Calls of one request that cannot wait until it is kept are all given the first; it is logged once."""
    world = World(Redis())
    first = world.ask(time_left_s=0.5, reply=b"first")
    await world.work()
    second = world.ask(time_left_s=0.5, reply=b"second")
    assert await asyncio.gather(first, second) == [b"first", b"first"]
    assert world.noted == []
    world.redis.may_keep.set()
    await world.work()
    assert world.noted == [b"first"]


async def test_racing_processes_do_not_log_over_each_other():
    """What was given at the deadline while another process kept its own is said, and not logged over it."""
    world = World(Redis())
    world.redis.another = b"theirs"
    with structlog.testing.capture_logs() as logged:
        assert await world.ask(time_left_s=0.5) == b"answer r"
        world.redis.may_keep.set()
        await world.work()
    assert world.noted == []
    assert [line["event"] for line in logged] == ["decision_not_kept"]
    assert await world.ask() == b"theirs"


async def test_what_counts_is_given_at_the_deadline_once_it_is_known():
    """A caller whose deadline comes with the reply that counts is given that, not another decision."""
    redis = Redis()
    redis.another = b"theirs"
    redis.may_keep.set()
    (one,) = decided(SimpleNamespace(questions=[question("r")]))
    being = Keeping(redis, lambda _: None).keep(one)
    await asyncio.wait([being.reply])
    assert being.give() == b"theirs"
