/** What the desk's modules find in a browser, as far as their rules need it. */

/** What localStorage is. */
export function storage(initial = {}) {
  const items = new Map(Object.entries(initial));
  return {
    items,
    get length() {
      return items.size;
    },
    key: (index) => [...items.keys()][index] ?? null,
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
  };
}

/** Let promises go on. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

/**
 * Have `fetch` answer the same each time; what it was asked stands in the result.
 * @param {import("node:test").TestContext} t
 */
export function answering(t, { status = 200, body = null, headers = {}, error }) {
  const asked = [];
  t.mock.method(globalThis, "fetch", async (url, init) => {
    asked.push({ url, ...init });
    if (error) throw error;
    const text = typeof body === "string" || body === null ? body : JSON.stringify(body);
    return new Response(status === 204 ? null : text, { status, headers });
  });
  return asked;
}
