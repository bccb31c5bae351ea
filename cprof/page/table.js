// The table of functions: DOM text, sorted by any column.

const ROWS_SHOWN = 100;

/** Rows {key, self, total} of every function with any value; self and total by side. */
function functionRows(tree, nFunctions) {
  const sides = tree.self.map(() => [new Float64Array(nFunctions), new Float64Array(nFunctions)]);
  const isSeen = new Uint8Array(nFunctions);
  for (let i = 1; i < tree.n; i++) {
    const key = tree.key[i];
    sides.forEach(([self, total], side) => {
      self[key] += tree.self[side][i];
      if (tree.outermost[i]) total[key] += tree.total[side][i];
      if (tree.total[side][i]) isSeen[key] = 1;
    });
  }
  const rows = [];
  for (let key = 0; key < nFunctions; key++) {
    if (!isSeen[key]) continue;
    rows.push({ key, self: sides.map(([self]) => self[key]), total: sides.map(([, total]) => total[key]) });
  }
  return rows;
}

/** Columns are {name, title, value(row), text(row), isText, isFirst, bar(row), mark(row)}: `value`
 * sorts, `text` is shown on a bar (0..1), `mark` is a class. */
class FunctionTable {
  constructor(on) {
    Object.assign(this, { on, rows: [], columns: [], shown: ROWS_SHOWN, chosen: NONE, isMatch: null });
    byId("table-more").addEventListener("click", () => {
      this.shown *= 4;
      this.fill();
    });
    const body = byId("table-body");
    const keyOf = (event) => Number(event.target.closest("tr")?.dataset.key ?? NONE);
    body.addEventListener("click", (event) => on.select(keyOf(event)));
    body.addEventListener("dblclick", (event) => on.open(keyOf(event)));
    body.addEventListener("keydown", (event) => this.key(event));
  }

  show(rows, columns, module) {
    const names = columns.map((column) => column.name).join();
    if (names !== this.names) [this.sorted, this.isUp] = [columns.find((c) => c.isFirst), false];
    Object.assign(this, { rows, columns, names, module });
    this.sorted = columns.find((column) => column.name === this.sorted.name);
    this.head();
    this.sort();
  }

  /** Only functions for which `isMatch` (null: all). */
  filter(isMatch) {
    if (isMatch === this.isMatch) return;
    this.isMatch = isMatch;
    this.shown = ROWS_SHOWN;
    this.fill();
  }

  choose(key) {
    this.chosen = key;
    for (const row of byId("table-body").rows) this.mark(row, Number(row.dataset.key) === key);
  }

  mark(row, isChosen) {
    row.setAttribute("aria-selected", isChosen);
    if (isChosen) row.scrollIntoView({ block: "nearest" });
  }

  head() {
    byId("table-head").replaceChildren(...this.columns.map((column) => {
      const isSorted = column === this.sorted, arrow = this.isUp ? " ▴" : " ▾";
      const button = element("button", { type: "button", title: column.title },
        column.name + (isSorted ? arrow : ""));
      button.addEventListener("click", () => {
        this.isUp = isSorted ? !this.isUp : Boolean(column.isText);
        this.sorted = column;
        this.head();
        this.sort();
        byId("table-head").children[this.columns.indexOf(column)].firstChild.focus();
      });
      return element("th", {
        scope: "col", className: column.isText ? "" : "number",
        "aria-sort": isSorted ? (this.isUp ? "ascending" : "descending") : "none",
      }, button);
    }));
  }

  sort() {
    const { value, isText } = this.sorted, sign = this.isUp ? 1 : -1;
    const compare = isText ? (a, b) => (a < b ? -1 : a > b ? 1 : 0) : (a, b) => a - b;
    const keyed = this.rows.map((row) => [value(row), row]);
    keyed.sort((a, b) => sign * compare(a[0], b[0]) || a[1].key - b[1].key);
    this.rows = keyed.map((pair) => pair[1]);
    this.fill();
  }

  fill() {
    const rows = this.isMatch ? this.rows.filter((row) => this.isMatch(row.key)) : this.rows;
    const shown = rows.slice(0, this.shown);
    byId("table-body").replaceChildren(...shown.map((row) => this.line(row)));
    byId("table-count").textContent = shown.length < rows.length
      ? `${shown.length} of ${rows.length.toLocaleString("en")} functions`
      : `${rows.length.toLocaleString("en")} function${rows.length === 1 ? "" : "s"}`;
    byId("table-more").hidden = shown.length === rows.length;
  }

  line(row) {
    const cells = this.columns.map((column) => {
      const text = column.text(row);
      if (column.name === "function") {
        return element("td", { className: "name", title: `${text}\n${this.module(row.key)}` },
          element("bdi", {}, shortName(text)), element("small", {}, this.module(row.key)));
      }
      const cell = element("td", { className: `${column.isText ? "" : "number"} ${column.mark?.(row) ?? ""}` }, text);
      const bar = column.bar?.(row) ?? 0;
      if (bar) cell.style.setProperty("--bar", `${(100 * bar).toFixed(1)}%`);
      return cell;
    });
    const line = element("tr", { tabIndex: 0 }, ...cells);
    line.dataset.key = row.key;
    line.setAttribute("aria-selected", row.key === this.chosen);
    return line;
  }

  key(event) {
    const row = event.target.closest("tr");
    if (!row) return;
    const to = { ArrowDown: row.nextSibling, ArrowUp: row.previousSibling }[event.key];
    if (to) {
      to.focus();
      this.on.select(Number(to.dataset.key));
    } else if (event.key === " ") this.on.select(Number(row.dataset.key));
    else if (!event.key.startsWith("Arrow")) return;
    event.preventDefault();
    event.stopPropagation();
  }
}
