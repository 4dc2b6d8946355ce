/** What a page of a ticket reads besides the ticket itself. */

import { get, post } from "./api.js";

/** All messages of a ticket, oldest first; a long conversation takes several pages. */
export async function messagesOf(/** @type {number} */ id) {
  const found = [];
  let path = `/tickets/${id}/messages?page_size=100`;
  while (path) {
    const { results, next } = await get(path);
    found.push(...results);
    path = next && next.slice(next.indexOf("/tickets/"));
  }
  return found;
}

/** Whoever has the ticket before them has heard what there is to be notified of. */
export async function markRead(/** @type {number} */ id) {
  const { results } = await get("/notifications/?unread=true&page_size=100");
  const ids = results.filter((each) => each.ticket.id === id).map((each) => each.id);
  if (ids.length) await post("/notifications/read", { ids });
}
