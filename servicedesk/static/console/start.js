/** The start page: its lists follow what happens on the desk, and the time that passes. */

import { client } from "./frame.js";
import { refresh } from "./parts.js";
import { keepPresence } from "./presence.js";

/** What happens at once is read at once. */
const TOGETHER_MS = 1_000;
/** Time alone turns what is on track into what is at risk. */
const ANEW_MS = 60_000;

/** @type {ReturnType<typeof setTimeout> | undefined} */
let soon;
let isStale = false;

function changed() {
  isStale = true;
  if (document.hidden) return;
  soon ??= setTimeout(async () => {
    isStale = false;
    await refresh();
    soon = undefined;
    if (isStale) changed();
  }, TOGETHER_MS);
}

document.addEventListener("visibilitychange", () => isStale && changed());
setInterval(changed, ANEW_MS);
client.on("touched", changed);
client.on("notification", changed);
let wasLive = false;
client.on("state", ({ state }) => {
  if (state !== "live") return;
  if (wasLive) changed();
  wasLive = true;
});
client.room("desk");
keepPresence();
client.connect();
