"""Renewals counted one contract at a time."""

YEAR = 365.25 * 86400.0


def renewals(contracts):
    """(kept, lost) by the number of the renewal, from the first on, of (begun, ended or None, as_of)."""
    kept, lost = {}, {}
    for begun, ended, as_of in contracts:
        until = as_of if ended is None else ended
        number = 1
        while begun + number * YEAR <= until:
            kept[number] = kept.get(number, 0) + 1
            number += 1
        if ended is not None:
            lost[number] = lost.get(number, 0) + 1
    last = max([0, *kept, *lost])
    return [kept.get(n, 0) for n in range(1, last + 1)], [lost.get(n, 0) for n in range(1, last + 1)]
