/** Coming, going, and coming back. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { ALICE, BOB, deskFor, settle } from "./fake.mjs";

test("it connects to /ws/ of its desk with the subprotocol, and is live after hello", async (t) => {
  const desk = deskFor(t);
  const socket = await desk.live();
  assert.equal(socket.url, "wss://desk.example/ws/");
  assert.deepEqual(socket.protocols, ["desk.v1"]);
  assert.deepEqual(desk.states, ["connecting", "live"]);
  assert.deepEqual(desk.client.user, ALICE);
});

test("a token goes into the subprotocols, never into the URL, and is asked for anew", async (t) => {
  const tokens = ["one", "two"];
  const desk = deskFor(t, { token: async () => tokens.shift() });
  assert.deepEqual((await desk.live()).protocols, ["desk.v1", "bearer.one"]);
  assert.deepEqual((await desk.again()).protocols, ["desk.v1", "bearer.two"]);
});

test("back-off doubles up to 30 s", async (t) => {
  const desk = deskFor(t, { random: 1 });
  desk.client.connect();
  const waits = [];
  for (let attempt = 1; attempt <= 7; attempt += 1) {
    await settle();
    desk.socket.cut();
    let seconds = 0;
    while (desk.sockets.length === attempt) {
      await desk.wait(1_000);
      seconds += 1;
    }
    waits.push(seconds);
  }
  assert.deepEqual(waits, [1, 2, 4, 8, 16, 30, 30]);
});

test("back-off has full jitter", async (t) => {
  const desk = deskFor(t, { random: 0 });
  await desk.live();
  desk.socket.cut();
  await desk.wait(1);
  assert.equal(desk.sockets.length, 2);
});

test("after a while live the back-off is short again, after flapping it is not", async (t) => {
  const desk = deskFor(t, { random: 1 });
  await desk.live();
  await desk.again();
  desk.socket.cut(); // live for no time: the second back-off
  await desk.wait(1_000);
  assert.equal(desk.sockets.length, 2);
  await desk.wait(1_000);
  assert.equal(desk.sockets.length, 3);
  desk.socket.hello();
  await desk.wait(10_000);
  desk.socket.cut();
  await desk.wait(1_000);
  assert.equal(desk.sockets.length, 4);
});

test("a bye says how long to stay away", async (t) => {
  const desk = deskFor(t);
  await desk.live();
  desk.socket.bye(4429, { retry_after_ms: 10_000 });
  assert.deepEqual(desk.states.at(-1), ["offline", 4429]);
  await desk.wait(10_000);
  assert.equal(desk.sockets.length, 1);
  await desk.wait(1_000);
  assert.equal(desk.sockets.length, 2);
});

for (const code of [4501, 4503, 4507, 4510, 4529]) {
  test(`after ${code} it stays away, also where the bye was lost`, async (t) => {
    for (const end of ["bye", "cut"]) {
      await t.test(end, async (t) => {
        const desk = deskFor(t);
        const socket = await desk.live();
        socket[end](code);
        await desk.wait(120_000);
        assert.deepEqual(desk.states.at(-1), ["closed", code]);
        assert.equal(desk.sockets.length, 1);
        assert.ok(socket.isClosed);
      });
    }
  });
}

test("a refused token is replaced once, at once", async (t) => {
  const stale = [];
  const desk = deskFor(t, { token: (old) => (stale.push(old), old ? "fresh" : "old") });
  desk.client.connect();
  await settle();
  desk.socket.bye(4501);
  await desk.wait(1);
  assert.deepEqual(desk.socket.protocols, ["desk.v1", "bearer.fresh"]);
  assert.deepEqual(stale, [undefined, "old"]);
  desk.socket.bye(4501);
  await desk.wait(60_000);
  assert.equal(desk.client.state, "closed");
  assert.equal(desk.sockets.length, 2);
});

test("a refused token is not presented again", async (t) => {
  const desk = deskFor(t, { token: () => "the only one" });
  desk.client.connect();
  await settle();
  desk.socket.bye(4501);
  await desk.wait(60_000);
  assert.equal(desk.sockets.length, 1);
  assert.deepEqual(desk.states.at(-1), ["closed", 4501]);
});

test("a token is renewed on the socket before it expires", async (t) => {
  const desk = deskFor(t, { token: (old) => (old ? "newer" : "old") });
  const socket = await desk.live();
  socket.say({ type: "auth.expiring", token_expires_at: "2026-01-05T09:00:00Z" });
  await settle();
  const [refresh] = socket.said("auth.refresh");
  assert.deepEqual(refresh.data, { token: "newer" });
  socket.ok(refresh, { token_expires_at: "2026-01-05T09:15:00Z" });
  assert.equal(desk.client.state, "live");
});

test("a token that cannot be had now is asked for again later", async (t) => {
  let asked = 0;
  const token = async () => {
    asked += 1;
    if (asked === 1) throw new Error("no network");
    return "one";
  };
  const desk = deskFor(t, { token });
  desk.client.connect();
  await desk.wait(1_000);
  assert.deepEqual(desk.socket.protocols, ["desk.v1", "bearer.one"]);
});

test("silence for two heartbeats and five seconds is a lost connection", async (t) => {
  const desk = deskFor(t);
  await desk.live();
  await desk.wait(54_000);
  desk.socket.say({ type: "hb", heads: {} });
  await desk.wait(54_000);
  assert.equal(desk.client.state, "live");
  await desk.wait(1_000);
  assert.deepEqual(desk.states.at(-1), ["offline", 1006]);
  assert.ok(desk.sockets[0].isClosed);
});

test("a server that never says hello is given up", async (t) => {
  const desk = deskFor(t);
  desk.client.connect();
  await desk.wait(15_000);
  assert.equal(desk.client.state, "offline");
});

test("the browser's offline ends a connection, its online brings the next at once", async (t) => {
  const desk = deskFor(t, { random: 1 });
  await desk.live();
  desk.network.dispatchEvent(new Event("offline"));
  assert.equal(desk.client.state, "offline");
  desk.network.dispatchEvent(new Event("online"));
  await settle();
  assert.equal(desk.sockets.length, 2);
});

test("closed is closed, until it is opened again", async (t) => {
  const desk = deskFor(t);
  const socket = await desk.live();
  desk.client.close();
  desk.network.dispatchEvent(new Event("online"));
  await desk.wait(60_000);
  assert.ok(socket.isClosed);
  assert.equal(desk.sockets.length, 1);
  desk.client.connect();
  await settle();
  assert.equal(desk.sockets.length, 2);
});

test("closing while a token is awaited opens no socket", async (t) => {
  const desk = deskFor(t, { token: async () => "one" });
  desk.client.connect();
  desk.client.close();
  await settle();
  assert.equal(desk.sockets.length, 0);
});

test("somebody else's session in the same page ends the client", async (t) => {
  const desk = deskFor(t);
  await desk.live(ALICE);
  desk.client.room(42);
  const socket = await desk.again(BOB);
  assert.equal(desk.client.state, "closed");
  assert.deepEqual(socket.sent, []);
});

test("at most 15 commands leave in any second", async (t) => {
  const desk = deskFor(t);
  const socket = await desk.live();
  for (let ticket = 1; ticket <= 40; ticket += 1) desk.client.send(ticket, "hello");
  assert.equal(socket.sent.length, 15);
  await desk.wait(1_000);
  assert.equal(socket.sent.length, 30);
  await desk.wait(1_000);
  assert.equal(socket.sent.length, 40);
});

test("a command without an answer for 15 s is sent again", async (t) => {
  const desk = deskFor(t);
  const socket = await desk.live();
  desk.client.presence.watch([2]);
  await desk.wait(15_000);
  assert.equal(socket.sent.length, 1);
  await desk.wait(1_000);
  assert.equal(socket.sent.length, 2);
  assert.deepEqual(socket.sent[0], socket.sent[1]);
});

test("an answer that comes after its time-out is an answer", async (t) => {
  const desk = deskFor(t);
  const socket = await desk.live();
  const message = desk.client.send(42, "hello");
  await desk.wait(15_000);
  socket.ok(socket.sent[0], { message: {}, seq: 1 });
  await desk.wait(60_000);
  assert.equal(message.state, "sent");
  assert.equal(socket.sent.length, 1);
});

test("an answer that comes while its repetition waits for its turn is an answer", async (t) => {
  const desk = deskFor(t);
  const socket = await desk.live();
  const message = desk.client.send(42, "hello");
  await desk.wait(15_000);
  for (let user = 1; user <= 15; user += 1) desk.client.presence.watch([user]);
  await desk.wait(500);
  socket.ok(socket.sent[0], { message: {}, seq: 1 });
  await desk.wait(2_000);
  assert.equal(message.state, "sent");
  assert.equal(socket.said("message.send").length, 1);
});

test("signals to the user and what the server thinks of itself are handed on", async (t) => {
  const desk = deskFor(t);
  const got = [];
  for (const type of ["notification", "touched", "degraded", "error"]) {
    desk.client.on(type, (detail) => got.push([type, detail.code ?? detail]));
  }
  const socket = await desk.live();
  const news = { id: 1, kind: "assigned", ticket: 42 };
  socket.say({ type: "signal", room: null, event: "notification.created", data: news });
  socket.say({ type: "signal", room: null, event: "ticket.touched", data: { ticket: 42 } });
  socket.say({ type: "degraded", active: true });
  socket.say({ type: "error", re: null, code: "bad_json", message: "no" });
  socket.say({ type: "something.new" });
  assert.deepEqual(got, [
    ["notification", news],
    ["touched", { ticket: 42 }],
    ["degraded", { active: true }],
    ["error", "bad_json"],
  ]);
  assert.equal(desk.client.degraded, true);
});

test("a listener that was taken off hears nothing more", async (t) => {
  const desk = deskFor(t);
  let times = 0;
  const stop = desk.client.on("touched", () => (times += 1));
  const socket = await desk.live();
  const touched = { type: "signal", room: null, event: "ticket.touched", data: { ticket: 42 } };
  socket.say(touched);
  stop();
  socket.say(touched);
  assert.equal(times, 1);
});
