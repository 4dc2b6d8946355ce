/** A new ticket: kept while it is written, opened once however often it has to be sent. */

import { get, idempotencyKey, post } from "../desk/api.js";
import { element, fill } from "../desk/dom.js";
import { Draft } from "../desk/drafts.js";
import { Uploads } from "../desk/uploads.js";
import { me } from "./page.js";
import { connectionLine } from "../desk/notices.js";
import { statusLabel } from "./words.js";

const KEEP_AFTER_MS = 300;
const LOOK_AFTER_MS = 400;
const WORTH_LOOKING = 4;
const AGAIN_MS = 3_000;
const FIELDS = ["subject", "description", "category", "priority"];

connectionLine(null);
const form = /** @type {HTMLFormElement} */ (document.getElementById("new"));
const submit = /** @type {HTMLButtonElement} */ (form.querySelector("[type=submit]"));
const progress = document.getElementById("progress");
const similar = document.getElementById("similar");
const draft = new Draft(`${me.id}:new`);
const uploads = new Uploads({
  list: document.getElementById("uploads"),
  input: /** @type {HTMLInputElement} */ (document.getElementById("files")),
  dropZone: form,
  pasteTarget: form,
  draft,
});

// --- What is being written ----------------------------------------------------------------

/** @returns {{fields: Record<string, string>, key?: string, sent?: string}} */
function kept() {
  try {
    const found = JSON.parse(draft.text || "{}");
    return { fields: {}, ...found };
  } catch {
    return { fields: {} };
  }
}

function keep(/** @type {object} */ change = {}) {
  const fields = Object.fromEntries(FIELDS.map((name) => [name, form.elements[name].value]));
  const isBlank = !fields.subject && !fields.description;
  draft.text = isBlank ? "" : JSON.stringify({ ...kept(), fields, ...change });
}

function restore() {
  for (const [name, value] of Object.entries(kept().fields)) {
    const field = form.elements[name];
    if (field && !field.value) field.value = value;
    else if (field?.tagName === "SELECT") field.value = value;
  }
}

async function offerCategories() {
  const { results } = await get("/categories/?page_size=100");
  const options = results.map(({ id, name }) => element("option", { value: id, text: name }));
  form.elements.category.append(...options);
  form.elements.category.value = kept().fields.category ?? "";
}

// --- Is it known already? -----------------------------------------------------------------

let asked = 0;

async function look() {
  const current = ++asked;
  const text = form.elements.subject.value.trim();
  let found = [];
  if (text.length >= WORTH_LOOKING) {
    try {
      found = (await get(`/tickets/similar?${new URLSearchParams({ q: text })}`)).results;
    } catch {
      return; // a help, no more
    }
  }
  if (current !== asked) return;
  similar.hidden = found.length === 0;
  fill(similar.querySelector("ul"), found.map(known));
}

function known(ticket) {
  return element(
    "li",
    {},
    element("a", { href: `/tickets/${ticket.id}/`, text: ticket.subject }),
    " ",
    element("span", { class: `desk-pill is-${ticket.status}`, text: statusLabel(ticket.status) }),
  );
}

// --- Sending ------------------------------------------------------------------------------

function body() {
  const { subject, description, category, priority } = kept().fields;
  return {
    subject: subject.trim(),
    description,
    priority,
    ...(category && { category: Number(category) }),
    ...(uploads.ids.length > 0 && { attachments: uploads.ids }),
  };
}

/** The same text is sent under the same key: whether it arrived before is for the desk to know. */
function keyFor(/** @type {string} */ text) {
  const { key, sent } = kept();
  if (key && sent === text) return key;
  const made = idempotencyKey();
  keep({ key: made, sent: text });
  return made;
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let again;
let isSending = false;

async function send() {
  clearTimeout(again);
  if (isSending || !isReady()) return;
  isSending = true;
  keep();
  showErrors();
  const wanted = body();
  progress.textContent = "Opening…";
  try {
    const { id } = await post("/tickets/", wanted, { key: keyFor(JSON.stringify(wanted)) });
    uploads.clear();
    form.reset();
    draft.clear();
    location.assign(`/tickets/${id}/`);
  } catch (problem) {
    refused(problem);
  } finally {
    isSending = false;
  }
}

function isReady() {
  if (uploads.isBusy) progress.textContent = "A moment: a file is still on its way.";
  else if (uploads.hasFailed) progress.textContent = "A file did not arrive. Try it again, or remove it.";
  else if (!form.elements.subject.value.trim()) {
    showErrors([["subject", "Say in a few words what it is about."]]);
    form.elements.subject.focus();
  } else return true;
  return false;
}

function refused(problem) {
  if (problem.code === "offline" || problem.status >= 502 || problem.code === "request_in_progress") {
    progress.textContent = "You are offline. It is kept, and opened as soon as the desk is back.";
    again = setTimeout(send, AGAIN_MS);
    return;
  }
  progress.textContent = "";
  if (problem.status === 401) return; // said at the page's edge
  const about = (problem.errors ?? []).map(({ pointer, detail }) => [pointer.split("/")[1], detail]);
  showErrors(about.length ? about : [["", problem.detail ?? problem.message]]);
  form.querySelector("[aria-invalid]")?.focus();
}

/** Each at its field; what belongs to none, above the form. */
function showErrors(/** @type {string[][]} */ errors = []) {
  for (const place of form.querySelectorAll(".portal-error")) place.hidden = true;
  for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  for (const [name, detail] of errors) {
    const place = document.getElementById(`${name}-error`) ?? document.getElementById("problem");
    place.textContent = detail;
    place.hidden = false;
    document.getElementById(name)?.setAttribute("aria-invalid", "true");
  }
}

// ------------------------------------------------------------------------------------------

/** @type {Record<string, ReturnType<typeof setTimeout>>} */
const timers = {};
function soon(name, milliseconds, run) {
  clearTimeout(timers[name]);
  timers[name] = setTimeout(run, milliseconds);
}

form.addEventListener("input", (event) => {
  soon("keep", KEEP_AFTER_MS, keep);
  if (event.target === form.elements.subject) soon("look", LOOK_AFTER_MS, look);
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
uploads.addEventListener("change", () => (progress.textContent = ""));
addEventListener("pagehide", () => keep());
addEventListener("online", () => again && send());
restore();
offerCategories().catch(() => {}); // a ticket may be without one
