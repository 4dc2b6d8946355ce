/** Times in words. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { countdown, duration, momentInWords } from "../../static/desk/times.js";

const NOW = new Date(2026, 2, 4, 12, 0);
const at = (...moment) => new Date(...moment).toISOString();
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

for (const [moment, words] of [
  [[2026, 2, 4, 9, 5], "09:05"],
  [[2026, 2, 4, 0, 0], "00:00"],
  [[2026, 2, 3, 23, 59], "yesterday 23:59"],
  [[2026, 2, 5, 0, 0], "tomorrow 00:00"],
  [[2026, 2, 2, 14, 25], "2 Mar 14:25"],
  [[2026, 10, 3, 14, 25], "3 Nov 14:25"],
  [[2025, 10, 3, 14, 25], "3 Nov 2025"],
]) {
  test(`${moment} is said as ${words}`, () =>
    assert.equal(momentInWords(at(...moment), NOW), words));
}

for (const [milliseconds, words] of [
  [0, "under a minute"],
  [59_999, "under a minute"],
  [MINUTE, "1 min"],
  [HOUR - 1, "59 min"],
  [HOUR, "1 h"],
  [2 * HOUR + 5 * MINUTE, "2 h 5 min"],
  [DAY, "1 d"],
  [3 * DAY + 4 * HOUR + 59 * MINUTE, "3 d 4 h"],
]) {
  test(`${milliseconds} ms are ${words}`, () => assert.equal(duration(milliseconds), words));
}

test("a promise counts down, and on", () => {
  const due = (milliseconds) => new Date(NOW.getTime() + milliseconds).toISOString();
  const said = (milliseconds, state) => countdown(due(milliseconds), state, NOW.getTime());
  assert.equal(said(2 * HOUR + 5 * MINUTE, "running"), "in 2 h 5 min");
  assert.equal(said(5 * MINUTE, "at_risk"), "in 5 min");
  assert.equal(said(-12 * MINUTE, "breached"), "12 min over");
  assert.equal(said(-12 * MINUTE, "on_track"), "12 min over");
  assert.equal(said(0, "on_track"), "in under a minute");
});

test("where no time runs its state is said", () => {
  assert.equal(countdown(null, "paused"), "paused");
  assert.equal(countdown(NOW.toISOString(), "met"), "met");
  for (const due of [null, undefined, "", "rubbish"]) assert.equal(countdown(due, "on_track"), "");
  assert.equal(countdown(null, "none"), "");
});
