"""Reference architectures as ONNX files with seeded weights.

They have the operators, the sizes and the file layout of published models, so that
memory and time can be measured without a download; what they compute means nothing.
"""

from __future__ import annotations

from feasibility.zoo.architectures import ZooEntry, build, entries

__all__ = ["ZooEntry", "build", "entries"]
