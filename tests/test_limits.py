"""Limits on memory: control groups on made trees, and real ones where there are any."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from feasibility.runners.cgroup_mounts import (
    Hierarchy,
    memory_hierarchies,
    memory_limits,
    read_number,
)
from feasibility.runners.child_command import Command, local_command
from feasibility.runners.child_process import ChildResult, run_child
from feasibility.runners.child_protocol import Request
from feasibility.runners.limits import strongest_limit as choose
from feasibility.runners.limits.cgroup_files import (
    PAGE_BYTES,
    fresh_folder,
    process_ids,
    read_table,
    remove,
    remove_abandoned_groups,
    write_if_there,
)
from feasibility.runners.limits.memory_limit import (
    ADDRESS_SPACE,
    EXIT_NOT_IN_GROUP,
    Enforcer,
    EnforcerUnavailableError,
    MemoryLimit,
    Usage,
)
from feasibility.runners.limits.strongest_limit import (
    outer_v2_enforcer,
    own_v2_enforcer,
    strongest_enforcer,
    systemd_enforcer,
    v1_enforcer,
)
from feasibility.units import GIB, MIB

V1_FILES = {
    "cgroup.procs": "",
    "memory.limit_in_bytes": "9223372036854771712\n",
    "memory.memsw.limit_in_bytes": "9223372036854771712\n",
    "memory.swappiness": "60\n",
    "memory.oom_control": "oom_kill_disable 1\nunder_oom 0\noom_kill 3\n",
    "memory.max_usage_in_bytes": "1000\n",
    "memory.kmem.usage_in_bytes": "300\n",
    "memory.stat": "workingset_refault_file 2\npgmajfault 5\n",
}
V2_FILES = {
    "cgroup.procs": "",
    "cgroup.controllers": "cpu memory pids\n",
    "cgroup.subtree_control": "\n",
    "memory.max": "max\n",
    "memory.swap.max": "max\n",
    "memory.peak": "1000\n",
    "memory.events": "low 0\nmax 7\noom 1\noom_kill 3\n",
    "memory.stat": "kernel 300\nworkingset_refault_file 2\npgmajfault 5\n",
}


@dataclass(frozen=True)
class FakeKernel:
    """Answers mkdir and rmdir below a folder as the kernel does in a tree of groups."""

    root: Path
    files: dict[str, str]

    def make(self, group: Path) -> None:
        os.mkdir(group)  # noqa: PTH102 - Path.mkdir is what is replaced
        for name, content in self.files.items():
            (group / name).write_text(content)

    def remove(self, group: Path) -> None:
        if not group.is_dir():
            raise FileNotFoundError(errno.ENOENT, "No such file", str(group))
        # A process that was told to enter shows up in the file's text, as in the real one.
        alive = [pid for pid in (group / "cgroup.procs").read_text().split() if is_alive(int(pid))]
        if alive or any(path.is_dir() for path in group.iterdir()):
            raise OSError(errno.EBUSY, "Device or resource busy")
        for path in group.iterdir():
            path.unlink()
        os.rmdir(group)  # noqa: PTH106


def is_alive(pid: int) -> bool:
    """False for a killed process, even before its parent reads its exit status."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return pid != os.getpid() and state != "Z"


def fake(
    monkeypatch: pytest.MonkeyPatch, root: Path, files: dict[str, str], *groups: str
) -> FakeKernel:
    kernel = FakeKernel(root, files)
    mkdir, rmdir = Path.mkdir, Path.rmdir

    def make(path: Path, *args: object, **options: object) -> None:
        if path.is_relative_to(root):
            kernel.make(path)
        else:
            mkdir(path, *args, **options)  # type: ignore[arg-type]

    def take(path: Path) -> None:
        if path.is_relative_to(root):
            kernel.remove(path)
        else:
            rmdir(path)

    for group in ("", *groups):
        kernel.make(root / group)
    monkeypatch.setattr(Path, "mkdir", make)
    monkeypatch.setattr(Path, "rmdir", take)
    return kernel


