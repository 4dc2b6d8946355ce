/**
 * A page that the server draws, kept fresh by its parts: elements with `data-part`, each named once
 * on its page. A part that has changed is exchanged for the server's; one in which somebody is
 * writing waits until they are done, and one with `data-calm` until the pointer has left it: nothing
 * moves under a finger that is about to press. Forms inside of parts are sent without leaving the
 * page, except for those with `data-leaves`.
 */

import { csrfToken, session } from "../desk/api.js";
import { notify } from "../desk/notices.js";
import { keepTimes } from "../desk/times.js";

/**
 * Says `exchanged`, its `detail` the new element, after each exchange; and `gone` when the page is
 * not there for this user any more.
 */
export const page = new EventTarget();

/** What happens together is read together. */
const TOGETHER_MS = 300;

/** Parts of the last answer that could not be shown yet, by name. */
const waiting = new Map();
/** @type {WeakMap<Element, string>} Parts as the server drew them. */
const served = new WeakMap();
for (const part of document.querySelectorAll("[data-part]")) served.set(part, drawn(part));

/** @type {Promise<void> | null} */
let reading = null;
let isWanted = false;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let soon;

/** Read the page once more and exchange what has changed. Several calls at once read it once. */
export async function refresh() {
  clearTimeout(soon);
  soon = undefined;
  isWanted = true;
  reading ??= readAll().finally(() => (reading = null));
  return reading;
}

/** The same, a little later, so that one reading shows all that happens until then. */
export function refreshSoon(delay = TOGETHER_MS) {
  soon ??= setTimeout(refresh, delay);
}

async function readAll() {
  while (isWanted) {
    isWanted = false;
    const answer = await ask(location.href, {});
    if (answer) exchangeAll(answer);
  }
}

/**
 * Send a form as its browser would, and take in the page that answers.
 * @param {HTMLFormElement} form
 * @param {HTMLButtonElement | null} [submitter]
 * @returns {Promise<boolean>} Whether it was carried out.
 */
export async function submit(form, submitter = null) {
  if (form.ariaBusy === "true") return false;
  form.ariaBusy = "true";
  try {
    // What one has just done oneself, and the page knows of, is no conflict.
    await (soon ? refresh() : reading);
    const shown = /** @type {HTMLFormElement} */ (document.getElementById(form.id) ?? form);
    const body = new FormData(shown);
    if (submitter?.name) body.set(submitter.name, submitter.value);
    // Signing in elsewhere has changed it.
    body.set("csrfmiddlewaretoken", csrfToken());
    const own = shown.closest("[data-part]")?.getAttribute("data-part");
    const url = form.getAttribute("action") ?? location.href;
    const answer = await ask(url, { method: "POST", body }, own);
    if (!answer) return false;
    exchangeAll(answer, own);
    return answer.isDone;
  } finally {
    form.ariaBusy = null;
  }
}

// --- Asking -------------------------------------------------------------------------------

/**
 * @param {string} url
 * @param {RequestInit} init
 * @param {string} [own] The part whose form is sent.
 * @returns {Promise<{root: Document, isDone: boolean} | null>} None where no page came.
 */
async function ask(url, init, own) {
  let response, text;
  try {
    response = await fetch(url, { credentials: "same-origin", headers: { Accept: "text/html" }, ...init });
    text = await response.text();
  } catch {
    if (init.method) unsure("The desk cannot be reached.");
    return null;
  }
  const path = new URL(response.url).pathname;
  if (response.redirected && path.endsWith("/login/")) {
    session.dispatchEvent(new Event("ended"));
    return null;
  }
  const hasMoved = response.redirected && path !== location.pathname;
  if (response.status === 404 || hasMoved) {
    page.dispatchEvent(new Event("gone"));
    return null;
  }
  const root = new DOMParser().parseFromString(text, "text/html");
  if (!root.querySelector("[data-part]")) {
    if (init.method) unsure(`The desk answered ${response.status}.`);
    return null;
  }
  say(root, own);
  return { root, isDone: response.ok };
}

/** Without its answer nobody knows whether it was carried out. */
function unsure(/** @type {string} */ why) {
  notify(`${why} Look whether it was done before you try again.`, { kind: "bad" });
}

/** Django's messages on the page that came, but for a refusal that the part explains by itself. */
function say(root, own) {
  const isExplained = own && root.querySelector(`${named(own)} [role="alert"]`);
  for (const line of root.querySelectorAll(".messagelist > li")) {
    const isBad = line.matches(".error, .warning");
    if (isBad && isExplained) continue;
    notify(line.textContent.trim(), { kind: isBad ? "bad" : "good" });
  }
}

