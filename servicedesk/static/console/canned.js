/** Choosing a canned reply: found by typing, filled in by the desk, put where the cursor is. */

import { get } from "../desk/api.js";
import { button, element, fill } from "../desk/dom.js";

const LOOK_AFTER_MS = 150;
const EXCERPT = 120;

/**
 * @param {object} about
 * @param {number} about.ticket
 * @param {string} [about.addUrl] Where whoever may write one does so.
 * @param {(text: string) => void} about.insert
 */
export function openCanned({ ticket, addUrl, insert }) {
  const list = element("ul", { class: "desk-canned" });
  const word = element("p", { class: "desk-quiet", role: "status" });
  const box = /** @type {HTMLInputElement} */ (
    element("input", { type: "search", id: "canned-search", autocomplete: "off", maxlength: "200" })
  );
  const dialog = /** @type {HTMLDialogElement} */ (
    element(
      "dialog",
      { class: "desk-dialog", "aria-labelledby": "canned-title" },
      element("h2", { id: "canned-title", text: "Canned replies" }),
      element("label", { for: "canned-search", class: "desk-hidden", text: "Search" }),
      box,
      list,
      word,
      element(
        "p",
        { class: "desk-buttons" },
        button("Close", () => dialog.close(), { class: "desk-button" }),
      ),
    )
  );

  let asked = 0;
  async function look() {
    const number = ++asked;
    try {
      const query = new URLSearchParams({ q: box.value.trim(), page_size: "20" });
      if (!box.value.trim()) query.delete("q");
      const { results } = await get(`/canned-replies/?${query}`);
      if (number !== asked) return;
      fill(list, results.map(row));
      fill(word, results.length ? null : emptyWords(box.value.trim(), addUrl));
    } catch (problem) {
      if (number === asked) word.textContent = problem.detail ?? problem.message;
    }
  }

  function row(/** @type {any} */ reply) {
    const text = reply.body.trim().replace(/\s+/g, " ");
    const excerpt = text.length > EXCERPT ? `${text.slice(0, EXCERPT)}…` : text;
    const pick = button("", () => choose(reply.id), { class: "desk-canned-reply" });
    pick.append(element("strong", { text: reply.title }), element("span", { text: excerpt }));
    return element("li", {}, pick);
  }

  async function choose(/** @type {number} */ id) {
    try {
      const { filled } = await get(`/canned-replies/${id}/?ticket=${ticket}`);
      dialog.close();
      insert(filled);
    } catch (problem) {
      word.textContent = problem.detail ?? problem.message;
    }
  }

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let soon;
  box.addEventListener("input", () => {
    clearTimeout(soon);
    soon = setTimeout(look, LOOK_AFTER_MS);
  });
  dialog.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const stops = [box, ...list.querySelectorAll("button")];
    const at = stops.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    stops[Math.min(Math.max(at + step, 0), stops.length - 1)].focus();
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  box.focus();
  look();
}

function emptyWords(query, addUrl) {
  if (query) return "Nothing matches.";
  if (!addUrl) return "No canned replies yet. Supervisors write them.";
  return ["No canned replies yet. ", element("a", { href: addUrl, text: "Write the first" })];
}
