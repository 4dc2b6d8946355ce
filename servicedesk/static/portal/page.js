/** What every page of the portal begins with: who reads it, and whether it is live. */

import { forgetOnSignOut } from "../desk/drafts.js";
import { connectionLine } from "../desk/notices.js";
import { DeskClient } from "../realtime/desk-client.js";

const { user, role } = document.body.dataset;
export const me = { id: Number(user), role };

forgetOnSignOut(document.querySelector(".portal-sign-out"), me.id);

/** The page's socket, not connected yet: listen first, so that nothing is missed. */
export function liveClient() {
  const client = new DeskClient({ storage: localStorage, userId: me.id });
  connectionLine(client);
  return client;
}
