/** A ticket's page: the conversation by the socket, everything else by its parts. */

import { Conversation } from "../desk/conversation.js";
import { element, fill } from "../desk/dom.js";
import { markRead, messagesOf } from "../desk/reading.js";
import { Viewers } from "../desk/viewers.js";
import { client, me, ticketPage } from "./frame.js";
import { page, refreshSoon } from "./parts.js";
import { keepPresence } from "./presence.js";
import { keepRecommendations } from "./recommended.js";
import { startReply } from "./reply.js";
import { register } from "./shortcuts.js";
import { ticketShortcuts } from "./ticket-keys.js";

const root = document.getElementById("ticket");
const { seq, epoch } = root.dataset;
const id = Number(root.dataset.ticket);

const conversation = new Conversation({
  list: document.getElementById("said"),
  me,
  requester: Number(root.dataset.requester),
  linkTo: ticketPage,
});
client.on("outgoing", (outgoing) => outgoing.ticket === id && conversation.show(outgoing));

const room = client.room(id, { lastSeq: Number(seq), epoch });
const reply = startReply({ id, room });

room.on("event", ({ event, actor, data }) => {
  if (event === "message.created") {
    conversation.add(data.message, actor);
    reply.heard(data.message);
  } else if (event === "file.removed") conversation.removed(data.file.id);
  else if (event.startsWith("file.")) conversation.files(data.file);
  refreshSoon();
});
room.on("snapshot", async () => {
  refreshSoon();
  const before = newest();
  const messages = await messagesOf(id);
  conversation.addAll(messages);
  for (const message of messages) if (message.id > before) reply.heard(message);
});
room.on("live", () => refreshSoon()); // what happened while the line was cut
room.on("left", gone);
page.addEventListener("gone", gone);
new Viewers({ line: document.getElementById("viewers"), room, me });

/** The id of the last message that is on the page. */
function newest() {
  const shown = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#said > [data-message]"));
  return Math.max(0, ...[...shown].map((article) => Number(article.dataset.message)));
}

/** Nothing of the ticket stays on the screen. */
function gone() {
  if (!root.isConnected) return;
  client.close();
  document.title = "Service desk";
  const tickets = /** @type {HTMLAnchorElement} */ (document.getElementById("desk-back")).href;
  fill(
    document.getElementById("content"),
    element(
      "div",
      { class: "desk-card desk-gone", role: "alert" },
      element("h1", { text: "You have no access to this ticket any more" }),
      element("p", {
        text: "It went to another team, or somebody took you out of it. What you had begun to write is kept in this browser.",
      }),
      element("p", {}, element("a", { class: "desk-button", href: tickets, text: "To the tickets" })),
    ),
  );
  for (const rest of document.querySelectorAll(".breadcrumbs, dialog")) rest.remove();
}

// What the button asks for is asked for here, before the desk has to refuse it.
document.addEventListener(
  "submit",
  (event) => {
    const { target: form, submitter } = event;
    if (form.id !== "move" || !submitter?.hasAttribute("data-asks")) return;
    if (form.elements.comment.value.trim() || form.elements.resolution.value.trim()) return;
    event.preventDefault();
    form.querySelector("details").open = true;
    const box = submitter.value === "resolved" ? form.elements.resolution : form.elements.comment;
    box.focus();
  },
  { capture: true },
);

// Django's boxes that look choices up as one types.
page.addEventListener("exchanged", ({ detail: part }) => {
  globalThis.django?.jQuery(part).find(".admin-autocomplete").djangoAdminSelect2?.();
});

keepPresence();
keepRecommendations(id);
register(ticketShortcuts(reply));
client.connect();
markRead(id).catch(() => {}); // the mark in the list stays, no more
