"""The objective and what is measured of it."""

from pathlib import Path

import pytest
from tests.golden.test_lints import CASES

from nextbest.rulebook.lint.goal_contradicts_objective import CODE, MEASURES
from nextbest.rulebook.source import load_source
from nextbest.rulebook.verify import verify_source

BASE = (CASES / "base" / "strategy.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("measure", ["revenue", "gap_closed", "lifetime_value", "churn", "problems_solved"])
@pytest.mark.parametrize("objective", [*MEASURES, None])
def test_one_goal_that_tells_of_the_objective_is_enough(tmp_path: Path, objective: str | None, measure: str):
    """Warned of is an objective, chosen or by default, of which no goal measures anything (C16)."""
    own = "" if objective is None else f"objective: {objective}\nmarket_size: 1000\n"
    for name in ("facts.yaml", "actions/menu.yaml", "actions/sorry.yaml", "triggers/visits.yaml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text((CASES / "base" / name).read_text(encoding="utf-8"))
    text = BASE.replace("measure: retention", f"measure: {measure}")
    (tmp_path / "strategy.yaml").write_text(own + text)
    found = [d for d in verify_source(load_source(tmp_path)) if d.code == CODE]
    telling = measure in MEASURES[objective or "share_of_wallet"]
    assert len(found) == (0 if telling else 1)
    assert all(d.line == (1 if objective else 4) for d in found)
