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
