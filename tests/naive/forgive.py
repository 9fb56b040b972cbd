"""Forgive mode as domain.md section 6 words it."""


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
