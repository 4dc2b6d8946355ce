/** The start page: its lists follow what happens on the desk, and the time that passes. */

import { client } from "./frame.js";
import { refreshSoon } from "./parts.js";
import { keepPresence } from "./presence.js";

/** A busy desk changes all the time. */
const TOGETHER_MS = 1_000;
/** Time alone turns what is on track into what is at risk. */
const ANEW_MS = 60_000;

let isStale = false;

function changed() {
  isStale = document.hidden;
  if (!isStale) refreshSoon(TOGETHER_MS);
}

document.addEventListener("visibilitychange", () => isStale && changed());
setInterval(changed, ANEW_MS);
client.on("touched", changed);
client.on("notification", changed);
client.room("desk").on("live", changed); // what happened while the line was cut
keepPresence();
client.connect();
