/** The order of what was said, and the words about who is there. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Thread, arrivalInWords } from "../../static/desk/thread.js";
import { viewersInWords } from "../../static/desk/viewers.js";

const said = (id, minute) => ({ id, created_at: `2026-03-04T12:${minute}:00Z` });

test("messages stand by time, then by id, whenever they come", () => {
  const thread = new Thread();
  assert.deepEqual(thread.add(said(5, "10")), { after: null, before: null, isLast: true });
  assert.deepEqual(thread.add(said(9, "30")), { after: 5, before: null, isLast: true });
  assert.deepEqual(thread.add(said(7, "20")), { after: 5, before: 9, isLast: false });
  assert.deepEqual(thread.add(said(6, "20")), { after: 5, before: 7, isLast: false });
  assert.deepEqual(thread.add(said(20, "05")), { after: null, before: 5, isLast: false });
});

test("a message is there once", () => {
  const thread = new Thread();
  thread.add(said(5, "10"));
  assert.equal(thread.add(said(5, "10")), null);
  assert.equal(thread.has(5), true);
  assert.equal(thread.has(6), false);
});

test("any order of arrival gives the same conversation", () => {
  const messages = [said(1, "00"), said(2, "00"), said(3, "07"), said(9, "08"), said(4, "09")];
  for (let turn = 0; turn < messages.length; turn += 1) {
    const order = [];
    const thread = new Thread();
    for (const message of [...messages.slice(turn), ...messages.slice(0, turn)]) {
      const { before } = thread.add(message);
      const index = before === null ? order.length : order.indexOf(before);
      order.splice(index, 0, message.id);
    }
    assert.deepEqual(order, [1, 2, 3, 9, 4]);
  }
});

test("one arrival is read out, many are counted", () => {
  const author = { name: "Bob" };
  const message = { author, body: "Hello\n\nthere", internal: false, attachments: [] };
  assert.equal(arrivalInWords([message]), "Bob replied: Hello there");
  const words = (more) => arrivalInWords([{ ...message, ...more }]);
  assert.equal(words({ internal: true }), "Bob wrote an internal note: Hello there");
  assert.equal(words({ body: "", attachments: [{}, {}] }), "Bob replied: 2 files");
  assert.ok(words({ body: "x".repeat(500) }).length < 200);
  assert.equal(arrivalInWords([message, message]), "2 new messages");
});

const person = (id, name, kind = "agent") => ({ id, name, kind });
const [ALICE, BOB, DANA, SAM, EVE] = [
  person(1, "Alice", "customer"),
  person(2, "Bob"),
  person(3, "Dana"),
  person(4, "Sam", "supervisor"),
  person(5, "Eve"),
];
const writes = (user, internal = false) => ({ user, internal });

test("agents see who replies, who writes a note, and who only looks", () => {
  const me = { id: 2, role: "agent" };
  const words = (members, writers) => viewersInWords({ members, writers }, me);
  assert.equal(words([BOB], []), "");
  assert.equal(words([BOB, DANA], []), "Dana is looking at this too.");
  assert.equal(words([BOB, DANA], [writes(DANA)]), "Dana is replying.");
  assert.equal(
    words([BOB, DANA, SAM], [writes(DANA, true)]),
    "Dana is writing a note. Sam is looking at this too.",
  );
  assert.equal(words([BOB, ALICE], [writes(ALICE)]), "Alice is writing.");
  assert.equal(words([DANA, SAM], []), "Dana and Sam are looking at this too.");
  assert.equal(
    words([ALICE, DANA, SAM, EVE], []),
    "Alice, Dana and 2 others are looking at this too.",
  );
});

test("a customer sees who writes, and not who looks", () => {
  const me = { id: 1, role: "customer" };
  assert.equal(viewersInWords({ members: [BOB, ALICE], writers: [] }, me), "");
  assert.equal(viewersInWords({ members: [BOB], writers: [writes(BOB)] }, me), "Bob is writing.");
});

test("who has the ticket open twice is one", () => {
  const room = { members: [DANA, DANA], writers: [] };
  assert.equal(viewersInWords(room, { id: 2, role: "agent" }), "Dana is looking at this too.");
});
