// Connections, threads and queues.

import { byId, element, many, number, say, size, span, time } from "./dom.js";

/** Puts new content into a panel; what had the focus or was open keeps it. */
function fill(panel, ...content) {
  const focused = panel.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  panel.replaceChildren(...content.filter(Boolean));
  if (focused) panel.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

const nothing = (text) => element("p.empty", {}, text);
const leftOut = (count, what) => (count > 0 ? element("p.left-out", {}, `and ${many(count, what)} not shown`) : null);

export function connections({ connections: all, leftOut: more }) {
  say(byId("count-connections"), number(all.length + more));
  say(byId("figure-connections"), number(all.length + more));
  const cards = all.map((connection) => element("article.card", {},
    element("h3", {},
      element("span.id", {}, `#${connection.id}`), element("span.name", {}, connection.user),
      element("span.note", {}, connection.queuedBytes > 0 ? `${size(connection.queuedBytes)} waiting` : "")),
    connection.subscriptions.length === 0 ? element("p.note", {}, "no subscription") : element("ul", {},
      ...connection.subscriptions.map((subscription) => element("li", { title: `subscriber ${subscription.id}` },
        element("code", {}, subscription.expression)))),
    leftOut(connection.leftOut, "subscription")));
  fill(byId("panel-connections"), ...cards, all.length === 0 ? nothing("Nobody is connected.") : null,
    leftOut(more, "connection"));
}

export function threads({ threads: all, leftOut: more, leftView }, open) {
  say(byId("count-threads"), number(all.length + more));
  const link = (sequence, text) => (sequence === null || sequence === undefined
    ? element("span.when", {}, text)
    : element("button.link", { type: "button", "data-key": `t${sequence}`, onclick: () => open(sequence) }, text));
  const cards = all.map((thread) => element("article.card", {},
    element("h3", {},
      link(thread.sequence, thread.at === null ? "earlier" : time(thread.at)),
      element("span.name", {}, thread.topic ?? "out of view"), element("span.note", {}, thread.user ?? "")),
    thread.summary ? element("p.what", {}, thread.summary) : null,
    element("ol", {}, ...thread.replies.map((reply) => element("li", {},
      link(reply.sequence, reply.after === null ? time(reply.at) : `+${span(reply.after)}`),
      element("span.user", {}, reply.user ?? "—"), element("span.what", {}, reply.summary)))),
    leftOut(thread.more, "further answer")));
  fill(byId("panel-threads"), ...cards, all.length === 0 ? nothing("No event was answered yet.") : null,
    leftOut(more + leftView, "older thread"));
}

export function queues({ queues: all, leftOut: more }) {
  say(byId("count-queues"), number(all.length + more));
  say(byId("figure-queued"), number(all.reduce((sum, queue) => sum + queue.queued + queue.locked, 0)));
  const cards = all.map((queue) => element("article.card", {},
    element("h3", {}, element("span.name", {}, queue.iModelId ?? "all iModels")),
    element("p.note", {}, `subscription ${queue.id}`),
    element("p.types", {}, ...queue.eventTypes.map((type) => element("code", {}, type))),
    element("dl.figures", {}, ...[["queued", queue.queued], ["locked", queue.locked], ["delivered", queue.delivered],
      ["polls", queue.waiting]].map(([name, value]) =>
      element("div", {}, element("dt", {}, name), element("dd", {}, number(value))))),
    queue.messages.length === 0 ? null : element("ol.messages", {}, ...queue.messages.map(message)),
    leftOut(queue.leftOut, "message")));
  fill(byId("panel-queues"), ...cards,
    all.length === 0 ? nothing("No subscription. hubctl imodel subscribe makes one.") : null, leftOut(more, "queue"));
  const imodels = new Set(all.map((queue) => queue.iModelId).filter(Boolean));
  byId("imodels").replaceChildren(...[...imodels].map((value) => element("option", { value })));
}

function message(each) {
  const locked = each.lockedUntil !== null;
  return element(locked ? "li.locked" : "li", { title: `message ${each.messageId}, ${size(each.size)}` },
    element("span.id", {}, `${each.sequence}`), element("span.name", {}, each.type),
    element("span.note", {}, each.deliveries === 0 ? "new" : `×${each.deliveries}`),
    element("span.lock", {}, locked ? `locked to ${time(each.lockedUntil).slice(0, 8)}` : ""));
}
