// Call trees as columns, and where their frames lie.

/** A tree of keys. Node 0 is the whole; parents come before their children. For each side of
 * the data, `self[side]` and `total[side]` are sums; `width` is what frames are drawn by. */
class Tree {
  constructor(parent, key) {
    this.n = parent.length;
    this.parent = Uint32Array.from(parent);
    this.key = Uint32Array.from(key);
    this.depth = new Uint16Array(this.n);
    for (let i = 1; i < this.n; i++) this.depth[i] = this.depth[this.parent[i]] + 1;
  }

  /** Take sums by node for `self`, add them up to `total`, and scale to `width`. */
  fill(self, scales) {
    this.self = self;
    this.scales = scales;
    this.width = new Float64Array(this.n);
    this.total = self.map((sums, side) => {
      const total = sums.slice();
      for (let i = this.n - 1; i > 0; i--) total[this.parent[i]] += total[i];
      for (let i = 0; i < this.n; i++) this.width[i] += total[i] * scales[side];
      return total;
    });
    return this;
  }

  path(node) {
    const path = [node];
    while (node) path.push((node = this.parent[node]));
    return path.reverse();
  }

  /** Nodes in `order` (a permutation with parents before children), as lists of children:
   * first[parent], next[sibling]; 0 ends a list. */
  lists(order) {
    const first = new Uint32Array(this.n), next = new Uint32Array(this.n);
    for (let k = this.n - 1; k >= 0; k--) {
      const i = order ? order[k] : k;
      if (i === 0) continue;
      next[i] = first[this.parent[i]];
      first[this.parent[i]] = i;
    }
    return { first, next };
  }

  /** Call enter(node) and leave(node) in depth-first order. */
  walk({ first, next }, enter, leave = () => {}) {
    let node = 0;
    for (;;) {
      enter(node);
      if (first[node]) { node = first[node]; continue; }
      leave(node);
      while (node && !next[node]) leave((node = this.parent[node]));
      if (!node) return;
      node = next[node];
    }
  }

  /** 1 for nodes whose key does not occur among their callers: adding up their totals counts
   * recursive calls once. */
  get outermost() {
    if (!this._outermost) {
      const open = new Uint16Array(this.key.reduce((most, key) => (key === NONE ? most : Math.max(most, key)), 0) + 1);
      this._outermost = new Uint8Array(this.n);
      this.walk(this.lists(), (i) => {
        if (!open[this.key[i]]++) this._outermost[i] = 1;
      }, (i) => open[this.key[i]]--);
    }
    return this._outermost;
  }

  /** The children of a node that have any width, widest first. */
  children(node) {
    const children = [];
    const { first, next } = (this._lists ??= this.lists());
    for (let i = first[node]; i; i = next[i]) if (this.width[i] > 0) children.push(i);
    return children.sort((a, b) => this.width[b] - this.width[a]);
  }

  /** Sums over all nodes of one key: {self, total}, one number for each side. */
  sumsOf(key) {
    const self = this.self.map(() => 0), total = this.self.map(() => 0);
    for (let i = 1; i < this.n; i++) {
      if (this.key[i] !== key) continue;
      this.self.forEach((sums, side) => {
        self[side] += sums[i];
        if (this.outermost[i]) total[side] += this.total[side][i];
      });
    }
    return { self, total };
  }
}

/** Makes a tree whose siblings all have different keys. `slots` is a hash table of nodes, by
 * parent and key; 0 is an empty slot, since nobody asks for the root. */
class TreeBuilder {
  constructor(rootKey) {
    this.parent = [0];
    this.key = [rootKey];
    this.slots = new Uint32Array(1 << 10);
  }

  child(parent, key) {
    const slot = this.find(parent, key);
    if (this.slots[slot]) return this.slots[slot];
    const node = this.add(parent, key);
    this.slots[slot] = node;
    if (2 * node > this.slots.length) this.grow();
    return node;
  }

  /** A node of its own, whatever its siblings are. */
  add(parent, key) {
    this.key.push(key);
    return this.parent.push(parent) - 1;
  }

  find(parent, key) {
    const mask = this.slots.length - 1;
    const mixed = Math.imul(parent, 0x9e3779b1) ^ Math.imul(key, 0x85ebca6b);
    for (let slot = (mixed ^ (mixed >>> 15)) & mask; ; slot = (slot + 1) & mask) {
      const node = this.slots[slot];
      if (!node || (this.parent[node] === parent && this.key[node] === key)) return slot;
    }
  }

  grow() {
    this.slots = new Uint32Array(2 * this.slots.length);
    for (let i = 1; i < this.key.length; i++) this.slots[this.find(this.parent[i], this.key[i])] = i;
  }

  tree() { return new Tree(this.parent, this.key); }
}

/** The tree of functions of `data`, and the node of it that each node of the data belongs to:
 * frames of one function at several lines are one node. */
function functionTree(data) {
  const { nodeParent, nodeFrame, frameFunction } = data;
  const of = new Uint32Array(nodeParent.length), builder = new TreeBuilder(NONE);
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

/** Where the frames of a tree lie: left[node] in units of width, and by depth the nodes from
 * left to right. Siblings by width, or as they are (`isGiven`). What has no width is left out. */
function layOut(tree, isGiven) {
  const order = Uint32Array.from({ length: tree.n }, (_, i) => i);
  const width = tree.width, left = new Float64Array(tree.n), free = new Float64Array(tree.n);
  if (!isGiven) order.sort((a, b) => width[b] - width[a] || a - b);
  const levels = [];
  tree.walk(tree.lists(isGiven ? null : order), (i) => {
    if (!(width[i] > 0)) return;
    if (i) {
      const parent = tree.parent[i];
      if (!(width[parent] > 0)) return;
      left[i] = free[parent];
      free[parent] += width[i];
    }
    free[i] = left[i];
    (levels[tree.depth[i]] ??= []).push(i);
  });
  return { left, levels: levels.map((level) => Uint32Array.from(level)) };
}
