/**
 * The desk's live side for front ends: rooms that resume without a gap or a double, messages that
 * arrive exactly once, presence. No dependencies, no build step; docs/live.md shows how to use it.
 *
 *     import { DeskClient } from "/static/realtime/desk-client.js";
 *     const desk = new DeskClient().connect();
 *     desk.room(42).on("event", (event) => console.log(event.seq, event.event, event.data));
 */

import { Connection, DeskError, Emitter } from "./desk-connection.js";
import { Outbox } from "./desk-outbox.js";
import { Room } from "./desk-room.js";

export { DeskError } from "./desk-connection.js";
export { Outgoing } from "./desk-outbox.js";
export { Room } from "./desk-room.js";

/**
 * @typedef {object} Options All of them optional on the desk's own pages.
 * @property {string} [baseUrl] Where the desk is; this page's origin unless told.
 * @property {string} [url] Of the socket; `/ws/` there unless told.
 * @property {(stale?: string) => string | Promise<string>} [token] An access token. Asked for each
 *   connection; `stale` is the one that will not do any more, if there was one. Without this the
 *   session cookie counts.
 * @property {import("./desk-outbox.js").Storage} [storage] Where unsent messages outlive the page,
 *   such as localStorage.
 * @property {number} [userId] For whom the page was made, where it knows: what they write before
 *   the first connection is kept in `storage` too, and where somebody else turns out to be signed
 *   in, nothing of it is sent.
 * @property {typeof globalThis.fetch} [fetch]
 * @property {typeof globalThis.WebSocket} [WebSocket]
 * @property {EventTarget} [network] Says `online` and `offline`, as a window does.
 */
/** @typedef {"online" | "away" | "offline"} PresenceState */
/** @typedef {{user: number, state: PresenceState, version: number}} UserPresence */
/**
 * @typedef {object} Desk What rooms need of the client.
 * @property {Connection} connection
 * @property {(room: Room) => void} join
 * @property {(room: Room) => void} forget
 * @property {(url: string) => Promise<{ticket?: any, error?: DeskError}>} read
 * @property {DeskClient["send"]} send
 */

const ROOMS_PER_COMMAND = 100;

/**
 * Emits `state` {state, code?, reason?}; `outgoing` with a message whose state changed; the signals
 * to the user, `notification` {id, kind, ticket} and `touched` {ticket}; `presence`
 * {user, state, version}; `degraded` {active}; and `error` for what the server could not read.
 */
export class DeskClient extends Emitter {
  /** @type {{id: number, role: string, name: string} | null} Once the first connection is live. */
  user = null;
  /** While true, some events come later and signals may be missing. */
  degraded = false;
  #userId;
  #baseUrl;
  #fetch;
  #connection;
  #outbox;
  /** @type {Map<string, Room>} */
  #rooms = new Map();
  /** @type {Set<Room>} */
  #toJoin = new Set();

  /** @param {Options} options */
  constructor({
    baseUrl = globalThis.location?.origin,
    url,
    token,
    storage,
    userId,
    fetch = globalThis.fetch.bind(globalThis),
    WebSocket = globalThis.WebSocket,
    network = globalThis,
  } = {}) {
    super();
    this.#baseUrl = new URL(baseUrl ?? url.replace(/^ws/, "http"));
    const socketUrl = new URL(url ?? "/ws/", this.#baseUrl).href.replace(/^http/, "ws");
    this.#fetch = fetch;
    this.#connection = new Connection({ url: socketUrl, token, WebSocket, network });
    this.#connection.on("hello", (hello) => this.#welcome(hello));
    this.#connection.on("state", (change) => this.#stateChanged(change));
    this.#connection.on("frame", (frame) => this.#receive(frame));
    this.#outbox = new Outbox(this.#connection, storage);
    this.#outbox.on("changed", (outgoing) => this.emit("outgoing", outgoing));
    if (userId) this.#belongTo(userId);
    this.presence = new Presence(this.#connection, (change) => this.emit("presence", change));
  }

  get state() {
    return this.#connection.state;
  }

  /** Messages that have no answer yet, in the order in which they are sent. */
  get outgoing() {
    return this.#outbox.pending;
  }

  /** Messages that were refused, until they are sent again or discarded. */
  get failed() {
    return this.#outbox.failed;
  }

  /** Connect, and stay connected. After `closed` it may be called again. */
  connect() {
    this.#connection.open();
    return this;
  }

  close() {
    this.#connection.close();
  }

  /**
   * The room of a ticket, or the agents' `desk`. The same object until it is left. Without a cursor
   * it begins with what happens from now on; with `stream` of a ticket read over HTTP, as
   * `{lastSeq: stream.seq, epoch: stream.epoch}`, it goes on from there.
   * @param {number | "desk"} ticket
   * @param {{lastSeq?: number, epoch?: string}} [cursor]
   */
  room(ticket, cursor = {}) {
    const name = ticket === "desk" ? ticket : `ticket:${ticket}`;
    let room = this.#rooms.get(name);
    if (!room) {
      room = new Room(this.#forRooms, ticket, cursor);
      this.#rooms.set(name, room);
      if (this.#connection.isLive) room.join();
    }
    return room;
  }

  /**
   * Send a message; offline it waits. Returns at once, what becomes of it stands in the result.
   * @param {number} ticket
   * @param {string} body Blank only along with a file.
   * @param {{internal?: boolean, attachments?: string[]}} [options] `attachments` are ids of files
   *   that were uploaded as drafts.
   */
  send(ticket, body, { internal = false, attachments = [] } = {}) {
    return this.#outbox.add({ ticket, body, internal, attachments });
  }

  // --- Inside -----------------------------------------------------------------------------

  /** @type {Desk} */
  get #forRooms() {
    return {
      connection: this.#connection,
      join: (room) => this.#joinSoon(room),
      forget: (room) => this.#forget(room),
      read: (url) => this.#read(url),
      send: (...message) => this.send(...message),
    };
  }

  #forget(room) {
    this.#toJoin.delete(room);
    this.#rooms.delete(room.name);
  }

  /** Cursors and unsent messages belong to one user in one role: for others all begins anew. */
  #welcome({ user }) {
    const isOther = this.#userId && this.#userId !== user.id;
    const hasOtherRole = this.user && this.user.role !== user.role;
    if (isOther || hasOtherRole) return this.#connection.close(1000, "user_changed");
    this.user = user;
    this.#belongTo(user.id);
  }

  #belongTo(userId) {
    this.#userId = userId;
    this.#outbox.keepOn(`desk-outbox:${this.#baseUrl.host}:${userId}`);
  }

