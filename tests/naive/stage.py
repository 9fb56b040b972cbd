"""Stages as domain.md section 6 words them, with three-valued logic spelt out: True, False, None."""

from tests.naive.index import days_between, frequency, level, loyalty_index, repeat_purchases, tenure_days

KNOW, HEAR, GROW, FORGIVE = range(4)
DAY_S = 86400.0


def ge(value, bound):
    """Value ≥ bound, unknown if either is missing."""
    return None if value is None or bound is None else value >= bound


def lt(value, bound):
    """Value < bound, unknown if either is missing."""
    return None if value is None or bound is None else value < bound


def le(value, bound):
    """Value ≤ bound, unknown if either is missing."""
    return None if value is None or bound is None else value <= bound


def any_of(*truths):
    """Three-valued or."""
    if True in truths:
        return True
    return None if None in truths else False


def all_of(*truths):
    """Three-valued and."""
    if False in truths:
        return False
    return None if None in truths else True


def false_loyalty(facts, *, lock_in, frequency_bound):
    """True, False or None."""
    rate = frequency(facts)
    frequent = False if rate is not None and rate <= 0 else ge(rate, frequency_bound)
    return all_of(
        any_of(ge(facts.get("share_of_wallet"), 0.6), frequent),
        any_of(lt(facts.get("satisfaction"), 50), ge(facts.get("discount_share"), 0.5), lock_in),
    )


def action_loyal(facts, index):
    """True, False or None."""
    return all_of(ge(facts.get("share_of_wallet"), 0.95), ge(index, 0.5))


def raw_stage(facts, figures, *, complaint_open, alive, completeness, now):
    """First match on TRUE. `figures` has index, level, false_loyalty."""
    x = repeat_purchases(facts)
    contract = {None: None, 0: "none", 1: "in_force", 2: "cancelled", 3: "expired"}[
        facts.get("contract_state")
    ]
    forgive = any_of(
        all_of(complaint_open, ge(facts.get("complaint_severity"), 2)),
        all_of(le(facts.get("nps_relation"), 3), lt(days_between(facts.get("nps_relation_at"), now), 180)),
        contract == "cancelled",
        all_of(x > 0, lt(alive, 0.2)),
        figures["level"] <= -2,
    )
    if forgive is True:
        return FORGIVE
    know = any_of(
        x == 0 and contract != "in_force",
        lt(tenure_days(facts, now), 90),
        lt(completeness, 0.5),
    )
    if know is True:
        return KNOW
    grow = all_of(
        ge(figures["index"], 0.5),
        ge(facts.get("share_of_wallet"), 0.6),
        ge(alive, 0.8),
        figures["false_loyalty"] is not True,
    )
    return GROW if grow is True else HEAR


def loyalty_figures(facts, *, complaint_open, lock_in, alive, completeness, now, frequency_bound):
    """All loyalty figures of one customer by name."""
    index, weight, _ = loyalty_index(facts, complaint_open=complaint_open, alive=alive, now=now)
    figures = {
        "index": index,
        "weight": weight,
        "level": level(index),
        "false_loyalty": false_loyalty(facts, lock_in=lock_in, frequency_bound=frequency_bound),
        "action_loyal": action_loyal(facts, index),
        "tenure_days": tenure_days(facts, now),
    }
    figures["raw_stage"] = raw_stage(
        facts, figures, complaint_open=complaint_open, alive=alive, completeness=completeness, now=now
    )
    return figures


def advance_stage(state, evaluation, now):
    """(stage, since, up_qualified_since) after one evaluation; None = none."""
    stage, since, up = state
    raw = evaluation["raw_stage"]
    if stage not in (KNOW, HEAR, GROW, FORGIVE):
        return raw, now, None
    if since is None:
        since = now

    def later(time):
        return time is not None and time > since

    if stage == FORGIVE:
        good_nps = ge(evaluation["nps"], 7) is True and later(evaluation["nps_at"])
        sign = good_nps or later(evaluation["last_purchase"])
        if raw != FORGIVE and evaluation["complaint_open"] is not True and sign:
            return (KNOW if lt(evaluation["tenure_days"], 90) is True else HEAR), now, None
        return FORGIVE, since, None
    if raw == FORGIVE:
        return FORGIVE, now, None
    if stage == GROW:
        if ge(evaluation["index"], 0.45) is not True or evaluation["false_loyalty"] is True:
            return HEAR, now, None
        return GROW, since, None
    qualifies = raw > stage
    if not qualifies:
        return stage, since, None
    if up is None:
        return stage, since, now
    if now - up >= 30 * DAY_S:
        # The same evaluation may already qualify for the step after.
        return stage + 1, now, (now if raw > stage + 1 else None)
    return stage, since, up


def effective_stage(held, raw):
    """What Decide uses."""
    if held not in (KNOW, HEAR, GROW, FORGIVE) or raw == FORGIVE:
        return raw
    return held
