// Connections, threads and queues.

import { Cards, byId, element, many, number, say, size, span, time } from "./dom.js";

const cards = {
  connections: new Cards(byId("panel-connections")),
  threads: new Cards(byId("panel-threads")),
  queues: new Cards(byId("panel-queues")),
};

const nothing = (text) => ["nothing", text, () => element("p.empty", {}, text)];
const leftOut = (count, what) => (count > 0 ? element("p.left-out", {}, `and ${many(count, what)} not shown`) : null);
/** The last line of a panel that could not show all. */
const rest = (count, what) => (count > 0 ? [["rest", count, () => leftOut(count, what)]] : []);

export function connections({ connections: all, leftOut: more }) {
  say(byId("count-connections"), number(all.length + more));
  say(byId("figure-connections"), number(all.length + more));
  const shown = all.map((each) => [each.id, each, connection]);
  cards.connections.show([...shown, ...(shown.length === 0 ? [nothing("Nobody is connected.")] : []),
    ...rest(more, "connection")]);
}

function connection({ id, user, queuedBytes, subscriptions, leftOut: more }) {
  const subscribed = subscriptions.map((subscription) => element("li", { title: `subscriber ${subscription.id}` },
    element("code", {}, subscription.expression)));
  return element("article.card", {},
    element("h3", {}, element("span.id", {}, `#${id}`), element("span.name", {}, user),
      queuedBytes > 0 ? element("span.note", {}, `${size(queuedBytes)} waiting`) : null),
    subscribed.length === 0 ? element("p.note", {}, "no subscription") : element("ul", {}, ...subscribed),
    leftOut(more, "subscription"));
}

export function threads({ threads: all, leftOut: more, leftView }, open) {
  say(byId("count-threads"), number(all.length + more));
  const shown = all.map((each) => [each.id, each, (value) => thread(value, open)]);
  cards.threads.show([...shown, ...(shown.length === 0 ? [nothing("No event was answered yet.")] : []),
    ...rest(more + leftView, "older thread")]);
}

function thread({ id, sequence, at, topic, user, summary, replies, more }, open) {
  const link = (number, text) => (number === null ? element("span.when", {}, text)
    : element("button.link", { type: "button", "data-key": `${id} ${number}`, onclick: () => open(number) }, text));
  return element("article.card", {},
    element("h3", {}, link(sequence, at === null ? "earlier" : time(at)),
      element("span.name", {}, topic ?? "out of view"), element("span.note", {}, user ?? "")),
    summary ? element("p.what", {}, summary) : null,
    element("ol", {}, ...replies.map((reply) => element("li", {},
      link(reply.sequence, reply.after === null ? time(reply.at) : `+${span(reply.after)}`),
      element("span.user", {}, reply.user ?? "—"), element("span.what", { title: reply.summary }, reply.summary)))),
    leftOut(more, "further answer"));
}

export function queues({ queues: all, leftOut: more }) {
  say(byId("count-queues"), number(all.length + more));
  say(byId("figure-queued"), number(all.reduce((sum, each) => sum + each.queued + each.locked, 0)));
  const shown = all.map((each) => [each.id, each, queue]);
  const none = "No subscription. hubctl imodel subscribe makes one.";
  cards.queues.show([...shown, ...(shown.length === 0 ? [nothing(none)] : []), ...rest(more, "queue")]);
  const imodels = new Set(all.map((each) => each.iModelId).filter(Boolean));
  byId("imodels").replaceChildren(...[...imodels].map((value) => element("option", { value })));
}

function queue({ id, iModelId, eventTypes, queued, locked, delivered, waiting, messages, leftOut: more }) {
  const figures = [["queued", queued], ["locked", locked], ["delivered", delivered], ["polls", waiting]];
  return element("article.card", {},
    element("h3", {}, element("span.name", {}, iModelId ?? "all iModels")),
    element("p.note", {}, `subscription ${id}`),
    element("p.types", {}, ...eventTypes.map((type) => element("code", {}, type))),
    element("dl.figures", {}, ...figures.map(([name, value]) =>
      element("div", {}, element("dt", {}, name), element("dd", {}, number(value))))),
    messages.length === 0 ? null : element("ol.messages", {}, ...messages.map(message)),
    leftOut(more, "message"));
}

function message({ sequence, type, messageId, deliveries, size: bytes, lockedUntil }) {
  const locked = lockedUntil !== null;
  return element(locked ? "li.locked" : "li", { title: `message ${messageId}, ${size(bytes)}` },
    element("span.id", {}, String(sequence)), element("span.name", {}, type),
    element("span.note", { title: `delivered ${many(deliveries, "time")}` }, `×${deliveries}`),
    element("span.lock", { title: locked ? "locked" : "" }, locked ? `until ${time(lockedUntil).slice(0, 8)}` : ""));
}
