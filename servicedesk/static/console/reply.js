/** The composer of a ticket's page: replies and notes, and a word before one talks at cross purposes. */

import { Composer } from "../desk/composer.js";
import { button, element } from "../desk/dom.js";
import { Draft } from "../desk/drafts.js";
import { Uploads } from "../desk/uploads.js";
import { openCanned } from "./canned.js";
import { client, me } from "./frame.js";

/** How much of a reply is shown to whoever has not read it. */
const SHOWN = 200;

/**
 * @typedef {object} Reply
 * @property {(message: any) => void} heard A message has arrived.
 * @property {(internal: boolean) => void} focus
 * @property {() => void} canned
 */

/**
 * @param {{id: number, room: import("../realtime/desk-client.js").Room}} ticket
 * @returns {Reply}
 */
export function startReply({ id, room }) {
  const form = /** @type {HTMLFormElement} */ (document.getElementById("reply"));
  const textarea = form.elements.body;
  const draft = new Draft(`${me.id}:ticket:${id}:reply`);
  const uploads = new Uploads({
    list: document.getElementById("uploads"),
    input: form.elements.file,
    dropZone: form,
    pasteTarget: textarea,
    draft,
  });
  const { audience } = form.elements;
  const isInternal = () => audience.value === "internal";
  if (!draft.isEmpty) audience.value = draft.internal ? "internal" : "public";
  // The browser may have chosen as well, from before it was reloaded.
  draft.internal = isInternal();
  form.addEventListener("change", ({ target }) => {
    if (target.name === "audience") draft.internal = isInternal();
  });
  const typing = {
    start: (internal) => room.typing({ internal }),
    stop: () => room.stopTyping(),
  };

  /** @type {any[]} What others replied since this one was begun. */
  let missed = [];
  let isBegun = Boolean(draft.text);
  textarea.addEventListener("input", () => {
    if (!isBegun) missed = [];
    isBegun = textarea.value !== "";
  });

  const composer = new Composer({
    form,
    textarea,
    uploads,
    draft,
    typing,
    isInternal,
    send({ body, internal, attachments }) {
      missed = [];
      isBegun = false;
      client.send(id, body, { internal, attachments });
    },
    async beforeSend() {
      if (missed.length === 0 || isInternal()) return true;
      const isWanted = await askFirst(missed);
      missed = [];
      return isWanted;
    },
  });

  const insert = (/** @type {string} */ text) => composer.insert(text);
  const canned = /** @type {HTMLButtonElement} */ (document.getElementById("canned"));
  const pick = () => openCanned({ ticket: id, addUrl: canned.dataset.add, insert });
  canned.hidden = false;
  canned.addEventListener("click", pick);

  return {
    heard(message) {
      if (!message.internal && message.author?.id !== me.id) missed.push(message);
    },
    focus(internal) {
      audience.value = internal ? "internal" : "public";
      draft.internal = internal;
      textarea.focus();
      form.scrollIntoView({ block: "nearest" });
    },
    canned: pick,
  };
}

/**
 * What was said meanwhile, and whether to send all the same.
 * @param {any[]} missed
 * @returns {Promise<boolean>}
 */
function askFirst(missed) {
  const count = missed.length === 1 ? "1 new reply" : `${missed.length} new replies`;
  const line = ({ author, body }) => {
    const text = body.trim().replace(/\s+/g, " ");
    const shown = text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
    return element("li", {}, element("strong", { text: author?.name ?? "The desk" }), `: ${shown}`);
  };
  const close = (/** @type {string} */ answer) => () => dialog.close(answer);
  const dialog = /** @type {HTMLDialogElement} */ (
    element(
      "dialog",
      { class: "desk-dialog", "aria-labelledby": "missed-title" },
      element("h2", { id: "missed-title", text: `${count} since you began` }),
      element("ul", { class: "desk-missed" }, missed.map(line)),
      element(
        "p",
        { class: "desk-buttons" },
        button("Look first", close("look"), { class: "desk-button is-main", autofocus: true }),
        button("Send anyway", close("send"), { class: "desk-button" }),
      ),
    )
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "send");
    });
  });
}
