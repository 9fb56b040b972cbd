"""The way of a decision into the log: bounded, counted, and as its policy says."""

import asyncio
import contextlib
import threading
from collections import Counter
from types import SimpleNamespace

import pytest
import structlog
from tests.builders.decisions import record

from nextbest.errors import LogFull, StoreRefused, StoreUnavailable
from nextbest.server import decision_log
from nextbest.server.decision_log import DecisionLog, Fate, LogOptions, WhenFull

DROP, WAIT, REFUSE = WhenFull


@pytest.fixture(autouse=True)
def fates(monkeypatch):
    """What became of the test's own decisions."""
    counted = Counter()
    monkeypatch.setattr(decision_log, "LOGGED", counted)
    monkeypatch.setattr(decision_log, "PAUSE_S", 0.0)
    return counted


class Redis:
    """Takes records when it is told to."""

    def __init__(self, *, away=False, error=None, erased=()):
        self.taken, self.trims = [], 0
        self.error, self.erased = error, erased
        self.back = asyncio.Event()
        if not away:
            self.back.set()

    async def write(self, records):
        """Take a batch."""
        if not self.back.is_set():
            raise StoreUnavailable("away")
        if self.error:
            raise self.error
        self.taken += [r.decision_id for r in records]
        return [r.decision_id not in self.erased for r in records]

    async def trim(self):
        """Count that it was asked for."""
        self.trims += 1

    async def trim_expired(self, _wall_time):
        """Nothing expires here."""

    async def wait_connected(self):
        """Return when it is back."""
        await self.back.wait()


UNPACKABLE = b"not to be packed"


def answered(number):
    """An answer with a decision id of its own, spread evenly over what sampling looks at."""
    return SimpleNamespace(decision_id=number.to_bytes(8, "little") + (number << 54).to_bytes(8, "little"))


def log_to(redis, **options):
    """A log that writes there."""
    return DecisionLog(redis, redis, packed, LogOptions(**options))


def packed(batch):
    """Records of answers; the one that asks for it cannot be packed."""
    if any(one.decision_id == UNPACKABLE for one in batch):
        raise RuntimeError("the cause")
    return [record(decision_id=one.decision_id) for one in batch]


async def all_written(log):
    """Wait until nothing is left to write."""
    async with asyncio.timeout(60.0):
        while log.backlog:  # noqa: ASYNC110  (the writer brings it about)
            await asyncio.sleep(0.001)


async def test_what_is_added_is_written_in_order(fates):
    """Every decision arrives once, in the order it was given; and the log is kept short."""
    redis = Redis()
    async with log_to(redis).running(10.0) as log:
        for number in range(1000):
            log.add(answered(number))
        await all_written(log)
    assert redis.taken == [answered(n).decision_id for n in range(1000)]
    assert redis.trims > 0
    assert fates == {Fate.WRITTEN: 1000}


async def test_a_full_queue_loses_the_oldest(fates):
    """By default nobody waits: the oldest decisions are lost and counted, the newest are written later."""
    redis = Redis(away=True)
    async with log_to(redis, queue=10).running(10.0) as log:
        assert not log.may_hold_up
        log.add(answered(0))
        while log.backlog and not log._queue.in_hand:  # noqa: ASYNC110  (as above)
            await asyncio.sleep(0.001)
        with structlog.testing.capture_logs() as said:
            for number in range(1, 100):
                log.add(answered(number))
        redis.back.set()
        await all_written(log)
    assert redis.taken == [answered(n).decision_id for n in (0, *range(90, 100))]
    assert fates == {Fate.QUEUE_FULL: 89, Fate.WRITTEN: 11}
    assert [event["event"] for event in said] == ["decision_log_behind"]


async def test_refusing_loses_nothing_that_was_decided(fates):
    """A log that refuses takes as many as it has room for, and no more are decided."""
    redis = Redis(away=True)
    async with log_to(redis, queue=3, when_full=REFUSE).running(10.0) as log:
        assert log.may_hold_up
        refused = 0
        for number in range(50):
            with contextlib.suppress(LogFull):
                async with log.room(1, None):
                    log.add(answered(number))
                    continue
            refused += 1
            await asyncio.sleep(0)
        backlog = log.backlog
        redis.back.set()
    assert len(redis.taken) == backlog == 50 - refused
    assert refused > 0
    assert fates == {Fate.WRITTEN: backlog}


