// Call trees as columns, and where their frames lie.

/** A tree of keys. Node 0 is the whole; parents come before their children. For each side of
 * the data, `self[side]` and `total[side]` are sums; `width` is what frames are drawn by. */
class Tree {
  constructor(parent, key) {
    const n = parent.length, depth = new Uint16Array(n);
    for (let i = 1; i < n; i++) depth[i] = depth[parent[i]] + 1;
    Object.assign(this, { n, parent, key, depth });
  }

  /** Take sums by node for `self`, add them up to `total`, and scale to `width`. */
  fill(self, scales) {
    const { n, parent } = this, width = new Float64Array(n);
    const total = self.map((sums, side) => {
      const total = sums.slice(), scale = scales[side];
      for (let i = n - 1; i > 0; i--) total[parent[i]] += total[i];
      for (let i = 0; i < n; i++) width[i] += total[i] * scale;
      return total;
    });
    return Object.assign(this, { self, scales, total, width });
  }

  path(node) {
    const path = [node];
    while (node) path.push((node = this.parent[node]));
    return path.reverse();
  }

  /** Nodes in `order` (all of them, once each), as lists of children: first[parent],
   * next[sibling]; 0 ends a list. */
  lists(order) {
    const { n, parent } = this, first = new Uint32Array(n), next = new Uint32Array(n);
    for (let k = n - 1; k >= 0; k--) {
      const i = order ? order[k] : k;
      if (i === 0) continue;
      next[i] = first[parent[i]];
      first[parent[i]] = i;
    }
    return { first, next };
  }

  /** 1 for nodes whose key does not occur among their callers: adding up their totals counts
   * recursive calls once. */
  get outermost() {
    return (this._outermost ??= this.findOutermost());
  }

  findOutermost() {
    const { n, parent, key } = this, { first, next } = (this._lists ??= this.lists());
    const most = key.reduce((most, k) => (k === NONE ? most : Math.max(most, k)), 0);
    const open = new Uint16Array(most + 1), outermost = new Uint8Array(n);
    for (let node = first[0]; node; ) { // depth first
      if (!open[key[node]]++) outermost[node] = 1;
      if (first[node]) { node = first[node]; continue; }
      open[key[node]]--;
      while (!next[node] && (node = parent[node])) open[key[node]]--;
      node = next[node];
    }
    return outermost;
  }

  /** The children of a node that have any width, widest first. */
  children(node) {
    const children = [];
    const { first, next } = (this._lists ??= this.lists());
    for (let i = first[node]; i; i = next[i]) if (this.width[i] > 0) children.push(i);
    return children.sort((a, b) => this.width[b] - this.width[a]);
  }
}

/** Makes a tree whose siblings all have different keys, with room for `room` nodes before it has
 * to grow. `slots` is a hash table of nodes, by parent and key; 0 is an empty slot, since nobody
 * asks for the root. */
class TreeBuilder {
  constructor(rootKey, room = 1 << 8) {
    this.n = 1;
    this.parent = new Uint32Array(room);
    this.key = new Uint32Array(room).fill(rootKey, 0, 1);
    this.slots = new Uint32Array(2 << Math.ceil(Math.log2(room)));
  }

  child(parent, key) {
    if (2 * this.n > this.slots.length) this.growSlots();
    const slot = this.find(parent, key);
    return this.slots[slot] || (this.slots[slot] = this.add(parent, key));
  }

  /** A node of its own, whatever its siblings are. */
  add(parent, key) {
    if (this.n === this.key.length) {
      for (const name of ["parent", "key"]) {
        const before = this[name];
        (this[name] = new Uint32Array(2 * before.length)).set(before);
      }
    }
    this.parent[this.n] = parent;
    this.key[this.n] = key;
    return this.n++;
  }

  find(parent, key) {
    const { slots, parent: parents, key: keys } = this, mask = slots.length - 1;
    let mixed = Math.imul(parent, 0x9e3779b1) ^ Math.imul(key, 0x85ebca6b);
    mixed ^= mixed >>> 15;
    for (let slot = mixed & mask; ; slot = (slot + 1) & mask) {
      const node = slots[slot];
      if (!node || (parents[node] === parent && keys[node] === key)) return slot;
    }
  }

  growSlots() {
    this.slots = new Uint32Array(2 * this.slots.length);
    for (let i = 1; i < this.n; i++) this.slots[this.find(this.parent[i], this.key[i])] = i;
  }

  tree() { return new Tree(this.parent.slice(0, this.n), this.key.slice(0, this.n)); }
}

/** The tree of functions of `data`, and the node of it that each node of the data belongs to:
 * frames of one function at several lines are one node. */
function functionTree(data) {
  const { nodeParent, nodeFrame, frameFunction } = data;
  const of = new Uint32Array(nodeParent.length), builder = new TreeBuilder(NONE, of.length + 1);
  for (let i = 0; i < of.length; i++) {
    const parent = nodeParent[i] === NONE ? 0 : of[nodeParent[i]];
    of[i] = builder.child(parent, frameFunction[nodeFrame[i]]);
  }
  return { tree: builder.tree(), of };
}

