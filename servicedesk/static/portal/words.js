/** A ticket's status in the words of whoever asked. */

/** @type {Record<string, {label: string, says: string}>} */
const STATUSES = {
  new: { label: "Received", says: "We have it. Somebody will look at it soon." },
  open: { label: "We are on it", says: "" },
  pending: { label: "Waiting for you", says: "We need a word from you to go on." },
  on_hold: { label: "Waiting for others", says: "We wait for somebody outside, and keep an eye on it." },
  resolved: { label: "Solved", says: "Does it work for you? If not, write or reopen it." },
  closed: { label: "Closed", says: "" },
  cancelled: { label: "Cancelled", says: "" },
};

export const OPEN = ["new", "open", "pending", "on_hold", "resolved"];
export const ENDED = ["closed", "cancelled"];

/** The pill's words. */
export function statusLabel(/** @type {string} */ status) {
  return STATUSES[status]?.label ?? status;
}

/** A sentence on what comes next, perhaps none. */
export function statusSentence(/** @type {{status: string, assignee: {name: string} | null}} */ ticket) {
  if (ticket.status === "open" && ticket.assignee) return `${ticket.assignee.name} takes care of it.`;
  return STATUSES[ticket.status]?.says ?? "";
}

/** What one may do, by the status that it leads to. */
export function actionLabel(/** @type {string} */ to) {
  if (to === "open") return "Reopen";
  if (to === "closed") return "It works, close it";
  if (to === "cancelled") return "I do not need this any more";
  return statusLabel(to);
}
