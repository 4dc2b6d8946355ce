/**
 * What is said: messages until they have an answer, however often the line or the page is lost.
 */

import { DeskError, Emitter } from "./desk-connection.js";

/** What was refused and left lying is thrown away in the end. */
const REFUSED_KEPT_MS = 14 * 24 * 60 * 60 * 1_000;

/**
 * @typedef {object} Storage As localStorage is.
 * @property {(key: string) => string | null} getItem
 * @property {(key: string, value: string) => void} setItem
 */

/**
 * A message on its way. `state` goes from pending to sent or failed; `done` resolves with the
 * server's answer {message, seq, ticket?} or rejects with the DeskError.
 */
export class Outgoing {
  /** @type {"pending" | "sent" | "failed" | "discarded"} */
  state = "pending";
  /** @type {{message: any, seq: number, ticket?: number} | null} */
  answer = null;
  /** @type {DeskError | null} */
  error = null;
  #outbox;
  #resolve;
  #reject;

  constructor(outbox, { ticket, client_msg_id, body, internal, attachments, refused }) {
    this.#outbox = outbox;
    this.ticket = ticket;
    this.client_msg_id = client_msg_id;
    this.body = body;
    this.internal = internal ?? false;
    /** @type {string[]} Ids of files. */
    this.attachments = attachments ?? [];
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.done.catch(() => {}); // who looks at `state` need not look at the promise
    if (refused) this.settle(new DeskError(refused));
  }

  /**
   * Send what failed once more.
   * @returns {Outgoing} The one that is on its way now; this one is discarded.
   */
  retry() {
    return this.#outbox.retry(this);
  }

  /** Give up what failed. What is pending may have arrived, and cannot be called back. */
  discard() {
    this.#outbox.discard(this);
  }

  /** @internal */
  settle(error, answer) {
    Object.assign(this, error ? { state: "failed", error } : { state: "sent", answer });
    if (error) this.#reject(error);
    else this.#resolve(answer);
  }

  toJSON() {
    const { ticket, body, internal, attachments, client_msg_id } = this;
    return { ticket, body, internal, attachments, client_msg_id };
  }
}

/** 128 random bits; `crypto.randomUUID` is absent from pages that come without https. */
function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Messages in order per ticket, one at a time, under the same id however often they are sent. With
 * a storage they outlive the page, on a shelf for each user. Several pages may have the same shelf:
 * what two of them send is posted once, by its id.
 *
 * Emits `changed` with each message whose state is new.
 */
export class Outbox extends Emitter {
  #connection;
  #storage;
  #shelf = "";
  #isRestored = false;
  /** @type {Map<number, Outgoing[]>} */
  #queues = new Map();
  /** @type {Map<string, Outgoing>} By client_msg_id. */
  #failed = new Map();
  /** @type {Set<number>} Tickets whose messages are being sent. */
  #busy = new Set();

  constructor(connection, storage) {
    super();
    this.#connection = connection;
    this.#storage = storage;
  }

  /** @returns {Outgoing[]} */
  get pending() {
    return [...this.#queues.values()].flat();
  }

  /** @returns {Outgoing[]} */
  get failed() {
    return [...this.#failed.values()];
  }

  add(message) {
    const outgoing = new Outgoing(this, { client_msg_id: randomId(), ...message });
    this.#enqueue(outgoing);
    this.#store((stored) => [...stored, outgoing]);
    this.emit("changed", outgoing);
    this.#work(outgoing.ticket);
    return outgoing;
  }

  retry(/** @type {Outgoing} */ outgoing) {
    const message = outgoing.toJSON();
    // The id stands for another text; any other refusal has left nothing behind.
    if (outgoing.error?.code === "idempotency_conflict") delete message.client_msg_id;
    this.discard(outgoing);
    return this.add(message);
  }

  discard(/** @type {Outgoing} */ outgoing) {
    if (!this.#failed.delete(outgoing.client_msg_id)) return;
    this.#store((stored) => stored.filter(isNot(outgoing)));
    outgoing.state = "discarded";
    this.emit("changed", outgoing);
  }

  /** Where this user's messages are kept. */
  keepOn(/** @type {string} */ shelf) {
    this.#shelf = shelf;
  }

  /** The connection is there. */
  resume() {
    if (!this.#isRestored) this.#restore();
    for (const ticket of this.#queues.keys()) this.#work(ticket);
  }

  /** What an earlier page left comes before what was said since. */
  #restore() {
    this.#isRestored = true;
    const early = this.pending;
    const isLeft = (stored) => early.every((each) => isNot(each)(stored)) && !isOld(stored);
    const left = this.#stored().filter(isLeft);
    const restored = left.map((each) => new Outgoing(this, each));
    this.#queues.clear();
    for (const outgoing of [...restored, ...early]) {
      if (outgoing.state === "failed") this.#failed.set(outgoing.client_msg_id, outgoing);
      else this.#enqueue(outgoing);
    }
    this.#store(() => [...left, ...early]);
    for (const outgoing of restored) this.emit("changed", outgoing);
  }

  #enqueue(outgoing) {
    const queue = this.#queues.get(outgoing.ticket) ?? [];
    this.#queues.set(outgoing.ticket, [...queue, outgoing]);
  }

  #work(ticket) {
    const outgoing = this.#queues.get(ticket)?.[0];
    if (!outgoing || this.#busy.has(ticket)) return;
    this.#busy.add(ticket);
    this.#connection.command("message.send", commandOf(outgoing), (error, answer) => {
      this.#busy.delete(ticket);
      if (error?.code === "disconnected") return;
      this.#finish(outgoing, error, answer);
      this.#work(ticket);
    });
  }

  #finish(outgoing, error, answer = null) {
    const rest = this.#queues.get(outgoing.ticket).slice(1);
    if (rest.length) this.#queues.set(outgoing.ticket, rest);
    else this.#queues.delete(outgoing.ticket);
    if (error) this.#failed.set(outgoing.client_msg_id, outgoing);
    this.#store((stored) => stored.flatMap((each) => outcome(each, outgoing, error)));
    outgoing.settle(error, answer);
    this.emit("changed", outgoing);
  }

  /** @returns {any[]} */
  #stored() {
    try {
      const stored = JSON.parse(this.#storage?.getItem(this.#shelf) ?? "[]");
      return Array.isArray(stored) ? stored : [];
    } catch {
      return [];
    }
  }

  /** Read anew each time: other tabs have the same shelf. */
  #store(change) {
    if (!this.#storage || !this.#shelf) return;
    try {
      this.#storage.setItem(this.#shelf, JSON.stringify(change(this.#stored())));
    } catch {
      // Full or forbidden: then messages do not outlive the page.
    }
  }
}

function commandOf({ ticket, client_msg_id, body, internal, attachments }) {
  return {
    ticket,
    client_msg_id,
    body,
    ...(internal && { internal }),
    ...(attachments.length > 0 && { attachments }),
  };
}

function isNot({ client_msg_id }) {
  return (stored) => stored.client_msg_id !== client_msg_id;
}

/** What stays on the shelf of a message that has its answer: what was refused is not lost. */
function outcome(stored, outgoing, error) {
  if (isNot(outgoing)(stored)) return [stored];
  if (!error) return [];
  const { code, message, details } = error;
  return [{ ...stored, refused: { code, message, details, at: Date.now() } }];
}

function isOld({ refused }) {
  return refused && Date.now() - refused.at > REFUSED_KEPT_MS;
}
