"""What is decided together: who is answered, what is logged, and that nobody waits for ever."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest

from nextbest.errors import StoreUnavailable
from nextbest.rows import RowProblem
from nextbest.server import gathering
from nextbest.server.gathering import Gathering


class Redis:
    """Reads nothing of anybody, and keeps answers when it is told to."""

    def __init__(self, kept=()):
        self.kept_before = list(kept)
        self.may_keep = asyncio.Event()
        self.error = None

    def read_asked(self, asked):
        """Nothing of the customers, then what was kept."""
        reply = asyncio.get_running_loop().create_future()
        before = self.kept_before or [None] * len(asked)
        reply.set_result([None] * (3 * len(asked)) + before)
        return reply

    async def keep(self, _customer_id, _request_id, reply, **_):
        """Keep an answer, unless something is wrong."""
        await self.may_keep.wait()
        if self.error:
            raise self.error
        return reply


class Question(SimpleNamespace):
    """As much of a question as is looked at."""

    def _replace(self, **changes):
        return Question(**{**vars(self), **changes})


def question(request_id):
    """A question with an identity."""
    return Question(customer_id="c", request_id=request_id, strict=False, instead_of=b"", breaks=False)


def found(serving, questions, stored, began):
    """A situation in which rows can be read, unless the serving cannot."""
    problem = RowProblem.FOREIGN if serving.is_old else RowProblem.NONE
    problems = np.full(len(questions), problem, np.uint8)
    return SimpleNamespace(questions=questions, decoded=SimpleNamespace(problems=problems))


def decided(found):
    """An answer to each."""
    if any(question.breaks for question in found.questions):
        raise RuntimeError("the cause")
    return [
        SimpleNamespace(question=q, reply=f"answer {q.request_id}".encode(), began=0.0)
        for q in found.questions
    ]


@pytest.fixture(autouse=True)
def kernels(monkeypatch):
    """Decisions without a rulebook."""
    monkeypatch.setattr(gathering, "situation", found)
    monkeypatch.setattr(gathering, "answers", decided)


class World:
    """A gathering, and what it noted."""

    def __init__(self, redis, *, is_old=False):
        self.redis, self.noted = redis, []
        self.serving = SimpleNamespace(is_old=is_old)
        self.gathering = Gathering(
            redis, redis, lambda: 0.0, self.learn, lambda one: self.noted.append(one.reply)
        )

    async def learn(self):
        """A serving that reads everything."""
        return SimpleNamespace(is_old=False)

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
