/** One ticket: what was said, what comes next, and a place to write. */

import { get, post, put } from "../desk/api.js";
import { Composer } from "../desk/composer.js";
import { Conversation } from "../desk/conversation.js";
import { button, element, fill, sanitised } from "../desk/dom.js";
import { Draft } from "../desk/drafts.js";
import { fileItem } from "../desk/files.js";
import { notify } from "../desk/notices.js";
import { markRead, messagesOf } from "../desk/reading.js";
import { timeElement } from "../desk/times.js";
import { Uploads } from "../desk/uploads.js";
import { Viewers } from "../desk/viewers.js";
import { liveClient, me } from "./page.js";
import { ratingForm } from "./rating.js";
import { actionLabel, statusLabel, statusSentence } from "./words.js";

const REFRESH_MS = 300;

const page = document.getElementById("ticket");
const id = Number(page.dataset.ticket);
const place = (name) => document.getElementById(name);

/** @type {any} The ticket as it was read last. */
let ticket;
/** @type {Conversation} */
let conversation;

// --- Reading ------------------------------------------------------------------------------

const read = () => get(`/tickets/${id}/`);

/** Files that came with the opening: those that no message has. */
async function openingFiles(said) {
  const { results } = await get(`/files/ticket/${id}?page_size=100`);
  const named = new Set(said.flatMap(({ attachments }) => attachments.map((file) => file.id)));
  return results.filter((file) => !named.has(file.id));
}

// --- Drawing ------------------------------------------------------------------------------

function draw() {
  document.title = `${ticket.number} ${ticket.subject} – Service desk`;
  place("subject").textContent = ticket.subject;
  fill(
    place("state"),
    element(
      "p",
      { class: "portal-state" },
      element("span", { class: `desk-pill is-${ticket.status}`, text: statusLabel(ticket.status) }),
      element("span", { text: statusSentence(ticket) }),
      ticket.merged_into &&
        element("a", { href: `/tickets/${ticket.merged_into}/`, text: `It goes on in SD-${ticket.merged_into}` }),
    ),
    steps(ticket.allowed_actions.filter((to) => to !== "cancelled"), "desk-button"),
  );
  fill(place("outcome"), resolution(), rating());
  fill(place("way-out"), steps(ticket.allowed_actions.filter((to) => to === "cancelled"), "portal-link"));
  place("reply").hidden = false;
}

function steps(/** @type {string[]} */ statuses, kind) {
  const made = statuses.map((to) =>
    button(actionLabel(to), (event) => move(to, event.currentTarget), { class: kind }),
  );
  return made.length > 0 && element("p", { class: "desk-buttons" }, made);
}

function resolution() {
  if (!ticket.resolution || !["resolved", "closed"].includes(ticket.status)) return null;
  return element(
    "section",
    { class: "desk-said is-resolution" },
    element("p", { class: "desk-said-head" }, element("strong", { text: "How it was solved" })),
    element("div", { class: "desk-resolution" }, sanitised(ticket.resolution_html)),
  );
}

/** Not drawn anew while one is about to fill it in. */
let shownRating = { key: "", form: null };
function rating() {
  const mayRate = ["resolved", "closed"].includes(ticket.status) && ticket.requester.id === me.id;
  if (!mayRate || ticket.merged_into) return null;
  const key = JSON.stringify(ticket.rating);
  if (shownRating.key !== key || !shownRating.form) {
    shownRating = { key, form: ratingForm(ticket.rating, rate) };
  }
  return shownRating.form;
}

function drawOpening(files) {
  fill(
    place("opening"),
    element(
      "article",
      { class: "desk-said is-customer" },
      element(
        "p",
        { class: "desk-said-head" },
        element("strong", { text: ticket.requester.id === me.id ? "You" : ticket.requester.name }),
        " asked",
        timeElement(ticket.created_at),
      ),
      ticket.description
        ? element("div", { class: "desk-body" }, sanitised(ticket.description_html))
        : element("p", { class: "desk-quiet", text: "Without further words." }),
      files.length > 0 && element("ul", { class: "desk-filelist" }, files.map(fileItem)),
    ),
  );
}

