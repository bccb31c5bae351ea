// What happens when somebody chooses, clicks, types. The state is plain data (link.js); every
// change goes through App.apply, which makes again what depends on it.

const LEGEND_SHOWN = 8;
const KEYS = {
  "/": (app) => byId("search").select(),
  "Enter": (app) => app.zoom(app.selected),
  "Escape": (app) => app.reset(),
  "s": (app) => app.sandwich(),
  "c": (app) => app.toggleCode(),
  "l": (app) => app.copyLink(),
  "+": (app) => app.zoomBy(0.5),
  "=": (app) => app.zoomBy(0.5),
  "-": (app) => app.zoomBy(2),
  "ArrowUp": (app) => app.step(-1),
  "ArrowDown": (app) => app.step(1),
  "ArrowLeft": (app) => app.stepAside(-1),
  "ArrowRight": (app) => app.stepAside(1),
};

class App {
  constructor(sources) {
    this.sources = sources; // the text of each kind's data
    this.datas = [];
    this.flame = new Flame(byId("canvas"), {
      select: (frame) => this.select(frame),
      zoom: (frame) => this.zoom(frame),
      hover: (frame, event) => this.hover(frame, event),
      moved: () => this.remember(),
    });
    this.table = new FunctionTable({
      select: (key) => key !== NONE && this.selectFunction(key),
      open: (key) => key !== NONE && this.apply({ view: "sandwich", function: key }),
    });
    this.text = new TextTree();
    this.detail = new DetailPane();
    this.code = new CodePane(() => this.toggleCode());
    this.listen();
  }

  /** Show what the page's address asks for. */
  async open() {
    this.state = fromHash(location.hash);
    const kind = Number(this.state.kind) || 0;
    const text = this.sources[kind] ?? this.sources[0];
    this.data = this.datas[kind] ??= await Data.decode(text);
    this.prepare();
    this.fillMenus();
    this.measure();
  }

  apply(changes) {
    const { state } = this;
    Object.assign(state, changes);
    if ("kind" in changes) {
      writeHash(toHash({ kind: state.kind }));
      return this.open();
    }
    if ("type" in changes || "thread" in changes) this.measure();
    else if ("view" in changes || "order" in changes || "function" in changes) this.arrange();
    else if ("color" in changes || "search" in changes) this.paint();
    this.remember();
  }

  // From data to picture

  prepare() {
    const { data } = this;
    Object.assign(this, functionTree(data), { selected: null, memory: new Map() });
    this.modules = data.modulesByCost();
    this.moduleColors = moduleColors(this.modules);
    this.diffRows = new Map((data.diffRows ?? []).map((row) => [row.key, row]));
    document.title = `${data.title} – cprof`;
    byId("title").textContent = data.title;
    byId("facts").replaceChildren(...data.facts.map((line) => element("div", {}, line)));
    byId("notes").replaceChildren(...data.notes.map((line) => element("li", {}, line)));
    byId("notes").hidden = !data.notes.length;
    document.querySelector("main").classList.toggle("is-diff", data.isDiff);
  }

  fillMenus() {
    const { data, state } = this;
    const option = (value, text) => element("option", { value }, text);
    byId("type").replaceChildren(...data.types.map(([name, unit]) => option(name, `${name} (${unit})`)));
    byId("thread").replaceChildren(option("", "all threads"), ...this.threadOptions(option));
    byId("kind-label").hidden = this.sources.length < 2;
    byId("kind").replaceChildren(...this.sources.map((_, i) => option(i, data.kinds[i])));
    byId("kind").value = Number(state.kind) || 0;
    byId("color-label").hidden = !data.isDiff;
    state.color ??= data.isDiff ? "delta" : "module";
  }

  /** Threads in the order of their cost, by process where there are several. */
  threadOptions(option) {
    const { data } = this, cost = new Float64Array(data.threads.length);
    const value = data.values[data.defaultType];
    for (let i = 0; i < value.length; i++) cost[data.rowThread[i]] += value[i];
    const threads = data.threads.map((thread, i) => ({ ...thread, cost: cost[i] }))
      .filter((thread) => thread.cost).sort((a, b) => b.cost - a.cost);
    const processes = Map.groupBy(threads, (thread) => thread.process);
    return [...processes].flatMap(([process, members]) => {
      const options = members.map((thread) => option(thread.id, thread.label));
      if (members.length < 2 || processes.size < 2) return options;
      const group = element("optgroup", { label: members[0].of });
      group.append(option(process, `all of ${members[0].of}`), ...options);
      return [group];
    });
  }

