// What a reader chose on a page is there again the next time; a browser that keeps nothing is fine, too.

import { page } from "./dom.js";

const key = (name) => `vishwam ${page.entity}/${page.project} ${name}`;

export function recall(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(key(name))) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(key(name), JSON.stringify(value));
  } catch {
    // Nothing is lost but a preference.
  }
}
