/**
 * The HTTP API for the desk's own pages: by the session cookie, with the CSRF cookie's token.
 *
 *     const ticket = await get("/tickets/42/");
 *     await post("/tickets/42/claim", {}, { key: idempotencyKey() });
 */

const ROOT = "/api";
const SAFE = new Set(["GET", "HEAD"]);

/**
 * Says `ended` when a call finds that nobody is signed in any more: once, until one succeeds again.
 */
export const session = new EventTarget();
let hasEnded = false;

/** Why a call failed: an RFC 9457 problem, or code `offline` where the desk was not reached. */
export class Problem extends Error {
  /**
   * @param {number} status 0 where there was no answer.
   * @param {any} body The problem as it was sent, if it was one.
   * @param {number} [retryAfter] Seconds.
   */
  constructor(status, body, retryAfter) {
    const isProblem = typeof body?.code === "string";
    const detail = (isProblem && (body.detail || body.title)) || `The desk answered ${status}.`;
    super(detail);
    this.name = "Problem";
    this.code = isProblem ? body.code : "unexpected";
    this.status = status;
    this.detail = detail;
    /** @type {{pointer: string, code: string, detail: string, position?: number}[]} */
    this.errors = (isProblem && body.errors) || [];
    this.retryAfter = retryAfter;
    this.body = body;
  }

  /** The sentence about one field of what was sent, such as `subject`; or nothing. */
  of(/** @type {string} */ field) {
    const about = ({ pointer }) => pointer === `/${field}` || pointer?.startsWith(`/${field}/`);
    return this.errors.find(about)?.detail ?? "";
  }
}

const offline = () =>
  new Problem(0, { code: "offline", detail: "The desk cannot be reached. Are you online?" });

/**
 * @typedef {object} CallOptions
 * @property {string} [key] Idempotency-Key: the same call again is done once.
 * @property {number | string} [ifMatch] The version that is to be changed.
 * @property {AbortSignal} [signal]
 */

/**
 * @param {string} method
 * @param {string} path Below `/api`, such as `/tickets/42/`.
 * @param {any} [body] What becomes JSON; or FormData.
 * @param {CallOptions} [options]
 * @returns {Promise<any>} The parsed answer, null where there is none. Throws a Problem.
 */
export async function call(method, path, body, { key, ifMatch, signal } = {}) {
  const isForm = body instanceof FormData;
  const headers = {
    Accept: "application/json",
    ...(SAFE.has(method) || { "X-CSRFToken": csrfToken() }),
    ...(body !== undefined && !isForm && { "Content-Type": "application/json" }),
    ...(key && { "Idempotency-Key": key }),
    ...(ifMatch !== undefined && { "If-Match": `"${ifMatch}"` }),
  };
  const sent = body === undefined || isForm ? body : JSON.stringify(body);
  const init = { method, headers, body: sent, signal, credentials: "same-origin" };
  let response, text;
  try {
    response = await fetch(ROOT + path, init);
    text = await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw offline();
  }
  return answerOf(response.status, text, response.headers.get("Retry-After"));
}

export const get = (path, options) => call("GET", path, undefined, options);
export const post = (path, body, options) => call("POST", path, body, options);
export const put = (path, body, options) => call("PUT", path, body, options);
export const patch = (path, body, options) => call("PATCH", path, body, options);
export const del = (path, options) => call("DELETE", path, undefined, options);

/**
 * Upload one file as a draft. By XMLHttpRequest: fetch tells nothing of how far an upload is.
 * @param {File} file
 * @param {{key: string, progress?: (share: number) => void, signal?: AbortSignal}} options
 * @returns {Promise<any>} What the desk says of the file. Throws a Problem.
 */
export function upload(file, { key, progress, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `${ROOT}/files/upload`);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("X-CSRFToken", csrfToken());
    request.setRequestHeader("Idempotency-Key", key);
    request.upload.onprogress = ({ lengthComputable, loaded, total }) =>
      lengthComputable && progress?.(loaded / total);
    request.onload = () => {
      const retryAfter = request.getResponseHeader("Retry-After");
      try {
        resolve(answerOf(request.status, request.responseText, retryAfter).files[0]);
      } catch (problem) {
        reject(problem);
      }
    };
    request.onerror = request.ontimeout = () => reject(offline());
    request.onabort = () => reject(new DOMException("Cancelled", "AbortError"));
    signal?.addEventListener("abort", () => request.abort());
    const form = new FormData();
    form.append("file", file, file.name);
    request.send(form);
  });
}

/** The token that forms and calls have to show; read anew each time, signing in changes it. */
export function csrfToken() {
  return /(?:^|;\s*)csrftoken=([^;]*)/.exec(document.cookie)?.[1] ?? "";
}

/** A new Idempotency-Key; `crypto.randomUUID` is absent from pages that come without https. */
export function idempotencyKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Where one signs in, to come back to this page. */
export function signInUrl() {
  const { pathname, search } = location;
  const door = pathname.startsWith("/admin/") ? "/admin/login/" : "/sign-in/";
  return `${door}?${new URLSearchParams({ next: pathname + search })}`;
}

function answerOf(status, text, retryAfter) {
  const body = parsed(text);
  if (status >= 200 && status < 300) {
    hasEnded = false;
    return body;
  }
  if (status === 401 && !hasEnded) {
    hasEnded = true;
    session.dispatchEvent(new Event("ended"));
  }
  throw new Problem(status, body, retryAfter ? Number(retryAfter) : undefined);
}

/** An answer that is no JSON comes from something before the desk. */
function parsed(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}
