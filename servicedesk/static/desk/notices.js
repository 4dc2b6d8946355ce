/** What the page has to say besides its content: short notices, and whether it is connected. */

import { get, session, signInUrl } from "./api.js";
import { button, element, fill } from "./dom.js";

const READ_MS = 6_000;
const READ_WITH_ACTION_MS = 12_000;
const MOST_AT_ONCE = 4;
/** A reload or a short gap needs no words. */
const PATIENCE_MS = 2_500;
const RELIEF_MS = 3_000;
const OFFLINE = "You are offline. What you write is kept and sent when the desk is back.";
/** Codes with which the socket closes because nobody is signed in. */
const SIGNED_OUT = new Set([4501, 4510]);

/** @type {HTMLElement | undefined} */
let toasts;

/**
 * A notice that goes away by itself, except for bad news.
 * @param {string} text
 * @param {{kind?: "info" | "good" | "bad", action?: {label: string, run: () => void}}} [options]
 * @returns {() => void} Takes it away.
 */
export function notify(text, { kind = "info", action } = {}) {
  toasts ??= document.body.appendChild(toastRegion());
  const close = () => {
    clearTimeout(timer);
    toast.remove();
  };
  const act = () => {
    close();
    action.run();
  };
  const toast = element(
    "div",
    { class: `desk-toast is-${kind}`, role: kind === "bad" ? "alert" : "status" },
    element("p", { text }),
    action && button(action.label, act, { class: "desk-toast-action" }),
    button("×", close, { class: "desk-toast-close", "aria-label": "Dismiss" }),
  );
  let timer;
  const wait = () => {
    if (kind !== "bad") timer = setTimeout(close, action ? READ_WITH_ACTION_MS : READ_MS);
  };
  const stay = () => clearTimeout(timer);
  toast.addEventListener("pointerenter", stay);
  toast.addEventListener("focusin", stay);
  toast.addEventListener("pointerleave", wait);
  toast.addEventListener("focusout", wait);
  toasts.append(toast);
  while (toasts.children.length > MOST_AT_ONCE) toasts.firstElementChild.remove();
  wait();
  return close;
}

function toastRegion() {
  const label = { role: "region", "aria-label": "Notices", "aria-live": "polite" };
  return element("div", { class: "desk-toasts", ...label });
}

/**
 * A line at the edge of the page while it is not live, saying why and what may be done.
 * @param {import("../realtime/desk-client.js").DeskClient | null} client None on pages without a
 *   socket; they still say when the session has ended.
 */
export function connectionLine(client) {
  const line = new ConnectionLine();
  session.addEventListener("ended", () => line.signedOut());
  client?.on("state", (change) => line.changed(change));
  document.addEventListener("visibilitychange", async () => {
    if (document.hidden || !line.isSignedOut || !(await isSignedIn())) return;
    line.signedIn();
    if (client?.state === "closed") client.connect();
  });
}

/** One may have signed in again in another tab. */
async function isSignedIn() {
  try {
    await get("/auth/me");
    return true;
  } catch {
    return false;
  }
}

class ConnectionLine {
  isSignedOut = false;
  #element = element("div", { class: "desk-connection", role: "status", hidden: true });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #wasShown = false;

  constructor() {
    document.body.append(this.#element);
  }

  changed({ state, code, reason }) {
    clearTimeout(this.#timer);
    if (state === "live") return this.#live();
    if (state === "closed") return this.#closed(code, reason);
    if (this.isSignedOut) return;
    const isCut = navigator.onLine === false;
    const words = state === "offline" || isCut ? OFFLINE : "Reconnecting…";
    if (this.#wasShown || isCut) this.#show(words);
    else this.#timer = setTimeout(() => this.#show(words), PATIENCE_MS);
  }

  signedOut() {
    this.isSignedOut = true;
    clearTimeout(this.#timer);
    this.#show("You are signed out. What you have written is kept.", {
      tone: "bad",
      link: element("a", { href: signInUrl(), text: "Sign in" }),
    });
  }

  signedIn() {
    this.isSignedOut = false;
    this.#hide();
  }

  #live() {
    this.isSignedOut = false;
    if (!this.#wasShown) return;
    this.#show("You are back online.", { tone: "good" });
    this.#timer = setTimeout(() => this.#hide(), RELIEF_MS);
  }

  #closed(code, reason) {
    if (SIGNED_OUT.has(code)) return this.signedOut();
    if (reason === "closed") return this.#hide();
    const reload = button("Reload", () => location.reload());
    this.#show(CLOSED[reason] ?? "This page is not live any more.", { tone: "bad", link: reload });
  }

  #show(text, { tone = "waiting", link } = {}) {
    this.#wasShown = true;
    fill(this.#element, element("p", { text }), link);
    this.#element.className = `desk-connection is-${tone}`;
    this.#element.hidden = false;
  }

  #hide() {
    this.#wasShown = false;
    this.#element.hidden = true;
  }
}

/** By the reasons of the socket's `bye`. */
const CLOSED = {
  account_disabled: "This account has been closed. Ask your supervisor.",
  too_many_connections: "Too many pages of the desk are open. Close some, and reload this one.",
  user_changed: "Somebody else has signed in here. Reload to go on as them.",
};
