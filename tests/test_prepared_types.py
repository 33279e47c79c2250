"""Several threads may read documents at the same time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from feasibility.json_documents import encode
from tests import samples

_CODE = """
import sys, threading
from pathlib import Path
from feasibility.json_documents import decode
from feasibility.records.assessment import Assessment

sys.setswitchinterval(1e-6)
data, count = Path(sys.argv[1]).read_bytes(), 8
start, found = threading.Barrier(count), []

def read():
    start.wait()
    found.append(decode(data, Assessment, "it"))

threads = [threading.Thread(target=read) for _ in range(count)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert found == [found[0]] * count
"""


def test_threads_read_the_first_document_at_the_same_time(tmp_path: Path) -> None:
    """Without a lock around msgspec's preparation of the type, the process crashes."""
    saved = tmp_path / "saved.json"
    saved.write_bytes(encode(samples.assessment_of_many()))
    done = subprocess.run(
        [sys.executable, "-c", _CODE, saved], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
