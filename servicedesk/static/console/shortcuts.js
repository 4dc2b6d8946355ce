/** Keyboard shortcuts, and the sheet that lists them. */

import { button, element } from "../desk/dom.js";

/** How long the second key of two may take. */
const SEQUENCE_MS = 1_200;
const WRITING = "input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]";

/**
 * @typedef {object} Shortcut
 * @property {string} keys One key, such as `r`, or two in a row, such as `g t`.
 * @property {string} label What it does, as the sheet says it.
 * @property {() => void} run
 */

/** @type {Shortcut[]} */
const known = [{ keys: "?", label: "Show the shortcuts", run: toggleSheet }];
/** @type {{key: string, at: number}} */
let first = { key: "", at: 0 };
/** @type {HTMLDialogElement | null} */
let sheet = null;

/** Later ones with the same keys take the place of earlier ones. */
export function register(/** @type {Shortcut[]} */ shortcuts) {
  for (const shortcut of shortcuts) {
    const place = known.findIndex(({ keys }) => keys === shortcut.keys);
    if (place < 0) known.push(shortcut);
    else known[place] = shortcut;
  }
}

document.addEventListener("keydown", (event) => {
  const isBusy = event.defaultPrevented || event.isComposing;
  if (isBusy || event.ctrlKey || event.metaKey || event.altKey) return;
  const where = /** @type {Element | null} */ (event.target);
  if (where?.closest(WRITING) || (document.querySelector("dialog[open]") && !sheet)) return;
  const pair = Date.now() - first.at < SEQUENCE_MS ? `${first.key} ${event.key}` : "";
  const found = known.find(({ keys }) => keys === pair) ?? known.find(({ keys }) => keys === event.key);
  first = { key: event.key, at: Date.now() };
  if (!found) return;
  event.preventDefault();
  first.at = 0;
  if (found.run !== toggleSheet) sheet?.close();
  found.run();
});

function toggleSheet() {
  if (sheet) return sheet.close();
  const close = button("Close", () => sheet.close(), { class: "desk-button" });
  const line = ({ keys, label }) => [
    element("dt", {}, keys.split(" ").map((key) => element("kbd", { text: key }))),
    element("dd", { text: label }),
  ];
  sheet = /** @type {HTMLDialogElement} */ (
    element(
      "dialog",
      { class: "desk-dialog", "aria-labelledby": "shortcuts-title" },
      element("h2", { id: "shortcuts-title", text: "Keyboard shortcuts" }),
      element("dl", { class: "desk-keys" }, [...known].reverse().map(line)),
      element("p", { class: "desk-buttons" }, close),
    )
  );
  sheet.addEventListener("close", () => {
    sheet.remove();
    sheet = null;
  });
  document.body.append(sheet);
  sheet.showModal();
}
