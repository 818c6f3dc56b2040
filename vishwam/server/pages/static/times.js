// Times written as "3m ago", kept up to date.

import { page } from "./dom.js";
import { ago } from "./format.js";

export function refreshTimes() {
  for (const element of document.querySelectorAll("time[data-at]")) {
    const at = Number(element.dataset.at);
    // A page in a file says when it was made, however long ago.
    element.textContent = page.saved ? new Date(at * 1000).toLocaleString() : ago(at);
    element.dateTime = new Date(at * 1000).toISOString();
    element.title = new Date(at * 1000).toLocaleString();
  }
}

refreshTimes();
setInterval(refreshTimes, 20000);
