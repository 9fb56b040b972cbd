"""What is learnt from outcomes by reason code: counts without identity, which outlive the customers."""

from datetime import UTC, datetime
from typing import NamedTuple, cast

from nextbest.data.connection import Commands
from nextbest.data.keys import Keys


class Lesson(NamedTuple):
    """What was counted."""

    month: str
    """Of the event, `2017-06`, UTC."""
    reason_code: str
    action: str
    outcome: str
    """As the contract names it, in lower case."""

    @classmethod
    def of(cls, time: float, reason_code: str, action: str, outcome: str) -> "Lesson":
        """The lesson of an outcome at epoch seconds."""
        return cls(f"{datetime.fromtimestamp(time, UTC):%Y-%m}", reason_code, action, outcome)

    @property
    def name(self) -> str:
        """What it is counted under."""
        return "|".join(self)


class LessonStore:
    """The counts of one deployment; `HistoryStore.append` counts, in the step that records an outcome."""

    def __init__(self, commands: Commands, keys: Keys) -> None:
        self._commands = commands
        self._keys = keys

    async def counts(self) -> dict[Lesson, int]:
        """All counts, the most frequent first."""
        flat = cast("list[bytes]", await self._commands.execute("HGETALL", self._keys.lessons))
        found = {
            Lesson(*field.decode().split("|")): int(count)
            for field, count in zip(flat[::2], flat[1::2], strict=True)
        }
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