// --- Acting -------------------------------------------------------------------------------

async function move(status, pressed) {
  pressed.disabled = true;
  try {
    ticket = await put(`/tickets/${id}/status`, { status });
    draw();
  } catch (problem) {
    pressed.disabled = false;
    failed(problem);
  }
}

async function rate(score, comment) {
  const rated = await post(`/tickets/${id}/rating`, { score, comment });
  ticket = { ...ticket, rating: rated };
  notify("Thank you. The desk reads every word of it.", { kind: "good" });
  draw();
}

function failed(problem) {
  if (problem.status === 404) return gone();
  if (problem.status !== 401) notify(problem.detail ?? problem.message, { kind: "bad" });
}

/** Nothing of the ticket stays on the screen. */
function gone() {
  client.close();
  document.title = "Service desk";
  fill(
    page,
    element(
      "div",
      { class: "portal-empty", role: "alert" },
      element("h1", { text: "You have no access to this ticket any more" }),
      element("p", { text: "Somebody at the desk changed who takes part in it. What you had begun to write is kept in this browser." }),
      element("p", {}, element("a", { class: "desk-button", href: "/", text: "To my tickets" })),
    ),
  );
}

// --- Live ---------------------------------------------------------------------------------

/** @type {ReturnType<typeof setTimeout> | undefined} */
let refreshing;
function refreshSoon() {
  clearTimeout(refreshing);
  refreshing = setTimeout(refresh, REFRESH_MS);
}

async function refresh() {
  try {
    ticket = await read();
    draw();
  } catch (problem) {
    if (problem.status === 404) gone();
    else if (problem.code === "offline") refreshing = setTimeout(refresh, 10 * REFRESH_MS);
  }
}

function happened({ event, actor, data }) {
  if (event === "message.created") conversation.add(data.message, actor);
  else if (event === "file.removed") conversation.removed(data.file.id);
  else if (event.startsWith("file.")) conversation.files(data.file);
  if (!event.startsWith("file.")) refreshSoon();
}

/** More was missed than is replayed. */
async function anew(/** @type {any} */ snapshot) {
  ticket = snapshot;
  draw();
  conversation.addAll(await messagesOf(id));
}

const client = liveClient();

async function begin() {
  ticket = await read();
  const said = await messagesOf(id);
  draw();
  drawOpening(await openingFiles(said));
  const reading = { me, requester: ticket.requester.id, linkTo: (other) => `/tickets/${other}/` };
  conversation = new Conversation({ list: place("said"), ...reading });
  conversation.addAll(said);
  page.removeAttribute("aria-busy");

  client.on("outgoing", (outgoing) => outgoing.ticket === id && conversation.show(outgoing));
  const room = client.room(id, { lastSeq: ticket.stream.seq, epoch: ticket.stream.epoch });
  room.on("event", happened);
  room.on("snapshot", (snapshot) => anew(snapshot).catch(failed));
  room.on("left", gone);
  new Viewers({ line: place("viewers"), room, me });
  write(room);
  client.connect();
  markRead(id).catch(() => {}); // the mark in the list stays, no more
}

function write(room) {
  const form = /** @type {HTMLFormElement} */ (place("reply"));
  const textarea = /** @type {HTMLTextAreaElement} */ (place("body"));
  const draft = new Draft(`${me.id}:ticket:${id}:reply`);
  const uploads = new Uploads({
    list: place("uploads"),
    input: /** @type {HTMLInputElement} */ (place("files")),
    dropZone: form,
    pasteTarget: textarea,
    draft,
  });
  const typing = { start: () => room.typing(), stop: () => room.stopTyping() };
  const send = ({ body, attachments }) => {
    client.send(id, body, { attachments });
  };
  new Composer({ form, textarea, uploads, draft, typing, send });
}

begin().catch((problem) => {
  if (problem.status === 404) return gone();
  fill(
    page,
    element(
      "div",
      { class: "portal-empty", role: "alert" },
      element("h1", { text: "This ticket cannot be shown now" }),
      element("p", { text: problem.detail ?? problem.message }),
      element("p", {}, button("Try again", () => location.reload(), { class: "desk-button" })),
    ),
  );
});