  typeIndex() {
    const index = this.data.types.findIndex(([name]) => name === this.state.type);
    return index < 0 ? this.data.defaultType : index;
  }

  /** Sums for the chosen type and threads; then all that shows them. */
  measure() {
    const { data, state, tree, of } = this;
    const type = this.type = this.typeIndex();
    this.unit = data.types[type][1];
    this.sums = data.sums(type, state.thread);
    tree.fill(gatherSums(this.sums, of, tree.n), data.scales(type));
    this.whole = tree.total.map((total) => total[0]);
    this.counted = null;
    byId("type").value = data.types[type][0];
    byId("thread").value = state.thread;
    this.functions = functionSums(tree, data.nFunctions);
    this.table.show(this.functions.keys, this.columns(), (key) => data.module(key));
    this.arrange();
  }

  /** The same tree filled with numbers of samples; null where the data have none. */
  get counts() {
    return (this.counted ??= [this.countTree()])[0];
  }

  countTree() {
    const { data, tree } = this, named = ["samples", "count"];
    let index = data.types.findIndex(([name]) => name === named[0]);
    if (index < 0) index = data.types.findIndex(([, unit]) => unit === named[1]);
    if (index < 0 || index === this.type) return index < 0 ? null : tree;
    const sums = gatherSums(data.sums(index, this.state.thread), this.of, tree.n);
    return Object.assign(new Tree([], []), tree).fill(sums, data.scales(index));
  }

  /** The bands of the chosen view. */
  arrange() {
    const { data, state, tree, flame } = this;
    if (state.view === "sandwich") state.function ??= this.selected ? this.keyOf(this.selected) : NONE;
    if (state.view === "sandwich" && !(Number(state.function) < data.nFunctions)) {
      state.function = String(this.table.keys[0] ?? NONE);
    }
    if (state.view !== "sandwich") state.function = null;
    if (!data.hasTime || data.isDiff) state.order = "heavy";
    const isSame = this.arranged === this.sceneName(); // restored, or only another type
    this.arranged = this.sceneName();
    this.bands = state.view === "sandwich" ? this.sandwichBands() : [this.mainBand()];
    this.isMain = state.view !== "sandwich" && state.order === "heavy";
    document.querySelectorAll("[name=view]").forEach((radio) => { radio.checked = radio.value === state.view; });
    byId("order").value = state.order;
    byId("order-label").hidden = !data.hasTime || data.isDiff || ["sandwich", "text"].includes(state.view);
    byId("text").hidden = state.view !== "text";
    byId("canvas").hidden = byId("legend").hidden = state.view === "text";
    byId("empty").hidden = tree.width[0] > 0;
    byId("empty").textContent = `No ${data.types[this.type][0]} here.`;
    if (!isSame) flame.view = { left: 0, right: 1 };
    this.paint();
    this.restore(isSame);
    if (state.view === "text") this.showText();
  }

  sceneName() {
    const { view, order, thread, function: key } = this.state;
    return [view === "flame" ? "icicle" : view, order, order === "time" ? thread : "", key].join();
  }

  mainBand() {
    const { state, tree } = this, isUp = state.view === "flame";
    if (state.order !== "time") return this.band(tree, () => this.counts, { isUp });
    const chart = timeTree(this.data, tree, this.of, this.type, state.thread);
    return this.band(chart, () => null, { isUp, isGiven: true });
  }

  sandwichBands() {
    const key = Number(this.state.function);
    const trees = sandwichTrees(this.tree, key);
    const counts = () => this.counts && sandwichTrees(this.counts, key);
    return [
      this.band(trees.up, () => counts()?.up, { isUp: true, skip: 1, name: "up" }),
      this.band(trees.down, () => counts()?.down, {}),
    ];
  }

