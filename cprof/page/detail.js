// The pane that says in words and numbers what is selected.

class DetailPane {
  /** `frame` is {label, place, note, rows}: rows of [name, cell, cell ...], the first a head. */
  show({ label, place, note, rows }) {
    byId("detail-name").textContent = label;
    byId("detail-place").textContent = place;
    byId("detail-note").textContent = note;
    byId("detail-numbers").replaceChildren(...rows.map(([name, ...cells], i) =>
      element("tr", {}, element("th", { scope: i ? "row" : "col" }, name),
        ...cells.map((cell) => element(i ? "td" : "th", i ? {} : { scope: "col" }, cell)))));
    byId("link").hidden = true;
    byId("do-link").textContent = "Copy link";
  }
}

/** The names from the outermost frame to the selected one, as buttons. */
function showCrumbs(path, label, onClick) {
  const buttons = path.map((node, i) => {
    const button = element("button", { type: "button", title: label(node) }, shortName(label(node)));
    if (i === path.length - 1) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => onClick(node));
    return button;
  });
  const most = 7; // the outermost, and the innermost ones
  const shown = buttons.length > most ? [buttons[0], null, ...buttons.slice(2 - most)] : buttons;
  byId("crumbs").replaceChildren(...shown.flatMap((button, i) => {
    const mark = element("i", { ariaHidden: "true" }, "›");
    return [...(i ? [mark] : []), button ?? element("i", {}, "…")];
  }));
}
