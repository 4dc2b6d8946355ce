/** The ticket list: countdowns that go on, and rows by keyboard. */

import { keepTimes } from "../desk/times.js";

const rows = [...document.querySelectorAll("#result_list tbody tr")];

/** @returns {number} Of the row that holds the focus; -1 where none does. */
function current() {
  return rows.findIndex((row) => row.contains(document.activeElement));
}

function link(/** @type {Element | undefined} */ row) {
  return row?.querySelector("th a");
}

function move(/** @type {number} */ by) {
  const next = Math.min(Math.max(current() + by, 0), rows.length - 1);
  link(rows[next])?.focus();
}

/** For the console's `register`. Enter opens a row by itself: the focus is on its link. */
export const shortcuts = [
  { keys: "j", label: "Next ticket", run: () => move(1) },
  { keys: "k", label: "Previous ticket", run: () => move(-1) },
];

keepTimes();
