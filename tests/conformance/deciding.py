"""Generated rulebooks × customers × histories × contexts: the kernels against the plain-Python decision.

One case is one decision: one generated customer with a history, in one situation, under one generated
rulebook, with every action's reason, numbers, terms and rank compared. Rulebooks go through YAML and the
real compiler, customers through the bytes of the store. Figures are drawn, because other oracles cover them.

    python -m tests.conformance.deciding 1000000

decides so many cases on every core and says what it compared. It says how far it is, and which rulebook
differs, with the command that makes that one again:

    python -m tests.conformance.deciding --seed 9012

`--from SEED` goes on where a run was stopped: rulebooks are numbered, 40 cases each.
"""

import argparse
import math
import multiprocessing
import os
import random
import sys
import time
from collections import Counter
from itertools import combinations

import numpy as np
from tests.builders.customers import CaseGenerator
from tests.builders.rulebooks import RulebookGenerator
from tests.builders.worlds import World

from nextbest.model import Reason, Term

PER_RULEBOOK = 40
TOLERANCE = 1e-9
SAY_EVERY_S = 10.0
COUNTED = Counter()
"""What was compared in this process: rulebooks, decisions, verdicts, terms, nearly_tied."""


class Drawn:
    """One generated rulebook with its customers."""

    def __init__(self, seed):
        rng = random.Random(seed)
        self.world = World(RulebookGenerator(rng).documents())
        generator = CaseGenerator(rng, self.world.plain)
        self.cases = [generator.case() for _ in range(PER_RULEBOOK)]
        self.learnt = generator.learnt()
        self.limit = rng.choice((1, 2, 3, 25))

    def oracle(self, case):
        """What plain Python decides."""
        return self.world.oracle(case, self.learnt, limit=self.limit)


def close(ours, expected):
    """Equal to the tolerance, relative but for what is next to 0; NaN stands for None."""
    if expected is None:
        return np.isnan(ours)
    return ours == expected or abs(ours - expected) <= TOLERANCE * max(1e-3, abs(expected))


def nearly_tied(ours, expected):
    """Whether two scores, or one and doing nothing's 0, are ordered otherwise by rounding alone.

    Args:
        ours: score by action, of the kernels.
        expected: what plain Python decides.
    """
    scored = {name: v.terms for name, v in expected.verdicts.items() if v.terms is not None}
    competitors = [(ours[name], terms["score"], summands(terms)) for name, terms in scored.items()]
    return any(turned(one, other) for one, other in combinations([*competitors, (0.0, 0.0, 0.0)], 2))


def turned(one, other):
    """Whether (our score, the expected one, size of its summands) of two are in another order, but barely."""
    ours, theirs, size = one[0] - other[0], one[1] - other[1], max(one[2], other[2])
    if np.sign(ours) == np.sign(theirs):
        return False
    return max(abs(ours), abs(theirs)) <= 1e-13 * size < math.inf


def summands(terms):
    """Size of what a score is summed from: that is what rounding is relative to, not what is left of it."""
    weight = terms["customer_weight"]
    gain = weight * abs(terms["customer_gain"]) + (1 - weight) * abs(terms["profit_gain"])
    factors = math.prod(terms[name] for name in ("relevance", "context_weight", "lever", "pressure_factor"))
    benefit = (terms["propensity"] + terms["base_propensity"]) * gain * max(1.0, factors)
    costs = (1 + terms["shadow_price"]) * (terms["contact_cost"] + terms["accepted_cost"])
    return benefit + costs + terms["contact_price"]


def on_a_threshold(world, trace, row, expected):
    """Whether a reason differs because rounding alone puts a value on either side of what is required."""
    for index, action in enumerate(world.rulebook.actions):
        verdict = expected.verdicts[action.id]
        if Reason(trace.reason[row, index]).name != verdict.reason:
            ours = trace.actual[row, index], trace.required[row, index]
            return same_but_for_rounding(*ours) or same_but_for_rounding(verdict.actual, verdict.required)
    return False


def same_but_for_rounding(actual, required):
    """Whether two numbers, None for none, are apart and hardly so."""
    if actual is None or required is None:
        return False
    return 0 < abs(actual - required) <= 1e-13 * max(1.0, abs(required))


def scores(world, trace, row):
    """Our score by action; NaN where none was made."""
    return {a.id: trace.terms[row, index, Term.SCORE] for index, a in enumerate(world.rulebook.actions)}


def name_of(names, index):
    """The name with an index; -1 = none."""
    return names[index] if index >= 0 else None


