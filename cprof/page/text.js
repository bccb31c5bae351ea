// The call tree as nested text: what the canvas shows, for people who do not see it.

const CHILDREN_SHOWN = 40;

class TextTree {
  /** `line(node)` gives {share, label, note}; `on.select(node)` hears of what is opened. */
  show(tree, line, onSelect) {
    Object.assign(this, { tree, line, onSelect });
    const root = this.item(0);
    byId("text").replaceChildren(root);
    let open = root, node = 0; // follow the one path that most of it is on
    for (let k = 0; k < 40 && open; k++) {
      open.open = true;
      this.fill(open, node);
      const [widest] = tree.children(node);
      if (!widest || tree.width[widest] < 0.5 * tree.width[node]) break;
      node = widest;
      open = open.querySelector("details");
    }
  }

  item(node) {
    const { share, label, note } = this.line(node);
    const children = this.tree.children(node);
    const summary = element("summary", { className: children.length ? "" : "leaf" },
      element("b", {}, share), " ", element("bdi", { title: label }, shortName(label)), " ", element("small", {}, note));
    const details = element("details", {}, summary);
    details.dataset.node = node;
    summary.addEventListener("click", () => this.mark(summary, node));
    summary.addEventListener("focus", () => this.mark(summary, node));
    details.addEventListener("toggle", () => details.open && this.fill(details, node));
    return details;
  }

  mark(summary, node) {
    byId("text").querySelector("[aria-current]")?.removeAttribute("aria-current");
    summary.setAttribute("aria-current", "true");
    this.onSelect(node);
  }

  fill(details, node) {
    if (details.childElementCount > 1) return;
    const children = this.tree.children(node);
    const more = (from) => {
      details.append(...children.slice(from, from + CHILDREN_SHOWN).map((child) => this.item(child)));
      const rest = children.length - from - CHILDREN_SHOWN;
      if (rest <= 0) return;
      const button = element("button", { type: "button" }, `${rest} more`);
      button.addEventListener("click", () => { button.remove(); more(from + CHILDREN_SHOWN); });
      details.append(button);
    };
    more(0);
  }
}
