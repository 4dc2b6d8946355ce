/** Whoever reads a conversation: is not moved, hears of what arrives, and finds it. */

import { button, element } from "./dom.js";
import { arrivalInWords } from "./thread.js";

/** What arrives together is announced together. */
const ANNOUNCE_AFTER_MS = 300;
/** So near to the end counts as there. */
const NEAR = 120;

export class Reader {
  #list;
  /** @type {any[]} Messages that are to be announced. */
  #arrived = [];
  /** @type {HTMLElement[]} What arrived out of sight. */
  #unseen = [];
  #voice = element("p", { class: "desk-hidden", "aria-live": "polite" });
  #jump = button("", () => this.#goToUnseen(), { class: "desk-jump", hidden: true });

  constructor(/** @type {HTMLElement} */ list) {
    this.#list = list;
    list.after(this.#jump, this.#voice);
    document.addEventListener("scroll", () => this.#look(), { passive: true, capture: true });
  }

  /**
   * Keep in place what the reader is at: what is being written below, or the end.
   * @returns {() => void} To be called once the conversation has changed.
   */
  hold() {
    const focused = document.activeElement;
    const order = this.#list.compareDocumentPosition(focused);
    if (order & Node.DOCUMENT_POSITION_FOLLOWING && isOnScreen(focused)) {
      const before = topOf(focused);
      return () => scrollerOf(this.#list).scrollBy(0, topOf(focused) - before);
    }
    if (!this.#isAtEnd()) return () => {};
    return () => this.#list.lastElementChild?.scrollIntoView({ block: "nearest" });
  }

  /** Somebody else's message is there. */
  tell(/** @type {any} */ message, /** @type {HTMLElement} */ article) {
    this.#announce(message);
    if (!isOnScreen(article)) this.#unseen.push(article);
    this.#look();
  }

  #isAtEnd() {
    const scroller = scrollerOf(this.#list);
    const isPage = scroller === document.scrollingElement;
    const end = isPage ? innerHeight : scroller.getBoundingClientRect().bottom;
    return this.#list.getBoundingClientRect().bottom <= end + NEAR;
  }

  #look() {
    if (this.#unseen.length === 0) return;
    this.#unseen = this.#unseen.filter((article) => article.isConnected && !isOnScreen(article));
    const count = this.#unseen.length;
    this.#jump.hidden = count === 0;
    this.#jump.textContent = count === 1 ? "1 new message" : `${count} new messages`;
  }

  #goToUnseen() {
    const [first] = this.#unseen;
    if (!first) return;
    first.tabIndex = -1;
    first.focus({ preventScroll: true });
    first.scrollIntoView({ block: "center", behavior: "smooth" });
  }

  #announce(message) {
    if (this.#arrived.length === 0) {
      setTimeout(() => {
        this.#voice.textContent = arrivalInWords(this.#arrived);
        this.#arrived = [];
      }, ANNOUNCE_AFTER_MS);
    }
    this.#arrived.push(message);
  }
}

function topOf(shown) {
  return shown.getBoundingClientRect().top;
}

/** Whether some of it can be seen. */
function isOnScreen(/** @type {Element} */ shown) {
  const { top, bottom } = shown.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
}

function scrollerOf(/** @type {HTMLElement} */ shown) {
  for (let each = shown; each && each !== document.body; each = each.parentElement) {
    if (/auto|scroll/.test(getComputedStyle(each).overflowY)) return each;
  }
  return document.scrollingElement;
}