@pytest.fixture
def v1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hierarchy:
    fake(monkeypatch, tmp_path / "memory", V1_FILES, "jobs")
    return Hierarchy(1, tmp_path / "memory", tmp_path / "memory/jobs")


@pytest.fixture
def v2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hierarchy:
    fake(monkeypatch, tmp_path / "unified", V2_FILES, "user", "user/shell")
    return Hierarchy(2, tmp_path / "unified", tmp_path / "unified/user/shell")


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("feasibility-*")]


def proc_with(folder: Path, mountinfo: str, cgroup: str) -> Path:
    proc = folder / "self"
    proc.mkdir()
    (proc / "mountinfo").write_text(mountinfo)
    (proc / "cgroup").write_text(cgroup)
    return proc


def test_both_versions_are_found_with_the_own_group(tmp_path: Path) -> None:
    (tmp_path / "v1 mount/jobs/a").mkdir(parents=True)
    (tmp_path / "v2/b").mkdir(parents=True)
    proc = proc_with(
        tmp_path,
        "22 1 8:1 / / rw - ext4 /dev/vda rw\n"
        f"30 22 0:27 / {tmp_path}/cpu rw shared:1 - cgroup cgroup rw,cpu\n"
        f"31 22 0:28 / {tmp_path}/v1\\040mount rw - cgroup cgroup rw,memory\n"
        f"32 22 0:29 / {tmp_path}/v2 rw,nosuid - cgroup2 cgroup2 rw\n"
        "not a mount\n",
        "4:memory:/jobs/a\n1:cpu:/c\n0::/b\n",
    )
    assert memory_hierarchies(proc) == (
        Hierarchy(2, tmp_path / "v2", tmp_path / "v2/b"),
        Hierarchy(1, tmp_path / "v1 mount", tmp_path / "v1 mount/jobs/a"),
    )


@pytest.mark.parametrize(
    ("root", "path", "own"),
    [
        ("/docker/x", "/docker/x/job", "job"),
        ("/docker/x", "/docker/x", ""),
        ("/docker/x", "/system.slice", ""),
        ("/", "/not/visible", ""),
        ("/", "/../outside", ""),
    ],
)
def test_a_container_sees_a_part_of_the_tree(
    tmp_path: Path, root: str, path: str, own: str
) -> None:
    (tmp_path / "cg/job").mkdir(parents=True)
    proc = proc_with(
        tmp_path, f"32 22 0:29 {root} {tmp_path}/cg rw - cgroup2 none rw\n", f"0::{path}\n"
    )
    assert [found.own for found in memory_hierarchies(proc)] == [tmp_path / "cg" / own]


def test_without_proc_there_are_none(tmp_path: Path) -> None:
    assert memory_hierarchies(tmp_path) == ()


def test_control_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "number").write_text("4096\n")
    (tmp_path / "max").write_text("max\n")
    (tmp_path / "table").write_text("a 1\nb 2\nnot a pair\nc x\n")
    assert read_number(tmp_path / "number") == 4096
    assert read_number(tmp_path / "max") is None
    assert read_number(tmp_path / "missing") is None
    assert read_table(tmp_path / "table") == {"a": 1, "b": 2}
    assert read_table(tmp_path / "missing") == {}


def test_a_missing_control_file_is_not_made(tmp_path: Path) -> None:
    """In a real tree that would fail with a message about permissions."""
    write_if_there(tmp_path / "memory.memsw.limit_in_bytes", 5)
    assert list(tmp_path.iterdir()) == []


def test_a_group_is_gone_whatever_happens_in_it(v1: Hierarchy) -> None:
    made = fresh_folder(v1.own)
    folder = made.__enter__()
    assert folder.name.startswith(f"feasibility-{os.getpid()}-")
    interrupt = KeyboardInterrupt()
    assert not made.__exit__(KeyboardInterrupt, interrupt, None)
    assert leftovers(v1.mount) == []


