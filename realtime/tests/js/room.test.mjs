/** Resuming without a gap or a double. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { BOB, deskFor, heard, settle } from "./fake.mjs";

const PERSON = { id: 2, name: "Bob", kind: "agent" };

/** A client in the room of ticket 42, live at seq 10. */
async function inRoom(t, options) {
  const desk = deskFor(t, options);
  const room = desk.client.room(42, { lastSeq: 10, epoch: "e" });
  const all = heard(room);
  await desk.live();
  desk.socket.letIn({ head: 10 });
  return { desk, room, all };
}

const joins = (socket) => socket.said("room.join").map((command) => command.data);

test("a room goes on from its cursor and is live when all was emitted", async (t) => {
  const desk = deskFor(t);
  const room = desk.client.room(42, { lastSeq: 8, epoch: "e" });
  const all = heard(room);
  const socket = await desk.live();
  assert.deepEqual(joins(socket), [{ ticket: 42, last_seq: 8, epoch: "e" }]);
  socket.letIn({ head: 10, live: null, members: [PERSON] });
  socket.event(9);
  socket.event(10);
  assert.equal(room.isLive, false);
  socket.say({ type: "room.live", room: "ticket:42", seq: 10 });
  assert.equal(room.isLive, true);
  assert.deepEqual(room.members, [PERSON]);
  socket.event(11);
  assert.deepEqual(all, [["event", 9], ["event", 10], ["live", { seq: 10 }], ["event", 11]]);
});

test("without a cursor a room begins with what happens from now on", async (t) => {
  const desk = deskFor(t);
  const socket = await desk.live();
  const room = desk.client.room(42);
  const all = heard(room);
  await settle();
  assert.deepEqual(joins(socket), [{ ticket: 42 }]);
  socket.event(7); // of an earlier join
  socket.letIn({ head: 7 });
  socket.event(8);
  assert.deepEqual(all, [["live", { seq: 7 }], ["event", 8]]);
  assert.equal(room.epoch, "e");
});

test("after a cut it resumes from the last event it emitted, and drops what it had", async (t) => {
  const { desk, all } = await inRoom(t);
  desk.socket.event(11);
  const socket = await desk.again();
  assert.deepEqual(joins(socket), [{ ticket: 42, last_seq: 11, epoch: "e" }]);
  socket.letIn({ head: 12, live: null });
  socket.event(11);
  socket.event(12);
  assert.deepEqual(all.slice(1), [["event", 11], ["event", 12]]);
});

test("a gap is never shown: it joins anew and goes on in order", async (t) => {
  const { desk, all } = await inRoom(t);
  desk.socket.event(12);
  desk.socket.event(13);
  await settle();
  assert.deepEqual(joins(desk.socket).slice(1), [{ ticket: 42, last_seq: 10, epoch: "e" }]);
  desk.socket.letIn({ head: 13, live: null });
  for (const seq of [11, 12, 13]) desk.socket.event(seq);
  assert.deepEqual(all.slice(1), [["event", 11], ["event", 12], ["event", 13]]);
});

test("a room that is live beyond its last event has a gap", async (t) => {
  const { desk } = await inRoom(t);
  desk.socket.say({ type: "room.live", room: "ticket:42", seq: 11 });
  await settle();
  assert.equal(joins(desk.socket).length, 2);
});

test("heads that stay ahead after a moment mean that something is missing", async (t) => {
  const { desk } = await inRoom(t);
  desk.socket.say({ type: "hb", heads: { "ticket:42": 11, "ticket:7": 3 } });
  desk.socket.event(11); // was under way
  await desk.wait(2_000);
  assert.equal(joins(desk.socket).length, 1);
  desk.socket.say({ type: "hb", heads: { "ticket:42": 12 } });
  await desk.wait(999);
  assert.equal(joins(desk.socket).length, 1);
  await desk.wait(1);
  assert.deepEqual(joins(desk.socket)[1], { ticket: 42, last_seq: 11, epoch: "e" });
});

test("rooms are joined together, at most 100 at a time, each with its outcome", async (t) => {
  const desk = deskFor(t);
  const gone = [];
  for (let ticket = 1; ticket <= 101; ticket += 1) {
    const room = desk.client.room(ticket, { lastSeq: ticket, epoch: "e" });
    room.on("left", ({ reason }) => gone.push([ticket, reason]));
  }
  const socket = await desk.live();
  const [first, second] = socket.said("rooms.join");
  assert.equal(first.data.rooms.length, 100);
  assert.deepEqual(second.data.rooms, [{ ticket: 101, last_seq: 101, epoch: "e" }]);
  const refused = { room: "ticket:101", ok: false, code: "room_limit", message: "too many" };
  socket.ok(second, { results: [refused] });
  socket.ok(first, {
    results: first.data.rooms.map(({ ticket }) =>
      ticket === 7
        ? { room: "ticket:7", ok: false, code: "not_found", message: "no" }
        : { room: `ticket:${ticket}`, ok: true, epoch: "e", head: ticket, replay: 0 },
    ),
  });
  assert.deepEqual(gone, [[101, "room_limit"], [7, "not_found"]]);
  socket.event(4, 3);
  assert.equal(desk.client.room(3).seq, 4);
});

