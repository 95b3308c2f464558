// Bentley's official iModelHub client as a measured party. In destructive mode: it has no other for an iModel's events.
"use strict";
const readline = require("node:readline");
const { randomUUID } = require("node:crypto");
const { readFileSync } = require("node:fs");
for (const name of ["log", "info", "warn", "error", "debug"]) {
  console[name] = (...words) => process.stderr.write(words.map(String).join(" ") + "\n");
}
const { AuthorizedClientRequestContext, AccessToken } = require("@bentley/itwin-client");
const { IModelBankClient, ChangeSetPostPushEvent } = require("@bentley/imodelhub-client");

const say = (value) => process.stdout.write(JSON.stringify(value) + "\n");
const cpuUs = () => {
  const { user, system } = process.cpuUsage();
  return user + system;
};
const context = new AuthorizedClientRequestContext(AccessToken.fromTokenString("Bearer jwt"));
const iModel = randomUUID();
let url;
let events;
let subscription;
let sas;

const commands = {
  async connect(args) {
    url = args.url;
    events = new IModelBankClient(url, undefined).events;
    subscription = await events.subscriptions.create(context, iModel, ["ChangeSetPostPushEvent"]);
    sas = await events.getSASToken(context, iModel);
    return {};
  },
  // The same body as that of the others.
  async queue({ count }) {
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
    const queued = await fetch(`${url}/admin/imodels/${iModel}/events`, {
      method: "POST",
      body: JSON.stringify({ type: "ChangeSetPostPushEvent", count, body }),
    });
    if (!queued.ok) throw new Error(`publish: ${queued.status} ${await queued.text()}`);
    return {};
  },
  async receive({ count }) {
    const [cpu, began] = [cpuUs(), process.hrtime.bigint()];
    for (let n = 0; n < count; n += 1) {
      const event = await events.getEvent(context, sas.sasToken, sas.baseAddress, subscription.wsgId, 60);
      if (!(event instanceof ChangeSetPostPushEvent)) throw new Error(`event ${n}: ${event}`);
    }
    const peak = Number(/^VmHWM:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))[1]);
    return { events: count, cpu_us: cpuUs() - cpu, seconds: Number(process.hrtime.bigint() - began) / 1e9, peak_kib: peak };
  },
};

readline.createInterface({ input: process.stdin }).on("line", async (line) => {
  const { call, do: name, ...args } = JSON.parse(line);
  try {
    say({ call, ok: await commands[name](args) });
  } catch (error) {
    say({ call, error: "Error", message: String((error && error.message) || error) });
  }
}).on("close", () => process.exit(0));
