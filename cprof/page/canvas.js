// Frames on a canvas: drawing, zooming, panning, and which frame is where.

const ROW = 20; // CSS pixels of height
const PADDING = 5; // before a name
const MIN_LABEL = 28; // pixels of width below which no name is tried
const MAX_LABEL = 300; // characters of a name that are measured
const ZOOM_MS = 160;
const FONT = "12px system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', Arial, sans-serif";

/** Shows bands: {tree, left, levels, isUp, skip}. A band grows down from its edge, or up
 * (`isUp`); the first `skip` levels are not drawn. Where there are two, the upper one grows up.
 *
 * A frame is {band, node}. Calls on.select(frame), on.zoom(frame), on.hover(frame, event). */
class Flame {
  constructor(canvas, on) {
    Object.assign(this, { canvas, on, bands: [], selected: null, isMatch: null });
    this.context = canvas.getContext("2d");
    this.view = { left: 0, right: 1 }; // of the whole width
    this.scroll = 0;
    this.labels = new Map(); // name -> [[text, pixels] from long to short]
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.listen();
  }

  show(bands, { color, label, isMatch }) {
    Object.assign(this, { bands, color, label, isMatch });
    this.measure();
    this.whole = Math.max(...bands.map((band) => band.tree.width[0]), 0);
    this.scroll = this.home;
    this.redraw();
  }

  // Where things are, in CSS pixels

  measure() { [this.width, this.height] = [this.canvas.clientWidth, this.canvas.clientHeight]; }
  get rows() { return this.bands.map((b) => Math.max(b.levels.length - b.skip, 0)); }
  get extent() { return this.rows.reduce((sum, n) => sum + n, 0) * ROW; }
  get scale() { return this.width / ((this.view.right - this.view.left) * this.whole || 1); }

  /** The scroll at which the outermost frames are in sight. */
  get home() {
    const [first, second] = this.bands;
    if (!first?.isUp) return 0;
    if (!second) return this.clampScroll(Infinity);
    return this.clampScroll(this.rows[0] * ROW - this.height * 0.4);
  }

  clampScroll(y) { return Math.min(Math.max(y, 0), Math.max(this.extent - this.height, 0)); }

  /** The y of the edge that a band grows from. A lone flame stands on the floor. */
  edge(band) {
    const above = this.bands[0].isUp ? this.rows[0] * ROW : 0;
    const floor = this.bands.length === 1 && band.isUp ? Math.max(this.height - this.extent, 0) : 0;
    return above + floor - this.scroll;
  }

  top(band, depth) {
    const row = depth - band.skip;
    return this.edge(band) + (band.isUp ? -(row + 1) : row) * ROW;
  }

  x(value) { return (value - this.view.left * this.whole) * this.scale; }

  box({ band, node }) {
    return {
      x: this.x(band.left[node]),
      y: this.top(band, band.tree.depth[node]),
      width: band.tree.width[node] * this.scale,
    };
  }

  /** The frame at a point of the canvas, or null. */
  at(x, y) {
    const value = this.view.left * this.whole + x / this.scale;
    for (const band of this.bands) {
      const row = Math.floor((y - this.edge(band)) / ROW);
      const depth = (band.isUp ? -row - 1 : row) + band.skip;
      const level = depth >= band.skip ? band.levels[depth] : null;
      if (!level) continue;
      const node = level[firstAfter(level, band, value) - 1];
      if (node === undefined || value >= band.left[node] + band.tree.width[node]) continue;
      return { band, node };
    }
    return null;
  }

  // Drawing

  redraw() {
    this.pending ??= requestAnimationFrame(() => this.draw());
  }

