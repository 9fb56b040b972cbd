"""Generate the Python stubs of the contract into the client distribution, or check that they are up to date.

Run it in its own environment (`tools/gen-requirements.txt`), never in the service's:

    python3 -m venv .venv-gen
    .venv-gen/bin/pip install -r tools/gen-requirements.txt
    .venv-gen/bin/python tools/gen_protos.py            # write the stubs
    .venv-gen/bin/python tools/gen_protos.py --check    # exit 1 and name the files if they differ
"""

import argparse
import importlib.metadata
import importlib.resources
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTO_ROOT = ROOT / "proto"
STUBS_ROOT = ROOT / "clients" / "python"
PACKAGE = Path("loyalty") / "nextbest" / "v1"
TOOL_VERSIONS = {"grpcio-tools": "1.80.0", "mypy-protobuf": "5.1.0"}
"""Another version emits other code: newer gencode does not load on the oldest runtime we support."""
STATIC_FILES = {
    "__init__.py": '"""Generated stubs of the contract; regenerate with tools/gen_protos.py."""\n',
    "py.typed": "",
}


def main(argv: list[str] | None = None) -> int:
    """Write the stubs, or with `--check` compare them; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    arguments = parser.parse_args(argv)
    assert_tool_versions()
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        fresh = read_stubs(Path(scratch) / PACKAGE)
    return check(fresh) if arguments.check else write(fresh)


def assert_tool_versions() -> None:
    """Stop unless the environment holds exactly the versions that the committed stubs were made with."""
    for tool, wanted in TOOL_VERSIONS.items():
        try:
            found = importlib.metadata.version(tool)
        except importlib.metadata.PackageNotFoundError:
            found = "none"
        if found != wanted:
            sys.exit(f"{tool} {wanted} is needed, found {found}: pip install -r tools/gen-requirements.txt")


def generate(target: Path) -> None:
    """Run protoc on every proto file of the package.

    Raises:
        SystemExit: protoc rejects a file; it has printed why.
    """
    from grpc_tools import protoc  # noqa: PLC0415  (its version is asserted first)

    plugins = Path(sys.executable).parent
    sources = sorted(str(path.relative_to(PROTO_ROOT)) for path in (PROTO_ROOT / PACKAGE).glob("*.proto"))
    code = protoc.main(
        [
            "protoc",
            f"--proto_path={PROTO_ROOT}",
            f"--proto_path={importlib.resources.files('grpc_tools') / '_proto'}",
            f"--plugin=protoc-gen-mypy={plugins / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={plugins / 'protoc-gen-mypy_grpc'}",
            f"--python_out={target}",
            f"--grpc_python_out={target}",
            f"--mypy_out=quiet:{target}",
            f"--mypy_grpc_out=quiet:{target}",
            *sources,
        ]
    )
    if code:
        sys.exit(code)
    for name, text in STATIC_FILES.items():
        (target / PACKAGE / name).write_text(text, encoding="utf-8")


def read_stubs(folder: Path) -> dict[str, bytes]:
    """Read the files of a folder, by name; files without a service have no use for a gRPC stub."""
    files = {path.name: path.read_bytes() for path in sorted(folder.glob("*")) if path.is_file()}
    return {name: content for name, content in files.items() if not _is_empty_grpc_stub(name, content)}


def _is_empty_grpc_stub(name: str, content: bytes) -> bool:
    return "_pb2_grpc." in name and b"ServiceStub" not in content


def check(fresh: dict[str, bytes]) -> int:
    """Print which committed stubs differ from the fresh ones; returns 1 if any does."""
    committed = read_stubs(STUBS_ROOT / PACKAGE)
    stale = sorted(name for name in fresh.keys() | committed.keys() if fresh.get(name) != committed.get(name))
    for name in stale:
        sys.stdout.write(
            f"{STUBS_ROOT.relative_to(ROOT) / PACKAGE / name} is not what the proto files give\n"
        )
    return 1 if stale else 0


def write(fresh: dict[str, bytes]) -> int:
    """Replace the committed stubs by the fresh ones; returns 0."""
    folder = STUBS_ROOT / PACKAGE
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in fresh.items():
        (folder / name).write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