  /** `counts` gives the tree of numbers of samples, when asked. */
  band(tree, counts, { isUp = false, isGiven = false, skip = 0, name = "" }) {
    return { tree, counts, isUp, skip, name, ...layOut(tree, isGiven) };
  }

  /** Colours and the search. */
  paint() {
    const { data, state, flame } = this, isDelta = data.isDiff && state.color === "delta";
    this.search();
    const color = isDelta ? coloringByDelta() : coloringByModule(data, this.moduleColors);
    const { scroll } = flame, isShown = flame.bands === this.bands;
    byId("legend").replaceChildren(...(isDelta ? this.deltaLegend() : this.moduleLegend()));
    flame.show(this.bands, { color, label: (key) => data.label(key), isMatch: this.isMatch });
    if (isShown) flame.scroll = scroll;
    byId("color").value = state.color;
    byId("canvas").setAttribute("aria-label", this.describe());
  }

  describe() {
    const { data, state, type } = this;
    return `${state.view} graph of ${data.types[type][0]}, ${this.wholeText()}. Arrow keys move, `
      + "Enter zooms, Escape resets, slash searches. The view called Text is the same as text.";
  }

  wholeText() {
    return this.whole.map((value) => formatValue(value, this.unit)).join(" and ");
  }

  moduleLegend() {
    const shown = this.modules.filter((name) => name).slice(0, LEGEND_SHOWN);
    return shown.map((name) => this.swatch(moduleColor(this.moduleColors.get(name)), name));
  }

  deltaLegend() {
    const palette = colors(), { mode } = this.data;
    return [...DELTAS, "same"].map((name) => this.swatch(palette[name], name)).concat(
      element("span", {}, `width: mean of both sides, by ${mode}; widest first: two sides have no common order of time`));
  }

  swatch(color, name) {
    const mark = element("i");
    mark.style.background = color;
    return element("span", {}, mark, element("bdi", {}, name));
  }

  search() {
    const { data, state, tree } = this, output = byId("matched");
    if (byId("search").value !== state.search) byId("search").value = state.search;
    this.isMatch = null;
    output.classList.remove("bad");
    output.textContent = "";
    if (state.search) {
      try {
        const mask = data.matching(state.search);
        this.isMatch = (key) => mask[key] === 1;
      } catch (error) {
        output.classList.add("bad");
        output.textContent = "no regular expression";
      }
    }
    if (this.isMatch) output.textContent = `matched ${this.matchedShare(tree).map(formatShare).join(" → ")}`;
    this.table.filter(this.isMatch);
  }

  /** The share of the samples, on each side, with a match anywhere on their stack. */
  matchedShare(tree) {
    const isUnder = new Uint8Array(tree.n), sums = tree.total.map(() => 0);
    for (let i = 1; i < tree.n; i++) {
      isUnder[i] = isUnder[tree.parent[i]];
      if (isUnder[i] || !this.isMatch(tree.key[i])) continue;
      isUnder[i] = 1;
      tree.total.forEach((total, side) => { sums[side] += total[i]; });
    }
    return sums.map((sum, side) => (this.whole[side] ? sum / this.whole[side] : 0));
  }

  showText() {
    const { data, tree } = this;
    this.text.show(tree, (node) => ({
      share: this.shareText(tree, node),
      label: data.label(tree.key[node]),
      note: [data.module(tree.key[node]), ...this.amounts(tree, node)].filter(Boolean).join(" · "),
    }), (node) => this.select({ band: this.bands[0], node }));
  }

  // Words and numbers

  shareText(tree, node) {
    return tree.total.map((total, side) =>
      formatShare(this.whole[side] ? total[node] / this.whole[side] : 0)).join(" → ");
  }

  amounts(tree, node) {
    const text = (values) => values.map((v) => formatValue(v[node], this.unit)).join(" → ");
    return [`total ${text(tree.total)}`, `self ${text(tree.self)}`];
  }

  /** "1.2 s (34.5 %)" of one side's whole. */
  amount(value, side = 0) {
    const share = this.whole[side] ? ` (${formatShare(value / this.whole[side])})` : "";
    return formatValue(value, this.unit) + share;
  }

