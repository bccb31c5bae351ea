"""The call graph in graphviz's language (.dot), and drawn by graphviz (.dot.svg). Holds one
sample type.

It is cut as `go tool pprof -dot` cuts it (report.go, newTrimmedGraph): functions whose total is
below 0.5 % of the whole go, then all but the 80 that say most, then calls below 0.1 %. A
dotted call goes over functions that were left out. What was left out is written in the corner.
"""

import math
import subprocess
from collections.abc import Iterator, Sequence

from cprof.errors import CprofError, MissingPackage, translated
from cprof.export.files import replace
from cprof.graph import EDGE_FRACTION, NODE_COUNT, NODE_FRACTION
from cprof.graph import whole as total_of
from cprof.names import elide, printable, simplify
from cprof.report import Scale, percent, plural

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cprof.profile import Profile

_LONGEST = 2000  # characters of a name: graphviz takes 16,384 bytes in all
_GREY = 0.2  # scores below this lose their colour

Node = tuple[str, str, str, int, int, int, int]  # name, module, file, line, address, self, total
Edge = tuple[int, int, int, bool, bool]  # caller, callee, value, is inlined, is residual


def write(profile: "Profile", path: str, type_index: int) -> None:
    """Write the call graph of one sample type, drawn where `path` ends in .svg."""
    data = _text(profile, type_index).encode()
    if path.lower().endswith(".svg"):
        data = _draw(data)
    replace(path, lambda file: file.write(data))


def _draw(text: bytes) -> bytes:
    try:
        done = subprocess.run(["dot", "-Tsvg"], input=text, capture_output=True, check=False)
    except FileNotFoundError:
        raise MissingPackage(
            "a drawn call graph needs graphviz: there is no program called dot",
            "apt-get install graphviz, or write .dot and draw it elsewhere",
        ) from None
    if done.returncode:
        raise CprofError(f"dot failed: {printable(done.stderr.decode('utf-8', 'replace'))[:200]}")
    return done.stdout


class _Graph:
    """The graph as it is shown, and how much is not."""

    def __init__(self, profile: "Profile", type_index: int) -> None:
        self._core, self._type = profile._core, type_index
        self.nodes, self.edges = self._sums(None)
        n_all = self._n_used()
        whole = abs(sum(node[5] for node in self.nodes))
        self.node_cutoff, self.edge_cutoff = int(whole * NODE_FRACTION), int(whole * EDGE_FRACTION)
        self._keep([node for node in self.nodes if abs(node[6]) >= self.node_cutoff])
        if self._n_used() > NODE_COUNT:
            self._keep([self.nodes[i] for i in self._by_importance()[:NODE_COUNT]])
        order = self._by_importance()
        n_edges = len(self.edges)
        self.edges = self._heavy_edges()
        self.n_nodes_dropped = n_all - self._n_used()
        self.n_edges_dropped = n_edges - len(self.edges)
        self._drop_redundant(order)

    def _sums(self, keep: bytes | None) -> tuple[list[Node], list[Edge]]:
        with translated():
            return self._core.graph(self._type, "functions", keep=keep)

    def _keep(self, nodes: Sequence[Node]) -> None:
        kept = {node[:5] for node in nodes}
        every, _ = self._sums(None)
        self.nodes, self.edges = self._sums(bytes(node[:5] in kept for node in every))

    def _n_used(self) -> int:
        return sum(1 for node in self.nodes if node[5] or node[6])

    def _heavy_edges(self) -> list[Edge]:
        return [edge for edge in self.edges if edge[2] and abs(edge[2]) >= self.edge_cutoff]

    def _by_importance(self) -> list[int]:
        """The nodes by pprof's entropyScore: what calls and is called by many in even parts
        says most."""
        callers: list[list[int]] = [[] for _ in self.nodes]
        callees: list[list[int]] = [[] for _ in self.nodes]
        for caller, callee, value, *_ in self.edges:
            callers[callee].append(value)
            callees[caller].append(value)
        scores = [
            int((_entropy(callers[i], 0) + _entropy(callees[i], node[5])) * node[6]) + node[5]
            for i, node in enumerate(self.nodes)
        ]
        return sorted(range(len(scores)), key=lambda i: (-abs(scores[i]), self.nodes[i]))

    def _drop_redundant(self, order: Sequence[int]) -> None:
        """pprof's RemoveRedundantEdges: a residual call goes where another way leads from its
        caller to its callee, lightest first, up to the first call that is none."""
        callers: dict[int, list[Edge]] = {node: [] for node in order}
        by_weight = sorted(self.edges, key=lambda e: (-abs(e[2]), self.nodes[e[0]]))
        for edge in reversed(by_weight):
            callers[edge[1]].append(edge)
        gone: set[tuple[int, int]] = set()
        for node in reversed(order):
            for edge in callers[node]:
                if not edge[4]:
                    break
                if _is_reached_otherwise(edge, callers, gone):
                    gone.add(edge[:2])
        self.edges = [edge for edge in self.edges if edge[:2] not in gone]


