/** How a message is drawn, in the same words and classes as the server's said.html. */

import { button, element, sanitised } from "./dom.js";
import { fileItem } from "./files.js";
import { timeElement } from "./times.js";

/** @typedef {{me: {id: number, role: string}, requester: number}} Reading Who reads, who asked. */

/**
 * @param {any} message As the API has it.
 * @param {Reading} reading
 * @param {{kind: string} | null} [actor] The event's: tells customers from the desk.
 */
export function saidArticle(message, { me, requester }, actor) {
  const { id, author, body_html, internal, created_at, attachments } = message;
  const isMine = author?.id === me.id;
  const isCustomer = actor ? actor.kind === "customer" : author?.id === requester;
  const kind = kindOf(internal, isCustomer) + (isMine ? " is-mine" : "");
  const name = isMine && me.role === "customer" ? "You" : (author?.name ?? "The desk");
  return element(
    "article",
    { class: `desk-said ${kind}`, data: { message: id } },
    element(
      "p",
      { class: "desk-said-head" },
      element("strong", { text: name }),
      internal ? notePill() : " replied",
      timeElement(created_at),
    ),
    element("div", { class: "desk-body" }, sanitised(body_html)),
    attachments.length > 0 && element("ul", { class: "desk-filelist" }, attachments.map(fileItem)),
  );
}

/**
 * One's own message that has not arrived.
 * @param {import("../realtime/desk-client.js").Outgoing} outgoing
 * @param {Reading} reading
 */
export function outgoingArticle(outgoing, { me, requester }) {
  const { body, internal, attachments, client_msg_id } = outgoing;
  const hasFailed = outgoing.state === "failed";
  const kind = kindOf(internal, me.id === requester);
  const state = hasFailed ? "is-failed" : "is-waiting";
  const words = hasFailed ? "Not sent" : "Waiting to be sent…";
  const files = attachments.length === 1 ? "With 1 file" : `With ${attachments.length} files`;
  return element(
    "article",
    { class: `desk-said ${kind} is-mine ${state}`, data: { outgoing: client_msg_id } },
    element(
      "p",
      { class: "desk-said-head" },
      element("strong", { text: "You" }),
      internal && notePill(),
      element("span", { class: "desk-quiet", text: words }),
    ),
    element("div", { class: "desk-body is-plain", text: body }),
    attachments.length > 0 && element("p", { class: "desk-quiet", text: files }),
    hasFailed && whatNow(outgoing),
  );
}

/** That a reply went to another ticket: to a follow-up, or to where this one was merged into. */
export function wentElsewhere(/** @type {number} */ ticket, /** @type {string} */ address) {
  return element(
    "p",
    { class: "desk-elsewhere", role: "status" },
    "Your message went to ",
    element(address ? "a" : "strong", { href: address, text: `SD-${ticket}` }),
    ", where this goes on.",
  );
}

function whatNow(outgoing) {
  const [first] = outgoing.error.details?.errors ?? [];
  return element(
    "div",
    { class: "desk-unsent" },
    element("p", { role: "alert", text: first?.detail ?? outgoing.error.message }),
    element(
      "p",
      { class: "desk-buttons" },
      button("Try again", () => outgoing.retry(), { class: "desk-button" }),
      button("Discard", () => outgoing.discard(), { class: "desk-button" }),
    ),
  );
}

function kindOf(isNote, isCustomer) {
  if (isNote) return "is-note";
  return isCustomer ? "is-customer" : "is-staff";
}

function notePill() {
  return element("span", { class: "desk-pill is-note", text: "Internal note" });
}
