"""A rulebook directory read once: files, their text, YAML trees and what is wrong with them."""

import bisect
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from nextbest.rulebook.collector import collector_paused
from nextbest.rulebook.diagnostics import Diagnostic, Severity
from nextbest.rulebook.nodes import Mapping, Node, Scalar, Sequence, Value, YamlProblem, parse_nodes, to_value
from nextbest.rulebook.suggest import did_you_mean

MAX_FILE_BYTES = 16 * 2**20
MAX_TOTAL_BYTES = 64 * 2**20
MAX_FILES = 1000
MAX_LOOKED_AT = 100
"""Folders in which a rulebook is looked for when there is none where it should be."""

SINGLE_FILES = ("strategy", "facts", "stages", "segments", "policies", "experiments")
"""Files that lie in the rulebook directory itself, by kind."""
FOLDERS = ("triggers", "actions", "tables", "tests")
"""Folders that hold any number of files of their kind."""
REQUIRED = ("strategy", "facts")
"""Kinds without which there is no rulebook."""

PathLike: TypeAlias = tuple[str | int, ...]
"""Keys and list indices from a file's root to a value."""

_LINE_BREAK = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True)
class SourceFile:
    """One file of a rulebook."""

    path: str
    """Relative to the rulebook directory, with forward slashes."""
    kind: str
    """One of `SINGLE_FILES` or `FOLDERS`."""
    text: str
    root: Node | None = field(repr=False)
    """None when the file is empty or its YAML cannot be read."""
    value: Value = field(repr=False)
    """Plain data; an empty mapping for an empty file."""
    readable: bool
    """False when the YAML could not be read, so that nothing more can be said about the content."""

    @cached_property
    def line_starts(self) -> list[int]:
        """Offset of each line's first character."""
        return [0, *(match.end() for match in _LINE_BREAK.finditer(self.text))]

    def line(self, number: int) -> str:
        """Text of a line, counted from 1, without its line break."""
        if not 0 < number <= len(self.line_starts):
            return ""
        start = self.line_starts[number - 1]
        end = self.line_starts[number] if number < len(self.line_starts) else len(self.text)
        return self.text[start:end].rstrip("\r\n")

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, both counted from 1."""
        offset = max(0, min(offset, len(self.text)))
        line = bisect.bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def diagnostic(
        self,
        span: tuple[int, int],
        code: str,
        message: str,
        hint: str = "",
        *,
        severity: Severity = Severity.ERROR,
    ) -> Diagnostic:
        """A diagnostic about the characters from span[0] to span[1], exclusive."""
        line, column = self.place(span[0])
        end_line, end_column = self.place(max(span[1], span[0] + 1))
        return Diagnostic(self.path, line, column, end_line, end_column, severity, code, message, hint)

    def key_span(self, path: PathLike) -> tuple[int, int]:
        """Offsets of the key or list item at a path; of the nearest parent where the path leaves the tree."""
        node, key = _walk(self.root, path)
        return _head(node) if key is None else (key.start, key.end)

    def value_span(self, path: PathLike) -> tuple[int, int]:
        """Offsets of the value at a path; of the nearest parent where the path leaves the tree."""
        node, _ = _walk(self.root, path)
        return _head(node)

    def node(self, path: PathLike) -> Node | None:
        """The node at a path, or the nearest parent."""
        return _walk(self.root, path)[0]


@dataclass(frozen=True)
class RulebookSource:
    """All files of a rulebook, read once, and what is wrong with them as files."""

    files: tuple[SourceFile, ...]
    """Sorted by path, so that the order of the file system does not matter."""
    digest: str
    """Hex of a hash over every file's path and bytes."""
    diagnostics: tuple[Diagnostic, ...]
    unreadable: frozenset[str] = frozenset()
    """Kinds some of whose files could not be read or parsed."""
    packed: bytes = field(default=b"", repr=False)
    """What the digest is over: see `packed_files`."""

    def of_kind(self, kind: str) -> tuple[SourceFile, ...]:
        """Readable files of a kind."""
        return tuple(f for f in self.files if f.kind == kind and f.readable)

    @property
    def by_path(self) -> dict[str, SourceFile]:
        """The files by their path."""
        return {f.path: f for f in self.files}


@collector_paused()
def load_source(directory: Path) -> RulebookSource:
    """Read a rulebook directory; whatever is wrong becomes a diagnostic, nothing is raised.

    Each file is read once, so that text, tree and digest always belong together.

    Args:
        directory: where strategy.yaml lies.
    """
    found = _Found()
    files: list[SourceFile] = []
    packed: list[bytes] = []
    total = 0
    unreadable: set[str] = set()
    for path, kind in sorted(_rule_files(directory, found)):
        if len(files) == MAX_FILES:
            found.report(path, "too-many-files", f"more than {MAX_FILES} files in the rulebook")
            break
        content = _read_bytes(directory, path, found, left=MAX_TOTAL_BYTES - total)
        if content is None:
            unreadable.add(kind)
            continue
        total += len(content)
        packed += (f"{path}\0{len(content)}\0".encode(), content)
        file = _parse_file(path, kind, content, found)
        if file is not None:
            files.append(file)
        if file is None or not file.readable:
            unreadable.add(kind)
    _report_missing(directory, found)
    whole = b"".join(packed)
    return RulebookSource(
        tuple(files), digest_of_files(whole), tuple(found.diagnostics), frozenset(unreadable), whole
    )


