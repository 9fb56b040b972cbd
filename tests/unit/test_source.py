"""Reading a rulebook directory: what is read, what is refused, and that each file is read once."""

import os
from pathlib import Path

import pytest

from nextbest.rulebook import source as source_module
from nextbest.rulebook.source import RulebookSource, load_source


def codes(source: RulebookSource) -> list[tuple[str, str]]:
    """File and code of each diagnostic."""
    return [(d.file, d.code) for d in source.diagnostics]


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A directory with the required files."""
    (tmp_path / "strategy.yaml").write_text("id: a\n")
    (tmp_path / "facts.yaml").write_text("standard: all\n")
    return tmp_path


def test_files_are_read_in_path_order(rules: Path) -> None:
    """Files come sorted by path, with their kind, whatever order the file system gives."""
    (rules / "actions").mkdir()
    for name in ("b.yaml", "a.yaml"):
        (rules / "actions" / name).write_text("actions: []\n")
    source = load_source(rules)
    assert [(f.path, f.kind) for f in source.files] == [
        ("actions/a.yaml", "actions"),
        ("actions/b.yaml", "actions"),
        ("facts.yaml", "facts"),
        ("strategy.yaml", "strategy"),
    ]
    assert not source.diagnostics


def test_missing_directory_is_one_error(tmp_path: Path) -> None:
    """A directory that is not there is reported as such, not as missing files."""
    assert codes(load_source(tmp_path / "nowhere")) == [("", "unreadable")]


def test_required_files_are_missed(tmp_path: Path) -> None:
    """A rulebook without strategy and facts is refused."""
    (tmp_path / "facts.yaml").write_text("standard: all\n", encoding="utf-8")
    assert codes(load_source(tmp_path)) == [("strategy.yaml", "missing-file")]


def test_a_wrong_directory_is_said_once(tmp_path: Path) -> None:
    """Elsewhere than in a rulebook, one error says what was looked for, where, and where one is."""
    (tmp_path / "shop" / "actions").mkdir(parents=True)
    (tmp_path / "shop" / "strategy.yaml").write_text("id: shop\n", encoding="utf-8")
    (tmp_path / "compose.yaml").write_text("services: {}\n", encoding="utf-8")
    (found,) = load_source(tmp_path).diagnostics
    assert found.code == "no-rulebook"
    assert found.message == f"no rulebook in `{tmp_path}`: `strategy.yaml` and `facts.yaml` are not there"
    assert found.hint == "there is one in `shop`"
    (inside,) = load_source(tmp_path / "shop" / "actions").diagnostics
    assert inside.hint == "there is one in `..`"


def test_a_misspelt_strategy_is_still_found(tmp_path: Path) -> None:
    """Where the strategy's name is nearly right, that is said too."""
    (tmp_path / "stratgy.yaml").write_text("id: shop\n", encoding="utf-8")
    assert codes(load_source(tmp_path)) == [("stratgy.yaml", "unknown-file"), ("", "no-rulebook")]


def test_misnamed_files_get_a_suggestion(rules: Path) -> None:
    """A YAML file that nothing reads is an error that names the likely file; other files are ignored."""
    (rules / "segment.yaml").write_text("")
    (rules / "policies.yml").write_text("")
    (rules / "action").mkdir()
    (rules / "tests").mkdir()
    (rules / "tests" / "families.yaml").write_text("")
    (rules / "README.md").write_text("")
    (rules / ".hidden.yaml").write_text("")
    found = {d.file: d.hint for d in load_source(rules).diagnostics}
    assert found == {
        "action": "did you mean `actions/`?",
        "policies.yml": "did you mean `policies.yaml`?",
        "segment.yaml": "did you mean `segments.yaml`?",
        "tests/families.yaml": "files in `tests/` end in `_test.yaml`",
    }


def test_byte_order_mark_and_crlf_are_read(rules: Path) -> None:
    """A file saved by a Windows editor reads like any other, and columns do not shift."""
    (rules / "strategy.yaml").write_bytes("\ufeffid: ø\r\nnæste: 1\r\n".encode())
    file = load_source(rules).of_kind("strategy")[0]
    assert file.value == {"id": "ø", "næste": 1}
    assert file.line(2) == "næste: 1"
    assert file.place(file.key_span(("næste",))[0]) == (2, 1)


