/** What is being written outlives the page, for one user and not for ever. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Draft, forgetAll } from "../../static/desk/drafts.js";
import { storage } from "./browser.mjs";

const KEY = "1:ticket:42:reply";
const DAY = 24 * 60 * 60 * 1_000;

test("a draft is there on the next page, with its files", () => {
  const shelf = storage();
  const draft = new Draft(KEY, shelf);
  assert.deepEqual([draft.text, draft.files], ["", []]);
  draft.text = "Have you tried";
  draft.files = [{ id: "a", filename: "a.png" }];
  const again = new Draft(KEY, shelf);
  assert.equal(again.text, "Have you tried");
  assert.deepEqual(again.files, [{ id: "a", filename: "a.png" }]);
  assert.equal(new Draft("1:ticket:7:reply", shelf).text, "");
});

test("what is sent or emptied leaves nothing", () => {
  const shelf = storage();
  const draft = new Draft(KEY, shelf);
  draft.text = "words";
  draft.text = "";
  assert.equal(shelf.items.size, 0);
  draft.text = "words";
  draft.files = [{ id: "a" }];
  draft.clear();
  assert.equal(shelf.items.size, 0);
  assert.equal(draft.text, "");
});

test("the draft of a note is not taken for a reply", () => {
  const shelf = storage();
  const draft = new Draft(KEY, shelf);
  assert.equal(draft.internal, false);
  draft.internal = true;
  assert.equal(shelf.items.size, 0);
  draft.text = "Between us";
  assert.equal(new Draft(KEY, shelf).internal, true);
});

test("after a fortnight a draft is thrown away, whoever looks", (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: 0 });
  const shelf = storage();
  new Draft(KEY, shelf).text = "old";
  t.mock.timers.setTime(13 * DAY);
  assert.equal(new Draft(KEY, shelf).text, "old");
  t.mock.timers.setTime(15 * DAY);
  new Draft("2:new", shelf);
  assert.equal(shelf.items.size, 0);
});

test("who signs out takes their drafts along, and nobody else's", () => {
  const other = { "desk-outbox:desk:1": "[]", theme: "dark" };
  const shelf = storage(other);
  for (const key of ["1:new", "1:ticket:42:reply", "11:new"]) new Draft(key, shelf).text = key;
  forgetAll(1, shelf);
  assert.deepEqual([...shelf.items.keys()].sort(), ["desk-draft:11:new", ...Object.keys(other)]);
});

const refusal = () => {
  throw new Error("no");
};
for (const [what, shelf] of [
  ["no storage", undefined],
  ["a storage that refuses", { length: 1, key: refusal, getItem: refusal, setItem: refusal }],
  ["rubbish in it", storage({ [`desk-draft:${KEY}`]: "{" })],
  ["something else in it", storage({ [`desk-draft:${KEY}`]: '{"text": 5, "files": "x"}' })],
]) {
  test(`with ${what} a draft lasts as long as the page`, () => {
    const draft = new Draft(KEY, shelf);
    assert.equal(draft.text, "");
    draft.text = "words";
    assert.equal(draft.text, "words");
    draft.clear();
    forgetAll(1, shelf);
  });
}