  resize() {
    this.measure();
    const ratio = devicePixelRatio || 1;
    const width = Math.round(this.width * ratio), height = Math.round(this.height * ratio);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      const isHome = this.scroll === this.lastHome;
      Object.assign(this.canvas, { width, height });
      this.scroll = isHome ? this.home : this.clampScroll(this.scroll);
      this.draw(); // at once: a canvas that changes its size is empty
    }
  }

  draw() {
    const { context, canvas } = this;
    const ratio = canvas.width / (this.width || 1);
    cancelAnimationFrame(this.pending);
    this.pending = null;
    this.palette = colors();
    this.lastHome = this.home;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = this.palette.paper;
    context.fillRect(0, 0, this.width, this.height);
    context.font = FONT;
    context.textBaseline = "middle";
    for (const band of this.bands) this.drawBand(band, 1 / ratio);
    if (this.selected) this.drawSelection();
  }

  /** Only what is in sight, and of frames narrower than a pixel one for each pixel. */
  drawBand(band, pixel) {
    for (let depth = band.skip; depth < band.levels.length; depth++) {
      const y = this.top(band, depth);
      if (y > -ROW && y < this.height) this.drawLevel(band, band.levels[depth], y, pixel);
    }
  }

  drawLevel(band, level, y, pixel) {
    const { context, scale, isMatch, palette, width: room } = this, { left, tree } = band;
    const from = this.view.left * this.whole, until = this.view.right * this.whole;
    const labels = [], marked = [];
    let drawn = -1; // up to which x
    for (let k = Math.max(firstAfter(level, band, from) - 1, 0); k < level.length; k++) {
      const node = level[k];
      if (left[node] >= until) break;
      const end = Math.min((left[node] + tree.width[node] - from) * scale, room);
      if (end < drawn + pixel) continue;
      const start = Math.max((left[node] - from) * scale, drawn, 0);
      const width = Math.max(end - start, pixel);
      const gap = width > 3 ? 1 : 0;
      context.globalAlpha = !isMatch || isMatch(tree.key[node]) ? 1 : 0.22;
      context.fillStyle = this.color(tree, node);
      context.fillRect(start, y, width - gap, ROW - 1);
      if (tree.key[node] === this.selectedKey) marked.push([start, width - gap]);
      if (width >= MIN_LABEL) labels.push([node, start, width]);
      drawn = start + width;
    }
    context.fillStyle = palette.ink;
    for (const [node, start, width] of labels) {
      context.globalAlpha = !isMatch || isMatch(tree.key[node]) ? 1 : 0.5;
      const text = this.fit(this.label(tree.key[node]), width - 2 * PADDING);
      if (text) context.fillText(text, start + PADDING, y + ROW / 2);
    }
    context.globalAlpha = 1;
    context.fillStyle = palette.select;
    for (const [start, width] of marked) context.fillRect(start, y + ROW - 3, width, 2);
  }

  drawSelection() {
    const { context } = this, { x, y, width } = this.box(this.selected);
    const start = Math.max(x, 1), end = Math.min(x + width - 1, this.width - 1);
    if (end < 0 || start > this.width) return;
    context.strokeStyle = this.palette.select;
    context.lineWidth = 2;
    context.strokeRect(start, y, Math.max(end - start, 1), ROW - 1);
  }

  /** A name as it fits into `room` pixels: whole, shortened, cut, or "". */
  fit(name, room) {
    let forms = this.labels.get(name);
    if (!forms) {
      const short = shortName(name);
      forms = [name, short, lastPart(short)].map((text) => text.slice(0, MAX_LABEL));
      forms = [...new Set(forms)].map((text) => [text, this.context.measureText(text).width]);
      this.labels.set(name, forms);
    }
    for (const [text, width] of forms) if (width <= room) return text;
    const [text, width] = forms[forms.length - 1];
    for (let n = Math.floor((text.length * room) / width); n > 1; n--) {
      const cut = `${text.slice(0, n)}…`;
      if (this.context.measureText(cut).width <= room) return cut;
    }
    return "";
  }

  // Moving

  /** Show the whole width from `left` to `right` (0..1), gliding there. */
  goTo(left, right) {
    const span = Math.min(Math.max(right - left, 1e-9), 1);
    const to = Math.min(Math.max(left, 0), 1 - span);
    const start = performance.now(), { view } = this, from = { ...view };
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches || isPrinting;
    const glide = (now) => {
      const t = isCalm ? 1 : Math.min((now - start) / ZOOM_MS, 1), eased = t * (2 - t);
      view.left = from.left + (to - from.left) * eased;
      view.right = from.right + (to + span - from.right) * eased;
      this.draw();
      this.gliding = t < 1 ? requestAnimationFrame(glide) : null;
    };
    cancelAnimationFrame(this.gliding);
    glide(isCalm ? start : start + 1);
  }

  goToFrame({ band, node }) {
    const left = band.left[node] / this.whole;
    this.goTo(left, left + band.tree.width[node] / this.whole);
    this.reveal({ band, node });
  }

  /** Zoom by a factor around a pixel. */
  zoomBy(factor, x = this.width / 2) {
    cancelAnimationFrame(this.gliding);
    const { left, right } = this.view, middle = left + ((right - left) * x) / this.width;
    const span = Math.min(Math.max((right - left) * factor, 1e-9), 1);
    this.setView(middle - (span * x) / this.width, span);
  }

  pan(dx, dy) {
    const span = this.view.right - this.view.left;
    this.scroll = this.clampScroll(this.scroll + dy);
    this.setView(this.view.left + (dx / this.width) * span, span);
  }

  setView(left, span) {
    this.view.left = Math.min(Math.max(left, 0), 1 - span);
    this.view.right = this.view.left + span;
    this.redraw();
  }

  /** Scroll until a frame is in sight, and zoom out to its caller where it is too narrow. */
  reveal(frame) {
    const { y } = this.box(frame);
    if (y < ROW) this.scroll = this.clampScroll(this.scroll + y - 2 * ROW);
    if (y + 2 * ROW > this.height) this.scroll = this.clampScroll(this.scroll + y + 3 * ROW - this.height);
    this.redraw();
  }

  isInSight(frame) {
    const { x, width } = this.box(frame);
    return x + width > 1 && x < this.width - 1 && width >= 1;
  }

  // Mouse

  listen() {
    const { canvas, on } = this;
    let press = null; // where the pointer went down, and whether it has moved since
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      press = { x: event.clientX, y: event.clientY, hasMoved: false };
      cancelAnimationFrame(this.gliding);
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!press) return on.hover(this.at(event.offsetX, event.offsetY), event);
      const dx = press.x - event.clientX, dy = press.y - event.clientY;
      if (!press.hasMoved && Math.hypot(dx, dy) < 4) return;
      on.hover(null, event);
      canvas.classList.add("panning");
      press = { x: event.clientX, y: event.clientY, hasMoved: true };
      this.pan(dx, dy);
    });
    canvas.addEventListener("pointerup", (event) => {
      if (press && !press.hasMoved) on.select(this.at(event.offsetX, event.offsetY));
      if (press?.hasMoved) on.moved();
      press = null;
      canvas.classList.remove("panning");
    });
    canvas.addEventListener("pointercancel", () => { press = null; });
    canvas.addEventListener("pointerleave", (event) => on.hover(null, event));
    canvas.addEventListener("dblclick", (event) => {
      on.zoom(this.at(event.offsetX, event.offsetY));
    });
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  /** Ctrl and wheel zoom; the wheel alone scrolls, and lets the page scroll at the end. */
  wheel(event) {
    this.on.hover(null, event);
    const lines = event.deltaMode === 1 ? ROW : 1;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.zoomBy(Math.exp(event.deltaY * lines * 0.004), event.offsetX);
      return this.on.moved();
    }
    const [dx, dy] = (event.shiftKey ? [event.deltaY, 0] : [event.deltaX, event.deltaY])
      .map((delta) => delta * lines);
    const before = [this.scroll, this.view.left];
    this.pan(dx, dy);
    if (before[0] !== this.scroll || before[1] !== this.view.left) event.preventDefault();
  }
}

/** How many nodes of a level begin at or left of `value`. */
function firstAfter(level, band, value) {
  let low = 0, high = level.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (band.left[level[middle]] <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}
