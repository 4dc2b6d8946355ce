/**
 * The list of tickets. What changes while one looks changes where it stands and is marked; nothing
 * moves until one asks for it.
 */

import { button, element, fill } from "../desk/dom.js";
import { keepTimes } from "../desk/times.js";
import { client } from "./frame.js";
import { freshenPresence, keepPresence } from "./presence.js";
import { register } from "./shortcuts.js";

/** How long a change of what is shown, and of anything else, may wait to be looked at. */
const SHOWN_MS = 1_000;
const OTHER_MS = 8_000;

const rowsIn = (/** @type {ParentNode} */ root) => [...root.querySelectorAll("#result_list tbody tr")];
const idOf = (/** @type {Element} */ row) => Number(row.querySelector(".action-select")?.value);
const order = () => rowsIn(document).map(idOf).join();

// --- Live ---------------------------------------------------------------------------------

/** @type {Set<number>} Tickets that are to be looked at again. */
let touched = new Set();
let dueAt = Infinity;
let isReading = false;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

function look(/** @type {number} */ within) {
  const at = Date.now() + within;
  if (at >= dueAt) return;
  dueAt = at;
  clearTimeout(timer);
  timer = setTimeout(read, within);
}

/** One at a time: an earlier answer must not come after a later one. */
async function read() {
  dueAt = Infinity;
  if (document.hidden) return;
  if (isReading) return look(SHOWN_MS);
  isReading = true;
  const changed = touched;
  touched = new Set();
  try {
    const fresh = await pageNow();
    if (fresh) show(fresh, changed);
  } catch {
    for (const id of changed) touched.add(id);
    look(OTHER_MS);
  } finally {
    isReading = false;
  }
}

/** Null where the list is not there for this user any more; throws where it may be, later. */
async function pageNow() {
  const response = await fetch(location.href, { credentials: "same-origin" });
  if (response.redirected) return null;
  if (!response.ok) throw new Error(`The list answered ${response.status}.`);
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  return fresh.querySelector("#changelist") ? fresh : null;
}

function show(/** @type {Document} */ fresh, /** @type {Set<number>} */ changed) {
  const found = new Map(rowsIn(fresh).map((row) => [idOf(row), row]));
  for (const row of rowsIn(document)) {
    const now = found.get(idOf(row));
    const wasGone = row.classList.contains("is-gone");
    row.classList.toggle("is-gone", !now);
    if (!now) row.title = "Not in this view any more";
    else if (wasGone || changed.has(idOf(row))) exchange(row, now);
  }
  freshenPresence();
  const shown = new Set(rowsIn(document).map(idOf));
  tell([...found.keys()].filter((id) => !shown.has(id)).length, [...found.keys()].join());
}

/** The cells, but not the box that may be ticked, nor the focus. */
function exchange(/** @type {HTMLElement} */ row, /** @type {HTMLElement} */ now) {
  const held = /** @type {HTMLElement | null} */ (document.activeElement);
  const column = [...row.cells].findIndex((cell) => cell.contains(held));
  let isChanged = false;
  [...row.cells].forEach((cell, index) => {
    if (cell.querySelector(".action-select")) return;
    const fresh = document.importNode(now.cells[index], true);
    isChanged ||= wordsOf(cell) !== wordsOf(fresh);
    cell.replaceWith(fresh);
  });
  row.title = "";
  if (column > 0) row.cells[column].querySelector("a")?.focus({ preventScroll: true });
  keepTimes(row);
  if (!isChanged) return;
  row.classList.remove("is-changed");
  void row.offsetWidth; // so that the mark is drawn anew
  row.classList.add("is-changed");
  row.title = "Changed while you were looking";
}

/** Without what the page itself keeps fresh. */
function wordsOf(/** @type {Element} */ cell) {
  const due = cell.querySelector("[data-due]");
  return due ? due.dataset.due + due.dataset.state : cell.textContent.trim();
}

function tell(/** @type {number} */ added, /** @type {string} */ orderNow) {
  const line = document.getElementById("news");
  const isOther = added > 0 || orderNow !== order();
  line.hidden = !isOther;
  if (!isOther) return;
  const tickets = added === 1 ? "1 more ticket is here." : `${added} more tickets are here.`;
  const words = added ? tickets : "The order has changed.";
  if (line.firstElementChild?.textContent === words) return;
  fill(line, element("span", { text: words }), button("Show", () => location.reload(), { class: "desk-link" }));
}

client.on("touched", ({ ticket }) => {
  touched.add(ticket);
  look(rowsIn(document).some((row) => idOf(row) === ticket) ? SHOWN_MS : OTHER_MS);
});
client.room("desk").on("live", () => {
  // Anything may have happened while the line was cut.
  for (const row of rowsIn(document)) touched.add(idOf(row));
  look(SHOWN_MS);
});
document.addEventListener("visibilitychange", () => touched.size > 0 && look(0));

// --- Narrowing ----------------------------------------------------------------------------

const filters = /** @type {HTMLFormElement} */ (document.getElementById("changelist-search"));
filters.addEventListener("change", (event) => {
  if (event.target.localName === "select") filters.requestSubmit();
});
/** An address says what is set, and nothing else. */
filters.addEventListener("formdata", ({ formData }) => {
  for (const [name, value] of [...formData]) if (value === "") formData.delete(name);
});

// --- Keys ---------------------------------------------------------------------------------

function move(/** @type {number} */ by) {
  const rows = rowsIn(document);
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const next = rows[Math.min(Math.max(at + by, 0), rows.length - 1)];
  /** @type {HTMLElement | null} */ (next?.querySelector("th a"))?.focus();
}

function tick() {
  const row = document.activeElement.closest("#result_list tbody tr");
  /** @type {HTMLElement | null} */ (row?.querySelector(".action-select"))?.click();
}

register([
  { keys: "x", label: "Tick the ticket", run: tick },
  { keys: "k", label: "Previous ticket", run: () => move(-1) },
  { keys: "j", label: "Next ticket", run: () => move(1) },
]);

keepTimes();
keepPresence();
client.connect();