  /** Cells of the values of both sides: base, new and delta. */
  compared(values) {
    const { data, tree, unit } = this, { mode } = data;
    const scaled = values.map((value, side) => value * tree.scales[side]);
    return [...scaled.map((value) => formatScaled(value, mode, unit)),
      formatDelta(scaled[1] - scaled[0], mode, unit)];
  }

  columns() {
    const { data, whole, unit, functions } = this;
    const name = { name: "function", title: "Function and module", isText: true,
      value: (key) => data.label(key), text: (key) => data.label(key) };
    if (data.isDiff) return [name, ...this.diffColumns()];
    const sums = ["self", "total"].flatMap((kind) => {
      const meaning = kind === "self" ? "in the function itself" : "in it and in what it calls";
      const value = (key) => functions[kind][0][key];
      const largest = functions.keys.reduce((most, key) => Math.max(most, value(key)), 1);
      return [
        { name: kind, title: `Samples ${meaning}`, value, text: (key) => formatValue(value(key), unit),
          isFirst: kind === "self" },
        { name: `${kind} %`, title: `Share ${meaning}`, value,
          bar: (key) => value(key) / largest,
          text: (key) => (whole[0] ? formatShare(value(key) / whole[0]) : "") },
      ];
    });
    return [name, ...sums];
  }

  diffColumns() {
    const { data, tree, unit, functions } = this, { mode } = data;
    const scaled = (key, kind, side) => functions[kind][side][key] * tree.scales[side];
    const delta = (key, kind) => scaled(key, kind, 1) - scaled(key, kind, 0);
    const side = (name, i) => ({ name, title: `Self on the side "${name}", by ${mode}`,
      value: (key) => scaled(key, "self", i),
      text: (key) => formatScaled(scaled(key, "self", i), mode, unit) });
    const change = (name, kind, isFirst) => ({ name, isFirst, title: `Change of ${kind}, by ${mode}`,
      value: (key) => Math.abs(delta(key, kind)),
      text: (key) => formatDelta(delta(key, kind), mode, unit),
      mark: (key) => (delta(key, kind) > 0 ? "up" : delta(key, kind) < 0 ? "down" : "") });
    const intervals = this.hasIntervals() ? this.stateColumns() : [];
    return [change("delta", "self", true), ...intervals, side("base", 0), side("new", 1),
      change("Δ total", "total", false)];
  }

  /** Intervals hold for what was compared: one type, all threads. */
  hasIntervals() {
    return this.diffRows.size && this.type === this.data.defaultType && !this.state.thread;
  }

  stateColumns() {
    const row = (key) => this.diffRows.get(key);
    return [
      { name: "95 %", title: "Interval of the change of self, 95 %", value: (key) => row(key)?.low ?? -Infinity,
        text: (key) => this.intervalText(row(key)) },
      { name: "state", title: "same unless the change is significant (q < 0.05)", isText: true,
        value: (key) => row(key)?.state ?? "", text: (key) => row(key)?.state ?? "" },
    ];
  }

  /** "+1.2 … +3.4 pp": the unit once where both ends have the same. */
  intervalText(row) {
    if (!row || (row.low === null && row.high === null)) return "";
    const [low, high] = [row.low, row.high].map((value) =>
      (value === null ? "?" : formatDelta(value, this.data.mode, this.unit)));
    const unit = / \S+$/.exec(high)?.[0] ?? "";
    return `${unit && low.endsWith(unit) ? low.slice(0, -unit.length) : low} … ${high}`;
  }

  showDetail() {
    const { data, selected } = this;
    const has = selected !== null;
    for (const id of ["do-zoom", "do-sandwich", "do-code", "do-link"]) byId(id).disabled = !has;
    byId("do-code").disabled ||= !(this.keyOf(selected) < data.nFunctions);
    byId("do-sandwich").disabled ||= byId("do-code").disabled;
    showCrumbs(...this.crumbs());
    if (!has) {
      return this.detail.show({ label: "Nothing is selected", place: "Click a frame, or a function.", note: "", rows: [] });
    }
    const { band: { tree }, node } = selected, key = tree.key[node];
    this.detail.show({
      label: data.label(key),
      place: this.placeText(key),
      note: this.noteText(tree, node, key),
      rows: data.isDiff ? this.diffDetail(tree, node, key) : this.plainDetail(tree, node, key),
    });
  }

