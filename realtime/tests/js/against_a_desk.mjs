/**
 * The client against a running desk, whose address and password the environment names. All frames
 * are written to the file FRAMES, so that they can be held against the contract.
 */

import assert from "node:assert/strict";
import { appendFileSync } from "node:fs";
import { after, afterEach, before, test } from "node:test";

import { DeskClient } from "../../static/realtime/desk-client.js";
import { heard } from "./fake.mjs";
import { lineTo } from "./line.mjs";

const { CANARY, DESK, FRAMES, PASSWORD } = process.env;
const PATIENCE_MS = 30_000;

let sockets = 0;

class RecordedSocket extends WebSocket {
  constructor(...given) {
    super(...given);
    this.number = ++sockets;
    this.addEventListener("message", ({ data }) => this.record("received", data));
  }

  send(text) {
    this.record("sent", text);
    super.send(text);
  }

  record(direction, text) {
    appendFileSync(FRAMES, JSON.stringify([this.number, direction, text]) + "\n");
  }
}

/** Somebody who is signed in, with their calls over HTTP. */
async function person(username) {
  const call = async (method, path, body) => {
    const isForm = body instanceof FormData;
    const response = await fetch(`${DESK}/api${path}`, {
      method,
      headers: { ...(isForm || { "Content-Type": "application/json" }), ...headers },
      body: isForm ? body : body && JSON.stringify(body),
    });
    assert.ok(response.ok, `${method} ${path}: ${response.status}`);
    return response.json();
  };
  let headers = {};
  const { access } = await call("POST", "/auth/token", { username, password: PASSWORD });
  headers = { Authorization: `Bearer ${access}` };
  return { call, token: () => access };
}

