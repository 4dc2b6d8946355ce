/** A form in which a message is written: what is typed is kept, sent once, and never lost. */

import { element } from "./dom.js";

/** The desk passes typing on once in three seconds. */
const TYPING_AGAIN_MS = 2_500;
const KEEP_AFTER_MS = 300;

/**
 * @typedef {object} Parts
 * @property {HTMLFormElement} form
 * @property {HTMLTextAreaElement} textarea
 * @property {import("./uploads.js").Uploads} [uploads]
 * @property {import("./drafts.js").Draft} [draft]
 * @property {{start: (internal: boolean) => void, stop: () => void}} [typing]
 * @property {() => boolean} [isInternal]
 * @property {(message: {body: string, internal: boolean, attachments: string[]}) => any} send Where
 *   it throws, what is written stays in the box.
 * @property {() => Promise<boolean>} [beforeSend] False keeps the message for now.
 */

export class Composer {
  #form;
  #textarea;
  #uploads;
  #draft;
  #typing;
  #isInternal;
  #send;
  #beforeSend;
  #hint = element("p", { class: "desk-composer-hint", role: "status" });
  #isSending = false;
  #typedAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #keeping;

  /** @param {Parts} parts */
  constructor({ form, textarea, isInternal = () => false, ...others }) {
    this.#form = form;
    this.#textarea = textarea;
    this.#isInternal = isInternal;
    this.#uploads = others.uploads;
    this.#draft = others.draft;
    this.#typing = others.typing;
    this.#send = others.send;
    this.#beforeSend = others.beforeSend;
    // Blank is allowed along with a file: we say so ourselves.
    form.noValidate = true;
    textarea.after(this.#hint);
    if (!textarea.value) textarea.value = this.#draft?.text ?? "";
    this.#listen();
  }

  get text() {
    return this.#textarea.value;
  }

  /** Put text where the cursor is, such as a canned reply. */
  insert(/** @type {string} */ text) {
    const { selectionStart, selectionEnd } = this.#textarea;
    this.#textarea.focus();
    this.#textarea.setRangeText(text, selectionStart, selectionEnd, "end");
    this.#textarea.dispatchEvent(new InputEvent("input", { bubbles: true }));
  }

  // --- Inside -----------------------------------------------------------------------------

  #listen() {
    const textarea = this.#textarea;
    textarea.addEventListener("input", () => this.#typed());
    textarea.addEventListener("blur", () => this.#stopTyping());
    textarea.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
      event.preventDefault();
      this.#form.requestSubmit();
    });
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#uploads?.addEventListener("change", () => this.#say(""));
    globalThis.addEventListener("pagehide", () => this.#keep());
  }

  #typed() {
    this.#say("");
    clearTimeout(this.#keeping);
    this.#keeping = setTimeout(() => this.#keep(), KEEP_AFTER_MS);
    if (this.text.trim() === "") return this.#stopTyping();
    if (Date.now() - this.#typedAt < TYPING_AGAIN_MS) return;
    this.#typedAt = Date.now();
    this.#typing?.start(this.#isInternal());
  }

  #stopTyping() {
    if (this.#typedAt) this.#typing?.stop();
    this.#typedAt = 0;
  }

  #keep() {
    clearTimeout(this.#keeping);
    if (this.#draft && this.#draft.text !== this.text) this.#draft.text = this.text;
  }

  async #submit() {
    if (this.#isSending || !this.#isReady()) return;
    this.#isSending = true;
    try {
      this.#keep();
      if (!this.#beforeSend || (await this.#beforeSend())) await this.#hand();
    } finally {
      this.#isSending = false;
    }
  }

  #isReady() {
    const isEmpty = this.text.trim() === "" && !this.#uploads?.ids.length;
    const { isBusy, hasFailed } = this.#uploads ?? {};
    if (isBusy) this.#say("A moment: a file is still on its way.");
    else if (hasFailed) this.#say("A file did not arrive. Try it again, or remove it.");
    else if (isEmpty) this.#say("Write something first, or add a file.");
    else return true;
    this.#textarea.focus();
    return false;
  }

  async #hand() {
    const message = {
      body: this.text,
      internal: this.#isInternal(),
      attachments: this.#uploads?.ids ?? [],
    };
    this.#stopTyping();
    try {
      await this.#send(message);
    } catch (error) {
      return this.#say(error.detail ?? error.message);
    }
    this.#sent(message.body);
  }

  /** What was typed in the meantime is the next message. */
  #sent(body) {
    const more = this.text.startsWith(body) ? this.text.slice(body.length) : this.text;
    this.#textarea.value = more.trimStart();
    this.#draft?.clear();
    this.#uploads?.clear();
    this.#keep();
    this.#say("");
  }

  #say(words) {
    if (this.#hint.textContent !== words) this.#hint.textContent = words;
  }
}
