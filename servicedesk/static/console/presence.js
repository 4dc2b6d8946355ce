/** Who is connected: dots with `data-presence`, the id of a user, kept true. */

import { client } from "./frame.js";
import { page } from "./parts.js";

/** @type {string} Whom the desk was asked for last. */
let watched = "";

/** Keep the dots on the page true, those included that its parts bring later. */
export function keepPresence() {
  client.on("presence", ({ user, state }) => {
    for (const dot of document.querySelectorAll(`[data-presence="${user}"]`)) show(dot, state);
  });
  page.addEventListener("exchanged", freshenPresence);
  freshenPresence();
}

/** Dots that have come since. */
export function freshenPresence() {
  const dots = [...document.querySelectorAll("[data-presence]")];
  const users = [...new Set(dots.map((dot) => Number(dot.dataset.presence)))].sort((a, b) => a - b);
  for (const dot of dots) {
    const known = client.presence.states.get(Number(dot.dataset.presence));
    if (known) show(dot, known.state);
  }
  if (users.join() === watched) return;
  watched = users.join();
  client.presence.watch(users);
}

function show(/** @type {Element} */ dot, /** @type {string} */ state) {
  dot.className = `desk-presence is-${state}`;
  dot.setAttribute("aria-label", state);
  dot.setAttribute("title", state);
}