/** Resolves once `condition` holds. */
async function until(condition, what) {
  const deadline = Date.now() + PATIENCE_MS;
  while (!condition()) {
    assert.ok(Date.now() < deadline, `not within ${PATIENCE_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

let alice, sam, line;
let clients = [];

function connect(who, options = {}) {
  const here = { baseUrl: line.address, WebSocket: RecordedSocket, token: who.token };
  const client = new DeskClient({ ...here, ...options });
  clients.push(client);
  return client.connect();
}

/** A new ticket of alice's, and sam's client in its room. */
async function ticketWithRoom(options) {
  const ticket = await alice.call("POST", "/tickets/", { subject: "VPN is down" });
  const { stream } = await sam.call("GET", `/tickets/${ticket.id}/`);
  const client = connect(sam, options);
  const room = client.room(ticket.id, { lastSeq: stream.seq, epoch: stream.epoch });
  const all = heard(room);
  await until(() => room.isLive, "the room is live");
  const post = (body) => alice.call("POST", `/tickets/${ticket.id}/messages`, { body });
  return { id: ticket.id, client, room, all, post };
}

async function bodies(id) {
  const { results } = await sam.call("GET", `/tickets/${id}/messages`);
  return results.map(({ body }) => body);
}

before(async () => {
  [alice, sam, line] = await Promise.all([person("alice"), person("sam"), lineTo(DESK)]);
});

afterEach(() => {
  clients.forEach((client) => client.close());
  clients = [];
});

after(() => line.close());

test("what happened while the line was cut arrives once and in order", async () => {
  const { client, room, all, post } = await ticketWithRoom();
  const messages = [];
  room.on("event", ({ event, data }) => event === "message.created" && messages.push(data.message));
  const first = room.seq;
  await post("one");
  await until(() => messages.length === 1, "the first message");
  line.cut();
  await until(() => client.state !== "live", "the cut is noticed");
  await post("two");
  await post("three");
  line.mend();
  await until(() => room.isLive, "the room is live again");
  await post("four");
  await until(() => messages.length === 4, "all messages");
  assert.deepEqual(messages.map(({ body }) => body), ["one", "two", "three", "four"]);
  const seqs = all.filter(([type]) => type === "event").map(([, seq]) => seq);
  assert.deepEqual(seqs, seqs.map((_, index) => first + 1 + index));
});

test("messages that were written offline arrive once, in order", async () => {
  const { id, client, room } = await ticketWithRoom();
  line.cut();
  await until(() => client.state !== "live", "the cut is noticed");
  const written = ["one", "two", "three"].map((body) => room.send(body));
  assert.deepEqual(written.map(({ state }) => state), ["pending", "pending", "pending"]);
  line.mend();
  const answers = await Promise.all(written.map(({ done }) => done));
  assert.deepEqual(await bodies(id), ["one", "two", "three"]);
  await until(() => room.seq >= answers[2].seq, "one's own messages come back as events");
});

test("a message whose answer was lost is sent again, and stands there once", async () => {
  const { id, client, room } = await ticketWithRoom();
  line.isMute = true;
  const message = room.send("once");
  let posted = [];
  while (posted.length === 0) posted = await bodies(id);
  assert.equal(message.state, "pending");
  line.cut();
  await until(() => client.state !== "live", "the cut is noticed");
  line.mend();
  await message.done;
  assert.deepEqual(await bodies(id), ["once"]);
});

test("files go with the message that names them, however often it is sent", async () => {
  const { id, client, room } = await ticketWithRoom();
  const form = new FormData();
  form.append("file", new Blob(["what the printer says"]), "printer.txt");
  const { files } = await sam.call("POST", "/files/upload", form);
  line.isMute = true;
  const message = room.send("", { attachments: [files[0].id] });
  let posted = [];
  while (posted.length === 0) posted = await bodies(id);
  line.cut();
  await until(() => client.state !== "live", "the cut is noticed");
  line.mend();
  const { message: shown } = await message.done;
  assert.deepEqual(shown.attachments.map(({ filename }) => filename), ["printer.txt"]);
  assert.deepEqual(await bodies(id), [""]);
});

test("a cursor of another log leads to a snapshot, and on from there", async () => {
  const { id, post } = await ticketWithRoom();
  const room = connect(sam).room(id, { lastSeq: 1, epoch: "of another life" });
  const all = heard(room);
  await until(() => room.isLive, "the room is live");
  const [[type, ticket]] = all;
  assert.deepEqual([type, ticket.id, ticket.stream.seq], ["snapshot", id, room.seq]);
  await post("next");
  await until(() => all.some(([type]) => type === "event"), "the next event");
});

test("what one may not see is left at once, and a token that was refused is replaced", async () => {
  const { id } = await ticketWithRoom();
  const charlie = await person("charlie");
  const token = (stale) => (stale ? charlie.token() : "not.a.token");
  const all = heard(connect(charlie, { token }).room(id));
  await until(() => all.length === 1, "the refusal");
  assert.deepEqual(all, [["left", { reason: "not_found" }]]);
});

test("a customer does not hear internal notes, and misses nothing by that", async () => {
  const { id, room } = await ticketWithRoom();
  const herRoom = connect(alice).room(id);
  const texts = [];
  herRoom.on("event", ({ data }) => texts.push(data.message?.body));
  await until(() => herRoom.isLive, "alice is in the room");
  await room.send(CANARY, { internal: true }).done;
  await room.send("We are on it.").done;
  await until(() => texts.includes("We are on it."), "what is for alice");
  assert.equal(texts.includes(CANARY), false);
  assert.ok(herRoom.seq < room.seq);
});

test("others see who is there, who writes, and who is away", async () => {
  const { id, client, room } = await ticketWithRoom();
  const hers = connect(alice);
  const herRoom = hers.room(id);
  await until(() => herRoom.isLive, "alice is in the room");
  herRoom.typing();
  await until(() => room.writers[0]?.user.id === hers.user.id, "alice writes");
  await until(() => room.members.some((member) => member.id === hers.user.id), "alice is there");
  herRoom.leave();
  await until(() => room.members.every(({ id }) => id !== hers.user.id), "alice has left");

  const bobs = connect(await person("bob"));
  bobs.presence.set("away");
  await until(() => bobs.state === "live", "bob is there");
  client.presence.watch([bobs.user.id]);
  const state = () => client.presence.states.get(bobs.user.id)?.state;
  await until(() => state() === "away", "bob is away");
  bobs.presence.set("online");
  await until(() => state() === "online", "bob is back");
});
