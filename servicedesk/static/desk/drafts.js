/**
 * What is being written outlives the page: in this browser, for a while, for one user. Where the
 * browser has no storage for us it lasts as long as the page.
 */

const PREFIX = "desk-draft:";
const KEPT_MS = 14 * 24 * 60 * 60 * 1_000;

/**
 * @typedef {object} Kept
 * @property {string} text
 * @property {any[]} files What the desk said of the files that were uploaded for it.
 * @property {boolean} [internal] Whether it is a note: it must not come back as a reply.
 * @property {number} at
 */

export class Draft {
  #key;
  #storage;
  /** @type {Kept} */
  #kept;

  /** @param {string} key The user's id first: `${userId}:ticket:42:reply`. */
  constructor(key, storage = browserStorage()) {
    this.#key = PREFIX + key;
    this.#storage = storage;
    forgetOld(storage);
    this.#kept = read(storage, this.#key) ?? { text: "", files: [], at: 0 };
  }

  get text() {
    return this.#kept.text;
  }

  set text(text) {
    this.#keep({ text });
  }

  get files() {
    return this.#kept.files;
  }

  set files(files) {
    this.#keep({ files });
  }

  get internal() {
    return this.#kept.internal === true;
  }

  set internal(internal) {
    this.#keep({ internal });
  }

  get isEmpty() {
    return this.text === "" && this.files.length === 0;
  }

  clear() {
    this.#keep({ text: "", files: [] });
  }

  #keep(change) {
    this.#kept = { ...this.#kept, ...change, at: Date.now() };
    try {
      if (this.isEmpty) this.#storage?.removeItem(this.#key);
      else this.#storage?.setItem(this.#key, JSON.stringify(this.#kept));
    } catch {
      // Full or forbidden: then it lasts as long as the page.
    }
  }
}

/**
 * When the user signs out by this form, nothing that they were writing stays in the browser.
 * @param {HTMLFormElement | null} form
 * @param {number | string} userId
 */
export function forgetOnSignOut(form, userId, storage = browserStorage()) {
  form?.addEventListener("submit", () => forgetAll(userId, storage));
}

/** Whatever this user was writing. */
export function forgetAll(/** @type {number | string} */ userId, storage = browserStorage()) {
  for (const key of keys(storage)) {
    if (key.startsWith(`${PREFIX}${userId}:`)) storage.removeItem(key);
  }
}

function forgetOld(storage) {
  for (const key of keys(storage)) {
    const kept = read(storage, key);
    if (!kept || Date.now() - kept.at > KEPT_MS) storage.removeItem(key);
  }
}

/** @returns {string[]} */
function keys(storage) {
  try {
    const all = Array.from({ length: storage?.length ?? 0 }, (_, index) => storage.key(index));
    return all.filter((key) => key?.startsWith(PREFIX));
  } catch {
    return [];
  }
}

/** @returns {Kept | null} */
function read(storage, key) {
  try {
    const kept = JSON.parse(storage?.getItem(key) ?? "null");
    const isDraft = typeof kept?.text === "string" && Array.isArray(kept.files);
    return isDraft && typeof kept.at === "number" ? kept : null;
  } catch {
    return null;
  }
}

function browserStorage() {
  try {
    return globalThis.localStorage;
  } catch {
    return undefined;
  }
}
