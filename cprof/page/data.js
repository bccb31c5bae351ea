// What the page shows, decoded from the page itself. cprof/page/gather.py writes it: base64 of
// zlib of a JSON header (its length first, uint32) and columns of little-endian numbers.

const NONE = 0xffffffff;

/** A column of uint32 ("u4"), or of int64 ("i8") as the nearest numbers. */
function column(buffer, [type, offset, n], start) {
  if (type === "u4") return new Uint32Array(buffer, start + offset, n);
  const halves = new Int32Array(buffer, start + offset, 2 * n), values = new Float64Array(n);
  for (let i = 0; i < n; i++) values[i] = halves[2 * i + 1] * 2 ** 32 + (halves[2 * i] >>> 0);
  return values;
}

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

async function inflate(bytes) {
  const stream = new ReadableStream({ start(sink) { sink.enqueue(bytes); sink.close(); } });
  return new Response(stream.pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
}

/** One profile, or the two sides of a diff.
 *
 * Nodes are a trie of frames: nodeParent (NONE at the outermost), nodeFrame. Frames are a
 * function at a line: frameFunction, frameFile, frameLine. Rows are sums of samples: rowNode,
 * rowThread, rowSide (of a diff: 0 base, 1 new), rowTick (when, in `tickNs`; empty without
 * times), and value0, value1 ... one for each sample type. */
class Data {
  static async decode(text) {
    return new Data(await inflate(fromBase64(text.trim())));
  }

  constructor(buffer) {
    const length = new DataView(buffer).getUint32(0, true);
    const header = new TextDecoder().decode(new Uint8Array(buffer, 4, length));
    Object.assign(this, JSON.parse(header));
    for (const [name, place] of Object.entries(this.columns)) {
      this[name] = column(buffer, place, 4 + length);
    }
    this.values = this.types.map((_, i) => this[`value${i}`]);
    this.nFunctions = this.functions.name.length;
    this.isDiff = this.sides.length === 2;
    this.hasTime = this.rowTick.length > 0;
  }

  /** What a tree's key stands for: a function, or behind those a thread, or everything. */
  label(key) {
    if (key === NONE) return this.isDiff ? "all of both" : "all";
    if (key < this.nFunctions) return this.functions.name[key];
    return this.threads[key - this.nFunctions].label;
  }

  module(key) {
    return key < this.nFunctions ? this.modules[this.functions.module[key]] : "";
  }

  /** By function: 1 where a search matches. "module:x" and "file:x" search what their words say,
   * all else names of functions; x is a regular expression, a file is "path:line". */
  matching(search) {
    const [, field, text] = /^(module:|file:)?([^]*)$/.exec(search);
    const pattern = new RegExp(text, /\p{Lu}/u.test(text) ? "" : "i");
    const { name, module } = this.functions, test = (words) => (pattern.test(words) ? 1 : 0);
    if (field === "module:") {
      const modules = this.modules.map(test);
      return Uint8Array.from(module, (number) => modules[number]);
    }
    if (!field) return Uint8Array.from(name, test);
    const mask = new Uint8Array(this.nFunctions), { frameFunction, frameFile, frameLine } = this;
    for (let i = 0; i < frameFunction.length; i++) {
      mask[frameFunction[i]] ||= test(`${this.files[frameFile[i]]}:${frameLine[i] || ""}`);
    }
    return mask;
  }

  /** Names of modules, those with most in their own code first. */
  modulesByCost() {
    const cost = new Float64Array(this.modules.length), value = this.values[this.defaultType];
    const { rowNode, nodeFrame, frameFunction, functions } = this;
    for (let i = 0; i < rowNode.length; i++) {
      cost[functions.module[frameFunction[nodeFrame[rowNode[i]]]]] += value[i];
    }
    return Array.from(descending(cost), (i) => this.modules[i]);
  }

  /** Whether a row counts: `thread` is "" (all), or the id of a process or a thread. */
  threadMask(thread) {
    return Uint8Array.from(this.threads, (t) =>
      thread === "" || thread === t.process || thread === t.id);
  }

  /** Sums by node of one sample type over the threads chosen, one array for each side. */
  sums(type, thread) {
    const value = this.values[type], { rowNode, rowThread, rowSide } = this;
    const mask = this.threadMask(thread);
    const sums = this.sides.map(() => new Float64Array(this.nodeParent.length));
    for (let i = 0; i < rowNode.length; i++) {
      if (mask[rowThread[i]]) sums[this.isDiff ? rowSide[i] : 0][rowNode[i]] += value[i];
    }
    return sums;
  }

  /** By how much the sums of each side are multiplied, so that they can be compared. */
  scales(type) {
    return this.sides.map((side) => {
      if (this.mode === "share") return side.totals[type] ? 1 / side.totals[type] : 0;
      if (this.mode === "rate") return side.duration ? 1 / side.duration : 0;
      return 1;
    });
  }
}
