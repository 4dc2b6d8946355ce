/** The order of a conversation: by time, then by id, each message once. */

export class Thread {
  /** @type {{id: number, at: number}[]} */
  #places = [];
  #ids = new Set();

  has(/** @type {number} */ id) {
    return this.#ids.has(id);
  }

  /**
   * Take in a message, whenever it comes.
   * @param {{id: number, created_at: string}} message
   * @returns {{after: number | null, before: number | null, isLast: boolean} | null} The ids of its
   *   neighbours; null where it is there already.
   */
  add({ id, created_at }) {
    if (this.#ids.has(id)) return null;
    const place = { id, at: Date.parse(created_at) };
    let index = this.#places.length;
    while (index > 0 && isLater(this.#places[index - 1], place)) index -= 1;
    this.#ids.add(id);
    this.#places.splice(index, 0, place);
    return {
      after: this.#places[index - 1]?.id ?? null,
      before: this.#places[index + 1]?.id ?? null,
      isLast: index === this.#places.length - 1,
    };
  }
}

function isLater(one, other) {
  return one.at > other.at || (one.at === other.at && one.id > other.id);
}

/** What is read out of messages that have just arrived. */
export function arrivalInWords(/** @type {any[]} */ messages) {
  if (messages.length !== 1) return `${messages.length} new messages`;
  const [{ author, body, internal, attachments }] = messages;
  const what = internal ? "wrote an internal note" : "replied";
  const text = body.trim().replace(/\s+/g, " ");
  const shown = text.length > 140 ? `${text.slice(0, 140)}…` : text;
  const files = attachments.length === 1 ? "1 file" : `${attachments.length} files`;
  return `${author.name} ${what}: ${shown || files}`;
}
