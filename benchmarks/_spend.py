"""How much time and memory does one command take? Writes nanoseconds, peak bytes, exit code.

Linux counts the parent's high-water mark into a child's `ru_maxrss`, because the child
is a copy of the parent until it calls `execve`. So the parent has to be this small
program, started with `-I -S`, and never the benchmark with all its imports.
"""

import os
import sys
import time


def main() -> None:
    argv = sys.argv[1:]
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    started = time.perf_counter_ns()
    pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=quiet)
    _, status, usage = os.wait4(pid, 0)
    wall_ns = time.perf_counter_ns() - started
    sys.stdout.write(f"{wall_ns} {usage.ru_maxrss * 1024} {os.waitstatus_to_exitcode(status)}\n")


main()