test("what is asked for in one go is joined in one go, once", async (t) => {
  const desk = deskFor(t);
  const socket = await desk.live();
  assert.equal(desk.client.room(1), desk.client.room(1));
  desk.client.room(2);
  desk.client.room(3).leave();
  await settle();
  assert.deepEqual(socket.said("room.join"), []);
  const [join, ...more] = socket.said("rooms.join");
  assert.deepEqual(join.data, { rooms: [{ ticket: 1 }, { ticket: 2 }] });
  assert.deepEqual(more, []);
});

test("of several rooms, one that cannot be joined for the moment is joined later", async (t) => {
  const desk = deskFor(t, { random: 1 });
  const rooms = [1, 2].map((ticket) => desk.client.room(ticket));
  const gone = [];
  for (const room of rooms) room.on("left", ({ reason }) => gone.push(reason));
  const socket = await desk.live();
  const [command] = socket.said("rooms.join");
  const passing = { room: "ticket:2", ok: false, code: "unavailable", message: "later" };
  const joined = { room: "ticket:1", ok: true, epoch: "e", head: 1, replay: 0 };
  socket.ok(command, { results: [{ ...joined, members: [], typing: [] }, passing] });
  assert.deepEqual(joins(socket), []);
  await desk.wait(1_000);
  assert.deepEqual(joins(socket), [{ ticket: 2 }]);
  assert.deepEqual(gone, []);
});

const SNAPSHOT = { id: 42, subject: "VPN", stream: { epoch: "f", seq: 700 } };

function http(...answers) {
  const asked = [];
  const fetch = async (url, options) => {
    asked.push([url.href, options]);
    const [status, body] = answers.shift();
    if (status === 0) throw new TypeError("no network");
    return { ok: status === 200, status, json: async () => body };
  };
  return { asked, fetch };
}

test("what cannot be resumed is read over HTTP and joined from its stream", async (t) => {
  const { asked, fetch } = http([200, SNAPSHOT]);
  const { desk, all } = await inRoom(t, { fetch, token: () => "one" });
  await desk.again();
  const [join] = desk.socket.said("room.join");
  const details = { snapshot: "/api/tickets/42/", head: 700 };
  desk.socket.error(join, "resync_required", { details });
  await settle();
  const [[url, options]] = asked;
  assert.equal(url, "https://desk.example/api/tickets/42/");
  assert.equal(options.headers.Authorization, "Bearer one");
  assert.deepEqual(all.at(-1), ["snapshot", SNAPSHOT]);
  assert.deepEqual(joins(desk.socket)[1], { ticket: 42, last_seq: 700, epoch: "f" });
  desk.socket.letIn({ head: 700, epoch: "f" });
  desk.socket.event(701);
  assert.deepEqual(all.at(-1), ["event", 701]);
});

test("being put out to resync reads the ticket, too, and again while that fails", async (t) => {
  const { asked, fetch } = http([0], [503], [200, SNAPSHOT]);
  const { desk, all } = await inRoom(t, { fetch });
  desk.socket.say({ type: "room.left", room: "ticket:42", reason: "resync_required" });
  desk.socket.event(11);
  await desk.wait(10_000);
  assert.equal(asked.length, 3);
  assert.equal(asked[0][1].credentials, "include");
  assert.deepEqual(joins(desk.socket)[1], { ticket: 42, last_seq: 700, epoch: "f" });
  assert.deepEqual(all.filter(([type]) => type === "snapshot").length, 1);
});

test("a cut while the ticket is read does no harm", async (t) => {
  let answer;
  const fetch = () => new Promise((resolve) => (answer = resolve));
  const { desk } = await inRoom(t, { fetch });
  desk.socket.say({ type: "room.left", room: "ticket:42", reason: "resync_required" });
  await settle();
  const socket = await desk.again();
  assert.deepEqual(joins(socket), []);
  answer({ ok: true, status: 200, json: async () => SNAPSHOT });
  await settle();
  assert.deepEqual(joins(socket), [{ ticket: 42, last_seq: 700, epoch: "f" }]);
});

