/**
 * One socket to the desk that comes back by itself. It knows of signing in, commands and their
 * answers, and when to try again; of tickets it knows nothing.
 */

const SUBPROTOCOL = "desk.v1";
/** The server takes 20 frames a second; so many are sent in any one second. */
const COMMANDS_PER_SECOND = 15;
const ANSWER_MS = 15_000;
const HELLO_MS = 15_000;
const BACK_OFF_MS = 1_000;
const MAX_BACK_OFF_MS = 30_000;
/** Who was live for so long starts again with the shortest back-off. */
const STABLE_MS = 10_000;
const NOT_AUTHENTICATED = 4501;
/** What may go better in a while. */
export const PASSING = new Set(["unavailable", "internal", "rate_limited", "timeout"]);
// So often the server may fail on one and the same command before that is the command's fault.
const FAILURES = 5;

/** @typedef {"connecting" | "live" | "offline" | "closed"} State */
/**
 * @typedef {object} Hello
 * @property {string} conn
 * @property {{id: number, role: string, name: string}} user
 * @property {number} heartbeat_ms
 * @property {{frame_bytes: number, rooms: number}} limits
 * @property {string | null} token_expires_at
 */
/** @typedef {(error: DeskError | null, data?: any) => void} Answer */

/** Why something failed: a code of the contract, such as `not_found`, or `disconnected`. */
export class DeskError extends Error {
  /** @param {{code: string, message?: string, retry_after_ms?: number, details?: object}} frame */
  constructor({ code, message, retry_after_ms, details }) {
    super(message ?? code);
    this.name = "DeskError";
    this.code = code;
    this.retryAfterMs = retry_after_ms;
    this.details = details ?? {};
  }
}

/** An EventTarget whose listeners get the detail, and are taken off by what `on` returns. */
export class Emitter extends EventTarget {
  /**
   * @param {string} type
   * @param {(detail: any) => void} listener
   * @returns {() => void}
   */
  on(type, listener) {
    const handle = (event) => listener(event.detail);
    this.addEventListener(type, handle);
    return () => this.removeEventListener(type, handle);
  }

  /** @internal */
  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** Milliseconds before the n-th retry (from 0): exponential, with full jitter, at most 30 s. */
export function backOff(/** @type {number} */ tries) {
  return Math.random() * Math.min(MAX_BACK_OFF_MS, BACK_OFF_MS * 2 ** tries);
}

/**
 * Emits `state` {state, code?, reason?}, `hello`, and as `frame` whatever else the server says.
 */
export class Connection extends Emitter {
  /** @type {State} */
  state = "closed";
  #url;
  #getToken;
  #WebSocket;
  #network;
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {string | undefined} The token of this connection; `#isStale` when it won't do. */
  #token;
  #isStale = false;
  #hasTriedAgain = false;
  /** @type {Hello | null} */
  #hello = null;
  /** Rises with each attempt, so that what belongs to an earlier one is recognised. */
  #attempt = 0;
  #tries = 0;
  #liveSince = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #silence;
  #lastId = 0;
  /** @type {Map<string, {text: string, answer: Answer, insists: boolean, tries: number}>} */
  #asked = new Map();
  /** @type {string[]} The ids of what waits for its turn. */
  #waiting = [];
  #budget = COMMANDS_PER_SECOND;

  constructor({ url, token, WebSocket, network }) {
    super();
    this.#url = url;
    this.#getToken = token;
    this.#WebSocket = WebSocket;
    this.#network = network;
  }

  get isLive() {
    return this.state === "live";
  }

  /** The token to present now: asked anew, and told which one will not do any more. */
  async token() {
    return this.#getToken?.(this.#isStale ? this.#token : undefined);
  }

  open() {
    if (this.state !== "closed") return;
    this.#tries = 0;
    this.#hasTriedAgain = false;
    this.#network?.addEventListener?.("online", this.#wake);
    this.#network?.addEventListener?.("offline", this.#sleep);
    this.#connect();
  }

  /** For good, until `open`. */
  close(code = 1000, reason = "closed") {
    if (this.state === "closed") return;
    this.#network?.removeEventListener?.("online", this.#wake);
    this.#network?.removeEventListener?.("offline", this.#sleep);
    this.#drop({ state: "closed", code, reason });
  }

  /**
   * Send a command, again where it fails for a passing reason. `answer` is called exactly once,
   * before any later frame is looked at; with `disconnected` it may have been done, or not.
   * @param {string} type
   * @param {object} data
   * @param {Answer} answer
   */
  command(type, data, answer) {
    this.#ask(type, data, { answer, insists: true, tries: 0 });
  }

  /** Send what nobody misses if it does not arrive. */
  hint(/** @type {string} */ type, /** @type {object} */ data) {
    this.#ask(type, data, { answer: () => {}, insists: false, tries: 0 });
  }

  // --- Coming and going ------------------------------------------------------------------

