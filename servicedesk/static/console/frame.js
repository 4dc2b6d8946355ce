/** What every page of the console begins with: who looks at it, its shortcuts, its socket. */

import { forgetOnSignOut } from "../desk/drafts.js";
import { connectionLine, notify } from "../desk/notices.js";
import { keepTimes } from "../desk/times.js";
import { DeskClient } from "../realtime/desk-client.js";
import { register } from "./shortcuts.js";

const { user, role, ticketUrl } = /** @type {HTMLElement} */ (document.getElementById("desk-user")).dataset;

export const me = { id: Number(user), role };

/** The page's socket, not connected yet: listen first, so that nothing is missed. */
export const client = new DeskClient({ storage: localStorage, userId: me.id });

/** The console's page of a ticket. */
export function ticketPage(/** @type {number} */ id) {
  return ticketUrl.replace("/0/", `/${id}/`);
}

/** Kinds of notifications that are said at once; the others are on the screen anyway. */
const SAID = {
  assigned: "is yours now",
  escalated: "was escalated",
  sla_warned: "is about to breach",
  sla_breached: "has breached what was promised",
};

client.on("notification", ({ kind, ticket }) => {
  if (!(kind in SAID) || ticketPage(ticket) === location.pathname) return;
  const open = { label: "Open", run: () => location.assign(ticketPage(ticket)) };
  notify(`SD-${ticket} ${SAID[kind]}.`, { action: open });
});

connectionLine(client);
forgetOnSignOut(document.querySelector("#logout-form"), me.id);
keepTimes();

const go = (/** @type {string} */ selector) => {
  const link = /** @type {HTMLAnchorElement | null} */ (document.querySelector(selector));
  if (link) location.assign(link.href);
};
register([
  { keys: "g h", label: "Go to the start page", run: () => go("#site-name a") },
  { keys: "g t", label: "Go to the tickets", run: () => go("#desk-to-tickets") },
  {
    keys: "/",
    label: "Search",
    run: () => {
      const box = /** @type {HTMLInputElement | null} */ (document.getElementById("searchbar"));
      if (box) box.select();
      else go("#desk-to-tickets");
    },
  },
]);