def test_what_still_runs_in_a_group_is_killed(v1: Hierarchy) -> None:
    sleeper = subprocess.Popen(["sleep", "600"])
    with fresh_folder(v1.own) as folder:
        (folder / "cgroup.procs").write_text(f"{sleeper.pid}\n")
        assert process_ids(folder) == (sleeper.pid,)

        def reap() -> Iterator[None]:
            sleeper.wait(30)
            yield

        # The fake kernel looks into /proc, where an unreaped process still stands.
        import threading

        thread = threading.Thread(target=lambda: next(reap()))
        thread.start()
    thread.join()
    assert sleeper.returncode == -signal.SIGKILL
    assert leftovers(v1.mount) == []


def test_removal_gives_up_on_a_group_that_stays_busy(v1: Hierarchy) -> None:
    inner = v1.own / "feasibility-1-aa/inner"
    inner.parent.mkdir()
    inner.mkdir()
    assert not remove(inner.parent, patience_s=0.05)
    assert remove(inner)
    assert remove(inner.parent)
    assert remove(inner.parent), "what is gone is gone"


def test_only_groups_of_dead_tools_are_removed(v1: Hierarchy) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    sleeper = subprocess.Popen(["sleep", "600"])
    names = {
        "dead": f"feasibility-{dead.pid}-a1b2c3",
        "busy": f"feasibility-{dead.pid}-busy01",
        "alive": f"feasibility-{os.getpid()}-a1b2c3",
        "benchmark": f"feasibility-{dead.pid}",
        "foreign": "somebody-1-a",
    }
    for name in names.values():
        (v1.own / name).mkdir()
    (v1.own / names["busy"] / "cgroup.procs").write_text(f"{sleeper.pid}\n")
    remove_abandoned_groups(v1.own)
    left = {path.name for path in v1.own.iterdir() if path.is_dir()}
    sleeper.kill()
    sleeper.wait()
    assert left == set(names.values()) - {names["dead"]}


def test_v1_sets_limit_swap_and_killer(v1: Hierarchy) -> None:
    with v1_enforcer(v1) as enforcer, enforcer.limit(50 * MIB) as limit:
        texts = {name: (limit.cgroup / name).read_text() for name in V1_FILES}
        assert limit.cgroup.parent == v1.own
        assert (enforcer.kind, limit.limit_bytes) == ("cgroup-v1", 50 * MIB)
    assert texts["memory.limit_in_bytes"].startswith(str(50 * MIB))
    assert texts["memory.memsw.limit_in_bytes"].startswith(str(50 * MIB))
    assert texts["memory.swappiness"].startswith("0")
    assert texts["memory.oom_control"].startswith("0")
    assert leftovers(v1.mount) == []


def test_v1_without_swap_accounting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = {name: text for name, text in V1_FILES.items() if "memsw" not in name}
    fake(monkeypatch, tmp_path / "memory", files)
    hierarchy = Hierarchy(1, tmp_path / "memory", tmp_path / "memory")
    with v1_enforcer(hierarchy) as enforcer, enforcer.limit(MIB) as limit:
        assert limit.limit_bytes == MIB


def test_v1_counts(v1: Hierarchy) -> None:
    with v1_enforcer(v1) as enforcer, enforcer.limit(None) as limit:
        (limit.cgroup / "memory.oom_control").write_text(V1_FILES["memory.oom_control"])
        assert limit.limit_bytes is None
        assert limit.usage() == Usage(
            kernel_bytes=300,
            peak_bytes=1000,
            refault_bytes=2 * PAGE_BYTES,
            major_fault_count=5,
            oom_kill_count=3,
        )


def hand_on(group: Path) -> None:
    (group / "cgroup.subtree_control").write_text("memory pids\n")


def test_v2_sets_limit_and_swap(v2: Hierarchy) -> None:
    hand_on(v2.own)
    with own_v2_enforcer(v2) as enforcer, enforcer.limit(50 * MIB) as limit:
        assert (enforcer.kind, limit.limit_bytes) == ("cgroup-v2", 50 * MIB)
        assert (limit.cgroup / "memory.swap.max").read_text().startswith("0")
        assert limit.cgroup.parent == v2.own
    assert leftovers(v2.mount) == []


