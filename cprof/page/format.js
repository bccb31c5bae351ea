// Numbers and names as people read them.

const TIME = { nanoseconds: 1, microseconds: 1e3, milliseconds: 1e6, seconds: 1e9 };
const TIME_STEPS = [[60e9, "min"], [1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];
const BYTE_STEPS = [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"], [1, "B"]];

/** With "," between thousands, and from `least` to `most` digits after the point. By hand: the
 * first number that Intl writes costs a quarter of the time in which the page opens. */
function formatPlaces(value, least, most) {
  const [whole, part = ""] = value.toFixed(most).split(".");
  const digits = part.replace(/0+$/, "").padEnd(least, "0");
  return whole.replace(/\B(?=(\d{3})+$)/g, ",") + (digits && `.${digits}`);
}

function formatNumber(value) {
  const size = Math.abs(value);
  if (size && size < 1e-4) return value.toExponential(1);
  const places = size >= 100 || !size ? 0 : size >= 10 ? 1 : 2;
  return formatPlaces(value, Number.isInteger(value) ? 0 : places, size >= 1 || !size ? places : 4);
}

const formatCount = (value) => formatPlaces(value, 0, 3);

/** `value` in its unit, scaled: "1.23 s", "4.5 MiB", "1,234". */
function formatValue(value, unit) {
  const steps = unit in TIME ? TIME_STEPS : unit === "bytes" ? BYTE_STEPS : null;
  if (!steps) return Number.isInteger(value) ? formatCount(value) : formatNumber(value);
  const base = value * (TIME[unit] ?? 1);
  const [step, name] = steps.find(([s]) => Math.abs(base) >= s) ?? steps[steps.length - 1];
  return `${formatNumber(base / step)} ${name}`;
}

function formatShare(share) {
  const percent = 100 * share;
  if (!percent) return "0 %";
  return Math.abs(percent) < 0.05 ? `${percent.toPrecision(1)} %` : `${percent.toFixed(1)} %`;
}

const signed = (text, value) => (value > 0 ? `+${text}` : text.replace(/^-/, "−"));

/** A scaled value of a diff, in the words of its mode. */
function formatScaled(value, mode, unit) {
  if (mode === "share") return formatShare(value);
  return mode === "rate" ? `${formatValue(value, unit)}/s` : formatValue(value, unit);
}

function formatDelta(value, mode, unit) {
  const text = mode === "share" ? formatShare(value).replace("%", "pp") : formatScaled(value, mode, unit);
  return signed(text, value);
}

const OPERATOR = /^operator(\(\)|\[\]|<=>|->\*|<<=|>>=|<<|>>|<=|>=|->|<|>)/;

/** A function's name without parameters and template arguments; other names as they are. */
function shortName(name) {
  let depth = 0, kept = "";
  for (let i = 0; i < name.length; i++) {
    const c = name[i];
    const operator = c === "o" && !/\w/.test(name[i - 1] ?? " ") && OPERATOR.exec(name.slice(i, i + 12));
    if (operator) {
      if (!depth) kept += operator[0];
      i += operator[0].length - 1;
    } else if (c === "<" || c === "(") {
      if (name.startsWith("(anonymous", i) && !depth) { kept += "(anonymous)"; i = name.indexOf(")", i); continue; }
      if (!depth && (!kept || /[\s:.]$/.test(kept))) return name; // no C++ name
      depth++;
    } else if ((c === ">" && !/[-=]/.test(name[i - 1])) || c === ")") {
      if (--depth < 0) return name;
    } else if (!depth) kept += c;
  }
  if (depth || !kept) return name;
  kept = kept.replace(/( const| volatile| &+)+$/, "");
  const space = /operator /.test(kept) ? -1 : kept.lastIndexOf(" "); // before it: what it returns
  return (name.includes("(") && space > 0 ? kept.slice(space + 1) : kept) || name;
}

/** What is left of a short name where there is little room: `std::vector::push` -> `push`. */
const lastPart = (name) => /[^:!]+$/.exec(name)?.[0] ?? name;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

const byId = (id) => document.getElementById(id);
