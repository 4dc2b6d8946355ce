/** Who else has the ticket open, and who is writing. */

/** @typedef {import("../realtime/desk-room.js").Person} Person */

export class Viewers {
  #line;
  #room;
  #me;

  /**
   * @param {object} parts
   * @param {HTMLElement} parts.line
   * @param {import("../realtime/desk-client.js").Room} parts.room
   * @param {{id: number, role: string}} parts.me
   */
  constructor({ line, room, me }) {
    this.#line = line;
    this.#room = room;
    this.#me = me;
    line.classList.add("desk-viewers");
    line.setAttribute("role", "status");
    room.on("people", () => this.#show());
    room.on("left", () => this.#show());
    this.#show();
  }

  #show() {
    const words = viewersInWords(this.#room, this.#me);
    if (this.#line.textContent !== words) this.#line.textContent = words;
    this.#line.classList.toggle("is-writing", this.#room.writers.length > 0);
  }
}

/**
 * "Dana is replying. Bob is looking at this too." A customer is told who writes, not who looks.
 * @param {{members: Person[], writers: {user: Person, internal: boolean}[]}} room
 * @param {{id: number, role: string}} me
 */
export function viewersInWords({ members, writers }, me) {
  const others = writers.filter(({ user }) => user.id !== me.id);
  const replying = others.filter(({ internal }) => !internal).map(({ user }) => user);
  const noting = others.filter(({ internal }) => internal).map(({ user }) => user);
  const isStaff = me.role !== "customer";
  const isBusy = ({ id }) => id === me.id || others.some(({ user }) => user.id === id);
  const looking = isStaff ? members.filter((member) => !isBusy(member)) : [];
  const isReply = isStaff && replying.every(({ kind }) => kind !== "customer");
  return [
    sentence(replying, isReply ? "replying" : "writing"),
    sentence(noting, "writing a note"),
    sentence(looking, "looking at this too"),
  ]
    .filter(Boolean)
    .join(" ");
}

function sentence(/** @type {Person[]} */ people, doing) {
  const names = [...new Map(people.map(({ id, name }) => [id, name])).values()];
  if (names.length === 0) return "";
  if (names.length > 3) names.splice(2, names.length, `${names.length - 2} others`);
  const who = new Intl.ListFormat("en-GB").format(names);
  return `${who} ${names.length > 1 ? "are" : "is"} ${doing}.`;
}