test("a ticket that is gone when it is read has been left", async (t) => {
  const { fetch } = http([404]);
  const { desk, all } = await inRoom(t, { fetch });
  desk.socket.say({ type: "room.left", room: "ticket:42", reason: "resync_required" });
  await settle();
  assert.deepEqual(all.at(-1), ["left", { reason: "not_found" }]);
});

test("who lost access hears it, and nothing more, also after a reconnect", async (t) => {
  const { desk, all } = await inRoom(t);
  desk.socket.say({ type: "room.left", room: "ticket:42", reason: "access_revoked" });
  desk.socket.event(11);
  const socket = await desk.again();
  assert.deepEqual(all.at(-1), ["left", { reason: "access_revoked" }]);
  assert.deepEqual(socket.sent, []);
});

test("a join that fails for a passing reason is tried again", async (t) => {
  const desk = deskFor(t);
  const room = desk.client.room(42, { lastSeq: 10 });
  const socket = await desk.live();
  socket.error(socket.sent[0], "unavailable", { retry_after_ms: 1_000 });
  await desk.wait(1_000);
  assert.equal(joins(socket).length, 2);
  socket.letIn({ head: 10 });
  assert.ok(room.isLive);
});

test("leaving says so once and forgets the room", async (t) => {
  const { desk, room, all } = await inRoom(t);
  room.leave();
  room.leave();
  desk.socket.event(11);
  assert.deepEqual(desk.socket.said("room.leave").map(({ data }) => data), [{ room: "ticket:42" }]);
  assert.deepEqual((await desk.again()).sent, []);
  assert.equal(all.at(-1)[0], "live");
});

test("typing is said every three seconds, and stops by itself", async (t) => {
  const { desk, room } = await inRoom(t);
  const said = () => desk.socket.sent.slice(1).map(({ type, data }) => [type, data.internal]);
  room.typing();
  for (let keystroke = 0; keystroke < 5; keystroke += 1) {
    await desk.wait(1_000);
    room.typing();
  }
  assert.deepEqual(said(), [["typing.start", false], ["typing.start", false]]);
  room.typing({ internal: true });
  await desk.wait(4_000);
  assert.deepEqual(said().slice(2), [["typing.start", true], ["typing.stop", undefined]]);
});

test("sending ends typing without a word", async (t) => {
  const { desk, room } = await inRoom(t);
  room.typing();
  room.send("done");
  await desk.wait(10_000);
  assert.equal(desk.socket.said("typing.stop").length, 0);
});

test("a room knows who is there and who writes", async (t) => {
  const { desk, room, all } = await inRoom(t);
  const signal = (event, data) =>
    desk.socket.say({ type: "signal", room: "ticket:42", event, data });
  signal("room.members", { members: [PERSON] });
  signal("typing.started", { user: PERSON, internal: false });
  signal("typing.started", { user: PERSON, internal: true });
  assert.deepEqual(room.members, [PERSON]);
  assert.deepEqual(room.writers, [{ user: PERSON, internal: true }]);
  signal("typing.stopped", { user: PERSON });
  assert.deepEqual(room.writers, []);
  assert.equal(all.filter(([type]) => type === "signal").length, 4);
  signal("typing.started", { user: PERSON, internal: false });
  desk.socket.cut();
  assert.deepEqual([room.writers, room.isLive], [[], false]);
});

test("agents join their desk", async (t) => {
  const desk = deskFor(t);
  const room = desk.client.room("desk");
  const touched = [];
  desk.client.on("touched", ({ ticket }) => touched.push(ticket));
  desk.client.room(42, { lastSeq: 1 });
  const socket = await desk.live(BOB);
  assert.deepEqual(joins(socket), [{ room: "desk" }, { ticket: 42, last_seq: 1 }]);
  socket.ok(socket.sent[0], { room: "desk" });
  assert.ok(room.isLive);
  socket.say({ type: "signal", room: "desk", event: "ticket.touched", data: { ticket: 7 } });
  assert.deepEqual(touched, [7]);
});

test("who is there is told whenever it changes, and nobody is while the line is cut", async (t) => {
  const desk = deskFor(t);
  const seen = [];
  const names = (people) => people.map(({ name }) => name);
  const room = desk.client.room(42);
  room.on("people", ({ members, writers }) =>
    seen.push([names(members), names(writers.map(({ user }) => user))]),
  );
  const socket = await desk.live();
  socket.letIn({ head: 3, members: [PERSON] });
  const data = { user: PERSON, internal: false };
  socket.say({ type: "signal", room: "ticket:42", event: "typing.started", data });
  socket.cut();
  assert.deepEqual(seen, [[["Bob"], []], [["Bob"], ["Bob"]], [[], []]]);
});
