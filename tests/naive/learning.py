"""What is learnt from outcomes: from action to stage to peer cell, by counting (domain.md section 9)."""

from fractions import Fraction


def counted(outcomes, stage=None, path=()):
    """Successes and failures of customers in a stage (None = any) and in or below a cell."""
    successes = failures = 0
    for (its_stage, its_path), (s, f) in outcomes.items():
        if stage in (None, its_stage) and its_path[: len(path)] == path:
            successes, failures = successes + s, failures + f
    return successes, failures


def levels(prior, outcomes, stage, path, m=30):
    """Give (successes, failures, p, strength) of the action, of the stage, then of each cell on the path.

    Args:
        prior: (successes, failures) of the rule file.
        outcomes: {(stage, path): (successes, failures)} of one action.
        stage: the customer's.
        path: the customer's cell as a tuple of codes.
        m: trials that a parent's propensity counts for in its child.
    """
    a0, b0 = map(Fraction, prior)
    found = []
    wanted = [(None, ()), *((stage, path[:depth]) for depth in range(len(path) + 1))]
    for its_stage, its_path in wanted:
        s, f = counted(outcomes, its_stage, its_path)
        p = Fraction(a0 + s) / Fraction(a0 + b0 + s + f)
        found.append((s, f, p, a0 + b0 + s + f))
        a0, b0 = m * p, m * (1 - p)
    return found


def propensity(prior, outcomes, stage, path, m=30):
    """P of a customer: that of the last level."""
    return float(levels(prior, outcomes, stage, path, m)[-1][2])


def strength(prior, outcomes, stage, path, m=30):
    """A + b of the customer's posterior."""
    return float(levels(prior, outcomes, stage, path, m)[-1][3])


def case_counts(events, trial, success, failure):
    """(successes, failures) that the captured outcomes of one decision's action come to.

    Args:
        events: (time, outcome) in any order, repeats included.
        trial: outcomes that say it was tried.
        success: outcomes that say it was accepted.
        failure: outcomes that say it was not.
    """
    verdicts = []
    tried = False
    for time, outcome in events:
        if outcome in success:
            verdicts.append((time, 1, "success"))
        elif outcome in failure:
            verdicts.append((time, 2, "failure"))
        elif outcome == "not_presented":
            verdicts.append((time, 3, "void"))
        elif outcome in trial:
            tried = True
    if verdicts:
        last = max(verdicts)[2]
        return {"success": (1, 0), "failure": (0, 1), "void": (0, 0)}[last]
    return (0, 1) if tried else (0, 0)