// --- Exchanging ---------------------------------------------------------------------------

/** A selector. */
const named = (/** @type {string} */ part) => `[data-part="${CSS.escape(part)}"]`;

/** `own` is the part whose form was sent: it is exchanged whatever is in it. */
function exchangeAll({ root }, own) {
  document.title = root.title;
  for (const part of document.querySelectorAll("[data-part]")) {
    const name = part.getAttribute("data-part");
    const fresh = root.querySelector(named(name));
    if (fresh) exchange(part, fresh, name === own);
  }
}

function exchange(/** @type {Element} */ part, /** @type {Element} */ fresh, isForced = false) {
  const name = part.getAttribute("data-part");
  const now = drawn(fresh);
  if (served.get(part) === now && !isForced) return waiting.delete(name);
  if (isInUse(part) && !isForced) {
    followIn(part, fresh);
    return waiting.set(name, fresh);
  }
  waiting.delete(name);
  const made = document.importNode(fresh, true);
  served.set(made, now);
  keepOpen(part, made);
  const focus = placeOfFocus(part);
  part.replaceWith(made);
  keepTimes(made);
  made.querySelector(focus)?.focus({ preventScroll: true });
  page.dispatchEvent(new CustomEvent("exchanged", { detail: made }));
}

/** Whether somebody is writing, choosing or about to press in it. */
function isInUse(/** @type {Element} */ part) {
  if (part.matches("[data-calm]:hover") && matchMedia("(hover: hover)").matches) return true;
  if (part.contains(document.activeElement) && document.activeElement.matches(FIELDS)) return true;
  // A list of choices is open, wherever it is drawn.
  if (part.querySelector("[aria-expanded=true]")) return true;
  return [...part.querySelectorAll(FIELDS)].some(isEdited);
}

/** Hidden fields that go with what the rest of the page shows, such as the version. */
function followIn(part, fresh) {
  const theirs = [...fresh.querySelectorAll("[data-follow]")];
  const ours = [...part.querySelectorAll("[data-follow]")];
  if (theirs.length !== ours.length) return;
  ours.forEach((input, index) => (input.value = theirs[index].value));
}

const FIELDS = "input:not([type=hidden], [type=submit], [type=button]), select, textarea";

function isEdited(field) {
  if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
  if (field.type === "file") return field.files.length > 0;
  if (!(field instanceof HTMLSelectElement)) return field.value !== field.defaultValue;
  const options = [...field.options];
  const hasDefault = field.multiple || options.some((option) => option.defaultSelected);
  if (!hasDefault) return field.selectedIndex > 0;
  return options.some((option) => option.selected !== option.defaultSelected);
}

/** What was unfolded stays so. */
function keepOpen(part, made) {
  // Without what may differ from time to time, such as a count.
  const label = (details) => /[^\d:(]*/.exec(details.querySelector("summary").textContent.trim())[0].trim();
  const open = new Set([...part.querySelectorAll("details[open]")].map(label));
  for (const details of made.querySelectorAll("details")) {
    if (open.has(label(details))) details.open = true;
  }
}

/** A selector for the element that holds the focus, where it can be told apart. */
function placeOfFocus(part) {
  const held = document.activeElement;
  if (!part.contains(held) || held === part) return ":not(*)";
  if (held.id) return `#${CSS.escape(held.id)}`;
  for (const attribute of ["href", "value"]) {
    const value = held.getAttribute(attribute);
    if (value) return `${held.localName}[${attribute}="${CSS.escape(value)}"]`;
  }
  return held.localName === "summary" ? "summary" : ":not(*)";
}

/** As the server drew it, but for what differs each time. */
function drawn(/** @type {Element} */ part) {
  return part.outerHTML.replace(/(name="csrfmiddlewaretoken" value=")[^"]*/g, "$1");
}

/** What waited for somebody to be done. */
function showWaiting() {
  for (const [name, fresh] of waiting) {
    const part = document.querySelector(named(name));
    if (part) exchange(part, fresh);
  }
}

document.addEventListener("focusout", () => setTimeout(showWaiting));
document.addEventListener("pointerout", () => waiting.size > 0 && setTimeout(showWaiting));
document.addEventListener("submit", (event) => {
  const form = event.target;
  const isOurs = form instanceof HTMLFormElement && form.method === "post" && form.closest("[data-part]");
  if (event.defaultPrevented || !isOurs || form.hasAttribute("data-leaves")) return;
  event.preventDefault();
  submit(form, /** @type {HTMLButtonElement | null} */ (event.submitter));
});
