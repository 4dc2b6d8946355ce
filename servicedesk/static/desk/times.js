/** Times in words that stay true while one looks at them. */

import { element } from "./dom.js";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** How late the words may be. */
const FRESHEN_MS = 10 * SECOND;
/** States of a promise in which no time runs. */
const RESTING = { paused: "paused", met: "met", cancelled: "cancelled", none: "" };

const LANGUAGE = "en-GB";
const clock = new Intl.DateTimeFormat(LANGUAGE, { hour: "2-digit", minute: "2-digit" });
const dayOfYear = new Intl.DateTimeFormat(LANGUAGE, { day: "numeric", month: "short" });
const day = new Intl.DateTimeFormat(LANGUAGE, { day: "numeric", month: "short", year: "numeric" });
const full = new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "full", timeStyle: "short" });

/**
 * A `<time>` that says "14:25", "yesterday 14:25", "3 Nov 14:25" or "3 Nov 2025", and all of it in
 * its title.
 * @param {string} iso
 */
export function timeElement(iso) {
  const made = element("time", { datetime: iso, data: { relative: "" } });
  freshenTime(made, new Date());
  startTimer();
  return made;
}

/**
 * Keep fresh what is in `root` now and later: `time[datetime][data-relative]`, and countdowns
 * `[data-due][data-state]`.
 */
export function keepTimes(root = document) {
  freshen(root);
  startTimer();
}

/** A moment as the words of `timeElement`. */
export function momentInWords(/** @type {string} */ iso, now = new Date()) {
  const at = new Date(iso);
  const days = Math.round((midnight(now) - midnight(at)) / DAY);
  if (days === 0) return clock.format(at);
  if (days === 1) return `yesterday ${clock.format(at)}`;
  if (days === -1) return `tomorrow ${clock.format(at)}`;
  if (at.getFullYear() === now.getFullYear()) return `${dayOfYear.format(at)} ${clock.format(at)}`;
  return day.format(at);
}

/**
 * What is left until a promise is due: "in 2 h 5 min", "12 min over"; or its state where no time
 * runs.
 * @param {string | null | undefined} dueIso
 * @param {string} [state] Of the ticket's promise or of one clock.
 */
export function countdown(dueIso, state = "running", now = Date.now()) {
  if (state in RESTING) return RESTING[state];
  if (!dueIso) return "";
  const left = Date.parse(dueIso) - now;
  if (Number.isNaN(left)) return "";
  return left >= 0 ? `in ${duration(left)}` : `${duration(-left)} over`;
}

/** The two largest units: "3 d 4 h", "2 h 5 min", "12 min", "under a minute". */
export function duration(/** @type {number} */ milliseconds) {
  const minutes = Math.floor(milliseconds / MINUTE);
  const hours = Math.floor(milliseconds / HOUR);
  const days = Math.floor(milliseconds / DAY);
  if (days > 0) return joined(`${days} d`, hours % 24 && `${hours % 24} h`);
  if (hours > 0) return joined(`${hours} h`, minutes % 60 && `${minutes % 60} min`);
  return minutes > 0 ? `${minutes} min` : "under a minute";
}

function joined(large, small) {
  return small ? `${large} ${small}` : large;
}

function midnight(/** @type {Date} */ moment) {
  return new Date(moment.getFullYear(), moment.getMonth(), moment.getDate()).getTime();
}

/** @type {ReturnType<typeof setInterval> | undefined} One for the page. */
let timer;

function startTimer() {
  if (timer) return;
  timer = setInterval(() => document.hidden || freshen(document), FRESHEN_MS);
  document.addEventListener("visibilitychange", () => document.hidden || freshen(document));
}

function freshen(root) {
  const now = new Date();
  for (const each of root.querySelectorAll("time[datetime][data-relative]")) freshenTime(each, now);
  for (const each of root.querySelectorAll("[data-due][data-state]")) {
    const { due, state } = each.dataset;
    say(each, countdown(due, state, now.getTime()));
    each.classList.toggle("is-over", !(state in RESTING) && Date.parse(due) < now.getTime());
  }
}

function freshenTime(time, now) {
  if (Number.isNaN(Date.parse(time.dateTime))) return;
  say(time, momentInWords(time.dateTime, now));
  time.title ||= full.format(new Date(time.dateTime));
}

/** Text that has not changed is left alone: somebody may be selecting it. */
function say(where, words) {
  if (where.textContent !== words) where.textContent = words;
}
