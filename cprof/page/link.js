// The state of the page as the part of its address behind "#", so that a link leads back to a
// frame. It works in files and in an iframe's srcdoc, which have no address of their own.

const PLAIN = { view: "icicle", order: "heavy", search: "", thread: "" };

function toHash(state) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    if (value !== null && value !== undefined && value !== PLAIN[name]) words.set(name, value);
  }
  return `#${words}`;
}

const fromHash = (hash) => ({ ...PLAIN, ...Object.fromEntries(new URLSearchParams(hash.slice(1))) });

/** Put the state into the address without a step in the history. */
function writeHash(hash) {
  if (location.hash === hash || (hash === "#" && !location.hash)) return;
  try {
    history.replaceState(null, "", location.href.split("#")[0] + hash);
  } catch { /* an opaque origin may not: the link in the detail pane still tells */ }
}

/** A page in another page's iframe has no address of its own: what is copied there goes behind
 * the address of the same page in a file. */
const hasAddress = () => location.protocol !== "about:";
const linkTo = (hash) => (hasAddress() ? location.href.split("#")[0] : "") + hash;

async function copy(text, field) {
  field.value = text;
  field.hidden = false;
  field.select();
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    if (!document.execCommand("copy")) return false;
  }
  return true;
}
