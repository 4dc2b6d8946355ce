/** Which files go when, and what becomes of them. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Problem } from "../../static/desk/api.js";
import { sizeInWords } from "../../static/desk/files.js";
import { MOST_FILES, UploadQueue } from "../../static/desk/upload-queue.js";
import { settle } from "./browser.mjs";

const named = (name, size = 10) => ({ name, size, lastModified: 1 });

/** A queue whose uploads end when the test says so. */
function queueWith({ judge = async () => "" } = {}) {
  const sending = [];
  const removed = [];
  const transport = {
    judge,
    send: (file, options) =>
      new Promise((resolve, reject) => {
        const arrive = () => resolve({ id: file.name, filename: file.name, size: file.size });
        sending.push({ file, ...options, arrive, fail: reject });
        options.signal.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
      }),
    remove: async (id) => removed.push(id),
  };
  const changes = [];
  const queue = new UploadQueue(transport, ({ name, state }) => changes.push([name, state]));
  const states = () => queue.items.map(({ state }) => state);
  return { queue, sending, removed, changes, states };
}

test("three go at once, then the next, and ids keep the order of choice", async () => {
  const { queue, sending, states } = queueWith();
  queue.add(["a", "b", "c", "d"].map((name) => named(name)));
  await settle();
  assert.deepEqual(states(), ["sending", "sending", "sending", "waiting"]);
  assert.equal(queue.isBusy, true);
  sending[2].arrive();
  await settle();
  assert.deepEqual(queue.ids, ["c"]);
  for (const each of sending) each.arrive();
  await settle();
  sending[3].arrive();
  await settle();
  assert.deepEqual(queue.ids, ["a", "b", "c", "d"]);
  assert.equal(queue.isBusy, false);
});

test("progress is told", async () => {
  const { queue, sending } = queueWith();
  queue.add([named("a")]);
  await settle();
  sending[0].progress(0.5);
  assert.equal(queue.items[0].progress, 0.5);
});

test("what the desk would refuse is not sent, and the others go on", async () => {
  const judge = async ({ name }) => (name === "a.exe" ? "Files named .exe are never taken." : "");
  const { queue, sending, states } = queueWith({ judge });
  queue.add([named("a.exe"), named("b.png")]);
  await settle();
  assert.deepEqual(states(), ["refused", "sending"]);
  assert.equal(queue.items[0].reason, "Files named .exe are never taken.");
  assert.equal(sending.length, 1);
});

test("more files than a message takes are refused before a byte goes", async () => {
  const { queue, states } = queueWith();
  queue.add(Array.from({ length: MOST_FILES + 1 }, (_, index) => named(`${index}.txt`)));
  assert.equal(states().at(-1), "refused");
  queue.remove(queue.items[0]);
  queue.add([named("another.txt")]);
  assert.equal(states().at(-1), "waiting");
});

test("the same file twice is one, but what was refused may be tried once more", async () => {
  const judge = async () => "No.";
  const { queue } = queueWith({ judge });
  const file = named("a.txt");
  assert.deepEqual(queue.add([file, file]), [file]);
  await settle();
  assert.deepEqual(queue.add([file]), []);
  assert.equal(queue.items.length, 2);
});

test("a refusal of the desk is final, a failure of the line is not", async () => {
  const { queue, sending, states } = queueWith();
  queue.add([named("a"), named("b")]);
  await settle();
  sending[0].fail(new Problem(415, { code: "content_mismatch", detail: "This is no PNG." }));
  sending[1].fail(new Problem(0, { code: "offline", detail: "Offline." }));
  await settle();
  assert.deepEqual(states(), ["refused", "failed"]);
  assert.equal(queue.items[0].reason, "This is no PNG.");
  assert.equal(queue.hasFailed, true);
  queue.retry(queue.items[0]);
  queue.retryFailed();
  await settle();
  assert.deepEqual(states(), ["refused", "sending"]);
  assert.equal(sending[2].key, sending[1].key, "tried again it is still the same upload");
});

test("what is cancelled goes no further, and makes room", async () => {
  const { queue, sending, removed } = queueWith();
  queue.add(["a", "b", "c", "d"].map((name) => named(name)));
  await settle();
  queue.remove(queue.items[0]);
  await settle();
  assert.equal(sending[0].signal.aborted, true);
  assert.equal(sending.length, 4);
  assert.equal(queue.items.length, 3);
  assert.deepEqual(removed, []);
});

test("what arrives although it was cancelled is taken away again", async () => {
  const { queue, sending, removed } = queueWith();
  queue.add([named("a")]);
  await settle();
  sending[0].arrive();
  queue.remove(queue.items[0]);
  await settle();
  assert.deepEqual(removed, ["a"]);
  assert.deepEqual(queue.ids, []);
});

test("what has arrived is taken away when it is removed, and left when it was sent", async () => {
  const { queue, removed } = queueWith();
  queue.restore([{ id: "a", filename: "a", size: 1 }, { id: "b", filename: "b", size: 1 }]);
  assert.deepEqual(queue.ids, ["a", "b"]);
  queue.remove(queue.items[0]);
  queue.clear();
  assert.deepEqual([removed, queue.items], [["a"], []]);
});

for (const [bytes, words] of [
  [0, "0 bytes"],
  [1_023, "1023 bytes"],
  [1_536, "1.5 KB"],
  [10 * 1_024, "10 KB"],
  [25 * 1_024 ** 2, "25 MB"],
  [3 * 1_024 ** 4, "3072 GB"],
]) {
  test(`${bytes} bytes are ${words}`, () => assert.equal(sizeInWords(bytes), words));
}
