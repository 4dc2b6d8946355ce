/** One file in the list of those that are being uploaded. */

import { button, element } from "./dom.js";
import { sizeInWords } from "./files.js";

export class UploadRow {
  state = "";
  #picture = "";
  #progress;
  #reason = element("span", { class: "desk-upload-reason", role: "alert" });
  #retry;
  #remove;

  /**
   * @param {import("./upload-queue.js").Item} item
   * @param {{retry: () => void, remove: () => void}} actions
   */
  constructor({ name, size, file, meta }, { retry, remove }) {
    const label = `Upload of ${name}`;
    this.#progress = element("progress", { max: "1", value: "0", "aria-label": label });
    this.#retry = button("Try again", retry, { class: "desk-upload-retry" });
    this.#remove = button("×", () => this.#removed(remove), { class: "desk-upload-remove" });
    this.element = element(
      "li",
      { class: "desk-upload" },
      this.#thumbnail(name, file, meta),
      element(
        "span",
        { class: "desk-upload-text" },
        element("span", { class: "desk-filename", text: name }),
        element("span", { class: "desk-quiet", text: sizeInWords(size) }),
        this.#progress,
        this.#reason,
      ),
      this.#retry,
      this.#remove,
    );
  }

  show({ state, progress, reason, name }) {
    this.state = state;
    const isUnderWay = state === "waiting" || state === "sending";
    this.element.className = `desk-upload is-${state}`;
    this.#progress.hidden = !isUnderWay;
    this.#progress.value = progress;
    this.#retry.hidden = state !== "failed";
    if (this.#reason.textContent !== reason) this.#reason.textContent = reason;
    this.#remove.setAttribute("aria-label", `${isUnderWay ? "Cancel" : "Remove"} ${name}`);
  }

  leave() {
    if (this.#picture) URL.revokeObjectURL(this.#picture);
    this.element.remove();
  }

  /** The focus goes to the next file, not to the top of the page. */
  #removed(remove) {
    const next = this.element.nextElementSibling ?? this.element.previousElementSibling;
    remove();
    next?.querySelector(".desk-upload-remove")?.focus();
  }

  #thumbnail(name, file, meta) {
    const kind = /\.(\w{1,4})$/.exec(name)?.[1] ?? "";
    const about = { class: "desk-upload-thumb", "aria-hidden": "true", text: kind };
    if (file?.type.startsWith("image/")) this.#picture = URL.createObjectURL(file);
    const source = this.#picture || meta?.links.thumbnail;
    if (!source) return element("span", about);
    // Not every picture can be drawn, and not every preview is there already.
    const image = element("img", { src: source, alt: "", on: { error: () => image.remove() } });
    return element("span", about, image);
  }
}
