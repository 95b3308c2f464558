// The form that publishes.

import { copy, pretty, publishCommand } from "./command.js";
import { ask, byId, many, toast } from "./dom.js";

export class Publish {
  constructor() {
    this.form = byId("publish-form");
    this.result = byId("publish-result");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.publish();
    });
    this.form.addEventListener("change", (event) => {
      if (event.target.name === "side") this.choose();
    });
    byId("copy-form").addEventListener("click", async () => {
      const { topic, target, data } = this.form.elements;
      const copied = await copy(publishCommand(topic.value, data.value.trim(), target.value.trim()));
      toast(copied ? "copied the command" : "the browser did not allow it");
    });
    this.choose();
  }

  get side() {
    return this.form.elements.side.value;
  }

  choose() {
    const ftrack = this.side === "ftrack";
    this.form.querySelector(".for-ftrack").hidden = !ftrack;
    this.form.querySelector(".for-imodelhub").hidden = ftrack;
    this.form.elements.topic.required = ftrack;
    this.form.elements.type.required = !ftrack;
    byId("copy-form").hidden = !ftrack;
    this.say("", "");
  }

  /** An event to begin with. */
  edit({ topic, data, target }) {
    const { elements } = this.form;
    elements.side.value = "ftrack";
    this.choose();
    elements.topic.value = topic;
    elements.target.value = target;
    elements.data.value = data === "" ? "" : pretty(data).map(([piece]) => piece).join("");
    elements.topic.focus();
  }

  async publish() {
    const { elements } = this.form;
    const data = elements.data.value.trim();
    try {
      if (data !== "") JSON.parse(data);
    } catch (error) {
      this.say("wrong", `the data is not JSON: ${error.message}`);
      elements.data.focus();
      return;
    }
    try {
      const said = JSON.parse(await ask("/api/publish", this.body(data)));
      const recipients = said.recipients === 0 ? "it reached nobody" : `to ${this.side === "ftrack"
        ? many(said.recipients, "connection") : many(said.recipients, "queue")}`;
      this.say("good", `published: ${recipients}`);
    } catch (error) {
      this.say("wrong", error.message);
    }
  }

  /** The data goes as it was typed, numbers and all. */
  body(data) {
    const { elements } = this.form;
    const text = (name) => JSON.stringify(elements[name].value.trim());
    if (this.side === "ftrack") {
      const source = JSON.stringify({ id: "inspector", user: { username: "inspector" } });
      return `{"ftrack":{"topic":${text("topic")},"data":${data || "null"},"target":${text("target")},"source":${source}}}`;
    }
    const imodel = elements.imodel.value.trim() === "" ? "null" : text("imodel");
    return `{"imodelhub":{"imodel":${imodel},"type":${text("type")}${data ? `,"body":${data}` : ""}}}`;
  }

  say(kind, text) {
    this.result.dataset.kind = kind;
    this.result.textContent = text;
  }
}
