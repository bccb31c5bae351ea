// The source of one function with the cost of each line.

/** Sums by "file:line" of one function's lines: Map of file -> Map of line -> {self, total}, by
 * side. `sums` are self values by node of the data. */
function lineCosts(data, sums, key) {
  const { nodeParent, nodeFrame, frameFunction, frameFile, frameLine } = data;
  const totals = sums.map((values) => {
    const total = values.slice();
    for (let i = total.length - 1; i >= 0; i--) {
      if (nodeParent[i] !== NONE) total[nodeParent[i]] += total[i];
    }
    return total;
  });
  const files = new Map();
  for (let i = 0; i < nodeFrame.length; i++) {
    const frame = nodeFrame[i];
    if (frameFunction[frame] !== key) continue;
    let isOutermost = true; // of this line on its stack: recursion counts once
    for (let at = nodeParent[i]; at !== NONE && isOutermost; at = nodeParent[at]) {
      isOutermost = nodeFrame[at] !== frame;
    }
    const lines = files.get(frameFile[frame]) ?? new Map();
    files.set(frameFile[frame], lines);
    const cost = lines.get(frameLine[frame]) ?? { self: sums.map(() => 0), total: sums.map(() => 0) };
    lines.set(frameLine[frame], cost);
    sums.forEach((values, side) => {
      cost.self[side] += values[i];
      if (isOutermost) cost.total[side] += totals[side][i];
    });
  }
  return files;
}

class CodePane {
  constructor(onClose) {
    byId("code-close").addEventListener("click", onClose);
  }

  /** `format(value by side)` writes a cell; `headings` are the names of its two columns. */
  show(data, sums, key, { headings, format, weigh }) {
    const files = lineCosts(data, sums, key);
    const rows = [];
    let note = "";
    for (const [file, costs] of files) {
      const source = data.sources[file];
      if (files.size > 1 || source) rows.push({ heading: data.files[file] || "no file is known" });
      if (source?.note) note = source.note;
      else if (!source && data.files[file]) note = data.sourceNote;
      rows.push(...this.rowsOf(costs, source));
    }
    if (!data.hasLines) note = "No lines are known: there was no debug information.";
    byId("code-name").textContent = data.label(key);
    byId("code-note").textContent = note;
    byId("code-head").replaceChildren(...[...headings, "line", "source"].map((name, i) =>
      element("th", { scope: "col", className: i < 3 ? "number" : "" }, name)));
    const largest = Math.max(...rows.map((row) => (row.cost ? weigh(row.cost.total) : 0)), 0);
    const body = byId("code-body");
    body.replaceChildren(...rows.map((row) => this.line(row, format, weigh, largest)));
    byId("code").hidden = false;
    body.querySelector("tr.hottest")?.scrollIntoView({ block: "center" });
  }

  /** The lines that cost something and those of the source that are here, with gaps. */
  rowsOf(costs, source) {
    const text = new Map();
    for (const [first, lines] of source?.parts ?? []) {
      lines.forEach((line, i) => text.set(first + i, line));
    }
    const near = 6, wanted = new Set(costs.keys());
    for (const number of costs.keys()) {
      for (let n = number - near; n <= number + near; n++) if (number && text.has(n)) wanted.add(n);
    }
    const rows = [];
    let before = NONE;
    for (const number of [...wanted].sort((a, b) => a - b)) {
      if (before !== NONE && number > before + 1) rows.push({ isGap: true });
      rows.push({ number, cost: costs.get(number), text: text.get(number) ?? "" });
      before = number;
    }
    return rows;
  }

  line(row, format, weigh, largest) {
    if (row.isGap) return element("tr", { className: "gap" }, element("td", { colSpan: 4 }, "  ⋯"));
    if (row.heading) return element("tr", { className: "gap" }, element("td", { colSpan: 4 }, row.heading));
    const cells = ["self", "total"].map((kind) =>
      element("td", { className: "number" }, row.cost && weigh(row.cost[kind]) ? format(row.cost[kind]) : ""));
    const heat = row.cost && largest ? weigh(row.cost.total) / largest : 0;
    const line = element("tr", { className: heat === 1 ? "hottest" : "" }, ...cells,
      element("td", { className: "line" }, row.number || "?"),
      element("td", { className: "source" }, row.text || (row.number ? "" : "no line is known")));
    if (heat) line.style.background = `rgba(var(--heat), ${(0.06 + 0.34 * heat).toFixed(3)})`;
    return line;
  }
}
