/** Files on their way to the desk: which go, which wait, what became of each. No DOM in here. */

import { idempotencyKey } from "./api.js";

const AT_ONCE = 3;
/** So many go with one message. */
export const MOST_FILES = 20;
/** Refusals that another try may not meet: of the connection, not of the file. */
const PASSING = new Set([0, 401, 409, 429, 500, 502, 503, 504]);

/**
 * @typedef {object} Item
 * @property {string} key Also the upload's Idempotency-Key: tried again, the file is kept once.
 * @property {string} name
 * @property {number} size
 * @property {File | null} file None where it was uploaded by an earlier page.
 * @property {"waiting" | "sending" | "ready" | "refused" | "failed"} state `refused` is the file's
 *   fault and final; what `failed` may be tried again.
 * @property {number} progress 0..1.
 * @property {string} reason A sentence, where it was refused or failed.
 * @property {any} meta What the desk says of it, once it is ready.
 */
/**
 * @typedef {object} Transport
 * @property {(file: File, signal: AbortSignal) => Promise<string>} judge Why the desk would refuse
 *   it; or nothing.
 * @property {(file: File, options: {key: string, progress: (share: number) => void,
 *   signal: AbortSignal}) => Promise<any>} send
 * @property {(id: string) => Promise<any>} remove
 */

export class UploadQueue {
  /** @type {Item[]} In the order in which they were chosen. */
  items = [];
  #transport;
  #changed;
  /** @type {Map<Item, AbortController>} */
  #underWay = new Map();

  /**
   * @param {Transport} transport
   * @param {(item: Item) => void} changed Called with each item that is new, changed or gone.
   */
  constructor(transport, changed) {
    this.#transport = transport;
    this.#changed = changed;
  }

  /** @returns {string[]} Of the files that are ready to go with a message. */
  get ids() {
    return this.#inState("ready").map(({ meta }) => meta.id);
  }

  get isBusy() {
    return this.#inState("waiting", "sending").length > 0;
  }

  get hasFailed() {
    return this.#inState("failed").length > 0;
  }

  /** Take files; answers those that are in the list already. */
  add(/** @type {Iterable<File>} */ files) {
    const doubles = [];
    for (const file of files) {
      if (this.items.some((item) => isSame(item, file))) doubles.push(file);
      else this.#take(file);
    }
    this.#work();
    return doubles;
  }

  /** Files that an earlier page has uploaded and not sent. */
  restore(/** @type {any[]} */ metas) {
    for (const meta of metas) {
      const { filename: name, size } = meta;
      this.#enlist({ name, size, file: null, state: "ready", progress: 1, meta });
    }
  }

  retry(/** @type {Item} */ item) {
    if (item.state !== "failed") return;
    this.#change(item, { state: "waiting", reason: "" });
    this.#work();
  }

  retryFailed() {
    for (const item of this.#inState("failed")) this.retry(item);
  }

  /** Cancel what is under way; what has arrived is taken away again. */
  remove(/** @type {Item} */ item) {
    this.#forget(item);
    // Not found: it had gone already, with its message or with its day.
    if (item.meta) this.#transport.remove(item.meta.id).catch(() => {});
    this.#work();
  }

  /** They went with a message. */
  clear() {
    for (const item of [...this.items]) this.#forget(item);
  }

  #take(file) {
    const { name, size } = file;
    const hasRoom = this.#inState("waiting", "sending", "ready", "failed").length < MOST_FILES;
    const state = hasRoom ? "waiting" : "refused";
    const reason = hasRoom ? "" : `A message takes ${MOST_FILES} files. Send this with another.`;
    this.#enlist({ name, size, file, state, progress: 0, reason });
  }

  #enlist(about) {
    const item = { key: idempotencyKey(), reason: "", meta: null, ...about };
    this.items.push(item);
    this.#changed(item);
  }

  #work() {
    for (const item of this.#inState("waiting")) {
      if (this.#underWay.size >= AT_ONCE) return;
      this.#send(item);
    }
  }

  async #send(item) {
    const cancel = new AbortController();
    this.#underWay.set(item, cancel);
    this.#change(item, { state: "sending", progress: 0 });
    const become = await this.#outcome(item, cancel.signal);
    this.#underWay.delete(item);
    if (this.items.includes(item)) this.#change(item, become);
    else if (become.meta) this.#transport.remove(become.meta.id).catch(() => {});
    this.#work();
  }

  async #outcome(item, signal) {
    try {
      const reason = await this.#transport.judge(item.file, signal);
      if (reason || signal.aborted) return { state: "refused", reason };
      const progress = (share) => this.#change(item, { progress: share });
      const meta = await this.#transport.send(item.file, { key: item.key, progress, signal });
      return { state: "ready", progress: 1, meta };
    } catch (error) {
      const mayPass = PASSING.has(error.status);
      return { state: mayPass ? "failed" : "refused", reason: error.detail ?? error.message };
    }
  }

  #forget(item) {
    this.items = this.items.filter((each) => each !== item);
    this.#underWay.get(item)?.abort();
    this.#changed(item);
  }

  #change(item, become) {
    Object.assign(item, become);
    this.#changed(item);
  }

  /** @returns {Item[]} */
  #inState(...states) {
    return this.items.filter(({ state }) => states.includes(state));
  }
}

function isSame({ file, state }, other) {
  const isThere = file && state !== "refused";
  return (
    isThere &&
    file.name === other.name &&
    file.size === other.size &&
    file.lastModified === other.lastModified
  );
}
