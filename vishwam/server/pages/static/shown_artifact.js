// An artifact inside a report: what it is, and its files.

import { h, page } from "./dom.js";
import { json } from "./api.js";
import { artifactFile, filesTable } from "./files.js";
import { ago, bytes } from "./format.js";

/** The artifact that a query panel shows: {name, version or null for the newest, file or null for all}. */
export class ShownArtifact {
  constructor(body, shown) {
    Object.assign(this, { body, shown });
  }

  async draw() {
    const { name, version, file } = this.shown;
    const answer = await json("artifact", { name, version }).catch(() => null);
    const state = JSON.stringify([answer?.version.version, answer?.version.aliases, answer?.files]);
    if (state === this.state) return;
    this.state = state;
    if (!answer) {
      this.body.replaceChildren(h("p", { class: "empty" }, `There is no artifact ${name}${version ? `:${version}` : ""} in this project.`));
      return;
    }
    const found = answer.version;
    const path = [page.entity, page.project, "artifacts", found.type, found.name, `v${found.version}`];
    const files = answer.files.filter((one) => !file || one.name === file);
    this.body.replaceChildren(
      h(
        "p",
        { class: "what" },
        h("a", { href: `${page.origin ?? ""}/${path.map(encodeURIComponent).join("/")}` }, `${found.name}:v${found.version}`),
        ...found.aliases.map((alias) => h("span", { class: "alias" }, alias)),
        ` ${found.type} · ${bytes(found.size)} · made ${ago(found.created)}`,
      ),
      file && !files.length
        ? h("p", { class: "empty" }, `It holds no file ${file}.`)
        : filesTable(files, (one) => artifactFile(found, one)),
    );
  }
}
