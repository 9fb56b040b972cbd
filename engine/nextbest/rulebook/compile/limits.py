"""Contact limits and caps → table entries, and the calendar periods in which they count."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from nextbest.model import Outcome
from nextbest.rulebook.actions import PolicyScope
from nextbest.rulebook.compile.channels import Channels
from nextbest.rulebook.compile.clock import load_time_zone
from nextbest.rulebook.compile.expressions import NONE
from nextbest.rulebook.compile.report import At, Report
from nextbest.rulebook.documents.actions import ActionEntry
from nextbest.rulebook.documents.common import CalendarPeriod
from nextbest.rulebook.documents.policies import PolicyLimit
from nextbest.rulebook.periods import Period


@dataclass
class LimitCompiler:
    """Collects the calendar periods that limits and caps name."""

    channels: Channels
    report: Report
    periods: dict[Period, int] = field(default_factory=dict)

    def check_shared(self) -> None:
        """Check the limits that hold for every action, once."""
        for limit, at in self.channels.limits:
            check_limit(limit, at, self.channels.entries, self.report)

    def policies(self, entry: ActionEntry, at: At) -> list[Sequence[float | int]]:
        """Contact policies of an action: its own, then those that hold for every action."""
        own = [(limit, at / "limits" / i) for i, limit in enumerate(entry.limits)]
        for limit, place in own:
            check_limit(limit, place, self.channels.index, self.report)
            if limit.scope == "group" and entry.group is None:
                self.report.error(
                    place / "scope", "invalid-value", f"`{entry.id}` is in no group", "give it one"
                )
        everybody = [limit for limit, _ in self.channels.limits]
        shared = [limit for limit in everybody if limit.scope != "group" or entry.group is not None]
        return [self._policy(limit) for limit in [*(limit for limit, _ in own), *shared]]

    def caps(self, entry: ActionEntry, at: At) -> list[Sequence[float | int]]:
        """Most contacts of an action per customer."""
        for i, cap in enumerate(entry.caps):
            check_window(cap.within, at / "caps" / i / "within", self.report)
        return [(cap.at_most, *self._window(cap.within)) for cap in entry.caps]

    def _policy(self, limit: PolicyLimit) -> Sequence[float | int]:
        outcomes = [limit.outcome] if isinstance(limit.outcome, str) else limit.outcome
        within, period = self._window(limit.within)
        return (
            PolicyScope[limit.scope.upper()],
            sum(1 << Outcome[name.upper()] for name in set(outcomes)),
            limit.at_least,
            within,
            limit.pause or 0.0,
            self.channels.index.get(limit.channel or "", NONE),
            period,
        )

    def _window(self, within: float | CalendarPeriod) -> tuple[float, int]:
        """Its longest duration in seconds, and its place among the periods."""
        if not isinstance(within, CalendarPeriod):
            return within, NONE
        period = Period(within.calendar, within.time_zone)
        return period.longest_s, self.periods.setdefault(period, len(self.periods))


def check_limit(limit: PolicyLimit, at: At, channels: Iterable[str], report: Report) -> None:
    """Check what a limit's keys say of each other: window and pause, scope and channel."""
    check_window(limit.within, at / "within", report)
    by_calendar = isinstance(limit.within, CalendarPeriod)
    if by_calendar and limit.pause is not None:
        message = "a calendar period pauses until it ends"
        report.key_error(at / "pause", "invalid-value", message, "leave `pause` out")
    if not by_calendar and limit.pause is None:
        hint = "say how long there is silence after the last of them, such as `pause: 30d`"
        report.error(at, "missing-key", "missing `pause`", hint)
    if limit.channel is None:
        return
    if limit.scope != "channel":
        hint = "set `scope: channel`, or leave `channel` out"
        report.key_error(
            at / "channel", "invalid-value", f"`channel` has no meaning in scope `{limit.scope}`", hint
        )
    elif limit.channel not in channels:
        report.unknown(at / "channel", "channel", limit.channel, channels)


def check_window(within: float | CalendarPeriod, at: At, report: Report) -> None:
    """Check that a calendar period's time zone exists."""
    if isinstance(within, CalendarPeriod):
        load_time_zone(within.time_zone, at / "time_zone", report)
