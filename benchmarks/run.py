"""Run benchmarks side by side with their peers and write the figures with commit and machine.

    python benchmarks/run.py [NAME …] [--quick] [--json FILE]

Every module here with a `run(*, quick)` measures ours and the peer in the same run, checks that both
give the same answers, and returns its keys. Quick runs are for seeing that a benchmark works: their
figures are marked and mean little.
"""

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = (
    "match",
    "decide",
    "ltv",
    "grid",
    "figures",
    "cross_sell",
    "rpc",
    "decision_log",
    "score",
    "fit_memory",
)


def main() -> int:
    """Run what was asked for; 1 if a benchmark failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; none = all")
    parser.add_argument("--quick", action="store_true", help="small workloads")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(NAMES)
    if unknown:
        parser.error(f"no benchmark named {', '.join(sorted(unknown))}")
    sys.path.insert(0, str(HERE))
    figures: dict[str, float] = {}
    failed: list[str] = []
    for name in arguments.names or NAMES:
        print(f"== {name}", flush=True)
        try:
            found = importlib.import_module(name).run(quick=arguments.quick)
        except Exception as error:
            failed.append(f"{name}: {error!r}")
            print(f"   failed: {error!r}", flush=True)
            continue
        for key, value in found.items():
            print(f"   {key:36} {value:,.4g}", flush=True)
        figures |= found
    if arguments.json:
        document = {"about": about(quick=arguments.quick), "failed": failed, "figures": figures}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")
    return 1 if failed else 0


def about(*, quick: bool) -> dict[str, object]:
    """What was measured where."""
    git = ["git", "-C", str(HERE)]
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    dirty = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=False)
    return {
        "commit": commit.stdout.strip(),
        "uncommitted_changes": bool(dirty.stdout.strip()),
        "quick": quick,
        "python": platform.python_version(),
        "processor": _processor(),
        "cores": os.cpu_count(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    sys.exit(main())