  plainDetail(tree, node, key) {
    const rows = [["", "self", "total"],
      ["this frame", this.amount(tree.self[0][node]), this.amount(tree.total[0][node])]];
    if (key < this.data.nFunctions) {
      const { self, total } = this.functions;
      rows.push(["function", this.amount(self[0][key]), this.amount(total[0][key])]);
    }
    const counts = this.selected.band.counts();
    if (counts) {
      rows.push(["samples", ...["self", "total"].map((kind) => formatCount(counts[kind][0][node]))]);
    }
    return rows;
  }

  diffDetail(tree, node, key) {
    const pick = (values) => values.map((column) => column[node]);
    const rows = [["", "base", "new", "delta"],
      ["self", ...this.compared(pick(tree.self))], ["total", ...this.compared(pick(tree.total))]];
    if (key < this.data.nFunctions) {
      const of = (sums) => sums.map((values) => values[key]);
      rows.push(["function self", ...this.compared(of(this.functions.self))],
        ["function total", ...this.compared(of(this.functions.total))]);
    }
    const counts = this.selected.band.counts();
    if (counts) rows.push(["samples", ...pick(counts.total).map(formatCount), ""]);
    return rows;
  }

  placeText(key) {
    const { data } = this;
    if (key >= data.nFunctions) return "";
    const file = data.files[data.functions.file[key]], line = data.functions.line[key];
    const place = file && line ? `${file}:${line}` : file;
    return [place, data.module(key)].filter(Boolean).join(" · ");
  }

  noteText(tree, node, key) {
    const notes = [], row = this.diffRows.get(key);
    if (row && this.hasIntervals()) {
      const q = row.q === null ? "" : `, q ${row.q.toPrecision(2)}`;
      notes.push(`${row.state}: self ${formatDelta(row.delta, this.data.mode, this.unit)} (95 % ${this.intervalText(row)}${q})`);
    }
    if (tree.since && node) {
      const seconds = (tick) => (((tick - this.data.tickFrom) * this.data.tickNs) / 1e9).toFixed(3);
      notes.push(`from ${seconds(tree.since[node])} to ${seconds(tree.until[node])} s`);
    }
    const parent = tree.parent[node];
    if (node && tree.width[parent]) notes.push(`${formatShare(tree.width[node] / tree.width[parent])} of ${shortName(this.data.label(tree.key[parent]))}`);
    return notes.join("; ");
  }

  crumbs() {
    const { selected, data } = this, band = selected?.band ?? this.bands[0];
    const label = (node) => data.label(band.tree.key[node]);
    const path = selected ? band.tree.path(selected.node) : [0];
    return [path, label, (node) => {
      const frame = { band, node };
      this.select(frame);
      this.zoom(frame);
    }];
  }

  // What people do

  keyOf(frame) { return frame ? frame.band.tree.key[frame.node] : NONE; }

  select(frame, { isQuiet = false } = {}) {
    this.selected = frame;
    this.flame.selected = frame;
    this.flame.selectedKey = frame?.node ? this.keyOf(frame) : -1;
    this.flame.redraw();
    this.table.choose(this.keyOf(frame));
    this.showDetail();
    if (!byId("code").hidden) this.showCode();
    if (!isQuiet) this.remember();
  }

  /** Select the widest frame of a function. */
  selectFunction(key) {
    if (this.state.view === "sandwich" && Number(this.state.function) !== key) {
      return this.apply({ function: String(key) });
    }
    const band = this.bands[this.bands.length - 1], { tree } = band;
    let widest = -1;
    for (let i = 0; i < tree.n; i++) {
      if (tree.key[i] === key && tree.width[i] > (tree.width[widest] ?? 0)) widest = i;
    }
    if (widest < 0) return;
    this.select({ band, node: widest });
    this.show(this.selected);
  }

  /** Bring a frame into sight. */
  show(frame) {
    if (!this.flame.isInSight(frame)) {
      const { band, node } = frame;
      this.flame.goToFrame({ band, node: band.tree.parent[node] });
    }
    this.flame.reveal(frame);
  }