def test_other_encodings_are_refused(rules: Path) -> None:
    """A file that is not UTF-8 is an error with the line, and its kind counts as unreadable."""
    (rules / "strategy.yaml").write_bytes(b"id: a\nname: bl\xe5\n")
    (rules / "facts.yaml").write_bytes("standard: all\n".encode("utf-16"))
    source = load_source(rules)
    assert [(d.file, d.line, d.code) for d in source.diagnostics] == [
        ("facts.yaml", 1, "not-utf-8"),
        ("strategy.yaml", 2, "not-utf-8"),
    ]
    assert source.unreadable == {"facts", "strategy"}


def test_symlink_loops_are_refused(rules: Path) -> None:
    """A link that leads to itself is an error, and a link to the parent is not followed down."""
    (rules / "segments.yaml").symlink_to(rules / "segments.yaml")
    (rules / "actions").mkdir()
    (rules / "actions" / "up").symlink_to(rules)
    assert codes(load_source(rules)) == [("actions/up", "unknown-file"), ("segments.yaml", "unreadable")]


def test_mounted_config_maps_are_read(rules: Path) -> None:
    """Files and folders may be links into a hidden directory, as Kubernetes mounts them."""
    data = rules / "..data"
    data.mkdir()
    (data / "actions").mkdir()
    (data / "actions" / "a.yaml").write_text("actions: []\n")
    (rules / "actions").symlink_to(data / "actions")
    source = load_source(rules)
    assert "actions/a.yaml" in source.by_path
    assert not source.diagnostics


def test_large_files_are_refused_unread(rules: Path) -> None:
    """A file beyond the limit is refused without being parsed, and so is too much in all."""
    with (rules / "strategy.yaml").open("wb") as stream:
        stream.truncate(50 * 2**20)
    assert codes(load_source(rules)) == [("strategy.yaml", "too-large")]


def test_total_size_is_bounded(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All files together have a limit too."""
    monkeypatch.setattr(source_module, "MAX_TOTAL_BYTES", 15)
    assert codes(load_source(rules)) == [("strategy.yaml", "too-large")]


def test_number_of_files_is_bounded(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory with too many files is refused rather than read for minutes."""
    monkeypatch.setattr(source_module, "MAX_FILES", 1)
    assert ("strategy.yaml", "too-many-files") in codes(load_source(rules))


def test_file_that_changes_is_refused(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose size or time changes while it is read is refused: its text would be a mixture."""
    real, calls = os.fstat, iter(range(100))

    def fstat(descriptor: int) -> os.stat_result:
        if next(calls) == 1:
            (rules / "facts.yaml").write_text("standard: [consent]\n")
        return real(descriptor)

    monkeypatch.setattr(os, "fstat", fstat)
    assert codes(load_source(rules)) == [("facts.yaml", "changed")]


def test_digest_depends_on_paths_and_bytes_only(
    rules: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same files elsewhere have the same digest; one changed byte or name has another."""
    other = tmp_path_factory.mktemp("other")
    for name in ("facts.yaml", "strategy.yaml"):
        (other / name).write_bytes((rules / name).read_bytes())
    first = load_source(rules).digest
    assert load_source(other).digest == first
    (other / "facts.yaml").write_text("standard: all \n")
    assert load_source(other).digest != first


def test_positions_of_values_and_keys(rules: Path) -> None:
    """A path leads to the key, to the value, or to the nearest parent that exists."""
    (rules / "strategy.yaml").write_text("goals:\n  - id: x\n    measure: [a, b]\n")
    file = load_source(rules).of_kind("strategy")[0]

    def at(span: tuple[int, int]) -> tuple[tuple[int, int], str]:
        return file.place(span[0]), file.text[span[0] : span[1]]

    assert at(file.key_span(("goals", 0, "measure"))) == ((3, 5), "measure")
    assert at(file.value_span(("goals", 0, "measure", 1))) == ((3, 18), "b")
    assert at(file.value_span(("goals", 0, "variant", "id"))) == ((2, 9), "x")
    assert at(file.value_span(("goals", 0, "nothing"))) == ((2, 5), "id")
    assert at(file.value_span(("goals", 7)))[0] == (2, 3)


@pytest.mark.parametrize("text", ["", "# none yet\n", "---\n# none yet\n"])
def test_empty_file_is_an_empty_mapping(rules: Path, text: str) -> None:
    """A file of comments has no content, which is for the models to judge."""
    (rules / "segments.yaml").write_text(text)
    source = load_source(rules)
    assert source.of_kind("segments")[0].value == {}
    assert not source.diagnostics