def _entropy(values: Sequence[int], own: int) -> float:
    if not values:
        return 1.0
    shares = [abs(value) for value in (*values, own) if value]
    total = sum(shares)
    return -sum(share / total * math.log2(share / total) for share in shares)


def _is_reached_otherwise(
    edge: Edge, callers: dict[int, list[Edge]], gone: set[tuple[int, int]]
) -> bool:
    source, target = edge[:2]
    seen, pending = {target}, [target]
    while pending:
        for other in callers[pending.pop()]:
            caller = other[0]
            if other == edge or other[:2] in gone or caller in seen:
                continue
            if caller == source:
                return True
            seen.add(caller)
            pending.append(caller)
    return False


def _text(profile: "Profile", type_index: int) -> str:
    graph = _Graph(profile, type_index)
    unit = profile.sample_types[type_index][1]
    whole = total_of(profile._core, type_index)
    scale = Scale(unit, (whole,))
    lines = ['digraph "cprof" {', 'node [style=filled fillcolor="#f8f8f8" shape=box]']
    lines.append(_legend(profile, graph, type_index, scale))
    lines += _nodes(graph, scale, whole)
    lines += _edges(graph, scale, whole)
    return "\n".join((*lines, "}", ""))


def _legend(profile: "Profile", graph: _Graph, type_index: int, scale: Scale) -> str:
    name, _ = profile.sample_types[type_index]
    total = profile._core.totals()[type_index]
    facts = [
        profile.command or "profile",
        f"{name}: {scale.text(total)}",
        (
            f"left out: {plural(graph.n_nodes_dropped, 'function')} "
            f"(total below {scale.text(graph.node_cutoff)}, or not among {NODE_COUNT}), "
            f"{plural(graph.n_edges_dropped, 'call')} (below {scale.text(graph.edge_cutoff)})"
        ),
    ]
    label = "".join(f"{_escaped(fact)}\\l" for fact in facts)
    return f'subgraph cluster_L {{ "legend" [shape=box fontsize=16 label="{label}"] }}'


def _nodes(graph: _Graph, scale: Scale, whole: int) -> Iterator[str]:
    largest = max((abs(node[5]) for node in graph.nodes), default=0)
    for i, (name, module, _, _, _, own, total) in enumerate(graph.nodes):
        if not own and not total:
            continue
        size = 8 + math.ceil(16 * math.sqrt(abs(own) / largest)) if largest else 8
        label = [*_escaped(simplify(name)).split("::"), _escaped(module)]
        label.append(f"{scale.text(own)} ({percent(own, whole)})" if own else "0")
        if total != own:
            label.append(f"of {scale.text(total)} ({percent(total, whole)})")
        text = "\\n".join(filter(None, label))
        score = total / abs(whole) if whole else 0.0
        yield (
            f'N{i} [label="{text}" id="node{i}" fontsize={size} '
            f'tooltip="{_escaped(name)} ({scale.text(total)})" '
            f'color="{_color(score, 1.0, 0.7)}" fillcolor="{_color(score, 0.1, 0.93)}"]'
        )


def _edges(graph: _Graph, scale: Scale, whole: int) -> Iterator[str]:
    for caller, callee, value, is_inlined, is_residual in graph.edges:
        score = value / abs(whole) if whole else 0.0
        label = f" {scale.text(value)}" + ("\\n (inline)" if is_inlined else "")
        weight, width = (1 + int(min(abs(score) * most, most)) for most in (100, 5))
        style = " style=dotted" if is_residual else ""
        yield (
            f'N{caller} -> N{callee} [label="{label}" weight={weight} penwidth={width} '
            f'color="{_color(score, 1.0, 0.7)}"{style}]'
        )


def _escaped(text: str) -> str:
    return elide(text, _LONGEST).replace("\\", "\\\\").replace('"', '\\"')


def _color(score: float, saturation: float, value: float) -> str:
    """pprof's dotColor: green for -1, grey for 0, red for 1."""
    score = max(-1.0, min(1.0, score))
    saturation *= min(abs(score) / _GREY, 1.0)
    strength = abs(score) ** 0.3
    red = green = value
    if score < 0:
        red *= 1 - saturation * strength
    else:
        green *= 1 - saturation * strength
    return "#" + "".join(f"{int(255 * c):02x}" for c in (red, green, value * (1 - saturation)))