  zoom(frame) {
    if (!frame) return;
    this.select(frame);
    this.flame.goToFrame(frame);
    const left = frame.band.left[frame.node] / this.flame.whole;
    this.remember({ left, right: left + frame.band.tree.width[frame.node] / this.flame.whole });
  }

  zoomBy(factor) {
    this.flame.zoomBy(factor);
    this.remember();
  }

  reset() {
    this.flame.goTo(0, 1);
    this.flame.scroll = this.flame.home;
    if (this.state.search) this.apply({ search: "" });
    this.remember({ left: 0, right: 1 });
  }

  sandwich() {
    const key = this.keyOf(this.selected);
    if (key < this.data.nFunctions) this.apply({ view: "sandwich", function: String(key) });
  }

  /** Up or down on the screen: to the caller or the widest callee, by how the band grows. */
  step(way) {
    if (!this.selected) return this.select({ band: this.bands[this.bands.length - 1], node: 0 });
    const { band, node } = this.selected, [above, below] = this.bands;
    const isInward = (way > 0) === band.isUp; // towards the band's edge
    const depth = band.tree.depth[node];
    if (!isInward) {
      const [child] = band.tree.children(node);
      if (child) this.moveTo({ band, node: child });
    } else if (depth > band.skip) this.moveTo({ band, node: band.tree.parent[node] });
    else if (below && band === above) this.moveTo({ band: below, node: 0 });
    else if (below) {
      const [caller] = above.tree.children(0);
      if (caller) this.moveTo({ band: above, node: caller });
    }
  }

  stepAside(way) {
    if (!this.selected) return this.step(way);
    const { band, node } = this.selected, level = band.levels[band.tree.depth[node]];
    const next = level[firstAfter(level, band, band.left[node]) - 1 + way];
    if (next !== undefined) this.moveTo({ band, node: next });
  }

  moveTo(frame) {
    this.select(frame);
    this.show(frame);
  }