  async #connect() {
    const attempt = ++this.#attempt;
    this.#setState({ state: "connecting" });
    try {
      const token = await this.token();
      if (attempt !== this.#attempt) return;
      if (this.#isStale && this.#hasTriedAgain && token === this.#token) {
        return this.close(NOT_AUTHENTICATED, "not_authenticated");
      }
      this.#token = token;
      this.#isStale = false;
      const protocols = token ? [SUBPROTOCOL, `bearer.${token}`] : [SUBPROTOCOL];
      const socket = new this.#WebSocket(this.#url, protocols);
      socket.onmessage = (event) => this.#receive(JSON.parse(event.data));
      socket.onclose = ({ code, reason }) => this.#lost({ code, reason });
      this.#socket = socket;
      this.#listen(HELLO_MS);
    } catch (error) {
      if (attempt === this.#attempt) this.#lost({ code: 1006, reason: String(error) });
    }
  }

  /** The connection is over; what now depends on the code. A `bye` has all of these members. */
  #lost({ code, reason = "", reconnect = code < 4500 || code > 4999, retry_after_ms = 0 }) {
    if (code === 4401 || code === NOT_AUTHENTICATED) this.#isStale = true;
    const hasHope = code === NOT_AUTHENTICATED && this.#getToken && !this.#hasTriedAgain;
    if (!reconnect && !hasHope) return this.close(code, reason);
    this.#hasTriedAgain ||= Boolean(hasHope);
    if (this.#hello && Date.now() - this.#liveSince >= STABLE_MS) this.#tries = 0;
    this.#drop({ state: "offline", code, reason });
    const wait = hasHope ? 0 : retry_after_ms + backOff(this.#tries++);
    this.#retry = setTimeout(() => this.#connect(), wait);
  }

  /** Let go of the socket without waiting for the other side: the network may be gone. */
  #drop(why) {
    const socket = this.#socket;
    this.#attempt += 1;
    this.#socket = this.#hello = null;
    clearTimeout(this.#retry);
    clearTimeout(this.#silence);
    if (socket) {
      socket.onmessage = socket.onclose = null;
      socket.close();
    }
    this.#setState(why);
    this.#waiting = [];
    for (const id of [...this.#asked.keys()]) {
      this.#answer(id, new DeskError({ code: "disconnected" }));
    }
  }

  #setState(detail) {
    this.state = detail.state;
    this.emit("state", detail);
  }

  /** The browser has a network again: no use in waiting for the back-off. */
  #wake = () => {
    if (this.state !== "offline") return;
    clearTimeout(this.#retry);
    this.#tries = 0;
    this.#connect();
  };

  /** Without a network the watchdog would find out much later. */
  #sleep = () => {
    if (this.#socket) this.#lost({ code: 1006, reason: "offline" });
  };

  #listen(milliseconds) {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#lost({ code: 1006, reason: "silence" }), milliseconds);
  }

  // --- Frames ----------------------------------------------------------------------------

  #receive(frame) {
    if (this.#hello) this.#listen(2 * this.#hello.heartbeat_ms + 5_000);
    switch (frame.type) {
      case "hello":
        return this.#welcome(frame);
      case "bye":
        return this.#lost(frame);
      case "auth.expiring":
        return this.#refresh();
      case "ok":
      case "pong":
        return this.#answer(frame.re, null, frame.data);
      case "error":
        if (frame.re !== null) return this.#answer(frame.re, new DeskError(frame));
    }
    this.emit("frame", frame);
  }

  #welcome(hello) {
    this.#hello = hello;
    this.#hasTriedAgain = false;
    this.#liveSince = Date.now();
    this.#listen(2 * hello.heartbeat_ms + 5_000);
    this.emit("hello", hello);
    if (this.#hello === hello) this.#setState({ state: "live" });
  }

  /** A newer token in time; without one the server closes with 4401 and we come back with one. */
  async #refresh() {
    const attempt = this.#attempt;
    this.#isStale = true;
    const token = await this.token().catch(() => undefined);
    if (!token || attempt !== this.#attempt) return;
    this.command("auth.refresh", { token }, (error) => {
      if (error) return;
      this.#token = token;
      this.#isStale = false;
    });
  }

  #ask(type, data, asked) {
    if (!this.#hello) return asked.answer(new DeskError({ code: "disconnected" }));
    const id = String(++this.#lastId);
    const text = JSON.stringify({ type, id, data });
    if (new TextEncoder().encode(text).length > this.#hello.limits.frame_bytes) {
      return asked.answer(new DeskError({ code: "too_large" }));
    }
    this.#asked.set(id, { ...asked, text });
    this.#send(id);
  }

  #send(id) {
    this.#waiting.push(id);
    this.#flush();
  }

  #flush() {
    while (this.#budget > 0 && this.#waiting.length > 0) {
      const id = this.#waiting.shift();
      const asked = this.#asked.get(id);
      if (!asked) continue; // the answer came late, but it came
      this.#budget -= 1;
      setTimeout(() => {
        this.#budget += 1;
        this.#flush();
      }, 1_000);
      const timeout = () => this.#answer(id, new DeskError({ code: "timeout" }));
      asked.timer = setTimeout(timeout, ANSWER_MS);
      this.#socket.send(asked.text);
    }
  }

  /** An answer that nobody waits for any more is left aside. */
  #answer(id, error, data = {}) {
    const asked = this.#asked.get(id);
    if (!asked) return;
    clearTimeout(asked.timer);
    if (error?.code === "internal") asked.failures = (asked.failures ?? 0) + 1;
    if (asked.insists && PASSING.has(error?.code) && !(asked.failures >= FAILURES)) {
      const wait = error.retryAfterMs ?? backOff(asked.tries++);
      asked.timer = setTimeout(() => this.#send(id), wait);
    } else {
      this.#asked.delete(id);
      asked.answer(error, data);
    }
  }
}
