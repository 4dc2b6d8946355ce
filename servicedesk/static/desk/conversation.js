/**
 * A conversation on the screen, kept live: what arrives takes its place, what is on its way is
 * shown as that, and who reads further up is not moved.
 */

import { fileItem, removedItem } from "./files.js";
import { Reader } from "./reader.js";
import { outgoingArticle, saidArticle, wentElsewhere } from "./said.js";
import { Thread } from "./thread.js";
import { keepTimes } from "./times.js";

/** What stays below the messages. */
const LAST = ":scope > .is-resolution, :scope > [data-outgoing]";

/**
 * @typedef {object} About
 * @property {HTMLElement} list Holds the articles; those that the server has drawn have
 *   `data-message`, and their time in `<time datetime>`.
 * @property {{id: number, role: string}} me
 * @property {number} requester
 * @property {(ticket: number) => string} [linkTo] Another ticket's page: a reply may go there.
 */

export class Conversation {
  #list;
  #reading;
  #linkTo;
  #reader;
  #thread = new Thread();
  /** @type {Map<number, HTMLElement>} */
  #articles = new Map();
  /** @type {Map<string, {article: HTMLElement, body: string}>} By client_msg_id. */
  #onTheWay = new Map();

  /** @param {About} about */
  constructor({ list, me, requester, linkTo }) {
    this.#list = list;
    this.#reading = { me, requester };
    this.#linkTo = linkTo;
    this.#reader = new Reader(list);
    for (const article of list.querySelectorAll(":scope > [data-message]")) this.#adopt(article);
    keepTimes(list);
  }

  /**
   * A message that has just arrived; one that is there already is left alone.
   * @param {any} message As the API and `message.created` have it.
   * @param {{kind: string} | null} [actor] The event's: tells customers from the desk.
   */
  add(message, actor) {
    const isOwn = message.author?.id === this.#reading.me.id;
    const keepPlace = this.#reader.hold();
    const article = this.#place(message, actor);
    if (!article) return;
    if (isOwn) this.#waitingFor(message.body)?.article.remove();
    article.classList.add("is-fresh");
    keepPlace();
    if (!isOwn) this.#reader.tell(message, article);
  }

  /** Messages that were read over HTTP: they take their places without a word. */
  addAll(/** @type {any[]} */ messages) {
    for (const message of messages) this.#place(message);
  }

  /** @param {import("../realtime/desk-client.js").Outgoing} outgoing One's own, in any state. */
  show(outgoing) {
    const { client_msg_id, state, answer, body } = outgoing;
    const keepPlace = this.#reader.hold();
    this.#onTheWay.get(client_msg_id)?.article.remove();
    this.#onTheWay.delete(client_msg_id);
    if (state === "sent") this.#arrived(answer);
    else if (state !== "discarded") {
      const article = outgoingArticle(outgoing, this.#reading);
      this.#onTheWay.set(client_msg_id, { article, body });
      this.#list.append(article);
    }
    keepPlace();
  }

  /** What is new about a file: `file.scanned`, `file.previewed`. */
  files(/** @type {any} */ file) {
    for (const shown of this.#filesNamed(file.id)) shown.replaceWith(fileItem(file));
  }

  removed(/** @type {string} */ fileId) {
    for (const shown of this.#filesNamed(fileId)) {
      const name = shown.querySelector(".desk-filename")?.textContent ?? "A file";
      shown.replaceWith(removedItem(fileId, name));
    }
  }

  // --- Inside -----------------------------------------------------------------------------

  #adopt(article) {
    const id = Number(article.dataset.message);
    const time = article.querySelector("time[datetime]");
    this.#thread.add({ id, created_at: time?.dateTime ?? "" });
    this.#articles.set(id, article);
  }

  /** @returns {HTMLElement | null} None where it is there already. */
  #place(message, actor) {
    const place = this.#thread.add(message);
    if (!place) return null;
    const article = saidArticle(message, this.#reading, actor);
    this.#articles.set(message.id, article);
    const [before, after] = [this.#articles.get(place.before), this.#articles.get(place.after)];
    if (after) after.after(article);
    else if (before) before.before(article);
    else this.#list.insertBefore(article, this.#list.querySelector(LAST));
    return article;
  }

  #arrived({ message, ticket }) {
    if (ticket) this.#list.append(wentElsewhere(ticket, this.#linkTo?.(ticket)));
    else this.#place(message);
  }

  /** The event may be here before the answer that names it. */
  #waitingFor(body) {
    const isIt = (each) => each.article.isConnected && each.body.trim() === body.trim();
    return [...this.#onTheWay.values()].find(isIt);
  }

  #filesNamed(/** @type {string} */ id) {
    return this.#list.querySelectorAll(`[data-file="${CSS.escape(id)}"]`);
  }
}
