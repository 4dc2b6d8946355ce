/**
 * A ticket's room: what is heard there (Room), and what is said (Outbox).
 */

import { Emitter, PASSING, backOff } from "./desk-connection.js";

/** @typedef {import("./desk-connection.js").DeskError} DeskError */
/** @typedef {{id: number, name: string, kind: "customer" | "agent" | "supervisor"}} Person */

const TYPING_AGAIN_MS = 3_000;
const TYPING_IDLE_MS = 4_000;
/** What was under way when the server read its heads has arrived by then. */
const IN_FLIGHT_MS = 1_000;

/**
 * The events of one ticket, each exactly once and in order, however often the socket is cut.
 *
 * Emits `event` {seq, event, at, actor, data}; `signal` {event, data}; `live` {seq}, when all that
 * was missed has been emitted; `snapshot` with the ticket as it is over HTTP, when it cannot be
 * told as events any more: draw it anew; and `left` {reason}, after which nothing comes.
 */
export class Room extends Emitter {
  /** @type {Person[]} Who has the ticket open. */
  members = [];
  /** @type {{user: Person, internal: boolean}[]} Who is writing. */
  writers = [];
  isLive = false;
  #desk;
  #isJoining = false;
  #isReading = false;
  #hasLeft = false;
  #tries = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #idle;
  /** @type {{at: number, internal: boolean} | null} */
  #typing = null;

  /**
   * Made by `client.room`.
   * @param {import("./desk-client.js").Desk} desk
   * @param {number | "desk"} ticket
   * @param {{lastSeq?: number, epoch?: string}} cursor
   */
  constructor(desk, ticket, { lastSeq, epoch }) {
    super();
    this.#desk = desk;
    this.ticket = ticket;
    this.name = ticket === "desk" ? ticket : `ticket:${ticket}`;
    /** The last event that was emitted; keep it to go on from there after a reload. */
    this.seq = lastSeq;
    this.epoch = epoch;
  }

  /** Say something; see `DeskClient.send`. */
  send(body, { internal = false } = {}) {
    this.#forgetTyping();
    return this.#desk.send(this.ticket, body, { internal });
  }

  /** Call it on each keystroke. Others see that you write until you pause, send or leave. */
  typing({ internal = false } = {}) {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.stopTyping(), TYPING_IDLE_MS);
    const last = this.#typing;
    if (last?.internal === internal && Date.now() - last.at < TYPING_AGAIN_MS) return;
    this.#typing = { at: Date.now(), internal };
    this.#desk.connection.hint("typing.start", { room: this.name, internal });
  }

  /** When the text was thrown away. */
  stopTyping() {
    if (this.#typing) this.#desk.connection.hint("typing.stop", { room: this.name });
    this.#forgetTyping();
  }

  leave() {
    if (this.#hasLeft) return;
    this.#desk.connection.hint("room.leave", { room: this.name });
    this.#end();
  }

  // --- For the client ---------------------------------------------------------------------

  /** @internal What `room.join` wants to know. */
  get wish() {
    if (this.ticket === "desk") return { room: "desk" };
    return { ticket: this.ticket, last_seq: this.seq, epoch: this.epoch };
  }

  /** @internal */
  join() {
    if (this.#isJoining || this.#isReading || this.#hasLeft) return;
    clearTimeout(this.#retry);
    this.#isJoining = true;
    this.isLive = false;
    this.#desk.join(this);
  }

  /** @internal The answer to `join`. */
  joined(error, answer) {
    this.#isJoining = false;
    if (this.#hasLeft) return;
    if (error) return this.#refused(error);
    this.#tries = 0;
    this.epoch = answer.epoch;
    this.seq ??= answer.head;
    this.members = answer.members ?? [];
    this.writers = answer.typing ?? [];
    if (this.ticket === "desk") this.#live();
  }

  /** @internal */
  disconnected() {
    clearTimeout(this.#retry);
    this.#forgetTyping();
    this.#isJoining = this.isLive = false;
    this.writers = [];
  }

  /** @internal */
  receive(frame) {
    switch (frame.type) {
      case "event":
        return this.#happened(frame);
      case "signal":
        return this.#signalled(frame);
      case "room.live":
        return frame.seq > this.seq ? this.join() : this.#live();
      case "room.left":
        this.isLive = false;
        return frame.reason === "resync_required" ? this.#resync() : this.#end(frame.reason);
    }
  }

  /** @internal The server's idea of our last event. */
  compare(head) {
    const isBehind = () => this.isLive && this.seq < head;
    if (isBehind()) setTimeout(() => isBehind() && this.join(), IN_FLIGHT_MS);
  }

  // --- Inside -----------------------------------------------------------------------------

  #happened({ seq, event, at, actor, data }) {
    if (this.seq === undefined || seq <= this.seq) return;
    if (seq > this.seq + 1) return this.join();
    this.seq = seq;
    this.emit("event", { seq, event, at, actor, data });
  }

  #signalled({ event, data }) {
    const others = () => this.writers.filter((writer) => writer.user.id !== data.user.id);
    if (event === "room.members") this.members = data.members;
    if (event === "typing.started") this.writers = [...others(), data];
    if (event === "typing.stopped") this.writers = others();
    this.emit("signal", { event, data });
  }

  #live() {
    this.isLive = true;
    this.emit("live", { seq: this.seq });
  }

  #refused(error) {
    if (error.code === "resync_required") return this.#resync(error.details.snapshot);
    if (PASSING.has(error.code)) return this.#joinLater(error.retryAfterMs);
    if (error.code !== "disconnected") this.#end(error.code);
  }

  /** One of several rooms could not be joined for the moment. */
  #joinLater(wait = backOff(this.#tries++)) {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#hasLeft || this.join(), wait);
  }

  /** The stream cannot be continued: read how things stand, and go on from there. */
  async #resync(url = `/api/tickets/${this.ticket}/`) {
    if (this.#isReading) return;
    this.#isReading = true;
    const { ticket, error } = await this.#desk.read(url);
    this.#isReading = false;
    if (this.#hasLeft) return;
    if (error?.code === "not_found") return this.#end("not_found");
    if (error) {
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => this.#resync(url), backOff(this.#tries++));
      return;
    }
    ({ seq: this.seq, epoch: this.epoch } = ticket.stream);
    this.emit("snapshot", ticket);
    this.join();
  }

  #end(reason) {
    this.disconnected();
    this.#hasLeft = true;
    this.#desk.forget(this);
    if (reason) this.emit("left", { reason });
  }

  #forgetTyping() {
    clearTimeout(this.#idle);
    this.#typing = null;
  }
}

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
  /** @type {"pending" | "sent" | "failed"} */
  state = "pending";
  /** @type {{message: any, seq: number, ticket?: number} | null} */
  answer = null;
  /** @type {DeskError | null} */
  error = null;
  #resolve;
  #reject;

  constructor({ ticket, body, internal, client_msg_id }) {
    this.ticket = ticket;
    this.body = body;
    this.internal = internal;
    this.client_msg_id = client_msg_id;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.done.catch(() => {}); // who looks at `state` need not look at the promise
  }

  /** @internal */
  settle(error, answer) {
    Object.assign(this, error ? { state: "failed", error } : { state: "sent", answer });
    if (error) this.#reject(error);
    else this.#resolve(answer);
  }

  toJSON() {
    const { ticket, body, internal, client_msg_id } = this;
    return { ticket, body, internal, client_msg_id };
  }
}

