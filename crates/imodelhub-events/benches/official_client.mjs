// One round of the benchmark `receive` with the official client: queues events and takes them one at a time, in
// destructive mode, which is the only one it has for the events of an iModel. Prints a line of JSON.
//
//   node official_client.mjs URL EVENTS
//
// Run it in a folder in which these were installed with `npm install --legacy-peer-deps`, all of version 2.19.53:
// @bentley/imodelhub-client, bentleyjs-core, itwin-client, frontend-authorization-client, rbac-client.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const own = createRequire(`${process.cwd()}/`);
const { IModelBankClient, ChangeSetPostPushEvent } = own("@bentley/imodelhub-client");
const { AccessToken, AuthorizedClientRequestContext } = own("@bentley/itwin-client");

const [url, count] = [process.argv[2], Number(process.argv[3])];
const context = new AuthorizedClientRequestContext(new AccessToken("jwt"));
const { events } = new IModelBankClient(url, undefined);
const iModel = randomUUID();
const subscription = await events.subscriptions.create(context, iModel, ["ChangeSetPostPushEvent"]);
const sas = await events.getSASToken(context, iModel);

// The same body as the benchmark's own rounds have.
const body = {
  EventTopic: iModel,
  FromEventSubscriptionId: "b7b2f3c8-5d2e-4a57-9e1b-0c7d9a4f1e62",
  ToEventSubscriptionId: "",
  BriefcaseId: 2,
  ChangeSetId: "0123456789abcdef0123456789abcdef01234567",
  ChangeSetIndex: "1",
  Filler: "",
};
body.Filler = "x".repeat(Math.max(0, 280 - JSON.stringify(body).length));
const published = await fetch(`${url}/admin/imodels/${iModel}/events`, {
  method: "POST",
  body: JSON.stringify({ type: "ChangeSetPostPushEvent", count, body }),
});
if (!published.ok) throw new Error(`publish: ${published.status} ${await published.text()}`);

const cpu = process.cpuUsage();
const start = process.hrtime.bigint();
for (let n = 0; n < count; n += 1) {
  const event = await events.getEvent(context, sas.sasToken, sas.baseAddress, subscription.wsgId, 60);
  if (!(event instanceof ChangeSetPostPushEvent)) throw new Error(`event ${n}: ${event?.constructor.name}`);
}
const seconds = Number(process.hrtime.bigint() - start) / 1e9;
const { user, system } = process.cpuUsage(cpu);
let peakKib = null;
try {
  peakKib = Number(/^VmHWM:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))[1]);
} catch {
  // Not Linux.
}
console.log(JSON.stringify({ seconds, cpuMs: (user + system) / 1000, peakKib }));
process.exit(0);
