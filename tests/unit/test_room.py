"""What limits of memory leave to a process, and what is refused because of them."""

import pytest

from nextbest.batch import room
from nextbest.batch.room import MB, Room, require_room, rooms
from nextbest.errors import NoRoom


def _group(directory, most, used, files):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "memory.max").write_text(f"{most}\n")
    (directory / "memory.current").write_text(f"{used}\n")
    (directory / "memory.stat").write_text(f"anon {used - files}\ninactive_file {files}\nactive_file 0\n")


@pytest.fixture
def mount(tmp_path, monkeypatch):
    """Control groups of version 2 in a directory: the process is in `/a/b`."""
    (tmp_path / "cgroup").write_text("0::/a/b\n")
    monkeypatch.setattr(room, "_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(room, "_MOUNT", tmp_path / "mount")
    return tmp_path / "mount"


def test_control_groups_around_the_process_count(mount):
    """A limit of any group around the process holds; pages of files are not taken."""
    _group(mount / "a" / "b", "max", 70 * MB, 0)
    _group(mount / "a", 100 * MB, 70 * MB, 20 * MB)
    (found,) = [each for each in rooms() if "control group" in each.limit]
    assert (found.most, found.left) == (100 * MB, 50 * MB)
    with pytest.raises(NoRoom, match=r"a run takes up to 60 MB .* leaves 50: .* from 100 to 110 MB"):
        require_room("a run", 60 * MB)


def test_groups_of_version_1_count(tmp_path, mount):
    """The memory controller's own tree is looked into, whatever other controllers say."""
    (tmp_path / "cgroup").write_text("4:memory:/c\n0::/\nnonsense")
    group = mount / "memory" / "c"
    _group(group, 0, 0, 0)
    (group / "memory.limit_in_bytes").write_text(str(9 * MB))
    (group / "memory.usage_in_bytes").write_text(str(MB))
    assert next(each for each in rooms() if each.most == 9 * MB).left == 8 * MB


def test_no_limit_refuses_nothing(mount):
    """Where no limit is set, a run of any size begins."""
    assert not mount.exists()
    require_room("a run", 1 << 50)


def test_reserved_addresses_are_not_for_use(monkeypatch):
    """What a limit counts although nobody uses it is no room."""
    monkeypatch.setattr(room, "rooms", lambda: iter([Room("RLIMIT_AS", 100 * MB, 50 * MB, 40 * MB)]))
    require_room("a run", 10 * MB)
    with pytest.raises(NoRoom, match="leaves 10"):
        require_room("a run", 11 * MB)
