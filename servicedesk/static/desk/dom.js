/** Elements made of data: text stays text, whatever is in it. */

/**
 * @param {string} tag
 * @param {Record<string, any>} [properties] `class`, `text`, `on: {click: …}`, `data: {…}`; all else
 *   is an attribute, absent where it is false, null or undefined.
 * @param {...(Node | string | null | undefined | false | any[])} children
 * @returns {HTMLElement}
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  const { text, on = {}, data = {}, ...attributes } = properties;
  for (const [name, value] of Object.entries(attributes)) {
    const isAbsent = value === false || value === null || value === undefined;
    if (!isAbsent) made.setAttribute(name, value === true ? "" : value);
  }
  for (const [type, listener] of Object.entries(on)) made.addEventListener(type, listener);
  for (const [name, value] of Object.entries(data)) made.dataset[name] = value;
  if (text !== undefined && text !== null) made.textContent = text;
  made.append(...present(children));
  return made;
}

/**
 * A button that does something on this page.
 * @param {string} text
 * @param {() => void} click
 * @param {Record<string, any>} [properties] As of `element`.
 */
export function button(text, click, properties = {}) {
  return element("button", { type: "button", text, on: { click }, ...properties });
}

/** HTML that the server has sanitised: `body_html` of a message, and nothing else. */
export function sanitised(/** @type {string} */ html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

/** The first element of a `<template>`. */
export function clone(/** @type {string} */ templateId) {
  const template = document.getElementById(templateId);
  return document.importNode(template.content, true).firstElementChild;
}

/** Have these children instead of the present ones. */
export function fill(/** @type {Element} */ parent, ...children) {
  parent.replaceChildren(...present(children));
}

function present(children) {
  const isAbsent = (child) => child === null || child === undefined || child === false;
  return children.flat(Infinity).filter((child) => !isAbsent(child));
}
