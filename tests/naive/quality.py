"""Data quality and attitude coverage as domain.md section 12 words them, over dictionaries."""

from tests.naive.index import days_between


def fact_state(fact, facts, *, catalogue_names, as_of, now):
    """'missing', 'stale' or 'fresh'."""
    if facts.get(fact.name) is None:
        return "missing"
    if fact.fresh_days is None:
        return "fresh"
    observed = facts.get(fact.observed_at) if fact.observed_at in catalogue_names else as_of
    age = days_between(observed, now)
    return "fresh" if age is not None and age <= fact.fresh_days else "stale"


def data_quality(catalogue, facts, *, as_of, now):
    """(quality, completeness)."""
    required = [fact for fact in catalogue.facts if fact.quality_weight > 0]
    if not required:
        return 1.0, 1.0
    names = {fact.name for fact in catalogue.facts}
    states = {f.name: fact_state(f, facts, catalogue_names=names, as_of=as_of, now=now) for f in required}
    fresh = sum(fact.quality_weight for fact in required if states[fact.name] == "fresh")
    known = sum(states[fact.name] != "missing" for fact in required)
    return fresh / sum(fact.quality_weight for fact in required), known / len(required)


def attitude_known(facts):
    """Any of NPS, satisfaction, preference."""
    if facts.get("nps_relation") is not None or facts.get("satisfaction") is not None:
        return True
    if facts.get("preferred_channel") is not None:
        return True
    return any(facts.get(name) for name in ("needs", "expectations", "blocked_topics"))


def attitude_coverage(customers, n_segments):
    """[(count, share or None)] by segment; customers are (attitude known, set of segments)."""
    rows = []
    for segment in range(n_segments):
        members = [known for known, segments in customers if segment in segments]
        rows.append((len(members), sum(members) / len(members) if members else None))
    return rows
