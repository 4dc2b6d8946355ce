/** Whom the desk would give the ticket, with its reasons: asked for once somebody wants to know. */

import { get, put } from "../desk/api.js";
import { button, element, fill } from "../desk/dom.js";
import { notify } from "../desk/notices.js";
import { page, refresh } from "./parts.js";

const SHOWN = 8;
/** Precondition failed: somebody changed it first. */
const CHANGED = 412;
const OVERTAKEN = "Somebody changed this ticket just now. Look what is new, and try again.";

/** Fill in the fold of the assignee's card, in this one and in those that take its place. */
export function keepRecommendations(/** @type {number} */ id) {
  const watch = () => {
    const fold = /** @type {HTMLDetailsElement | null} */ (document.querySelector(".desk-recommended"));
    if (!fold?.hidden) return;
    fold.hidden = false;
    if (fold.open) show(id, fold);
    fold.addEventListener("toggle", () => fold.open && show(id, fold));
  };
  page.addEventListener("exchanged", watch);
  watch();
}

async function show(id, fold) {
  const place = fold.querySelector("div");
  const labels = JSON.parse(fold.dataset.labels);
  if (!place.hasChildNodes()) place.textContent = "Looking…";
  try {
    const { candidates } = await get(`/tickets/${id}/recommendations`);
    const rows = candidates.slice(0, SHOWN).map((each) => candidate(id, each, labels));
    fill(place, rows.length ? rows : element("p", { class: "desk-quiet", text: "There are no agents." }));
  } catch (problem) {
    place.textContent = problem.detail ?? problem.message;
  }
}

function candidate(id, { agent, total, parts, eligible, summary }, labels) {
  const bar = ([name, value]) =>
    element(
      "div",
      {},
      element("dt", { text: labels[name] ?? name }),
      element(
        "dd",
        {},
        element("meter", { min: "0", max: "1", value: String(value), "aria-label": labels[name] ?? name }),
        ` ${value.toFixed(2)}`,
      ),
    );
  return element(
    "div",
    { class: eligible ? "desk-candidate is-chosen" : "desk-candidate" },
    element(
      "p",
      {},
      element("strong", { text: agent.name }),
      element("span", { text: eligible ? total.toFixed(2) : "not eligible" }),
    ),
    element("p", { class: "desk-quiet", text: summary }),
    eligible && element("dl", {}, Object.entries(parts).map(bar)),
    eligible &&
      button("Assign", () => assign(id, agent), {
        class: "desk-button",
        "aria-label": `Assign to ${agent.name}`,
      }),
  );
}

/** On top of what the page shows: who was faster is not overruled. */
async function assign(id, agent) {
  const { version } = /** @type {HTMLFormElement} */ (document.getElementById("assign")).elements;
  try {
    await put(`/tickets/${id}/assign`, { assignee: agent.id }, { ifMatch: version.value });
    notify(`It is with ${agent.name} now.`, { kind: "good" });
  } catch (problem) {
    notify(problem.status === CHANGED ? OVERTAKEN : problem.detail ?? problem.message, { kind: "bad" });
  }
  refresh();
}
