/**
 * A ticket's room: what is heard there, and who is there.
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
 * Emits `event` {seq, event, at, actor, data}; `signal` {event, data}; `people` {members, writers},
 * when they are not what they were; `live` {seq}, when all that was missed has been emitted;
 * `snapshot` with the ticket as it is over HTTP, when it cannot be told as events any more: draw it
 * anew; and `left` {reason}, after which nothing comes.
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
  send(body, options = {}) {
    this.#forgetTyping();
    return this.#desk.send(this.ticket, body, options);
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
    this.#met(answer.members ?? [], answer.typing ?? []);
    if (this.ticket === "desk") this.#live();
  }

  /** @internal */
  disconnected() {
    clearTimeout(this.#retry);
    this.#forgetTyping();
    this.#isJoining = this.isLive = false;
    this.#met([], []);
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
    if (event === "room.members") this.#met(data.members, this.writers);
    if (event === "typing.started") this.#met(this.members, [...others(), data]);
    if (event === "typing.stopped") this.#met(this.members, others());
    this.emit("signal", { event, data });
  }

  /** Who is there is known only while the room is. */
  #met(members, writers) {
    const isEmpty = ![this.members, this.writers, members, writers].some((all) => all.length);
    this.members = members;
    this.writers = writers;
    if (!isEmpty) this.emit("people", { members, writers });
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