  hover(frame, event) {
    const tip = byId("tip");
    tip.hidden = !frame;
    if (!frame) return;
    const { band: { tree }, node } = frame, { data } = this;
    const pick = (values) => values.map((column) => column[node]);
    const kinds = ["total", "self"].map((kind) => {
      const values = pick(tree[kind]);
      if (!data.isDiff) return `${kind} ${this.amount(values[0])}`;
      const [base, now, delta] = this.compared(values);
      return `${kind} ${base} → ${now}, ${delta}`;
    });
    tip.replaceChildren(element("bdi", {}, data.label(tree.key[node])),
      element("small", {}, [data.module(tree.key[node]), ...kinds].filter(Boolean).join(" · ")));
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(Math.min(event.clientX + 14, innerWidth - box.width - 8), 4)}px`;
    const y = event.clientY + 18;
    tip.style.top = `${y + box.height > innerHeight ? event.clientY - box.height - 10 : y}px`;
  }

  toggleCode() {
    const isOpen = byId("code").hidden && this.keyOf(this.selected) < this.data.nFunctions;
    byId("code").hidden = !isOpen;
    if (isOpen) this.showCode();
    document.querySelector("main").classList.toggle("with-code", isOpen);
    byId("do-code").setAttribute("aria-expanded", isOpen);
    this.remember();
  }

  showCode() {
    const key = this.keyOf(this.selected), { data, tree } = this;
    if (!(key < data.nFunctions)) return;
    const scaled = (values) => values.map((value, side) => value * tree.scales[side]);
    const change = (values) => scaled(values)[1] - scaled(values)[0];
    this.code.show(data, this.sums, key, data.isDiff ? {
      headings: ["Δ self", "Δ total"],
      format: (values) => formatDelta(change(values), data.mode, this.unit),
      weigh: (values) => scaled(values).reduce((sum, value) => sum + value, 0),
    } : {
      headings: ["self", "total"],
      format: (values) => formatValue(values[0], this.unit),
      weigh: (values) => values[0],
    });
  }

  // The address

  /** Keep the state in the page's address. `zoom` is where a glide goes to. */
  remember(zoom = this.flame.view) {
    const { state, selected, data } = this;
    const isWhole = zoom.left <= 0 && zoom.right >= 1;
    this.hash = toHash({
      kind: Number(state.kind) ? state.kind : null,
      type: this.type === data.defaultType ? null : data.types[this.type][0],
      thread: state.thread,
      view: state.view,
      order: state.order,
      color: state.color === (data.isDiff ? "delta" : "module") ? null : state.color,
      search: state.search,
      function: state.function,
      frame: selected ? `${selected.node}${selected.band.name}` : null,
      at: isWhole ? null : `${zoom.left.toPrecision(9)},${zoom.right.toPrecision(9)}`,
      code: byId("code").hidden ? null : 1,
    });
    writeHash(this.hash);
  }

  /** Select the frame that was selected: of the address, or before the picture was made anew. */
  restore(isSame) {
    const { state, flame } = this;
    const [, number, name] = /^(\d+)(up)?$/.exec(state.frame ?? "") ?? [];
    const kept = isSame && this.selected && { node: this.selected.node, name: this.selected.band.name };
    const wanted = number ? { node: Number(number), name: name ?? "" } : kept;
    const band = wanted && this.bands.find((b) => b.name === wanted.name);
    const key = this.keyOf(this.selected); // the same function, where there is no such frame
    const [left, right] = (state.at ?? "").split(",").map(Number);
    if (right > left) flame.view = { left: Math.max(left, 0), right: Math.min(right, 1) };
    if (band && wanted.node < band.tree.n) this.select({ band, node: wanted.node }, { isQuiet: true });
    else if (state.view === "sandwich") this.select({ band: this.bands[1], node: 0 }, { isQuiet: true });
    else {
      this.select(null, { isQuiet: true });
      if (key < this.data.nFunctions) this.selectFunction(key);
    }
    if (this.selected) flame.reveal(this.selected);
    if (state.code && byId("code").hidden) this.toggleCode();
    state.frame = state.at = state.code = null;
  }

  async copyLink() {
    const isCopied = await copy(linkTo(this.hash), byId("link"));
    const where = hasAddress() ? "" : ", to add to a saved page's address";
    byId("do-link").textContent = (isCopied ? "Copied" : "Copy this") + where;
  }

  listen() {
    for (const id of ["kind", "type", "thread", "order", "color"]) {
      byId(id).addEventListener("change", (event) => this.apply({ [id]: event.target.value }));
    }
    byId("view").addEventListener("change", (event) => this.apply({ view: event.target.value }));
    byId("tools").addEventListener("submit", (event) => event.preventDefault());
    byId("search").addEventListener("input", (event) => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.apply({ search: event.target.value }), 80);
    });
    const buttons = { zoom: "Enter", reset: "Escape", sandwich: "s", code: "c", link: "l" };
    for (const [name, key] of Object.entries(buttons)) {
      byId(`do-${name}`).addEventListener("click", () => KEYS[key](this));
    }
    document.addEventListener("keydown", (event) => this.key(event));
    addEventListener("hashchange", () => location.hash !== this.hash && this.open());
    addEventListener("resize", () => this.flame.resize());
    darkMedia.addEventListener("change", () => this.paint());
    for (const [name, value] of [["beforeprint", true], ["afterprint", false]]) {
      addEventListener(name, () => {
        isPrinting = value;
        this.paint();
        this.flame.draw();
      });
    }
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { target } = event, isField = target.matches("input:not([type=radio]), select, textarea");
    if (isField) {
      if (event.key === "Escape") byId("canvas").focus();
      if (event.key !== "Escape" || target.id !== "search") return;
    }
    const isArrow = event.key.startsWith("Arrow");
    if (isArrow && target !== byId("canvas") && target !== document.body) return;
    if (event.key === "Enter" && target.matches("button, summary, input")) return;
    const act = KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act(this);
  }
}

const app = new App([...document.querySelectorAll("script.profile")].map((node) => node.textContent));
app.open().then(() => {
  app.flame.resize();
  if (app.flame.pending) app.flame.draw();
  document.documentElement.dataset.ready = "";
  performance.mark("ready");
}, (error) => {
  byId("empty").hidden = false;
  byId("empty").textContent = `This page cannot be shown: ${error.message}`;
  throw error;
});
