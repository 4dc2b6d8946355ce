/** The keyboard shortcuts of a ticket's page. */

/** @param {import("./reply.js").Reply} reply */
export function ticketShortcuts(reply) {
  return [
    { keys: "u", label: "Back to the tickets", run: () => document.getElementById("desk-back").click() },
    { keys: "k", label: "Previous message", run: () => step(-1) },
    { keys: "j", label: "Next message", run: () => step(1) },
    { keys: "e", label: "Edit the details", run: () => unfold("#edit", "[name=subject]") },
    { keys: "s", label: "Change the status", run: () => visit("#move [name=to]:enabled") },
    { keys: "a", label: "Take it, or assign it", run: takeOrAssign },
    { keys: "c", label: "Canned reply", run: reply.canned },
    { keys: "n", label: "Internal note", run: () => reply.focus(true) },
    { keys: "r", label: "Reply to the customer", run: () => reply.focus(false) },
  ];
}

function visit(/** @type {string} */ selector) {
  /** @type {HTMLElement | null} */ (document.querySelector(selector))?.focus();
}

function unfold(/** @type {string} */ form, /** @type {string} */ field) {
  const fold = document.querySelector(form)?.closest("details");
  if (fold) fold.open = true;
  visit(`${form} ${field}`);
}

function takeOrAssign() {
  const take = /** @type {HTMLElement | null} */ (document.querySelector("#claim [type=submit]"));
  if (take) take.focus();
  else unfold("#assign", "[name=agent]");
}

function step(/** @type {number} */ by) {
  const articles = [...document.querySelectorAll(".desk-conversation .desk-said")];
  const at = articles.findIndex((article) => article.contains(document.activeElement));
  const start = at < 0 && by < 0 ? articles.length : at;
  const next = /** @type {HTMLElement | undefined} */ (
    articles[Math.min(Math.max(start + by, 0), articles.length - 1)]
  );
  if (!next) return;
  next.tabIndex = -1;
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "center" });
}