def digest_of_files(packed: bytes) -> str:
    """A rulebook's digest: BLAKE2b with 32 bytes of digest over its packed files, in hexadecimal."""
    return hashlib.blake2b(packed, digest_size=32).hexdigest()


def packed_files(packed: bytes) -> Iterator[tuple[str, bytes]]:
    """The files in a rulebook's packed form: path, zero, length as decimal text, zero, content, and so on.

    Raises:
        ValueError: it is no such form.
    """
    at = 0
    while at < len(packed):
        path_end = packed.index(b"\0", at)
        length_end = packed.index(b"\0", path_end + 1)
        at, path = length_end + 1 + int(packed[path_end + 1 : length_end]), packed[at:path_end].decode()
        if at > len(packed) or path.startswith("/") or ".." in path.split("/"):
            raise ValueError(f"`{path}` is out of place")
        yield path, packed[length_end + 1 : at]


class _Found:
    """Collects what is wrong, and which kinds of files were there at all."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []
        self.kinds: set[str] = set()

    def report(self, path: str, code: str, message: str, hint: str = "") -> None:
        self.diagnostics.append(Diagnostic(path, 0, 0, 0, 0, Severity.ERROR, code, message, hint))


def _report_missing(directory: Path, found: _Found) -> None:
    if not found.kinds.intersection(REQUIRED):
        _report_no_rulebook(directory, found)
        return
    for kind in REQUIRED:
        if kind not in found.kinds:
            hint = "a rulebook begins with its goals, priorities, roles and promises" * (kind == "strategy")
            found.report(
                f"{kind}.yaml", "missing-file", f"`{kind}.yaml` is missing in `{directory.name}`", hint
            )


def _report_no_rulebook(directory: Path, found: _Found) -> None:
    """Say once that this is the wrong place, rather than what each of its files is not."""
    if any(d.code == "unreadable" for d in found.diagnostics):
        return
    meant = "did you mean `strategy.yaml`"
    found.diagnostics = [d for d in found.diagnostics if d.code != "unknown-file" or d.hint.startswith(meant)]
    wanted = " and ".join(f"`{kind}.yaml`" for kind in REQUIRED)
    near = [directory.resolve().parent / "strategy.yaml", *_strategies_below(directory)]
    places = [f"`{_near(path.parent, directory)}`" for path in near if path.is_file()]
    hint = f"there is one in {', '.join(places)}" if places else "`nextbest rules new DIRECTORY` begins one"
    found.report("", "no-rulebook", f"no rulebook in `{directory.resolve()}`: {wanted} are not there", hint)


def _strategies_below(directory: Path) -> list[Path]:
    """Where rulebooks begin, one or two levels down; a few of them, in so many folders."""
    folders = list(islice(_folders(directory), MAX_LOOKED_AT))
    folders += islice((inner for folder in folders for inner in _folders(folder)), MAX_LOOKED_AT)
    return sorted(path for folder in folders if (path := folder / "strategy.yaml").is_file())[:3]


def _folders(directory: Path) -> Iterator[Path]:
    try:
        with os.scandir(directory) as scan:
            yield from (Path(e.path) for e in scan if not e.name.startswith(".") and _is_directory(e))
    except OSError:
        return


def _near(place: Path, directory: Path) -> str:
    return ".." if place == directory.resolve().parent else place.relative_to(directory).as_posix()


def _rule_files(directory: Path, found: _Found) -> Iterator[tuple[str, str]]:
    for entry in _entries(directory, "", found):
        name = entry.name
        if name in FOLDERS and _is_directory(entry):
            yield from _folder_files(Path(entry.path), name, found)
        elif name.endswith((".yaml", ".yml")):
            kind = name.removesuffix(".yaml")
            if kind in SINGLE_FILES:
                found.kinds.add(kind)
                yield name, kind
            else:
                _report_unknown(name, name, [f"{k}.yaml" for k in SINGLE_FILES], found)
        elif _is_directory(entry):
            _report_unknown(name, f"{name}/", [f"{k}/" for k in FOLDERS], found)


def _folder_files(directory: Path, kind: str, found: _Found) -> Iterator[tuple[str, str]]:
    found.kinds.add(kind)
    suffix = "_test.yaml" if kind == "tests" else ".yaml"
    for entry in _entries(directory, kind, found):
        path = f"{kind}/{entry.name}"
        if entry.name.endswith(suffix):
            yield path, kind
        elif entry.name.endswith((".yaml", ".yml")) or _is_directory(entry):
            found.report(
                path, "unknown-file", f"`{path}` is not read", f"files in `{kind}/` end in `{suffix}`"
            )


def _report_unknown(path: str, shown: str, known: Iterable[str], found: _Found) -> None:
    stem = shown.partition(".")[0].rstrip("s")
    folder = next((kind for kind in FOLDERS if "." in shown and kind == f"{stem}s"), None)
    file = f"{folder}/{'first_test' if folder == 'tests' else 'first'}.yaml"
    hint = f"such files lie in a folder: `{file}`" if folder else did_you_mean(shown, known)
    found.report(path, "unknown-file", f"`{shown}` is no part of a rulebook", hint)


def _entries(directory: Path, shown: str, found: _Found) -> list[os.DirEntry[str]]:
    """Entries in name order without hidden ones (a mounted ConfigMap keeps its versions in `..data`)."""
    try:
        with os.scandir(directory) as scan:
            entries = sorted((e for e in scan if not e.name.startswith(".")), key=lambda e: e.name)
    except OSError as error:
        found.report(shown, "unreadable", f"cannot list `{shown or directory.absolute()}`: {_cause(error)}")
        return []
    if len(entries) > 4 * MAX_FILES:
        found.report(shown, "too-many-files", f"more than {4 * MAX_FILES} entries")
        return []
    return entries


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _read_bytes(directory: Path, path: str, found: _Found, *, left: int) -> bytes | None:
    """The file's bytes, read in one go; None if it cannot be used. Nothing but files is waited for."""
    try:
        # A pipe that nobody writes to would be waited for.
        with os.fdopen(os.open(directory / path, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
            before = os.fstat(stream.fileno())
            if not stat.S_ISREG(before.st_mode):
                found.report(path, "unreadable", f"`{path}` is not a file")
                return None
            content = stream.read(MAX_FILE_BYTES + 1)
            after = os.fstat(stream.fileno())
    except OSError as error:
        found.report(path, "unreadable", f"cannot read `{path}`: {_cause(error)}")
        return None
    if len(content) > min(MAX_FILE_BYTES, left):
        limit = MAX_FILE_BYTES if len(content) > MAX_FILE_BYTES else MAX_TOTAL_BYTES
        where = "the file" if limit == MAX_FILE_BYTES else "the rulebook"
        found.report(path, "too-large", f"{where} is larger than {limit >> 20} MiB", "split or shorten it")
        return None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        found.report(path, "changed", f"`{path}` changed while it was read", "try again")
        return None
    return content


def _cause(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


def _parse_file(path: str, kind: str, content: bytes, found: _Found) -> SourceFile | None:
    text = _decode(path, content, found)
    if text is None:
        return None
    root, problems = parse_nodes(text)
    readable = root is not None or not problems
    value: Value = {} if root is None or _is_blank(root) else to_value(root, problems)
    file = SourceFile(path, kind, text, root, value, readable)
    found.diagnostics += [_yaml_diagnostic(file, problem) for problem in problems]
    return file


def _is_blank(root: Node) -> bool:
    """True for a file of nothing but `---` and comments."""
    return isinstance(root, Scalar) and root.plain and not root.text


def _yaml_diagnostic(file: SourceFile, problem: YamlProblem) -> Diagnostic:
    return file.diagnostic((problem.start, problem.end), problem.code, problem.message, problem.hint)


def _decode(path: str, content: bytes, found: _Found) -> str | None:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"byte {error.start} in line {line} is not UTF-8"
        hint = "save the file as UTF-8"
        found.diagnostics.append(
            Diagnostic(path, line, 1, line, 2, Severity.ERROR, "not-utf-8", message, hint)
        )
        return None


def _walk(root: Node | None, path: PathLike) -> tuple[Node | None, Scalar | None]:
    """Node and key at a path. Labels that are in no node are skipped: validators add names of variants."""
    node, key = root, None
    for label in path:
        if isinstance(node, Mapping) and label in node.entries:
            key, node = node.entries[str(label)]
        elif isinstance(node, Sequence) and isinstance(label, int) and 0 <= label < len(node.items):
            key, node = None, node.items[label]
    return node, key


def _head(node: Node | None) -> tuple[int, int]:
    """What to point at for a node: all of a scalar, the first key of a mapping, a list's bracket or dash."""
    if isinstance(node, Mapping) and node.entries:
        first = next(iter(node.entries.values()))[0]
        return first.start, first.end
    if isinstance(node, Scalar):
        return node.start, max(node.end, node.start + 1)
    return (node.start, node.start + 1) if node is not None else (0, 1)