/** 128 random bits; `crypto.randomUUID` is absent from pages that come without https. */
function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Messages until they have an answer: in order per ticket, one at a time, under the same id
 * however often they are sent. With a storage they outlive the page, on a shelf for each user.
 */
export class Outbox {
  #connection;
  #storage;
  #changed;
  #shelf = "";
  /** @type {Map<number, Outgoing[]>} */
  #queues = new Map();
  /** @type {Set<number>} Tickets whose messages are being sent. */
  #busy = new Set();

  /** `changed` is called with each message whose state is new. */
  constructor(connection, storage, changed) {
    this.#connection = connection;
    this.#storage = storage;
    this.#changed = changed;
  }

  /** @returns {Outgoing[]} */
  get pending() {
    return [...this.#queues.values()].flat();
  }

  add(ticket, body, internal) {
    const client_msg_id = randomId();
    const outgoing = new Outgoing({ ticket, body, internal, client_msg_id });
    this.#enqueue(outgoing);
    this.#store((stored) => [...stored, outgoing]);
    this.#changed(outgoing);
    this.#work(ticket);
    return outgoing;
  }

  /** The connection is there; `shelf` is this user's. */
  resume(shelf) {
    if (!this.#shelf) this.#restore(shelf);
    for (const ticket of this.#queues.keys()) this.#work(ticket);
  }

  /** What an earlier page left comes before what was said since. */
  #restore(shelf) {
    this.#shelf = shelf;
    const early = this.pending;
    const restored = this.#stored().map((each) => new Outgoing(each));
    this.#queues.clear();
    for (const outgoing of [...restored, ...early]) this.#enqueue(outgoing);
    this.#store((stored) => [...stored, ...early]);
    restored.forEach((outgoing) => this.#changed(outgoing));
  }

  #enqueue(outgoing) {
    const queue = this.#queues.get(outgoing.ticket) ?? [];
    this.#queues.set(outgoing.ticket, [...queue, outgoing]);
  }

  #work(ticket) {
    const outgoing = this.#queues.get(ticket)?.[0];
    if (!outgoing || this.#busy.has(ticket)) return;
    this.#busy.add(ticket);
    const { client_msg_id, body, internal } = outgoing;
    const data = { ticket, client_msg_id, body, ...(internal && { internal }) };
    this.#connection.command("message.send", data, (error, answer) => {
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
    this.#store((stored) => stored.filter((e) => e.client_msg_id !== outgoing.client_msg_id));
    outgoing.settle(error, answer);
    this.#changed(outgoing);
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
