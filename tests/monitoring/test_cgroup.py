"""Limits that containers and batch systems set, on trees of files laid out as Linux does."""

import pytest

from vishwam.monitoring import cgroup, memory

GB = 10**9
NONE_SET = 9223372036854771712  # v1's word for it


@pytest.fixture
def own(tmp_path):
    return tmp_path / "own"


def group(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("_dot_", ".")).write_text(f"{content}\n")


def test_the_second_version_in_a_container(tmp_path, own):
    own.write_text("0::/\n")
    statistics = "anon 1\ninactive_file 1000000000\nactive_file 5"
    group(tmp_path, memory_dot_max=8 * GB, memory_dot_current=3 * GB, memory_dot_stat=statistics)
    assert cgroup.limit(tmp_path, own) == 8 * GB
    assert cgroup.available(tmp_path, own) == 6 * GB  # A billion of the three are pages of files, which can go.


def test_the_tightest_of_those_above_counts(tmp_path, own):
    own.write_text("0::/slurm/job_1/step_0\n")
    group(tmp_path / "slurm" / "job_1", memory_dot_max=4 * GB, memory_dot_current=1 * GB)
    group(tmp_path / "slurm" / "job_1" / "step_0", memory_dot_max="max", memory_dot_current=1 * GB)
    group(tmp_path / "slurm", memory_dot_max=64 * GB, memory_dot_current=62 * GB)
    assert cgroup.limit(tmp_path, own) == 4 * GB
    assert cgroup.available(tmp_path, own) == 2 * GB


def test_the_first_version_beside_the_second(tmp_path, own):
    own.write_text("4:cpu,memory:/docker/abc\n2:cpuset:/\n0::/\n")
    files = {"memory_dot_limit_in_bytes": 2 * GB, "memory_dot_usage_in_bytes": GB}
    group(tmp_path / "memory", **files, memory_dot_stat="inactive_file 7\ntotal_inactive_file 500000000")
    assert cgroup.limit(tmp_path, own) == 2 * GB  # The container sees its own group as the root.
    assert cgroup.available(tmp_path, own) == 1.5 * GB


def test_no_limit(tmp_path, own):
    assert cgroup.limit(tmp_path, own) is None  # no such file: not Linux
    own.write_text("4:memory:/\n0::/\n")
    group(tmp_path / "memory", memory_dot_limit_in_bytes=NONE_SET, memory_dot_usage_in_bytes=GB)
    group(tmp_path, memory_dot_max="max")
    assert cgroup.limit(tmp_path, own) is None and cgroup.available(tmp_path, own) is None


def test_a_group_is_the_hosts_limit(monkeypatch):
    monkeypatch.setattr(cgroup, "limit", lambda: GB)
    monkeypatch.setattr(cgroup, "available", lambda: GB // 4)
    assert memory.host_limit() == GB and memory.host_available(GB) == GB // 4