def test_v2_counts(v2: Hierarchy) -> None:
    hand_on(v2.own)
    with own_v2_enforcer(v2) as enforcer, enforcer.limit(None) as limit:
        assert limit.limit_bytes is None
        assert limit.usage() == Usage(
            kernel_bytes=300,
            peak_bytes=1000,
            refault_bytes=2 * PAGE_BYTES,
            major_fault_count=5,
            oom_kill_count=3,
        )
        (limit.cgroup / "memory.stat").write_text("slab 4\npagetables 6\nworkingset_refault 1\n")
        (limit.cgroup / "memory.peak").unlink()
        old = limit.usage()
    assert (old.kernel_bytes, old.peak_bytes, old.refault_bytes) == (10, None, PAGE_BYTES)


def test_v2_takes_the_nearest_group_that_hands_memory_on(v2: Hierarchy) -> None:
    hand_on(v2.own)
    hand_on(v2.mount)
    with outer_v2_enforcer(v2) as enforcer:
        assert enforcer.parent == v2.mount
    hand_on(v2.own.parent)
    with outer_v2_enforcer(v2) as enforcer:
        assert enforcer.parent == v2.own.parent


def test_v2_finds_no_group_above(v2: Hierarchy) -> None:
    with pytest.raises(EnforcerUnavailableError, match="no control group above") as caught:
        outer_v2_enforcer(v2).__enter__()
    assert "--cgroupns=host" in caught.value.hint


def test_v2_splits_its_own_group_if_it_is_alone_there(v2: Hierarchy) -> None:
    procs, control = v2.own / "cgroup.procs", v2.own / "cgroup.subtree_control"
    procs.write_text(f"{os.getpid()}\n")
    with own_v2_enforcer(v2) as enforcer:
        (leaf,) = (path for path in v2.own.iterdir() if path.is_dir())
        assert enforcer.parent == v2.own
        assert (leaf / "cgroup.procs").read_text() == str(os.getpid())
        assert control.read_text().startswith("+memory")
    assert control.read_text().startswith("-memory")
    assert procs.read_text().startswith(str(os.getpid()))
    assert leftovers(v2.mount) == []


def test_v2_leaves_a_group_alone_that_holds_others(v2: Hierarchy) -> None:
    (v2.own / "cgroup.procs").write_text(f"{os.getpid()}\n{os.getppid()}\n")
    before = {path: path.read_text() for path in v2.own.iterdir()}
    with pytest.raises(EnforcerUnavailableError, match="other processes"):
        own_v2_enforcer(v2).__enter__()
    assert {path: path.read_text() for path in v2.own.iterdir()} == before


def test_v2_without_the_memory_controller(v2: Hierarchy) -> None:
    (v2.own / "cgroup.controllers").write_text("hugetlb\n")
    with pytest.raises(EnforcerUnavailableError, match="no memory controller") as caught:
        own_v2_enforcer(v2).__enter__()
    assert "cgroup_enable=memory" in caught.value.hint


