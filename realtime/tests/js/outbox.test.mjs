/** Messages that arrive exactly once, and presence. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { ALICE, BOB, deskFor, storage } from "./fake.mjs";

const SHELF = "desk-outbox:desk.example:1";
const DONE = { message: { id: 5 }, seq: 11 };
const sends = (socket) => socket.said("message.send");

test("a message is pending, then sent", async (t) => {
  const desk = deskFor(t);
  const seen = [];
  desk.client.on("outgoing", ({ body, state }) => seen.push([body, state]));
  const socket = await desk.live();
  const message = desk.client.send(42, "hello");
  const [command] = sends(socket);
  const { client_msg_id } = message;
  assert.match(client_msg_id, /^[0-9a-f]{32}$/);
  assert.deepEqual(command.data, { ticket: 42, client_msg_id, body: "hello" });
  socket.ok(command, DONE);
  assert.deepEqual(await message.done, DONE);
  assert.deepEqual(seen, [["hello", "pending"], ["hello", "sent"]]);
  assert.deepEqual(desk.client.outgoing, []);
});

test("an internal note says that it is one", async (t) => {
  const desk = deskFor(t);
  const socket = await desk.live(BOB);
  desk.client.room(42).send("between us", { internal: true });
  assert.equal(sends(socket)[0].data.internal, true);
});

test("what is written offline is sent later, after the rooms have been joined", async (t) => {
  const desk = deskFor(t);
  desk.client.send(42, "early");
  desk.client.room(42, { lastSeq: 3 });
  const socket = await desk.live();
  assert.deepEqual(socket.sent.map(({ type }) => type), ["room.join", "message.send"]);
});

test("what has no answer is sent again under the same id after a reconnect", async (t) => {
  const desk = deskFor(t);
  const first = await desk.live();
  const message = desk.client.send(42, "hello");
  const second = await desk.again();
  assert.deepEqual(sends(second)[0].data, sends(first)[0].data);
  second.ok(sends(second)[0], DONE);
  assert.equal(message.state, "sent");
  assert.deepEqual(sends(await desk.again()), []);
});

test("messages of a ticket go one after the other, those of another do not wait", async (t) => {
  const desk = deskFor(t);
  const socket = await desk.live();
  for (const body of ["one", "two"]) desk.client.send(42, body);
  desk.client.send(7, "other");
  const bodies = () => sends(socket).map(({ data }) => data.body);
  assert.deepEqual(bodies(), ["one", "other"]);
  socket.ok(sends(socket)[0], DONE);
  assert.deepEqual(bodies(), ["one", "other", "two"]);
});

test("who is too fast waits as long as told, and keeps the order", async (t) => {
  const desk = deskFor(t);
  const socket = await desk.live();
  for (const body of ["one", "two"]) desk.client.send(42, body);
  socket.error(sends(socket)[0], "rate_limited", { retry_after_ms: 2_000 });
  await desk.wait(1_999);
  assert.equal(sends(socket).length, 1);
  await desk.wait(1);
  assert.deepEqual(sends(socket).map(({ data }) => data.body), ["one", "one"]);
});

for (const code of ["unavailable", "internal"]) {
  test(`${code} is tried again, ever more slowly`, async (t) => {
    const desk = deskFor(t, { random: 1 });
    const socket = await desk.live();
    const message = desk.client.send(42, "hello");
    for (const seconds of [1, 2, 4]) {
      const before = sends(socket).length;
      socket.error(sends(socket).at(-1), code);
      await desk.wait(seconds * 1_000 - 1);
      assert.equal(sends(socket).length, before);
      await desk.wait(1);
      assert.equal(sends(socket).length, before + 1);
    }
    socket.ok(sends(socket).at(-1), DONE);
    assert.equal(message.state, "sent");
  });
}

test("what the server fails on again and again fails, and the next one goes out", async (t) => {
  const desk = deskFor(t, { random: 0 });
  const socket = await desk.live();
  const [first, second] = [desk.client.send(42, "poison"), desk.client.send(42, "next")];
  first.done.catch(() => {});
  for (let tries = 1; tries <= 5; tries += 1) {
    assert.equal(first.state, "pending");
    socket.error(sends(socket).at(-1), "internal");
    await desk.wait(1_000);
  }
  assert.equal(first.state, "failed");
  assert.equal(sends(socket).at(-1).data.body, "next");
  socket.ok(sends(socket).at(-1), DONE);
  assert.equal(second.state, "sent");
});

for (const code of ["validation_failed", "not_found", "idempotency_conflict"]) {
  test(`${code} fails the message, and the next one goes out`, async (t) => {
    const desk = deskFor(t);
    const socket = await desk.live();
    const message = desk.client.send(42, "bad");
    desk.client.send(42, "good");
    socket.error(sends(socket)[0], code, { details: { code: "closed" } });
    assert.equal(message.state, "failed");
    await assert.rejects(message.done, { code, details: { code: "closed" } });
    assert.equal(sends(socket)[1].data.body, "good");
  });
}

test("a message names its files, also the one that an earlier page left", async (t) => {
  const shelf = storage();
  await t.test("the first page", async (t) => {
    const desk = deskFor(t, { storage: shelf });
    await desk.live();
    desk.client.room(42).send("", { attachments: ["a", "b"] });
  });
  await t.test("the second page", async (t) => {
    const desk = deskFor(t, { storage: shelf });
    const [{ data }] = sends(await desk.live());
    assert.deepEqual([data.body, data.attachments], ["", ["a", "b"]]);
  });
});

test("what was refused is kept, is not sent by itself, and goes again under its id", async (t) => {
  const shelf = storage();
  const refused = ({ client }) => client.failed.map(({ body, error }) => [body, error.message]);
  let id;
  await t.test("the first page", async (t) => {
    const desk = deskFor(t, { storage: shelf });
    const socket = await desk.live();
    id = desk.client.send(42, "late").client_msg_id;
    socket.error(sends(socket)[0], "validation_failed");
    assert.deepEqual(refused(desk), [["late", "validation_failed"]]);
  });
  await t.test("the second page", async (t) => {
    const desk = deskFor(t, { storage: shelf });
    const seen = [];
    desk.client.on("outgoing", ({ state }) => seen.push(state));
    const socket = await desk.live();
    assert.deepEqual(sends(socket), []);
    assert.deepEqual(refused(desk), [["late", "validation_failed"]]);
    const again = desk.client.failed[0].retry();
    assert.deepEqual(desk.client.failed, []);
    assert.equal(sends(socket)[0].data.client_msg_id, id);
    socket.ok(sends(socket)[0], DONE);
    assert.equal(again.state, "sent");
    assert.deepEqual(seen, ["failed", "discarded", "pending", "sent"]);
    assert.equal(shelf.items.get(SHELF), "[]");
  });
});

test("an id that stands for another text is not used again", async (t) => {
  const desk = deskFor(t);
  const socket = await desk.live();
  const message = desk.client.send(42, "hello");
  socket.error(sends(socket)[0], "idempotency_conflict");
  message.retry();
  assert.notEqual(sends(socket)[1].data.client_msg_id, message.client_msg_id);
});

test("what is discarded is gone, and what was refused goes by itself in two weeks", async (t) => {
  const shelf = storage();
  await t.test("discarded", async (t) => {
    const desk = deskFor(t, { storage: shelf });
    const socket = await desk.live();
    for (const body of ["one", "two"]) {
      const message = desk.client.send(42, body);
      socket.error(sends(socket).at(-1), "not_found");
      if (body === "one") message.discard();
    }
    assert.deepEqual(JSON.parse(shelf.getItem(SHELF)).map(({ body }) => body), ["two"]);
  });
  await t.test("later", async (t) => {
    const desk = deskFor(t, { storage: shelf });
    t.mock.timers.setTime(Date.now() + 15 * 24 * 60 * 60 * 1_000);
    await desk.live();
    assert.deepEqual(desk.client.failed, []);
    assert.equal(shelf.getItem(SHELF), "[]");
  });
});

test("two pages that find the same message send it under the same id", async (t) => {
  const left = [{ ticket: 42, body: "mine", internal: false, client_msg_id: "a" }];
  const shelf = storage({ [SHELF]: JSON.stringify(left) });
  for (const page of ["one", "other"]) {
    await t.test(page, async (t) => {
      const desk = deskFor(t, { storage: shelf });
      const socket = await desk.live();
      assert.equal(sends(socket)[0].data.client_msg_id, "a");
      if (page === "other") socket.ok(sends(socket)[0], DONE);
    });
  }
  assert.equal(shelf.getItem(SHELF), "[]");
});

test("a page that knows its user keeps what is written before the first connection", async (t) => {
  const shelf = storage();
  await t.test("written", async (t) => {
    const desk = deskFor(t, { storage: shelf, userId: ALICE.id });
    desk.client.send(42, "early");
    assert.equal(JSON.parse(shelf.getItem(SHELF)).length, 1);
  });
  await t.test("sent once by the next page", async (t) => {
    const desk = deskFor(t, { storage: shelf, userId: ALICE.id });
    desk.client.send(42, "earlier than live");
    const socket = await desk.live();
    socket.ok(sends(socket)[0], DONE);
    socket.ok(sends(socket)[1], DONE);
    assert.deepEqual(sends(socket).map(({ data }) => data.body), ["early", "earlier than live"]);
    assert.equal(shelf.getItem(SHELF), "[]");
  });
});

test("a page that was made for somebody else sends nothing", async (t) => {
  const desk = deskFor(t, { storage: storage(), userId: ALICE.id });
  desk.client.send(42, "Alice's");
  const socket = await desk.live(BOB);
  assert.deepEqual(socket.sent, []);
  assert.equal(desk.client.state, "closed");
});

test("what does not fit into a frame fails here, in bytes", async (t) => {
  const desk = deskFor(t);
  const socket = await desk.live();
  const message = desk.client.send(42, "ü".repeat(33_000));
  assert.equal(message.error.code, "too_large");
  assert.deepEqual(socket.sent, []);
  assert.equal(desk.client.send(42, "u".repeat(33_000)).state, "pending");
});

test("unsent messages outlive the page and are sent by the next one, in order", async (t) => {
  const shelf = storage();
  await t.test("the first page", async (t) => {
    const desk = deskFor(t, { storage: shelf });
    await desk.live();
    desk.client.send(42, "one");
    desk.client.send(42, "two");
    assert.equal(JSON.parse(shelf.items.get(SHELF)).length, 2);
  });
  const stored = JSON.parse(shelf.items.get(SHELF));
  await t.test("the second page", async (t) => {
    const desk = deskFor(t, { storage: shelf });
    const seen = [];
    desk.client.on("outgoing", ({ body, state }) => seen.push([body, state]));
    desk.client.send(42, "three");
    const socket = await desk.live();
    for (let index = 0; index < 3; index += 1) socket.ok(sends(socket)[index], DONE);
    assert.deepEqual(sends(socket).map(({ data }) => data.body), ["one", "two", "three"]);
    assert.equal(sends(socket)[0].data.client_msg_id, stored[0].client_msg_id);
    assert.deepEqual(seen.slice(0, 3), [
      ["three", "pending"],
      ["one", "pending"],
      ["two", "pending"],
    ]);
    assert.equal(shelf.items.get(SHELF), "[]");
  });
});

test("nobody sends what another user of the same browser wrote", async (t) => {
  const left = [{ ticket: 42, body: "mine", internal: false, client_msg_id: "a" }];
  const desk = deskFor(t, { storage: storage({ [SHELF]: JSON.stringify(left) }) });
  const socket = await desk.live(BOB);
  assert.deepEqual(socket.sent, []);
});

test("another tab's messages stay on the shelf", async (t) => {
  const shelf = storage();
  const desk = deskFor(t, { storage: shelf });
  const socket = await desk.live();
  const theirs = { ticket: 7, body: "theirs", internal: false, client_msg_id: "b" };
  desk.client.send(42, "mine");
  shelf.setItem(SHELF, JSON.stringify([...JSON.parse(shelf.getItem(SHELF)), theirs]));
  socket.ok(sends(socket)[0], DONE);
  assert.deepEqual(JSON.parse(shelf.getItem(SHELF)), [theirs]);
});

test("a storage that refuses, or holds rubbish, costs only their second life", async (t) => {
  const full = () => {
    throw new Error("full");
  };
  for (const broken of [
    { getItem: () => "{", setItem: full },
    { getItem: full, setItem: full },
    { getItem: () => "{}", setItem: () => {} },
  ]) {
    await t.test(String(broken.getItem), async (t) => {
      const desk = deskFor(t, { storage: broken });
      const socket = await desk.live();
      desk.client.send(42, "hello");
      assert.equal(sends(socket).length, 1);
    });
  }
});

test("presence is watched again after a reconnect, and old news is no news", async (t) => {
  const desk = deskFor(t);
  const seen = [];
  desk.client.on("presence", ({ user, state }) => seen.push([user, state]));
  desk.client.presence.watch([2, 3]);
  let socket = await desk.live(BOB);
  const state = (user, state, version) => ({ user, state, version });
  socket.ok(socket.sent[0], { users: [state(2, "offline", 0), state(3, "online", 5)] });
  const changed = (data) =>
    socket.say({ type: "signal", room: null, event: "presence.changed", data });
  changed(state(2, "online", 7));
  changed(state(2, "away", 6));
  socket = await desk.again(BOB);
  assert.deepEqual(socket.sent[0].data, { users: [2, 3] });
  socket.ok(socket.sent[0], { users: [state(2, "online", 7), state(3, "away", 8)] });
  assert.deepEqual(seen, [[2, "offline"], [3, "online"], [2, "online"], [3, "away"]]);
  assert.equal(desk.client.presence.states.get(3).state, "away");
});

test("after the desk has forgotten everything its answer counts", async (t) => {
  const desk = deskFor(t);
  desk.client.presence.watch([2]);
  let socket = await desk.live(BOB);
  socket.ok(socket.sent[0], { users: [{ user: 2, state: "online", version: 9 }] });
  socket = await desk.again(BOB);
  socket.ok(socket.sent[0], { users: [{ user: 2, state: "offline", version: 0 }] });
  assert.equal(desk.client.presence.states.get(2).state, "offline");
});

test("news that comes before the answer is not undone by it", async (t) => {
  const desk = deskFor(t);
  desk.client.presence.watch([2]);
  const socket = await desk.live(BOB);
  const data = { user: 2, state: "away", version: 10 };
  socket.say({ type: "signal", room: null, event: "presence.changed", data });
  socket.ok(socket.sent[0], { users: [{ user: 2, state: "online", version: 9 }] });
  assert.equal(desk.client.presence.states.get(2).state, "away");
});

test("who is away stays away after a reconnect", async (t) => {
  const desk = deskFor(t);
  const types = (socket) => socket.sent.map(({ type, data }) => [type, data.state]);
  await desk.live(ALICE);
  desk.client.presence.set("away");
  assert.deepEqual(types(await desk.again()), [["presence.set", "away"]]);
  desk.client.presence.set("online");
  assert.deepEqual(types(await desk.again()), []);
});
