"""The worker process of event patterns: what happens when it dies, hangs, lies or is left alone."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.builders import poison_library as poison
from tests.builders.patterns import patterns_of

from nextbest.behaviour.patterns import (
    CompiledPatterns,
    Event,
    PatternSupervisor,
    PatternWorkerError,
    Window,
    WorkerLimits,
    compile_patterns,
    verify_patterns,
)
from nextbest.behaviour.patterns.process import WorkerProcess
from nextbest.behaviour.patterns.verify import MOST_STARTS

ROOT = Path(__file__).parents[2]
POISON = "tests.builders.poison_library"
SHORT = WorkerLimits(timeout_s=3, batch=4)
"""A time limit that hangs are found by; no other test waits for it."""
DAY = 86400
LONG_S = 60
"""Slowest machine's time for a process to end."""


@pytest.fixture
def compiled(tmp_path: Path) -> CompiledPatterns:
    """Two purchases within a day, and a purchase without complaint after it."""
    entries = [
        {"id": "two", "sequence": [{"event": "buy"}, {"event": "buy", "within": "1d"}]},
        {"id": "calm", "sequence": [{"event": "buy"}], "then_no": {"event": "fret", "within": "1h"}},
    ]
    return compile_patterns(patterns_of(tmp_path, entries))


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> str:
    """A worker with a library full of traps."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return POISON


def window(customer: str, *times: float) -> Window:
    """Purchases at some times, seen a day later."""
    events = tuple(Event(f"{customer}{i}", "buy", float(t)) for i, t in enumerate(times))
    return Window(customer, events, now=2 * DAY)


def fired(supervisor: PatternSupervisor, *windows: Window) -> list[list[str]]:
    """Ids of the patterns that fire, by window."""
    return [[match.pattern for match in result.matches] for result in supervisor.match(windows)]


def ended(pid: int) -> bool:
    """Whether a process that is no child of ours is gone."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    try:
        # A zombie is gone too: whoever adopted it may be slow to collect it.
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return True


def await_end(pid: int) -> bool:
    """Whether a process ends in the time that the slowest machine needs."""
    return any(ended(pid) or time.sleep(0.05) for _ in range(LONG_S * 20))


def test_killed_worker_is_replaced(compiled: CompiledPatterns) -> None:
    """A worker that is killed between windows or before the next batch costs no result."""
    with PatternSupervisor(compiled, WorkerLimits(batch=1)) as supervisor:
        results: Iterator = supervisor.match(window("c", 10, 20) for _ in range(3))
        for _ in range(3):
            assert [match.pattern for match in next(results).matches] == ["calm", "two"]
            os.kill(supervisor.worker_pid, signal.SIGKILL)
        assert supervisor.restarts >= 2
        assert supervisor.quarantined == 0


def test_stopped_worker_is_killed_and_its_window_repeated(compiled: CompiledPatterns) -> None:
    """A worker that no longer answers is killed after the time limit; the window is not to blame."""
    with PatternSupervisor(compiled, SHORT) as supervisor:
        assert fired(supervisor, window("a", 10, 20)) == [["calm", "two"]]
        stopped = supervisor.worker_pid
        os.kill(stopped, signal.SIGSTOP)
        assert fired(supervisor, window("b", 10, 20)) == [["calm", "two"]]
        assert supervisor.restarts == 1
        assert supervisor.worker_pid != stopped
        assert await_end(stopped)


def test_stopped_worker_cannot_hold_its_supervisor(compiled: CompiledPatterns) -> None:
    """Events that no longer fit into the pipe of a stopped worker do not block whoever sends them."""
    large = Window("c", (Event("e", "buy", 10.0, {"note": "x" * 5_000_000}),), now=2 * DAY)
    with PatternSupervisor(compiled, SHORT) as supervisor:
        assert fired(supervisor, large) == [["calm"]]
        os.kill(supervisor.worker_pid, signal.SIGSTOP)
        assert fired(supervisor, large) == [["calm"]]
        assert supervisor.restarts == 1


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (poison.HANG, "took longer than 3 s"),
        (poison.CRASH, "ended by SIGSEGV"),
        (poison.LOSE, "the library answered 1 to a message"),
        (poison.RAISE, "ValueError: could not assert fact, error code: 303"),
        (poison.EAT_MEMORY, "MemoryError: "),
        (poison.MUMBLE, "sent an unreadable answer"),
        (poison.STEAL, "the library joined an event of another window"),
    ],
)
def test_poison_window_is_set_aside(
    compiled: CompiledPatterns, poisoned: str, second: int, reason: str
) -> None:
    """A window that ends two workers is reported with the reason; those around it have their results."""
    windows = [window("a", 10, 20), window("bad", second), window("c", 10, 20), window("d", 5)]
    limits = WorkerLimits(timeout_s=3 if second == poison.HANG else 30, batch=4)
    with PatternSupervisor(compiled, limits, program=poisoned) as supervisor:
        results = list(supervisor.match(windows))
        assert [result.quarantined for result in results] == ["", reason, "", ""]
        assert [result.customer_id for result in results] == ["a", "bad", "c", "d"]
        assert [len(result.matches) for result in results] == [2, 0, 2, 1]
        assert (supervisor.restarts, supervisor.quarantined) == (2, 1)


def test_poison_is_known_again(compiled: CompiledPatterns, poisoned: str) -> None:
    """Events that were set aside are not tried again, whenever they are asked about; others are."""
    with PatternSupervisor(compiled, program=poisoned) as supervisor:
        bad = window("bad", poison.CRASH)
        later = Window("bad", bad.events, now=9 * DAY)
        results = list(supervisor.match([bad, later, window("good", 10), later]))
        reasons = [result.quarantined for result in results]
        assert reasons == ["ended by SIGSEGV", "ended by SIGSEGV", "", "ended by SIGSEGV"]
        assert supervisor.restarts == 2
        assert next(supervisor.match([later])).quarantined
        assert (supervisor.restarts, supervisor.quarantined) == (2, 4)


