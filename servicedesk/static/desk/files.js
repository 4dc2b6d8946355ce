/** How a file is shown, in a conversation and while it is uploaded. */

import { element } from "./dom.js";

const UNITS = ["bytes", "KB", "MB", "GB"];
const THUMBNAIL_SIZE = 256;
/** What the scanner says, as long as there is something to say. */
const SCANS = {
  pending: "Waiting for the scanner",
  infected: "Infected, in quarantine",
  failed: "Scan failed, tried again later",
};

/** "312 bytes", "4.2 KB", "12 MB". */
export function sizeInWords(/** @type {number} */ bytes) {
  let [size, unit] = [bytes, 0];
  while (size >= 1024 && unit < UNITS.length - 1) [size, unit] = [size / 1024, unit + 1];
  const isRound = unit === 0 || size >= 10;
  return `${isRound ? Math.round(size) : size.toFixed(1)} ${UNITS[unit]}`;
}

/** A file as it stands under what was said with it: an `<li>` for a `desk-filelist`. */
export function fileItem(/** @type {any} */ file) {
  const isInfected = file.scan_status === "infected";
  const address = isInfected ? null : file.links.download;
  const about = sizeInWords(file.size) + (file.internal ? " · internal" : "");
  const { filename: name } = file;
  const scan = SCANS[file.scan_status];
  return element(
    "li",
    { class: isInfected && "is-infected", data: { file: file.id } },
    !isInfected && thumbnail(file),
    element(
      "span",
      { class: "desk-filetext" },
      element(address ? "a" : "span", { class: "desk-filename", href: address, text: name }),
      element("span", { class: "desk-quiet", text: about }),
      scan && element("span", { class: `desk-pill is-${file.scan_status}`, text: scan }),
    ),
  );
}

/** What stands there once a file was taken away. */
export function removedItem(/** @type {string} */ fileId, /** @type {string} */ name) {
  const words = element("span", { class: "desk-quiet", text: `${name} was removed` });
  return element(
    "li",
    { class: "is-removed", data: { file: fileId } },
    element("span", { class: "desk-filetext" }, words),
  );
}

/** The link beside it says the same in words. */
function thumbnail({ links, preview_status }) {
  if (!links.thumbnail || preview_status !== "ready") return null;
  const source = `${links.thumbnail}?size=${THUMBNAIL_SIZE}`;
  return element(
    "a",
    { href: links.download, class: "desk-thumb", tabindex: "-1", "aria-hidden": "true" },
    element("img", { src: source, alt: "", loading: "lazy", width: "56", height: "56" }),
  );
}