async def test_room_is_held_while_deciding():
    """Decisions that are being made at once do not share the same room."""
    log = log_to(Redis(), queue=3, when_full=REFUSE)
    async with log.room(2, None):
        with pytest.raises(LogFull):
            async with log.room(2, None):
                pass
        async with log.room(1, None):
            pass
    async with log.room(3, None):
        pass


async def test_a_batch_larger_than_the_queue_is_not_refused_for_ever():
    """A batch takes all the room there is, if it is larger than that."""
    log = log_to(Redis(), queue=3, when_full=REFUSE)
    async with log.room(1000, None):
        assert log._free == 0


async def test_waiting_ends_when_there_is_room(fates):
    """An answer that waits goes on as soon as the log takes its decision."""
    redis = Redis(away=True)
    async with log_to(redis, queue=1, when_full=WAIT).running(10.0) as log:
        order = []

        async def decide(number):
            async with log.room(1, 60.0):
                order.append(number)
                log.add(answered(number))

        tasks = [asyncio.create_task(decide(n)) for n in range(20)]
        await asyncio.sleep(0.05)
        assert len(order) < 20
        redis.back.set()
        await asyncio.gather(*tasks)
        await all_written(log)
    assert sorted(order) == list(range(20))
    assert len(redis.taken) == 20
    assert fates == {Fate.WRITTEN: 20}


async def test_waiting_ends_before_the_deadline(fates):
    """An answer does not miss its deadline for the log: it is given, and its loss counted."""
    redis = Redis(away=True)
    async with log_to(redis, queue=1, when_full=WAIT, wait_s=0.0).running(0.0) as log:
        for number in range(10):
            async with log.room(1, 0.01 if number % 2 else None):
                log.add(answered(number))
    assert fates[Fate.DEADLINE] >= 8
    assert fates[Fate.DEADLINE] + fates[Fate.SHUTDOWN] == 10


async def test_sampling_depends_on_the_decision_id_only(fates):
    """A rate of a tenth logs a tenth, the same tenth each time, and counts the rest."""
    taken = []
    for _ in range(2):
        redis = Redis()
        async with log_to(redis, sampling=0.1).running(10.0) as log:
            for number in range(1000):
                log.add(answered(number))
        taken.append(redis.taken)
    assert taken[0] == taken[1]
    assert 90 <= len(taken[0]) <= 110
    assert fates[Fate.SAMPLED_OUT] == 2000 - 2 * len(taken[0])


async def test_no_log_is_no_task():
    """With a rate of 0 nothing is written, nothing runs and nobody waits."""
    redis = Redis()
    before = asyncio.all_tasks()
    async with log_to(redis, sampling=0.0, when_full=REFUSE).running(10.0) as log:
        log.add(answered(1))
        assert asyncio.all_tasks() == before
        assert not log.may_hold_up
    assert redis.taken == []


async def test_what_redis_refuses_for_good_is_given_up(fates):
    """A batch that Redis answers with an error again and again does not hold up what comes after."""
    redis = Redis(error=StoreRefused("OOM command not allowed"))
    async with log_to(redis).running(10.0) as log:
        with structlog.testing.capture_logs() as said:
            log.add(answered(1))
            await all_written(log)
        redis.error = None
        log.add(answered(2))
        await all_written(log)
    assert redis.taken == [answered(2).decision_id]
    assert fates == {Fate.STORE_REFUSED: 1, Fate.WRITTEN: 1}
    assert "decisions_not_logged" in [event["event"] for event in said]


