/** A desk whose server is the test: sockets that say what they are told, and a clock that obeys. */

import { DeskClient } from "../../static/realtime/desk-client.js";

export const ALICE = { id: 1, role: "customer", name: "Alice" };
export const BOB = { id: 2, role: "agent", name: "Bob" };

/** Let promises go on; timers stand still. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

export class FakeSocket {
  sent = [];
  isClosed = false;

  constructor(url, protocols) {
    this.url = url;
    this.protocols = protocols;
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.isClosed = true;
  }

  say(frame) {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }

  cut(code = 1006) {
    this.onclose?.({ code, reason: "" });
  }

  hello(user = ALICE, limits = { frame_bytes: 65_536, rooms: 100 }) {
    const about = { conn: "c", heartbeat_ms: 25_000, token_expires_at: null };
    this.say({ type: "hello", user, limits, ...about });
  }

  bye(code, more = {}) {
    this.say({ type: "bye", code, reason: "told", reconnect: code < 4500, ...more });
  }

  /** The commands of one type. */
  said(type) {
    return this.sent.filter((command) => command.type === type);
  }

  ok(command, data = {}) {
    this.say({ type: "ok", re: command.id, data });
  }

  error(command, code, more = {}) {
    this.say({ type: "error", re: command.id, code, message: code, ...more });
  }

  event(seq, ticket = 42, data = {}) {
    const what = { event: "ticket.updated", at: "2026-01-05T09:00:00Z", actor: null, data };
    this.say({ type: "event", room: `ticket:${ticket}`, seq, ...what });
  }

  /** Answer the last `room.join`, and say that what it missed has been sent. */
  letIn({ head, live = head, epoch = "e", members = [], typing = [] }) {
    const command = this.said("room.join").at(-1);
    const room = `ticket:${command.data.ticket}`;
    this.ok(command, { room, epoch, head, replay: 0, members, typing });
    if (live !== null) this.say({ type: "room.live", room, seq: live });
  }
}

/**
 * A client of a fake desk. Back-offs are as long as they may be, times `random`.
 * @param {import("node:test").TestContext} t
 */
export function deskFor(t, { random = 0.5, ...options } = {}) {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  t.mock.method(Math, "random", () => random);
  const sockets = [];
  class Socket extends FakeSocket {
    constructor(...given) {
      super(...given);
      sockets.push(this);
    }
  }
  const network = new EventTarget();
  const client = new DeskClient({
    baseUrl: "https://desk.example",
    WebSocket: Socket,
    network,
    fetch: () => assertNoFetch(),
    ...options,
  });
  const states = [];
  client.on("state", ({ state, code }) => states.push(code ? [state, code] : state));
  return {
    client,
    network,
    sockets,
    states,
    get socket() {
      return sockets.at(-1);
    },
    /** Connect, and be welcome. */
    async live(user = ALICE) {
      client.connect();
      await settle();
      this.socket.hello(user);
      return this.socket;
    },
    /** Let time pass, one second after another. */
    async wait(milliseconds) {
      await settle();
      for (let left = milliseconds; left > 0; left -= 1_000) {
        t.mock.timers.tick(Math.min(left, 1_000));
        await settle();
      }
    },
    /** Cut the connection, and have the next one. */
    async again(user = ALICE) {
      const before = sockets.length;
      this.socket.cut();
      while (sockets.length === before) await this.wait(1_000);
      this.socket.hello(user);
      return this.socket;
    },
  };
}

function assertNoFetch() {
  throw new Error("nothing should be read over HTTP here");
}

/** Everything a room emits, as [type, detail]. */
export function heard(room) {
  const all = [];
  for (const type of ["event", "signal", "live", "snapshot", "left"]) {
    room.on(type, (detail) => all.push([type, type === "event" ? detail.seq : detail]));
  }
  return all;
}

/** What localStorage is, for one test. */
export function storage(initial = {}) {
  const items = new Map(Object.entries(initial));
  return {
    items,
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
  };
}
