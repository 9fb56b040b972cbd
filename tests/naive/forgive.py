"""Forgive mode as domain.md section 6 words it."""

CAUSES = ("open_complaint", "detractor", "contract_cancelled", "lapsed", "ladder_bottom")
MODES = ("win_back", "damage_control", "apology")


def term(value, *, times, plus, otherwise, low, high):
    """A number that follows a fact, within its bounds; None = unknown."""
    found = otherwise if value is None else times * value + plus
    return None if found is None else sorted([low, found, high])[1]


def cause(facts, figures, *, complaint_open, alive, now):
    """Which condition of Forgive me holds first; None if none does."""
    at = facts.get("nps_relation_at")
    young = at is not None and max(0.0, now - at) / 86400 < 180
    conditions = (
        complaint_open is True and facts.get("complaint_severity", 0) >= 2,
        young and facts.get("nps_relation", 10) <= 3,
        facts.get("contract_state") == "cancelled",
        (facts.get("repeat_purchases") or 0) > 0 and alive is not None and alive < 0.2,
        figures["level"] <= -2,
    )
    return next((name for name, holds in zip(CAUSES, conditions, strict=True) if holds), None)


def forgive_mode(case):
    """(mode, EV_win, EV_damage); a figure with an unknown input is None and no reason to act."""

    def worth(names, formula):
        values = [case[name] for name in names]
        return None if None in values else formula(*values)

    win = worth(
        ("back_probability", "back_ltv", "back_cost", "back_reward"),
        lambda p, ltv, c, reward: p * ltv - c - p * reward,
    )
    damage = worth(
        ("reach", "harm_avoided", "referral_worth", "damage_cost"),
        lambda reach, dp, v, c: reach * dp * v * 5 - c,
    )
    candidates = [(v, name) for v, name in ((win, "win_back"), (damage, "damage_control")) if v is not None]
    best = max(candidates, key=lambda pair: pair[0], default=(0.0, ""))
    return (best[1] if best[0] > 0 else "apology"), win, damage
