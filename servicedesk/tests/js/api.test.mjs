/** Calls to the API: what is sent, and what a refusal becomes. */

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import * as api from "../../static/desk/api.js";
import { answering } from "./browser.mjs";

const { Problem, call, csrfToken, del, get, idempotencyKey, post, session, signInUrl } = api;

beforeEach(() => {
  globalThis.document = { cookie: "theme=dark; csrftoken=abc123; other=1" };
});

const problem = (status, more = {}) => ({
  status,
  headers: { "Content-Type": "application/problem+json" },
  body: { type: "/problems/x", title: "Title", status, code: "x", detail: "A sentence.", ...more },
});

test("a read sends no token, a write does, and both the cookie", async (t) => {
  const asked = answering(t, { body: { id: 42 } });
  assert.deepEqual(await get("/tickets/42/"), { id: 42 });
  await post("/tickets/", { subject: "Printer" }, { key: "k", ifMatch: 7 });
  const [read, written] = asked;
  assert.equal(read.url, "/api/tickets/42/");
  assert.deepEqual([read.body, read.credentials], [undefined, "same-origin"]);
  assert.deepEqual(read.headers, { Accept: "application/json" });
  assert.equal(written.body, '{"subject":"Printer"}');
  assert.deepEqual(written.headers, {
    Accept: "application/json",
    "X-CSRFToken": "abc123",
    "Content-Type": "application/json",
    "Idempotency-Key": "k",
    "If-Match": '"7"',
  });
});

test("a form is sent as it is", async (t) => {
  const asked = answering(t, {});
  const form = new FormData();
  await post("/files/upload", form);
  assert.equal(asked[0].body, form);
  assert.equal(asked[0].headers["Content-Type"], undefined);
});

test("an empty answer is null", async (t) => {
  answering(t, { status: 204 });
  assert.equal(await del("/files/1"), null);
});

test("a problem has its code, its sentence and its errors by field", async (t) => {
  const errors = [
    { pointer: "/subject", code: "required", detail: "This field is required." },
    { pointer: "/tags/0", code: "invalid", detail: "No tag." },
  ];
  const about = { ...problem(429, { code: "throttled", errors }) };
  answering(t, { ...about, headers: { "Retry-After": "12" } });
  const error = await post("/tickets/", {}).catch((thrown) => thrown);
  assert.ok(error instanceof Problem);
  assert.deepEqual([error.code, error.status, error.detail], ["throttled", 429, "A sentence."]);
  assert.equal(error.retryAfter, 12);
  assert.equal(error.of("subject"), "This field is required.");
  assert.equal(error.of("tags"), "No tag.");
  assert.equal(error.of("sub"), "");
  assert.equal(error.body.type, "/problems/x");
});

for (const [what, body] of [
  ["a page", "<h1>Bad gateway</h1>"],
  ["nothing", null],
  ["a list", []],
]) {
  test(`${what} instead of a problem is a problem too`, async (t) => {
    answering(t, { status: 502, body });
    await assert.rejects(get("/tickets/"), { code: "unexpected", status: 502, errors: [] });
  });
}

test("a desk that is not reached is offline, a call that was cancelled is not", async (t) => {
  answering(t, { error: new TypeError("Failed to fetch") });
  await assert.rejects(get("/tickets/"), { code: "offline", status: 0 });
  t.mock.restoreAll();
  answering(t, { error: new DOMException("", "AbortError") });
  await assert.rejects(get("/tickets/"), { name: "AbortError" });
});

test("that the session has ended is said once, until one is signed in again", async (t) => {
  let ends = 0;
  session.addEventListener("ended", () => (ends += 1));
  for (const [answer, expected] of [
    [problem(401), 1],
    [problem(401), 1],
    [problem(403), 1],
    [{ body: {} }, 1],
    [problem(401), 2],
  ]) {
    t.mock.restoreAll();
    answering(t, answer);
    await get("/auth/me").catch(() => {});
    assert.equal(ends, expected);
  }
});

test("the token is the cookie's of now", () => {
  for (const [cookie, token] of [
    ["", ""],
    ["xcsrftoken=no", ""],
    ["csrftoken=first", "first"],
    ["a=b;csrftoken=second", "second"],
  ]) {
    document.cookie = cookie;
    assert.equal(csrfToken(), token);
  }
});

test("one signs in at the door of the page, and comes back to it", () => {
  globalThis.location = { pathname: "/admin/tickets/ticket/42/", search: "?all" };
  assert.equal(signInUrl(), "/admin/login/?next=%2Fadmin%2Ftickets%2Fticket%2F42%2F%3Fall");
  globalThis.location = { pathname: "/tickets/42/", search: "" };
  assert.equal(signInUrl(), "/sign-in/?next=%2Ftickets%2F42%2F");
});

test("keys are not the same twice", () => {
  assert.match(idempotencyKey(), /^[0-9a-f]{32}$/);
  assert.notEqual(idempotencyKey(), idempotencyKey());
});

test("other methods are what they are called", async (t) => {
  const asked = answering(t, {});
  await call("PUT", "/tickets/42/status", { status: "closed" });
  assert.equal(asked[0].method, "PUT");
});
