// The official JavaScript client (@ftrack/api) against a hub: one line per step, exit status 1 at a failure.
//
//   node js_story.mjs URL            the whole story, alone
//   node js_story.mjs URL answer     answer `story.cross` until killed; prints `ready`
//   node js_story.mjs URL ask        ask `story.cross` once and print the answer
//   node js_story.mjs URL stay       keep one connection open for 35 s
//
// Run it in a folder with node_modules/@ftrack/api. The hub must know ann:key-a, ben:key-b and cat:key-c.

import { createRequire } from "node:module";
import { setTimeout as pause } from "node:timers/promises";

const { Event, EventHub } = createRequire(`${process.cwd()}/`)("@ftrack/api");
const [url, mode = "story"] = process.argv.slice(2);
const TEXT = "é😀";

function step(name, holds) {
  console.log(`${holds ? "ok" : "FAILED"} ${name}`);
  if (!holds) process.exit(1);
}

async function until(condition, patience = 10_000) {
  const deadline = Date.now() + patience;
  while (!(await condition())) {
    if (Date.now() > deadline) return false;
    await pause(10);
  }
  return true;
}

async function connected(user, key) {
  const hub = new EventHub(url, user, key);
  hub.connect();
  await until(() => hub.isConnected());
  return hub;
}

// An answer to oneself says that the hub has obeyed all earlier packets of this connection.
async function settled(hub, name) {
  const id = hub.subscribe(`topic=story.settled.${name}`, () => ({ settled: true }));
  await hub.publishAndWaitForReply(new Event(`story.settled.${name}`, {}), { timeout: 10 });
  hub.unsubscribe(id);
}

const serverState = async () => (await (await fetch(`${url}/admin/state`)).json()).state;

async function story() {
  const [ann, ben, cat] = [
    await connected("ann", "key-a"),
    await connected("ben", "key-b"),
    await connected("cat", "key-c"),
  ];
  step("connect", ann.isConnected() && ben.isConnected() && cat.isConnected());

  const news = [];
  const orders = [];
  const reader = ben.subscribe("topic=story.news", (event) => { news.push(event.data.text); });
  ben.subscribe("topic=story.ask", (event) => ({ answer: event.data.n + 1 }));
  ben.subscribe("topic=story.order", () => { orders.push("ben"); }, { id: "ben-1", kitchen: "left" });
  cat.subscribe("topic=story.order", () => { orders.push("cat"); }, { id: "cat-1", kitchen: "right" });
  await settled(ben, "ben");
  await settled(cat, "cat");
  step("subscribe", true);

  await ann.publish(new Event("story.news", { text: TEXT }));
  step("publish", await until(() => news.length === 1 && news[0] === TEXT));

  const replies = [];
  await ann.publish(new Event("story.ask", { n: 41 }), { onReply: (event) => replies.push(event.data) });
  step("automatic reply", await until(() => replies.length === 1 && replies[0].answer === 42));

  const reply = await ann.publishAndWaitForReply(new Event("story.ask", { n: 1 }), { timeout: 10 });
  step("wait for reply", reply.data.answer === 2);

  await ann.publish(new Event("story.order", {}, { target: "kitchen=right" }));
  await ann.publish(new Event("story.order", {}, { target: "id=ben-1" }));
  step("targeted event", await until(() => orders.sort().join() === "ben,cat"));

  step("unsubscribe locally", ben.unsubscribe(reader));
  await settled(ben, "again");
  await ann.publish(new Event("story.news", { text: "unheard" }));
  await ann.publishAndWaitForReply(new Event("story.ask", { n: 1 }), { timeout: 10 });
  step("unsubscribe", news.length === 1);

  const before = (await serverState()).stats.handshakes_unauthorized;
  const stranger = new EventHub(url, "ann", "wrong");
  stranger.connect();
  const refused = await until(async () => (await serverState()).stats.handshakes_unauthorized > before);
  step("wrong key refused", refused && !stranger.isConnected());
}

async function stay() {
  const hub = await connected("ann", "key-a");
  const heard = [];
  hub.subscribe("topic=story.stay", (event) => { heard.push(event.data.n); });
  await settled(hub, "stay");
  const before = (await serverState()).stats.connections_opened;
  await pause(35_000);
  await hub.publish(new Event("story.stay", { n: 1 }));
  step("still heard after 35 s", await until(() => heard.length === 1));
  const after = await serverState();
  step("on the same connection", after.stats.connections_opened === before && after.connections === 1);
}

async function answer() {
  const hub = await connected("ben", "key-b");
  hub.subscribe("topic=story.cross", (event) => ({ by: "javascript", heard: event.data.text }));
  await settled(hub, "cross");
  console.log("ready");
  await new Promise(() => {});
}

async function ask() {
  const hub = await connected("ann", "key-a");
  const reply = await hub.publishAndWaitForReply(new Event("story.cross", { text: TEXT }), { timeout: 10 });
  console.log(reply.data);
  step("asked from javascript", reply.data.heard === TEXT);
}

await { story, stay, answer, ask }[mode]();
process.exit(0);
