// What colour a frame has. All sets can be told apart by colour-blind people: Paul Tol's
// "light" scheme for modules (without olive, which is close to its
// pear; darkened behind white text), four of his "vibrant" for deltas.

const LIGHT = {
  modules: ["#77aadd", "#eedd88", "#44bb99", "#ffaabb", "#99ddff", "#bbcc33"],
  kernel: "#ee8866", plain: "#d7dade",
  new: "#ee3377", grew: "#ee7733", shrank: "#33bbee", gone: "#4477cc", same: "#d7dade",
  paper: "#ffffff", ink: "#16191d", select: "#111418",
};
const DARK = {
  modules: ["#3f6fa3", "#8a7b2c", "#257a62", "#a1566a", "#3a7f9e", "#66731b"],
  kernel: "#a84e2d", plain: "#4a515c",
  new: "#c2185b", grew: "#b9520f", shrank: "#1f82a8", gone: "#3560b8", same: "#4a515c",
  paper: "#15181d", ink: "#ffffff", select: "#ffffff",
};
const DELTAS = ["new", "grew", "shrank", "gone"];
const TINTS = 5; // shades of one module's colour, so that neighbours are told apart
const LEVELS = 6; // strengths of "grew" and "shrank"

const darkMedia = matchMedia("(prefers-color-scheme: dark)");
let isPrinting = false;
const colors = () => (darkMedia.matches && !isPrinting ? DARK : LIGHT);

function mix(from, to, share) {
  const part = (hex, i) => parseInt(hex.slice(1 + 2 * i, 3 + 2 * i), 16);
  const channel = (i) => Math.round(part(from, i) + (part(to, i) - part(from, i)) * share);
  return `rgb(${channel(0)}, ${channel(1)}, ${channel(2)})`;
}

/** FNV-1a: the same name has the same colour in every page. */
function hash(text) {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

const isKernel = (module) => /^\[kernel|\.ko$|^vmlinux$/.test(module);

/** The number of each module's colour, the modules given most important first: the name
 * chooses, and where that colour is taken the next free one. -1 kernel, -2 no module. */
function moduleColors(modules) {
  const n = LIGHT.modules.length, taken = new Set();
  return new Map(modules.map((module) => {
    if (!module) return [module, -2];
    if (isKernel(module)) return [module, -1];
    let color = hash(module) % n;
    for (let k = 0; k < n && taken.size < n && taken.has(color); k++) color = (color + 1) % n;
    taken.add(color);
    return [module, color];
  }));
}

function moduleColor(number, { modules, kernel, plain } = colors()) {
  return number === -2 ? plain : number === -1 ? kernel : modules[number];
}

/** The colour of each node of a tree: a function from node to CSS colour. Colours are made
 * once for each key, their strings once for each shade of a module's colour. */
function coloringByModule(data, modules) {
  const made = [], palette = colors();
  const shades = new Map([...modules.values(), -2].map((number) => [number,
    Array.from({ length: TINTS }, (_, tint) =>
      mix(moduleColor(number, palette), palette.paper, 0.09 * tint))]));
  return (tree, node) => {
    const key = tree.key[node];
    if (key in made) return made[key];
    const module = data.module(key), tint = module ? (hash(data.label(key)) >>> 8) % TINTS : 0;
    return (made[key] = shades.get(modules.get(module) ?? -2)[tint]);
  };
}

/** [class, strength 0..LEVELS] of a change: "same" below an eighth of the sum of both. */
function deltaClass(base, now) {
  if (!(base > 0)) return now > 0 ? ["new", LEVELS] : ["same", 0];
  if (!(now > 0)) return ["gone", LEVELS];
  const change = (now - base) / (now + base);
  const level = Math.min(LEVELS, Math.floor(Math.abs(change) * 16));
  return level ? [change > 0 ? "grew" : "shrank", level] : ["same", 0];
}

function coloringByDelta() {
  const palette = colors();
  const made = Object.fromEntries(["same", ...DELTAS].map((name) => [name,
    Array.from({ length: LEVELS + 1 }, (_, level) =>
      mix(palette.same, palette[name], level / LEVELS))]));
  return (tree, node) => {
    const [name, level] = deltaClass(
      tree.total[0][node] * tree.scales[0], tree.total[1][node] * tree.scales[1]);
    return made[name][level];
  };
}
