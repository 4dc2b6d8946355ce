/**
 * Files for what is being written: dropped, pasted or picked, each with its progress and a picture,
 * and with the reason where it is refused. They are uploaded at once, as drafts; the message names
 * them by `ids`.
 */

import { del, post, upload } from "./api.js";
import { notify } from "./notices.js";
import { UploadQueue } from "./upload-queue.js";
import { UploadRow } from "./upload-row.js";

/** So much of a file gives away most of those that are not what their name says. */
const HEAD_BYTES = 4 * 1024;

const TRANSPORT = {
  async judge(file, signal) {
    const { name: filename, size } = file;
    const head_base64 = await headOf(file);
    if (head_base64 === null) return "The file cannot be read.";
    const { reasons } = await post("/files/validate", { filename, size, head_base64 }, { signal });
    return reasons.map(({ detail }) => detail).join(" ");
  },
  send: upload,
  remove: (id) => del(`/files/${id}`),
};

export class Uploads extends EventTarget {
  #queue = new UploadQueue(TRANSPORT, (item) => this.#draw(item));
  #list;
  #draft;
  /** @type {Map<import("./upload-queue.js").Item, UploadRow>} */
  #rows = new Map();

  /**
   * @param {object} parts
   * @param {HTMLElement} parts.list A `<ul>` for the files.
   * @param {HTMLInputElement | null} [parts.input] Its files are taken over, and it is emptied.
   * @param {HTMLElement | null} [parts.dropZone]
   * @param {HTMLElement | null} [parts.pasteTarget]
   * @param {import("./drafts.js").Draft} [parts.draft] Where uploaded files outlive the page.
   */
  constructor({ list, input, dropZone, pasteTarget, draft }) {
    super();
    this.#list = list;
    this.#draft = draft;
    list.classList.add("desk-uploads");
    if (input) this.#pick(input);
    if (dropZone) this.#acceptDrops(dropZone);
    pasteTarget?.addEventListener("paste", (event) => this.#pasted(event));
    globalThis.addEventListener("online", () => this.#queue.retryFailed());
    if (draft) this.#queue.restore(draft.files);
  }

  /** Of the files that are ready to be sent. */
  get ids() {
    return this.#queue.ids;
  }

  /** Some are still under way. */
  get isBusy() {
    return this.#queue.isBusy;
  }

  /** Some did not arrive, and may be tried again. */
  get hasFailed() {
    return this.#queue.hasFailed;
  }

  add(/** @type {Iterable<File>} */ files) {
    const doubles = this.#queue.add(files);
    for (const { name } of doubles) notify(`${name} is in the list already.`);
  }

  /** They went with a message. */
  clear() {
    this.#queue.clear();
  }

  // --- Ways in ----------------------------------------------------------------------------

  #pick(input) {
    input.multiple = true;
    input.addEventListener("change", () => {
      this.add([...input.files]);
      input.value = ""; // else the form would send them once more
    });
  }

  #acceptDrops(zone) {
    let depth = 0;
    const mark = (change) => {
      depth = change === 0 ? 0 : Math.max(0, depth + change);
      zone.classList.toggle("is-dropping", depth > 0);
    };
    zone.addEventListener("dragenter", (event) => bringsFiles(event) && mark(1));
    zone.addEventListener("dragleave", (event) => bringsFiles(event) && mark(-1));
    zone.addEventListener("drop", (event) => {
      if (!bringsFiles(event)) return;
      mark(0);
      this.#dropped(event.dataTransfer);
    });
    spareThePage();
  }

  #dropped(transfer) {
    const entries = [...transfer.items].filter(({ kind }) => kind === "file");
    const isFolder = (item) => item.webkitGetAsEntry?.()?.isDirectory;
    const files = entries.filter((item) => !isFolder(item)).map((item) => item.getAsFile());
    if (files.length < entries.length) notify("Folders are not taken. Drop their files, or a zip.");
    this.add(files.filter(Boolean));
  }

  /** A picture of what was copied often comes along with its text: then the text is meant. */
  #pasted(event) {
    const { files, types } = event.clipboardData;
    if (files.length === 0 || types.includes("text/plain")) return;
    event.preventDefault();
    this.add([...files].map(withOwnName));
  }

  // --- Rows -------------------------------------------------------------------------------

  #draw(item) {
    const isThere = this.#queue.items.includes(item);
    const known = this.#rows.get(item);
    const before = known?.state;
    if (!isThere) this.#dropRow(item, known);
    else if (known) known.show(item);
    else this.#addRow(item);
    if (!isThere || before !== item.state) this.#changed();
  }

  #addRow(item) {
    const row = new UploadRow(item, {
      retry: () => this.#queue.retry(item),
      remove: () => this.#queue.remove(item),
    });
    this.#rows.set(item, row);
    this.#list.append(row.element);
    row.show(item);
  }

  #dropRow(item, row) {
    row?.leave();
    this.#rows.delete(item);
  }

  #changed() {
    if (this.#draft) this.#draft.files = this.#queue.items.map(({ meta }) => meta).filter(Boolean);
    this.dispatchEvent(new Event("change"));
  }
}

/** Null where it is gone, or a folder that looked like a file. */
async function headOf(file) {
  try {
    const bytes = new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer());
    return btoa(String.fromCharCode(...bytes));
  } catch {
    return null;
  }
}

function bringsFiles({ dataTransfer }) {
  return dataTransfer?.types.includes("Files") ?? false;
}

/** A file that misses the zone must not take the place of the page. */
let isSpared = false;
function spareThePage() {
  if (isSpared) return;
  isSpared = true;
  for (const type of ["dragover", "drop"]) {
    document.addEventListener(type, (event) => bringsFiles(event) && event.preventDefault());
  }
}

/** Everything that is pasted is called image.png. */
function withOwnName(file) {
  if (!/^image\.\w+$/.test(file.name)) return file;
  const at = new Date().toTimeString().slice(0, 8).replaceAll(":", ".");
  const name = file.name.replace("image", `pasted ${at}`);
  return new File([file], name, { type: file.type, lastModified: file.lastModified });
}
