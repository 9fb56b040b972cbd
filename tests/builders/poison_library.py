"""A worker whose library hangs, crashes or lies on certain times of events. Run like the real one.

Seconds of an event's time choose what happens when the library is shown the event, so that a window can be
poison; a pattern with a certain `within` is poison for the compiler. Hangs hold the interpreter's lock, as
the library's do.
"""

import ctypes
import json
import sys
from multiprocessing.connection import Connection

from nextbest.behaviour.patterns import worker
from nextbest.behaviour.patterns.matcher import Library, load_library

HANG, CRASH, LOSE, RAISE, EAT_MEMORY, MUMBLE, STEAL = range(1001, 1008)
REFUSED_WITHIN_S = 4242


class PoisonLibrary:
    """The real library behind traps."""

    def __init__(self, library: Library, pipe: Connection) -> None:
        self._library = library
        self._pipe = pipe
        self.start_action_for_state = library.start_action_for_state
        self.complete_and_start_action = library.complete_and_start_action
        self.retract_fact = library.retract_fact

    def create_ruleset(self, name: str, definition: str) -> int:
        """Crash on one pattern."""
        if str(REFUSED_WITHIN_S * 1_000_000) in definition:
            ctypes.string_at(0)
        return self._library.create_ruleset(name, definition)

    def assert_fact(self, handle: int, fact: str) -> tuple[int, int]:
        """Do what the event's time says."""
        message = json.loads(fact)
        match message["t"] // 1_000_000:
            case 1001:
                ctypes.PyDLL(None).pause()
            case 1002:
                ctypes.string_at(0)
            case 1003:
                return 1, 0
            case 1004:
                raise ValueError("could not assert fact, error code: 303")
            case 1005:
                bytearray(1 << 40)
            case 1006:
                self._pipe.send_bytes(b"\x00 no json")
            case 1007:
                message["w"] -= 1
        return self._library.assert_fact(handle, json.dumps(message))


if __name__ == "__main__":
    pipe = Connection(int(sys.argv[1]))
    worker.load_library = lambda: PoisonLibrary(load_library(), pipe)
    sys.exit(worker.main(pipe))