def compare(world, row, decisions, trace, expected):
    """Every reason with its numbers, every term, the whole ranking."""
    rulebook = world.rulebook
    for index, action in enumerate(rulebook.actions):
        verdict, where = expected.verdicts[action.id], (world.documents, action.id)
        assert Reason(trace.reason[row, index]).name == verdict.reason, where
        treatment = int(trace.treatment[row, index])
        assert (rulebook.treatments[treatment].id if treatment >= 0 else None) == verdict.treatment, where
        assert name_of(rulebook.placements, trace.placement[row, index]) == verdict.placement, where
        if verdict.actual is not None:
            assert close(trace.actual[row, index], verdict.actual), where
        if verdict.required is not None:
            assert close(trace.required[row, index], verdict.required), where
        for name, value in (verdict.terms or {}).items():
            assert close(trace.terms[row, index, Term[name.upper()]], value), (name, *where)
        COUNTED["verdicts"] += 1
        COUNTED["terms"] += len(verdict.terms or ())
    count = int(decisions.count[row])
    ranked = [rulebook.actions[a].id for a in decisions.action[row, :count]]
    assert ranked == [verdict.action for verdict in expected.ranked]
    assert (decisions.action[row, count:] == -1).all()
    assert (decisions.placement[row, count:] == -1).all()
    for place, verdict in enumerate(expected.ranked):
        assert rulebook.treatments[decisions.treatment[row, place]].id == verdict.treatment
        assert name_of(rulebook.placements, decisions.placement[row, place]) == verdict.placement
        assert close(decisions.terms[row, place, Term.SCORE], verdict.terms["score"])
    COUNTED["decisions"] += 1


def check_rulebook(seed):
    """Decide for all customers of one generated rulebook both ways.

    Raises:
        AssertionError: the two ways differ.
    """
    drawn = Drawn(seed)
    COUNTED["rulebooks"] += 1
    decisions, trace = drawn.world.explain(drawn.cases, drawn.learnt, limit=drawn.limit)
    plain = drawn.world.decide(drawn.cases, drawn.learnt, limit=drawn.limit)
    for name in plain.__slots__:
        # answers come from other kernels than explanations
        assert getattr(plain, name).tobytes() == getattr(decisions, name).tobytes(), (
            name,
            drawn.world.documents,
        )
    for row, case in enumerate(drawn.cases):
        expected = drawn.oracle(case)
        if nearly_tied(scores(drawn.world, trace, row), expected) or on_a_threshold(
            drawn.world, trace, row, expected
        ):
            COUNTED["nearly_tied"] += 1
        else:
            compare(drawn.world, row, decisions, trace, expected)


def said(counted):
    """The count in words."""
    return (
        f"{counted['decisions']:,} decisions under {counted['rulebooks']:,} generated rulebooks"
        f" ({counted['verdicts']:,} verdicts, {counted['terms']:,} terms) agree with plain Python;"
        f" {counted['nearly_tied']:,} left out, since rounding alone ranks or stops them"
    )


def _counted(seed):
    """What one rulebook added, and what was wrong."""
    COUNTED.clear()
    try:
        check_rulebook(seed)
    except Exception as error:  # one that breaks must not end the run
        again = f"python -m tests.conformance.deciding --seed {seed}"
        return Counter(COUNTED), f"{again}\n    {error!r:.400}"
    return Counter(COUNTED), None


def say(line):
    """Write it at once, for whoever waits."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def arguments():
    """What is asked for on the command line."""
    parser = argparse.ArgumentParser(description="kernels against plain Python")
    parser.add_argument("decisions", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--from", type=int, default=0, dest="first", metavar="SEED", help="go on from here")
    parser.add_argument("--seed", type=int, help="only this rulebook; says in full what differs")
    return parser.parse_args()


def main():
    """Compare as many decisions as asked for, on every core; 1 if any differs."""
    given = arguments()
    if given.seed is not None:
        check_rulebook(given.seed)
        say(said(COUNTED))
        return 0
    start, said_at, counted, wrong = time.perf_counter(), time.perf_counter(), Counter(), []
    seeds = range(given.first, -(-given.decisions // PER_RULEBOOK))
    with multiprocessing.get_context("spawn").Pool(given.processes) as pool:
        for done, (added, problem) in enumerate(pool.imap(_counted, seeds, chunksize=8), 1):
            counted += added
            wrong += [problem] if problem else []
            now = time.perf_counter()
            if problem or now - said_at > SAY_EVERY_S or done == len(seeds):
                said_at, left_s = now, (now - start) / done * (len(seeds) - done)
                say(problem or f"{seeds[done - 1] + 1:,} of {seeds.stop:,} rulebooks, {left_s:,.0f} s to go")
    say(f"{said(counted)}; {len(wrong)} rulebooks differ; {time.perf_counter() - start:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
