"""The call tree of a profile: one node for each path of functions from the root.

Nodes are views of the arrays that the core computed; they are made when asked for.
"""

from collections.abc import Iterator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cprof.profile import Profile


class _Arrays:
    """What all nodes of one tree share; column i is node i, 0 is the root."""

    def __init__(self, profile: "Profile", type_index: int) -> None:
        rows = profile._core.tree(type_index)
        self.parent = [row[0] for row in rows]
        self.name = [row[1] for row in rows]
        self.module = [row[2] for row in rows]
        self.depth = [row[3] for row in rows]
        self.self_ = [row[4] for row in rows]
        self.total = [row[5] for row in rows]
        self.unit = profile.sample_types[type_index][1]
        self.children: list[list[int]] = [[] for _ in rows]
        for i in range(1, len(rows)):
            self.children[self.parent[i]].append(i)


class Node:
    """One path of calls: the function at its end, called that way.

    `self` and `total` are sums of one sample type, in its unit: of the samples taken right
    there, and of those with everything that it called. The root of all is called "all" and
    has depth 0. `print(node)` shows the tree below it.
    """

    __slots__ = ("_arrays", "_i")

    def __init__(self, arrays: _Arrays, i: int) -> None:
        self._arrays, self._i = arrays, i

    @property
    def name(self) -> str:
        return self._arrays.name[self._i] if self._i else "all"

    @property
    def module(self) -> str:
        return self._arrays.module[self._i] if self._i else ""

    @property
    def depth(self) -> int:
        return self._arrays.depth[self._i]

    @property
    def self(self) -> int:
        return self._arrays.self_[self._i]

    @property
    def total(self) -> int:
        return self._arrays.total[self._i]

    @property
    def parent(self) -> "Node | None":
        return Node(self._arrays, self._arrays.parent[self._i]) if self._i else None

    @property
    def children(self) -> "list[Node]":
        """The functions called from here, the largest total first."""
        return [Node(self._arrays, i) for i in self._arrays.children[self._i]]

    def walk(self) -> "Iterator[Node]":
        """This node and all below it: callers before what they call, largest first."""
        pending = [self._i]
        while pending:
            i = pending.pop()
            yield Node(self._arrays, i)
            pending.extend(reversed(self._arrays.children[i]))

    def find(self, pattern: "str | list[str]") -> "list[Node]":
        """All nodes here and below whose function matches the glob `pattern` (as in
        `Profile.filter(under=)`), in the order of `walk`."""
        from cprof.match import matcher
        from cprof.names import variants

        matches = matcher(pattern)
        return [node for node in self.walk() if matches(variants(node.name))]

    def text(self, *, min_share: float = 0.005, max_depth: int | None = None) -> str:
        """The tree as text, without paths below `min_share` (0..1) of this node's total."""
        from cprof.report import tree_text

        return tree_text(self, min_share=min_share, max_depth=max_depth, unit=self._arrays.unit)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Node):
            return NotImplemented
        return self._arrays is other._arrays and self._i == other._i

    def __hash__(self) -> int:
        return hash((id(self._arrays), self._i))

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        n = len(self._arrays.children[self._i])
        return f"<Node {self.name!r}: total {self.total}, self {self.self}, {n} children>"


def root(profile: "Profile", type_index: int) -> Node:
    """The root of the profile's call tree, of one sample type by number."""
    return Node(_Arrays(profile, type_index), 0)
