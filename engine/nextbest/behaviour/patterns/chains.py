"""How many combinations of events the library would form, before it is asked to."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence as Some
from itertools import accumulate
from typing import NamedTuple

from nextbest.rulebook.patterns import Count, Pattern, Sequence


class Chains(NamedTuple):
    """Numbers of combinations; comparisons between events can only leave fewer."""

    whole: int
    """Those that have an event for every place."""
    all: int
    """Those too that are only begun, or that are whole and broken."""


def count_chains(pattern: Pattern, places: Some[Some[int]], follow: Some[int], times: Some[int]) -> Chains:
    """Combinations of events that times allow.

    Args:
        pattern: what is sought.
        places: for each place of the pattern the events that can take it, by time.
        follow: events that must not follow, by time.
        times: of all events, microseconds.
    """
    at = [[times[event] for event in place] for place in places]
    if isinstance(pattern.form, Count):
        is_enough = len(at[0]) >= pattern.form.at_least
        ends = [1 if is_enough else 0] * len(at[1])
        total = len(at[0]) + len(at[1])
    else:
        ends, total = _in_sequence(pattern.form, at)
    if pattern.then_no is None:
        return Chains(sum(ends), total)
    following = [times[event] for event in follow]
    broken = _followed(at[-1], ends, following, pattern.then_no.within_us)
    return Chains(sum(ends), 2 * total + broken)


def _in_sequence(form: Sequence, at: Some[Some[int]]) -> tuple[list[int], int]:
    """Chains that end at each event of the last place, and all chains there are."""
    ends = [1] * len(at[0])
    total = len(ends)
    for i in range(1, len(at)):
        bounds = [bound for bound in (form.steps[i].within_us, form.within_us) if bound is not None]
        ends = _joined(at[i - 1], ends, at[i], min(bounds))
        total += sum(ends)
    return ends, total


def _joined(before: Some[int], ends: Some[int], after: Some[int], within_us: int) -> list[int]:
    """Chains that end at each of some times, from those that end at the times before."""
    sums = [0, *accumulate(ends)]
    return [sums[bisect_left(before, time)] - sums[bisect_right(before, time - within_us)] for time in after]


def _followed(lasts: Some[int], ends: Some[int], follow: Some[int], within_us: int) -> int:
    """Chains together with an event that must not follow them."""
    return sum(
        chains * (bisect_left(follow, last + within_us) - bisect_right(follow, last))
        for last, chains in zip(lasts, ends, strict=True)
    )