def fake_systemd_run(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    folder.mkdir()
    program = folder / "systemd-run"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.fixture
def v2_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hierarchy:
    """A tree in which the group of any process of this machine is the root."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    paths = [line.removeprefix("0::/") for line in lines if line.startswith("0::")]
    if not paths:
        pytest.skip("no unified tree of control groups here")
    groups = [str(Path(*Path(paths[0]).parts[:n])) for n in range(1, len(Path(paths[0]).parts) + 1)]
    fake(monkeypatch, tmp_path / "unified", V2_FILES, *groups)
    return Hierarchy(2, tmp_path / "unified", tmp_path / "unified" / paths[0])


def test_systemd_hands_a_scope_over(
    v2_root: Hierarchy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The waiting process goes into a leaf, and children start through systemd-run."""
    fake_systemd_run(
        tmp_path / "bin",
        monkeypatch,
        f'echo "$@" >> {tmp_path}/calls; while [ "$1" != -- ]; do shift; done; shift; exec "$@"',
    )
    with systemd_enforcer(v2_root) as enforcer:
        assert (enforcer.kind, enforcer.parent) == ("systemd-scope", v2_root.own)
        (leaf,) = (path for path in v2_root.own.iterdir() if path.is_dir())
        waiting = process_ids(leaf)[0]
        assert is_alive(waiting)
        assert (v2_root.own / "cgroup.subtree_control").read_text().startswith("+memory")
        with enforcer.limit(MIB) as limit:
            command = limit.command(local_command()).argv
        assert command[0].endswith("bin/systemd-run")
        assert command[1:6] == ("--user", "--scope", "--quiet", "--collect", "--")
    assert not Path(f"/proc/{waiting}").exists()
    call = (tmp_path / "calls").read_text()
    assert f"--unit=feasibility-{os.getpid()}-" in call
    assert "-p Delegate=yes" in call


def test_systemd_does_not_answer(
    v2_root: Hierarchy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake_systemd_run(tmp_path / "bin", monkeypatch, "echo Failed to connect to bus >&2; exit 1")
    with pytest.raises(EnforcerUnavailableError, match="no service manager") as caught:
        systemd_enforcer(v2_root).__enter__()
    assert "enable-linger" in caught.value.hint


def test_systemd_is_not_installed(v2_root: Hierarchy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EnforcerUnavailableError, match="not installed"):
        systemd_enforcer(v2_root).__enter__()


def shell(script: str) -> Command:
    """Runs a line of shell instead of the child."""
    return Command(("/bin/sh", "-c", script), os.environ)


def test_the_child_is_inside_before_it_starts(tmp_path: Path) -> None:
    """The process that enters the group is the one that becomes the child."""
    procs = tmp_path / "cgroup.procs"
    command = MemoryLimit(None, cgroup=tmp_path).command(shell("echo $$"))
    result = subprocess.run(command.argv, capture_output=True, text=True, check=True)
    assert result.stdout == procs.read_text()


def test_a_child_that_cannot_enter_does_not_start(tmp_path: Path) -> None:
    command = MemoryLimit(None, cgroup=tmp_path / "none").command(shell("echo started"))
    result = subprocess.run(command.argv, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (EXIT_NOT_IN_GROUP, "")


def proc_of(tmp_path: Path, *hierarchies: Hierarchy) -> Path:
    mounts, groups = "", ""
    for found in hierarchies:
        kind, options = ("cgroup2", "rw") if found.version == 2 else ("cgroup", "rw,memory")
        mounts += f"1 1 0:1 / {found.mount} rw - {kind} none {options}\n"
        controller = "0:" if found.version == 2 else "4:memory"
        groups += f"{controller}:/{found.own.relative_to(found.mount)}\n"
    return proc_with(tmp_path, mounts, groups)


def test_the_first_that_works_is_chosen(
    v2: Hierarchy, v1_beside: Hierarchy, tmp_path: Path
) -> None:
    hand_on(v2.own)
    proc = proc_of(tmp_path, v1_beside, v2)
    with strongest_enforcer(proc) as (enforcer, refusals):
        assert (enforcer.kind, refusals) == ("cgroup-v2", ())
    (v2.own / "cgroup.controllers").write_text("\n")
    with strongest_enforcer(proc) as (enforcer, refusals):
        assert enforcer.kind == "cgroup-v1"
        assert {str(refusal) for refusal in refusals} == {"cgroup v2 has no memory controller here"}


@pytest.fixture
def v1_beside(v2: Hierarchy) -> Hierarchy:
    """A second tree of the same fake kernel, with the files of version 1."""
    root = v2.mount / "v1"
    FakeKernel(root, V1_FILES).make(root)
    return Hierarchy(1, root, root)


def test_without_any_group_the_weaker_limit_is_left(tmp_path: Path) -> None:
    with strongest_enforcer(proc_with(tmp_path, "", "")) as (enforcer, refusals):
        assert enforcer == ADDRESS_SPACE
        assert [str(refusal) for refusal in refusals] == ["no control groups are mounted here"]
        with enforcer.limit(10 * PAGE_BYTES + 1) as limit:
            assert (limit.limit_bytes, limit.ceiling_bytes) == (10 * PAGE_BYTES, 10 * PAGE_BYTES)
            command = local_command()
            assert limit.command(command) is command
            assert limit.usage() == Usage(refault_bytes=0)


def test_a_group_that_nobody_may_enter_is_refused(
    v1: Hierarchy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "_TRUE", Command(("false",), {}))
    with strongest_enforcer(proc_of(tmp_path, v1)) as (enforcer, refusals):
        assert enforcer.kind == "address-space"
        assert "no process can be moved" in str(refusals[0])
    assert leftovers(v1.mount) == []


@pytest.fixture
def enforcer() -> Iterator[Enforcer]:
    """The strongest real enforcer; skips where there is only the weaker limit."""
    with strongest_enforcer() as (found, refusals):
        if found.kind == "address-space":
            pytest.skip(f"no control group can be made here: {'; '.join(map(str, refusals))}")
        yield found


def run_in(enforcer: Enforcer, limit_bytes: int | None, script: str) -> tuple[ChildResult, Usage]:
    request = Request(action="describe", instrument="plain", model_path="", provider="", threads=1)
    with enforcer.limit(limit_bytes) as limit:
        command = limit.command(Command((sys.executable, "-c", script), os.environ))
        result = run_child(request, command, timeout_s=60)
        return result, limit.usage()


def test_the_kernel_kills_what_needs_more(enforcer: Enforcer) -> None:
    result, usage = run_in(enforcer, 64 * MIB, f"bytearray(b'x') * {100 * MIB}")
    assert (result.ending, result.signal_number) == ("signal", signal.SIGKILL)
    assert usage.oom_kill_count == 1


def test_the_kernel_lets_live_what_needs_less(enforcer: Enforcer) -> None:
    result, usage = run_in(enforcer, 64 * MIB, f"bytearray(b'x') * {30 * MIB}")
    assert (result.exit_code, usage.oom_kill_count) == (0, 0)
    assert usage.peak_bytes is None or 30 * MIB < usage.peak_bytes <= 64 * MIB


def test_limits_are_whole_pages(enforcer: Enforcer) -> None:
    with enforcer.limit(64 * MIB + 1) as limit:
        assert limit.limit_bytes == 64 * MIB


def test_a_real_group_takes_its_processes_with_it(enforcer: Enforcer) -> None:
    with enforcer.limit(None) as limit:
        command = limit.command(shell("exec sleep 600")).argv
        sleeper = subprocess.Popen(command, start_new_session=True)
        deadline = time.monotonic() + 30
        while not process_ids(limit.cgroup) and time.monotonic() < deadline:
            time.sleep(0.01)
    assert sleeper.wait(30) == -signal.SIGKILL


def test_limits_of_all_groups_around_this_process_count(tmp_path: Path) -> None:
    """A session may be unlimited while the slice that it is in is not."""
    own = tmp_path / "cg" / "user.slice" / "session.scope"
    own.mkdir(parents=True)
    mounts = (
        f"31 22 0:28 / {tmp_path}/cg rw - cgroup cgroup rw,memory\n"
        f"32 22 0:29 / {tmp_path}/cg rw - cgroup2 cgroup2 rw\n"
    )
    proc = proc_with(tmp_path, mounts, "4:memory:/\n0::/user.slice/session.scope\n")
    assert memory_limits(proc) == []
    (own / "memory.max").write_text("max\n")
    (own.parent / "memory.max").write_text("1073741824\n")
    (tmp_path / "memory.max").write_text("1\n")  # outside of the mount
    assert memory_limits(proc) == [GIB]
    (tmp_path / "cg" / "memory.limit_in_bytes").write_text("2147483648\n")
    (own / "memory.limit_in_bytes").write_text("1073741824\n")
    assert memory_limits(proc) == [GIB, 2 * GIB]
    (proc / "cgroup").write_text("4:memory:/user.slice/session.scope\n")
    assert memory_limits(proc) == [GIB, 2 * GIB]
