"""Peak memory of `nextbest fit grid --from` and `fit ltv --from` over files of growing size.

Each fit is a process of its own, of customers drawn (seed below) for the rulebook of the tests' shop. Keys:
megabytes resident at the peak beyond a process that has imported everything, and bytes a row between the
smallest and the largest file. Run it twice: the first run compiles kernels.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.builders.shop import AS_OF, HOUSEHOLDS, SEGMENTS, write_shop

SEED, GROUP = 20_050_520, 50_000
ROWS, QUICK_ROWS = (500_000, 1_000_000, 2_000_000), (50_000, 200_000)
CHILD = """
import json, re, sys
import nextbest.cli, nextbest.cli.commands
def peak():
    with open("/proc/self/status") as file:
        return int(re.search(r"VmHWM:\\s+(\\d+)", file.read())[1]) * 1024
before = peak()
try:
    nextbest.cli.main(sys.argv[1:])
finally:
    sys.stderr.write("\\n" + json.dumps(peak() - before))
"""


def write(path: Path, rows: int) -> None:
    """Write customers, a row group at a time."""
    draw, writer = np.random.default_rng(SEED), None
    for start in range(0, rows, GROUP):
        T = draw.uniform(30, 80, GROUP)
        x = draw.poisson(T * draw.gamma(2.0, 1 / 24, GROUP))
        t_x = np.where(x > 0, T * draw.uniform(0.01, 1, GROUP) ** (1 / np.maximum(x, 1)), 0.0)
        spend = draw.gamma(4.0, 6.0, GROUP)
        table = pl.DataFrame(
            {
                "customer_id": [f"customer-{start + i:012}" for i in range(GROUP)],
                "as_of": np.full(GROUP, AS_OF),
                "peer_segment": np.array(SEGMENTS)[draw.integers(0, len(SEGMENTS), GROUP)],
                "household": np.array(HOUSEHOLDS)[draw.integers(0, len(HOUSEHOLDS), GROUP)],
                "repeat_purchases": x,
                "recency_weeks": t_x,
                "observed_weeks": T,
                "mean_repeat_value": spend,
                "revenue_net": (x + 1) / T * 52 * spend,
            }
        ).to_arrow()
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def peak(directory: Path, what: str, path: Path) -> float:
    """Bytes at the peak beyond the start."""
    where = ("--rulebook", directory / "rules", "--data-directory", directory / "data", "--out", directory)
    leaks = ("--accept-leak", "peer_segment", "--accept-leak", "household") if what == "grid" else ()
    command = [sys.executable, "-c", CHILD, "fit", what, "--from", path, *where, *leaks]
    said = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
    return float(json.loads(said.stderr.splitlines()[-1]))


def run(*, quick: bool) -> dict[str, float]:
    """Measure both fits over all sizes."""
    sizes, found = QUICK_ROWS if quick else ROWS, dict[str, float]()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        write_shop(directory / "rules")
        for what in ("grid", "ltv"):
            peaks: list[float] = []
            for rows in sizes:
                path = directory / f"{rows}.parquet"
                if not path.exists():
                    write(path, rows)
                peaks.append(peak(directory, what, path))
                found[f"fit_memory.{what}_{rows}_mb"] = peaks[-1] / 2**20
            found[f"fit_memory.{what}_bytes_a_row"] = (peaks[-1] - peaks[0]) / (sizes[-1] - sizes[0])
    return found


if __name__ == "__main__":
    for key, value in run(quick="--quick" in sys.argv).items():
        print(f"{key} {value:,.1f}")
