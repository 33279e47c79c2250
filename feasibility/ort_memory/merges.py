"""What does the runtime's optimizer merge? The result of looking for it."""

from __future__ import annotations

from typing import NamedTuple


class Merge(NamedTuple):
    """One kernel for a chain of nodes: what it reads, and the buffers that it allocates."""

    op_type: str
    reads: tuple[str, ...]
    workspace: tuple[int, ...] = ()


class Fusions:
    """The merges of a graph.

    Attributes:
        absorbed: Positions of nodes that do not run on their own.
        merged: The kernel for a chain, by the position of its last node.
        renamed: The value that replaces an output of a removed node.
    """

    def __init__(self) -> None:
        self.absorbed: set[int] = set()
        self.merged: dict[int, Merge] = {}
        self.renamed: dict[str, str] = {}

    def resolve(self, name: str) -> str:
        """The value that replaces a name."""
        root = name
        while root in self.renamed:
            root = self.renamed[root]
        # Shorten the chain, because long chains would take quadratic time.
        while name != root:
            self.renamed[name], name = root, self.renamed[name]
        return root
