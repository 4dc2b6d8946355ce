/** My tickets: what is open first. Rows that change are marked, and stay where they are. */

import { get } from "../desk/api.js";
import { button, element, fill } from "../desk/dom.js";
import { timeElement } from "../desk/times.js";
import { liveClient } from "./page.js";
import { ENDED, OPEN, statusLabel } from "./words.js";

const PAUSE_MS = 300;

const lists = document.getElementById("lists");
const search = /** @type {HTMLFormElement} */ (document.getElementById("search"));
const words = /** @type {HTMLInputElement} */ (document.getElementById("words"));
const news = document.getElementById("news");

/** @type {Map<number, HTMLElement>} */
let rows = new Map();
/** Tickets with something that was not read. @type {Set<number>} */
let unread = new Set();
/** Rises with each reading, so that a late answer to an earlier one is dropped. */
let reading = 0;

async function show() {
  const current = ++reading;
  const text = words.value.trim();
  lists.setAttribute("aria-busy", "true");
  try {
    const [told, ...pages] = await Promise.all([
      get("/notifications/?unread=true&page_size=100"),
      ...(text ? [{ q: text }] : [{ status: OPEN }, { status: ENDED }]).map(page),
    ]);
    if (current !== reading) return;
    unread = new Set(told.results.map(({ ticket }) => ticket.id));
    rows = new Map();
    news.hidden = true;
    fill(lists, text ? found(pages[0], text) : everything(...pages));
  } catch (problem) {
    if (current === reading) fill(lists, failed(problem));
  } finally {
    if (current === reading) lists.removeAttribute("aria-busy");
  }
}

function page(/** @type {Record<string, any>} */ filters) {
  return get(`/tickets/?${new URLSearchParams(filters)}`);
}

function everything(open, ended) {
  if (open.results.length + ended.results.length === 0) return nothingYet();
  return [
    open.results.length
      ? list("Open", open)
      : element("p", { class: "portal-quiet-note", text: "Nothing is open. Enjoy the quiet." }),
    ended.results.length > 0 && list("Closed", ended),
  ];
}

function found(results, text) {
  if (results.results.length) return list("Found", results);
  const all = button("Show all my tickets", () => {
    words.value = "";
    show();
  }, { class: "desk-button" });
  return element(
    "div",
    { class: "portal-empty" },
    element("h2", { text: "Nothing found" }),
    element("p", { text: `None of your tickets speaks of “${text}”.` }),
    element("p", {}, all),
  );
}

function nothingYet() {
  return element(
    "div",
    { class: "portal-empty" },
    element("h2", { text: "You have no tickets yet" }),
    element("p", { text: "When something does not work, or you need something: tell us. You will see here how it is going." }),
    element("p", {}, element("a", { class: "desk-button is-main", href: "/new/", text: "Open your first ticket" })),
  );
}

function failed(problem) {
  return element(
    "div",
    { class: "portal-empty", role: "alert" },
    element("h2", { text: "Your tickets cannot be shown now" }),
    element("p", { text: problem.detail ?? problem.message }),
    element("p", {}, button("Try again", show, { class: "desk-button" })),
  );
}

function list(title, first) {
  const items = element("ul", { class: "portal-rows" });
  const more = button("Show more", () => extend(items, more), { class: "desk-button", hidden: true });
  add(items, more, first);
  return element("section", {}, element("h2", { class: "portal-list-title", text: title }), items, more);
}

function add(items, more, { results, next }) {
  items.append(...results.map(row));
  more.hidden = !next;
  more.dataset.next = next ?? "";
}

async function extend(items, more) {
  more.disabled = true;
  try {
    const { pathname, search } = new URL(more.dataset.next, location.origin);
    add(items, more, await get(pathname.replace(/^\/api/, "") + search));
  } finally {
    more.disabled = false;
  }
}

function row(ticket) {
  const made = element("li", { class: "portal-row", data: { ticket: ticket.id } }, ...cells(ticket));
  made.classList.toggle("is-unread", unread.has(ticket.id));
  rows.set(ticket.id, made);
  return made;
}

function cells(ticket) {
  return [
    element("a", { href: `/tickets/${ticket.id}/`, class: "portal-row-subject", text: ticket.subject }),
    element(
      "p",
      { class: "portal-row-facts" },
      element("span", { class: `desk-pill is-${ticket.status}`, text: statusLabel(ticket.status) }),
      element("span", { class: "desk-quiet", text: ticket.number }),
      timeElement(ticket.updated_at),
      unread.has(ticket.id) && element("span", { class: "portal-new", text: "New" }),
    ),
  ];
}

/** What changed is read again, and marked where it stands. */
async function touched(/** @type {number} */ id) {
  const known = rows.get(id);
  if (!known) return sayThereIsMore();
  try {
    const ticket = await get(`/tickets/${id}/`);
    unread.add(id);
    fill(known, ...cells(ticket));
    known.classList.add("is-unread", "is-changed");
  } catch (problem) {
    if (problem.status === 404) known.classList.add("is-gone");
  }
}

function sayThereIsMore() {
  news.hidden = false;
  fill(news, "There is something new. ", button("Show", show, { class: "portal-link" }));
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let pause;
words.addEventListener("input", () => {
  clearTimeout(pause);
  pause = setTimeout(show, PAUSE_MS);
});
search.addEventListener("submit", (event) => {
  event.preventDefault();
  show();
});

const client = liveClient();
client.on("touched", ({ ticket }) => touched(ticket));
let wasLive = false;
client.on("state", ({ state }) => {
  if (state !== "live") return;
  // What happened while the line was cut was told to nobody.
  if (wasLive) show();
  wasLive = true;
});
client.connect();
show();
