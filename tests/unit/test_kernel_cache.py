"""Cached kernels against edits of what they call and read, in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

INNER = """
from nextbest.kernels import lean_kernel
FACTOR = 2.0
@lean_kernel
def inner(x):
    return x * FACTOR
"""
OUTER = """
from nextbest.kernels import kernel
from inner import inner
LIMIT = 100.0
@kernel
def outer(x):
    return min(middle(x), LIMIT)
@kernel
def middle(x):
    return inner(x) + 1.0
"""
RUN = """
from outer import outer
print(outer(3.0), sum(outer.stats.cache_hits.values()))
"""


@pytest.fixture
def run(tmp_path):
    """Runs the outer kernel after edits of files, by name: (result, whether it came from the cache)."""
    for name, text in {"inner": INNER, "outer": OUTER, "run": RUN}.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")

    def once(**edits):
        for name, (old, new) in edits.items():
            path = tmp_path / f"{name}.py"
            path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-B", str(tmp_path / "run.py")],
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=True,
        )
        result, hits = done.stdout.split()
        return float(result), hits == "1"

    return once


def test_a_kernel_comes_from_the_cache_until_something_it_holds_changes(run):
    """An edit of a kernel two calls away, in another file, is not overlooked; no edit is no compile."""
    assert run() == (7.0, False)
    assert run() == (7.0, True)
    assert run(inner=("FACTOR = 2.0", "FACTOR = 5.0")) == (16.0, False)
    assert run(inner=("x * FACTOR", "x - FACTOR")) == (-1.0, False)
    assert run() == (-1.0, True)


def test_every_kernel_of_the_engine_knows_what_it_depends_on():
    """The decision's kernel is stamped with the gates, the score and the contact rules that it inlines."""
    from nextbest.action.arbitration import arbitrate

    stamp = dict(arbitrate._cache._cache_file._source_stamp)
    files = {name.rpartition(".")[0] for name in stamp}
    assert {f"nextbest.action.{name}" for name in ("gates", "score", "contact", "relevance")} <= files
    # the readers of the arena are made from text at import, so they have no lines of their own
    assert all(own is not None for name, (own, _) in stamp.items() if not name.startswith("nextbest.arena."))
    assert Path(arbitrate.py_func.__code__.co_filename).is_file()
