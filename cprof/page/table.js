// The table of functions: DOM text, sorted by any column.

const ROWS_SHOWN = 60;

/** Sums by key, `self` and `total` for each side, and the `keys` of functions with any. */
function functionSums(tree, nFunctions) {
  const { n, key, outermost } = tree, isSeen = new Uint8Array(nFunctions);
  const empty = () => tree.self.map(() => new Float64Array(nFunctions));
  const self = empty(), total = empty();
  for (let side = 0; side < self.length; side++) {
    const ownSums = self[side], sums = total[side], own = tree.self[side], all = tree.total[side];
    for (let i = 1; i < n; i++) {
      ownSums[key[i]] += own[i];
      if (outermost[i]) sums[key[i]] += all[i];
      if (all[i]) isSeen[key[i]] = 1;
    }
  }
  return { self, total, keys: Uint32Array.from(isSeen.keys()).filter((k) => isSeen[k]) };
}

/** Columns are {name, title, value(key), text(key), isText, isFirst, bar(key), mark(key)}: `value`
 * sorts, `text` is shown on a bar (0..1), `mark` is a class. */
class FunctionTable {
  constructor(on) {
    Object.assign(this, { on, keys: new Uint32Array(0), columns: [], shown: ROWS_SHOWN, chosen: NONE, isMatch: null });
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

  /** Functions by their keys; `module(key)` is written beside each name. */
  show(keys, columns, module) {
    const names = columns.map((column) => column.name).join();
    if (names !== this.names) [this.sorted, this.isUp] = [columns.find((c) => c.isFirst), false];
    Object.assign(this, { keys, columns, names, module });
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
    const { value, isText } = this.sorted, keys = this.keys.slice().sort();
    const values = Array.from(keys, value);
    const order = isText
      ? values.map((_, i) => i).sort((i, j) => (values[i] > values[j] ? -1 : values[i] < values[j] ? 1 : j - i))
      : descending(values);
    this.keys = keys.map((_, i) => keys[order[i]]);
    if (this.isUp) this.keys.reverse();
    this.fill();
  }

  fill() {
    const keys = this.isMatch ? this.keys.filter((key) => this.isMatch(key)) : this.keys;
    const shown = keys.subarray(0, this.shown);
    byId("table-body").replaceChildren(...Array.from(shown, (key) => this.line(key)));
    byId("table-count").textContent = shown.length < keys.length
      ? `${shown.length} of ${formatCount(keys.length)} functions`
      : `${formatCount(keys.length)} function${keys.length === 1 ? "" : "s"}`;
    byId("table-more").hidden = shown.length === keys.length;
  }

  line(key) {
    const cells = this.columns.map((column) => {
      const text = column.text(key);
      if (column.name === "function") {
        return element("td", { className: "name", title: `${text}\n${this.module(key)}` },
          element("bdi", {}, shortName(text)), element("small", {}, this.module(key)));
      }
      const cell = element("td", { className: `${column.isText ? "" : "number"} ${column.mark?.(key) ?? ""}` }, text);
      const bar = column.bar?.(key) ?? 0;
      if (bar) cell.style.setProperty("--bar", `${(100 * bar).toFixed(1)}%`);
      return cell;
    });
    const line = element("tr", { tabIndex: 0 }, ...cells);
    line.dataset.key = key;
    line.setAttribute("aria-selected", key === this.chosen);
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
