"""Counting oracles for `nextbest.learning.validation`, in plain Python, and a plain reading of baskets."""

import math


def _by_group(score, accepted, groups, weights):
    found = {}
    for row in zip(score, accepted, groups, weights, strict=True):
        found.setdefault(row[2], []).append(row)
    return [found[group] for group in sorted(found)]


def auc_within(score, accepted, groups, weights):
    """Every pair (accepted, not accepted) of a group is looked at."""
    right = pairs = 0.0
    for rows in _by_group(score, accepted, groups, weights):
        for s, y, _, w in rows:
            for t, z, _, v in rows:
                if y == 1 and z == 0:
                    pairs += w * v
                    right += w * v * (1.0 if s > t else 0.5 if s == t else 0.0)
    return right / pairs if pairs else math.nan


def captured(score, accepted, groups, weights, share):
    """Walk each group from the top until the share is used up; a tie is used up evenly."""
    inside = total = 0.0
    for rows in _by_group(score, accepted, groups, weights):
        room = share * sum(w for *_, w in rows)
        for level in sorted({s for s, *_ in rows}, reverse=True):
            tie = [(y, w) for s, y, _, w in rows if s == level]
            mass = sum(w for _, w in tie)
            taken = min(room, mass)
            if mass > 0:
                inside += sum(y * w for y, w in tie) * taken / mass
            room -= taken
        total += sum(y * w for _, y, _, w in rows)
    return inside / total if total else math.nan


def calibration_error(probability, accepted, weights, bins=10):
    """Ten bins of equal mass by the middle of each row's mass; ties share their rate of acceptance."""
    rows = sorted(zip(probability, accepted, weights, strict=True), key=lambda row: row[0])
    total = sum(weights)
    surplus = [0.0] * bins
    passed = 0.0
    for p, _, w in rows:
        tie = [(y, v) for q, y, v in rows if q == p]
        mass = sum(v for _, v in tie)
        rate = sum(y * v for y, v in tie) / mass if mass else 0.0
        place = min(int(bins * ((passed + 0.5 * w) / total)), bins - 1)
        surplus[place] += w * (p - rate)
        passed += w
    return sum(abs(s) for s in surplus) / total


def correlation(x, y, weights):
    """Weighted Pearson correlation."""
    total = sum(weights)
    mx = sum(a * w for a, w in zip(x, weights, strict=True)) / total
    my = sum(b * w for b, w in zip(y, weights, strict=True)) / total
    sxy = sum((a - mx) * (b - my) * w for a, b, w in zip(x, y, weights, strict=True))
    sxx = sum((a - mx) ** 2 * w for a, w in zip(x, weights, strict=True))
    syy = sum((b - my) ** 2 * w for b, w in zip(y, weights, strict=True))
    return sxy / math.sqrt(sxx * syy)


def partial_correlation(x, y, controls, weights):
    """The textbook recursion: take away one control at a time."""
    if not controls:
        return correlation(x, y, weights)
    *others, z = controls
    xy = partial_correlation(x, y, others, weights)
    xz = partial_correlation(x, z, others, weights)
    yz = partial_correlation(y, z, others, weights)
    return (xy - xz * yz) / math.sqrt((1 - xz * xz) * (1 - yz * yz))