def test_known_poison_is_bounded(compiled: CompiledPatterns, poisoned: str) -> None:
    """Only so many windows set aside are remembered, the latest."""
    limits = WorkerLimits(attempts=1, remembered=1, batch=1)
    with PatternSupervisor(compiled, limits, program=poisoned) as supervisor:
        first, second = window("a", poison.RAISE), window("b", poison.RAISE)
        list(supervisor.match([first, second]))
        assert supervisor.restarts == 2
        list(supervisor.match([second]))
        assert supervisor.restarts == 2
        list(supervisor.match([first]))
        assert supervisor.restarts == 3


def test_hanging_worker_that_nobody_watches_ends_itself(compiled: CompiledPatterns, poisoned: str) -> None:
    """A worker in an endless loop ends by its own alarm, though the library holds the lock."""
    limits = WorkerLimits(timeout_s=0.5)
    with WorkerProcess(compiled.patterns, limits, program=poisoned) as worker:
        worker.give([window("bad", poison.HANG)])
        assert any(not worker.is_alive or time.sleep(0.05) for _ in range(LONG_S * 20))


def test_worker_ends_when_its_parent_is_gone() -> None:
    """A worker whose parent is killed notices that the pipe is closed, and ends."""
    script = (
        "import sys, time\n"
        "from nextbest.behaviour.patterns import *\n"
        "from nextbest.rulebook.patterns import EventTest, Pattern, Sequence, Step\n"
        "pattern = Pattern('p', Sequence((Step(EventTest('buy'), 'e'),)))\n"
        "supervisor = PatternSupervisor(compile_patterns([pattern]))\n"
        "list(supervisor.match([Window('c', (), 0.0)]))\n"
        "print(supervisor.worker_pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        assert not ended(pid)
        parent.kill()
    assert await_end(pid)


def test_nothing_runs_after_close(compiled: CompiledPatterns) -> None:
    """A closed supervisor leaves no process, and starts one when it is used again."""
    supervisor = PatternSupervisor(compiled)
    with supervisor:
        list(supervisor.match([window("c", 1)]))
        pid = supervisor.worker_pid
    assert ended(pid)
    assert supervisor.worker_pid is None
    with supervisor:
        assert fired(supervisor, window("c", 1)) == [["calm"]]


def test_interrupted_batch_leaves_no_answers_behind(
    compiled: CompiledPatterns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an interruption the next windows get their own results, not those that were on their way."""
    with PatternSupervisor(compiled) as supervisor:
        assert fired(supervisor, window("a", 10)) == [["calm"]]
        with monkeypatch.context() as patch:
            patch.setattr(WorkerProcess, "take", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                fired(supervisor, window("b", 10, 20), window("c", 10, 20))
        assert supervisor.worker_pid is None
        assert fired(supervisor, window("d"), window("e", 10)) == [[], ["calm"]]


def test_windows_are_taken_when_it_is_their_turn(compiled: CompiledPatterns) -> None:
    """From an endless stream no more is taken than one batch."""
    taken = []
    endless = (taken.append(i) or window(f"c{i}", 10) for i in itertools.count())
    with PatternSupervisor(compiled, WorkerLimits(batch=8)) as supervisor:
        results = supervisor.match(endless)
        assert next(results).customer_id == "c0"
        assert len(taken) == 8


def test_worker_that_cannot_start_is_an_error(compiled: CompiledPatterns) -> None:
    """Where no worker starts, the caller is told, and nothing is tried for ever."""
    with (
        PatternSupervisor(compiled, program="nextbest.no_such_module") as supervisor,
        pytest.raises(PatternWorkerError, match="it ended with code 1"),
    ):
        list(supervisor.match([window("c", 1)]))


def test_refused_pattern_is_found(tmp_path: Path, poisoned: str) -> None:
    """Of many patterns the one that the library dies of is named; right ones pass."""
    entries = [
        {"id": f"p{i}", "sequence": [{"event": "buy"}, {"event": "buy", "within": f"{4240 + i}s"}]}
        for i in range(7)
    ]
    patterns = patterns_of(tmp_path, entries)
    refused = verify_patterns(patterns, program=poisoned)
    assert [(r.pattern, r.reason) for r in refused] == [("p2", "ended by SIGSEGV")]
    assert not verify_patterns(patterns)
    assert not verify_patterns(())


def test_slow_compiler_is_stopped(compiled: CompiledPatterns) -> None:
    """Patterns that do not get ready in time are refused."""
    limits = WorkerLimits(start_timeout_s=0.0)
    refused = verify_patterns(compiled.patterns[:1], limits)
    assert [r.pattern for r in refused] == ["calm"]
    assert refused[0].reason == "took longer than 0 s"


def test_search_for_refused_patterns_ends(tmp_path: Path) -> None:
    """A library that refuses everything is tried a bounded number of times."""
    entries = [
        {"id": f"p{i}", "sequence": [{"event": "buy"}, {"event": "buy", "within": f"{1 + i}d"}]}
        for i in range(200)
    ]
    refused = verify_patterns(patterns_of(tmp_path, entries), program="nextbest.no_such_module")
    assert 0 < len(refused) < MOST_STARTS


def test_decisions_never_load_patterns() -> None:
    """Neither deciding nor supervising imports the library; deciding does not even import this package."""
    script = (
        "import sys\n"
        "import nextbest.decide\n"
        "assert 'nextbest.behaviour.patterns' not in sys.modules\n"
        "import nextbest.behaviour.patterns\n"
        "assert not {'durable', 'durable_rules_engine'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