  #stateChanged(change) {
    this.emit("state", change);
    if (change.state !== "live") {
      this.#rooms.forEach((room) => room.disconnected());
      this.#toJoin.clear();
    } else if (this.#connection.isLive) {
      this.#rooms.forEach((room) => room.join());
      this.#joinNow();
      this.presence.restore();
      this.#outbox.resume();
    }
  }

  #receive(frame) {
    switch (frame.type) {
      case "hb":
        for (const [name, head] of Object.entries(frame.heads)) {
          this.#rooms.get(name)?.compare(head);
        }
        break;
      case "degraded":
        this.degraded = frame.active;
        return this.emit("degraded", { active: frame.active });
      case "error":
        return this.emit("error", new DeskError(frame));
      case "signal":
        this.#signalled(frame);
    }
    this.#rooms.get(frame.room)?.receive(frame);
  }

  #signalled({ event, data }) {
    if (event === "notification.created") this.emit("notification", data);
    if (event === "ticket.touched") this.emit("touched", data);
    if (event === "presence.changed") this.presence.update(data);
  }

  /** Rooms that are asked for together are joined together. */
  #joinSoon(room) {
    if (this.#toJoin.size === 0) queueMicrotask(() => this.#joinNow());
    this.#toJoin.add(room);
  }

  #joinNow() {
    const tickets = [...this.#toJoin].filter((room) => room.ticket !== "desk");
    if (tickets.length < this.#toJoin.size) this.#joinOne(this.#rooms.get("desk"));
    this.#toJoin.clear();
    if (tickets.length === 1) this.#joinOne(tickets[0]);
    else for (const some of chunks(tickets, ROOMS_PER_COMMAND)) this.#joinMany(some);
  }

  #joinOne(room) {
    this.#connection.command("room.join", room.wish, (...answer) => room.joined(...answer));
  }

  #joinMany(rooms) {
    const data = { rooms: rooms.map((room) => room.wish) };
    this.#connection.command("rooms.join", data, (error, answer) => {
      rooms.forEach((room, index) => {
        if (error) return room.joined(error);
        const result = answer.results[index];
        room.joined(result.ok ? null : new DeskError(result), result);
      });
    });
  }

  /** A ticket over HTTP, as the same user. */
  async #read(url) {
    try {
      const token = await this.#connection.token();
      const authorization = token && { Authorization: `Bearer ${token}` };
      const response = await this.#fetch(new URL(url, this.#baseUrl), {
        headers: { Accept: "application/json", ...authorization },
        credentials: token ? "omit" : "include",
      });
      if (response.ok) return { ticket: await response.json() };
      throw new DeskError({ code: response.status === 404 ? "not_found" : "unavailable" });
    } catch (error) {
      return { error };
    }
  }
}

/** Who is there. Presence is a socket; whether an agent takes tickets is another matter. */
class Presence {
  /** @type {Map<number, UserPresence>} The newest of each user that was watched. */
  states = new Map();
  #connection;
  #changed;
  /** @type {number[]} */
  #watched = [];
  #own = "online";
  #heard = new Set();

  constructor(connection, changed) {
    this.#connection = connection;
    this.#changed = changed;
  }

  /** Hear of these users from now on, instead of earlier ones. For agents and supervisors. */
  watch(/** @type {number[]} */ users) {
    this.#watched = [...users];
    this.#subscribe();
  }

  /** Oneself. */
  set(/** @type {"online" | "away"} */ state) {
    this.#own = state;
    this.#connection.command("presence.set", { state }, () => {});
  }

  /** @internal A new connection knows nothing of the last one's. */
  restore() {
    if (this.#own !== "online") this.set(this.#own);
    if (this.#watched.length) this.#subscribe();
  }

  /** @internal */
  update(presence) {
    this.#heard.add(presence.user);
    const known = this.states.get(presence.user);
    if (known && known.version >= presence.version) return;
    this.#take(presence);
  }

  /** An answer counts as it stands, also where the desk has forgotten what it said before; not of
      those of whom there was news while it was under way. */
  #subscribe() {
    this.#heard.clear();
    this.#connection.command("presence.subscribe", { users: this.#watched }, (error, answer) => {
      for (const each of answer?.users ?? []) {
        if (this.#heard.has(each.user)) this.update(each);
        else this.#take(each);
      }
    });
  }

  #take(presence) {
    const known = this.states.get(presence.user);
    this.states.set(presence.user, presence);
    const isNews = known?.state !== presence.state || known.version !== presence.version;
    if (isNews) this.#changed(presence);
  }
}

function* chunks(list, size) {
  for (let start = 0; start < list.length; start += size) yield list.slice(start, start + size);
}