async def test_a_fault_of_ours_does_not_end_the_log(fates):
    """An error that nobody foresaw costs its batch, is in the log with its cause, and is counted."""
    redis = Redis(error=RuntimeError("the cause"))
    with structlog.testing.capture_logs() as said:
        async with log_to(redis).running(10.0) as log:
            log.add(answered(1))
            await all_written(log)
            redis.error = None
            log.add(answered(2))
    assert redis.taken == [answered(2).decision_id]
    assert fates == {Fate.UNPACKABLE: 1, Fate.WRITTEN: 1}
    assert "decisions_not_logged" in [event["event"] for event in said]


async def test_erased_in_between_is_counted(fates):
    """A decision that is refused since its customer was erased is no success."""
    redis = Redis(erased=[answered(1).decision_id])
    async with log_to(redis).running(10.0) as log:
        log.add(answered(1))
        log.add(answered(2))
    assert fates == {Fate.ERASED: 1, Fate.WRITTEN: 1}


async def test_what_cannot_be_packed_does_not_end_the_log(fates):
    """A fault of ours costs one record, is in the log, and is counted."""
    redis = Redis()
    with structlog.testing.capture_logs() as said:
        async with log_to(redis).running(10.0) as log:
            log.add(SimpleNamespace(decision_id=UNPACKABLE))
            log.add(answered(2))
    assert redis.taken == [answered(2).decision_id]
    assert fates == {Fate.UNPACKABLE: 1, Fate.WRITTEN: 1}
    assert "decision_not_packed" in [event["event"] for event in said]


async def test_what_is_slow_to_pack_is_packed_in_a_thread(fates):
    """The loop goes on meanwhile; what fails there costs one record, too."""
    redis, loop_ran, threads = Redis(), threading.Event(), set()

    def pack(batch):
        assert loop_ran.wait(60.0)
        threads.add(threading.current_thread())
        return packed(batch)

    log = DecisionLog(redis, redis, pack, LogOptions(), is_slow=lambda _: True)
    async with log.running(10.0):
        for one in (answered(0), SimpleNamespace(decision_id=UNPACKABLE), answered(2)):
            log.add(one)
        await asyncio.sleep(decision_log.LINGER_S * 4)
        loop_ran.set()
        await all_written(log)
    assert len(threads) == 1
    assert threads.isdisjoint({threading.main_thread()})
    assert redis.taken == [answered(0).decision_id, answered(2).decision_id]
    assert fates == {Fate.UNPACKABLE: 1, Fate.WRITTEN: 2}


async def test_the_end_writes_what_is_left(fates):
    """A service that ends writes its queue first."""
    redis = Redis()
    async with log_to(redis).running(10.0) as log:
        for number in range(500):
            log.add(answered(number))
    assert len(redis.taken) == 500
    assert fates == {Fate.WRITTEN: 500}


async def test_the_end_does_not_wait_for_ever(fates):
    """What Redis does not take within the grace is lost, and said."""
    redis = Redis(away=True)
    with structlog.testing.capture_logs() as said:
        async with log_to(redis).running(0.05) as log:
            for number in range(100):
                log.add(answered(number))
    assert fates == {Fate.SHUTDOWN: 100}
    assert [event["count"] for event in said if event["event"] == "decisions_not_logged"] == [100]


async def test_making_room_in_redis_does_not_hold_up_writing(fates):
    """While the oldest decisions are being removed, new ones are written, however long that takes."""
    redis, never = Redis(), asyncio.Event()

    async def trim():
        redis.trims += 1
        await never.wait()

    redis.trim = trim
    async with log_to(redis).running(10.0) as log:
        for _ in range(10):
            for number in range(100):
                log.add(answered(number))
            await all_written(log)
    assert redis.trims == 1
    assert fates == {Fate.WRITTEN: 1000}


async def test_what_came_in_one_turn_of_the_loop_is_sent_in_the_next(fates):
    """However long turns are and however much comes in one, the writer does not fall behind."""
    redis = Redis()
    async with log_to(redis, queue=1200).running(10.0) as log:
        for _ in range(20):
            for number in range(1000):
                log.add(answered(number))
            for _ in range(5):
                await asyncio.sleep(0)
        await all_written(log)
    assert fates == {Fate.WRITTEN: 20_000}
