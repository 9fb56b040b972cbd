"""Recall by sorting lists, one household at a time."""


def recall(before, after, score, judged, offered):
    """Mean share of new categories among the best ranked of those not owned."""
    shares = []
    for owned, later, scores, looked_at in zip(before, after, score, judged, strict=True):
        new = {j for j, has in enumerate(later) if has and not owned[j]}
        if not (looked_at and new):
            continue
        ranked = sorted((j for j, has in enumerate(owned) if not has), key=lambda j: (-scores[j], j))
        shares.append(len(new & set(ranked[:offered])) / len(new))
    return sum(shares) / len(shares) if shares else None


def neighbours(owned, k):
    """Likeness-weighted count of owners among the k households most alike, by sorting lists."""
    sets = [{j for j, has in enumerate(row) if has} for row in owned]

    def alike(a, b):
        return len(a & b) / (len(a) * len(b)) ** 0.5 if a and b else 0.0

    scores = []
    for i, mine in enumerate(sets):
        others = sorted((-round(alike(mine, theirs), 12), h) for h, theirs in enumerate(sets) if h != i)[:k]
        scores.append(
            [sum(alike(mine, sets[h]) for _, h in others if j in sets[h]) for j in range(len(owned[0]))]
        )
    return scores