/** `sums` by node of the data, as sums by node of the tree. */
function gatherSums(sums, of, n) {
  return sums.map((values) => {
    const gathered = new Float64Array(n);
    for (let i = 0; i < of.length; i++) gathered[of[i]] += values[i];
    return gathered;
  });
}

/** Who calls a function (root: the function, its callers below it) and what it calls. Each
 * sample counts once: only where the function is outermost. */
function sandwichTrees(tree, key) {
  const up = new TreeBuilder(key), down = new TreeBuilder(key);
  const upSelf = tree.self.map(() => [0]), downSelf = tree.self.map(() => [0]);
  const of = new Uint32Array(tree.n).fill(NONE);
  const add = (sums, node, from, i) =>
    from.forEach((values, side) => { sums[side][node] = (sums[side][node] ?? 0) + values[i]; });
  for (let i = 1; i < tree.n; i++) {
    if (tree.key[i] === key && tree.outermost[i]) {
      let node = of[i] = 0;
      for (let at = tree.parent[i]; at; at = tree.parent[at]) node = up.child(node, tree.key[at]);
      add(upSelf, node, tree.total, i);
    } else if (of[tree.parent[i]] !== NONE) {
      of[i] = down.child(of[tree.parent[i]], tree.key[i]);
    } else continue;
    add(downSelf, of[i], tree.self, i);
  }
  const filled = (builder, sums) => {
    const made = builder.tree();
    const columns = sums.map((s) => Float64Array.from({ length: made.n }, (_, i) => s[i] ?? 0));
    return made.fill(columns, tree.scales);
  };
  return { up: filled(up, upSelf), down: filled(down, downSelf) };
}

/** The samples one after the other, thread by thread: a frame lasts as long as the samples
 * that share it follow each other. `since` and `until` are the ticks of each node. */
function timeTree(data, tree, of, type, thread) {
  const { rowNode, rowThread, rowTick } = data;
  const value = data.values[type], mask = data.threadMask(thread);
  const rows = [];
  for (let i = 0; i < rowNode.length; i++) if (mask[rowThread[i]]) rows.push(i);
  rows.sort((a, b) => rowThread[a] - rowThread[b] || rowTick[a] - rowTick[b] || a - b);
  const isOne = rows.every((i) => rowThread[i] === rowThread[rows[0]]);
  const builder = new TreeBuilder(NONE), self = [0], since = [Infinity], until = [0];
  const add = (parent, key) => {
    self.push(0);
    since.push(Infinity);
    until.push(0);
    return builder.add(parent, key);
  };
  let lane = 0, current = NONE, path = [], open = []; // nodes of the last stack: tree's, chart's
  for (const i of rows) {
    if (rowThread[i] !== current) {
      current = rowThread[i];
      lane = isOne ? 0 : add(0, data.nFunctions + current);
      path = [];
    }
    const before = path;
    path = tree.path(of[rowNode[i]]);
    let k = 1; // 0 is the root
    while (k < path.length && path[k] === before[k]) k++;
    open[0] = lane;
    for (; k < path.length; k++) open[k] = add(open[k - 1], tree.key[path[k]]);
    const leaf = open[path.length - 1];
    self[leaf] += value[i];
    since[leaf] = Math.min(since[leaf], rowTick[i]);
    until[leaf] = rowTick[i];
  }
  const chart = builder.tree().fill([Float64Array.from(self)], [1]);
  for (let i = chart.n - 1; i > 0; i--) {
    since[chart.parent[i]] = Math.min(since[chart.parent[i]], since[i]);
    until[chart.parent[i]] = Math.max(until[chart.parent[i]], until[i]);
  }
  return Object.assign(chart, { since, until });
}

/** Numbers of `values` from the largest to the smallest; of equal ones (to seven digits) the
 * first comes first. Sorting 64 bits, the value above its number, takes a tenth of the time of
 * sorting with a function that compares. */
function descending(values) {
  const n = values.length, bits = new Int32Array(Float32Array.from(values).buffer);
  const packed = new BigUint64Array(n), halves = new Uint32Array(packed.buffer);
  for (let i = 0; i < n; i++) {
    halves[2 * i] = i;
    halves[2 * i + 1] = bits[i] < 0 ? bits[i] : ~bits[i] & 0x7fffffff; // descend as unsigned
  }
  packed.sort();
  const numbers = new Uint32Array(n);
  for (let i = 0; i < n; i++) numbers[i] = halves[2 * i];
  return numbers;
}

/** Where the frames of a tree lie: left[node] in units of width, and by depth the nodes from
 * left to right. Siblings by width, or as they are (`isGiven`). What has no width is left out. */
function layOut(tree, isGiven) {
  const { n, width } = tree, left = new Float64Array(n), order = new Uint32Array(n);
  const { first, next } = isGiven ? tree.lists() : tree.lists(descending(width));
  const levels = [];
  let from = 0, until = width[0] > 0 ? 1 : 0; // the last level's part of `order`
  while (from < until) {
    levels.push(order.subarray(from, until));
    let end = until;
    for (; from < until; from++) {
      let x = left[order[from]];
      for (let i = first[order[from]]; i; i = next[i]) {
        if (!(width[i] > 0)) continue;
        left[i] = x;
        x += width[i];
        order[end++] = i;
      }
    }
    until = end;
  }
  return { left, levels };
}
