// The official iModelHub client (@bentley/imodelhub-client) against a hub: one line per step, exit status 1 at a
// failure.
//
//   node imodelhub_story.cjs URL
//
// Run it in a folder in which these were installed with `npm install --legacy-peer-deps`, all of version 2.19.53:
// @bentley/imodelhub-client, bentleyjs-core, itwin-client, frontend-authorization-client, rbac-client. The hub must
// accept any access token. The URL is given to the client as that of an iModelBank.

const { createRequire } = require("node:module");
const { randomUUID } = require("node:crypto");

const own = createRequire(`${process.cwd()}/`);
const { IModelBankClient, IModelHubError, GetEventOperationType } = own("@bentley/imodelhub-client");
const { AccessToken, AuthorizedClientRequestContext } = own("@bentley/itwin-client");
const { IModelHubStatus } = own("@bentley/bentleyjs-core");

const url = process.argv[2];
const IMODEL_TYPES = {
  LockEvent: (e) => e.briefcaseId === 2 && e.objectIds.join() === "0x115,0x116" && e.releasedWithChangeSet.length === 40,
  AllLocksDeletedEvent: (e) => e.briefcaseId === 2,
  ChangeSetPostPushEvent: (e) => e.changeSetId.length === 40 && Number(e.changeSetIndex) > 0,
  ChangeSetPrePushEvent: () => true,
  CodeEvent: (e) => e.codeSpecId === "0xff" && e.state === 1 && e.values.length === 1,
  AllCodesDeletedEvent: (e) => e.briefcaseId === 2,
  BriefcaseDeletedEvent: (e) => e.briefcaseId === 2,
  VersionEvent: (e) => e.versionName.startsWith("Version ") && e.changeSetId.length === 40,
  CheckpointCreatedEvent: (e) => Number(e.changeSetIndex) > 0 && e.versionId.length === 36,
  CheckpointV2CreatedEvent: (e) => Number(e.changeSetIndex) > 0 && e.versionId.length === 36,
  iModelDeletedEvent: () => true,
};
const GLOBAL_TYPES = [
  "SoftiModelDeleteEvent", "HardiModelDeleteEvent", "iModelCreatedEvent", "ChangeSetCreatedEvent",
  "NamedVersionCreatedEvent", "CheckpointCreatedEvent", "CheckpointV2CreatedEvent",
];

function step(name, holds) {
  console.log(`${holds ? "ok" : "FAILED"} ${name}`);
  if (!holds) process.exit(1);
}

async function until(condition, patience = 10_000) {
  const deadline = Date.now() + patience;
  while (!(await condition())) {
    if (Date.now() > deadline) return false;
    await new Promise((done) => setTimeout(done, 10));
  }
  return true;
}

async function refusal(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return undefined;
}

async function admin(method, path, body) {
  const answer = await fetch(`${url}/admin/${path}`, { method, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

const token = (text) => new AccessToken(text);
let current = "jwt";
const context = (text = current) => new AuthorizedClientRequestContext(token(text));
const waits = (id) => async () =>
  (await admin("GET", "state")).subs.some((sub) => sub.id === id && sub.waiting === 1);

async function imodelStory(events) {
  const iModel = randomUUID();
  const publish = (type, more) => admin("POST", `imodels/${iModel}/events`, { type, ...more });
  const created = await events.subscriptions.create(context(), iModel, ["VersionEvent"]);
  step("create a subscription", created.wsgId.length === 36 && created.eventTypes.join() === "VersionEvent");
  created.eventTypes = Object.keys(IMODEL_TYPES);
  const updated = await events.subscriptions.update(context(), iModel, created);
  step("update it", updated.wsgId === created.wsgId && updated.eventTypes.length === 11);

  const sas = await events.getSASToken(context(), iModel);
  step("get a SAS token", sas.baseAddress.startsWith(`${url}/bus/`) && sas.sasToken.startsWith("SharedAccessSignature "));
  let key = sas.sasToken;
  const get = (timeout) => events.getEvent(context(), key, sas.baseAddress, created.wsgId, timeout);
  step("no event without a timeout", (await get()) === undefined);
  for (const [type, holds] of Object.entries(IMODEL_TYPES)) {
    await publish(type);
    const event = await get(2);
    step(`get ${type}`, event.constructor.name.toLowerCase() === type.toLowerCase() && event.iModelId === iModel && holds(event));
  }

  const polled = get(30);
  step("a long poll waits", await until(waits(created.wsgId)));
  await publish("VersionEvent");
  step("and gets the event that comes", (await polled).versionName.startsWith("Version "));
  const start = Date.now();
  const empty = await get(1);
  step("a long poll ends without an event", empty === undefined && Date.now() - start >= 990);

  await listenerStory(events, iModel, created.wsgId, publish);

  await events.subscriptions.delete(context(), iModel, created.wsgId);
  const gone = await refusal(events.subscriptions.delete(context(), iModel, created.wsgId));
  step(
    "delete it, and not twice",
    gone instanceof IModelHubError && gone.errorNumber === IModelHubStatus.EventSubscriptionDoesNotExist,
  );
  key = (await events.getSASToken(context(), iModel)).sasToken;
  step("a poll of it says 410", (await refusal(get(1))).status === 410);
  const unknown = await refusal(events.subscriptions.create(context(), iModel, ["NoSuchEvent"]));
  step(
    "an unknown type is an IModelHubError",
    unknown instanceof IModelHubError && unknown.errorNumber === IModelHubStatus.EventTypeDoesNotExist,
  );
}

async function listenerStory(events, iModel, id, publish) {
  await admin("POST", "config", { sasMaxUses: 3 });
  const got = [];
  let asked = 0;
  const authenticate = async () => {
    asked += 1;
    return token(`listener-${asked}`);
  };
  const stop = events.createListener(context(), authenticate, id, iModel, (event) => got.push(event.versionName));
  for (let wanted = 1; wanted <= 10; wanted += 1) {
    await publish("VersionEvent");
    if (!(await until(() => got.length === wanted))) break;
  }
  step("a listener gets 10 events over SAS tokens of 3 uses", got.length === 10 && new Set(got).size === 10 && asked === 1);
  await until(waits(id));
  await admin("POST", "tokens/revoke");
  current = "jwt-2";
  await admin("POST", "sas/expire");
  // The poll that waits ends with this event; the next one is refused.
  await publish("VersionEvent", { count: 2 });
  step("and asks for a new access token after a revocation", (await until(() => got.length === 12)) && asked === 2);
  stop();
  await admin("POST", "config", { sasMaxUses: 0 });
  // Its last poll goes on, and takes one more event.
  await publish("VersionEvent");
  step("and stops", await until(async () => !(await waits(id)())));
}

async function globalStory(events) {
  const given = randomUUID();
  const created = await events.subscriptions.create(context(), given, ["iModelCreatedEvent"]);
  step("create a global subscription", created.subscriptionId === given && created.wsgId !== given);
  const again = await events.subscriptions.create(context(), given, ["iModelCreatedEvent"]);
  step("create it again", again.wsgId === created.wsgId);
  created.eventTypes = GLOBAL_TYPES;
  await events.subscriptions.update(context(), created);
  const sas = await events.getSASToken(context());
  const get = (timeout, how) => events.getEvent(context(), sas.sasToken, sas.baseAddress, created.wsgId, timeout, how);
  for (const type of GLOBAL_TYPES) {
    await admin("POST", "global/events", { type });
    const event = await get(2);
    step(`get global ${type}`, event.constructor.name.replace("Global", "").toLowerCase() === type.toLowerCase() && event.contextTypeId === 3);
  }
  await admin("POST", "global/events", { type: "iModelCreatedEvent" });
  const locked = await get(2, GetEventOperationType.Peek);
  step("peek hides the event", locked.iModelId.length === 36 && (await get()) === undefined);
  await admin("POST", "advance", { ms: 60_000 });
  const back = await get(2, GetEventOperationType.Peek);
  step("until its lock lapses", back.iModelId === locked.iModelId);
  step("delete it", await back.delete(context()));
  step("which is refused the second time", (await refusal(back.delete(context()))).status === 404);
  await events.subscriptions.delete(context(), created.wsgId);
}

async function errorStory(client) {
  const iModel = randomUUID();
  const denied = await refusal(client.events.getSASToken(new AuthorizedClientRequestContext(token("")), iModel));
  step("no access token is a refusal", denied?.name === "LoginFailed" && denied.status === 401);
  const bad = await refusal(client.events.getEvent(context(), "InvalidSASToken", `${url}/bus/${iModel}`, randomUUID()));
  step("a wrong SAS token says 401", bad?.status === 401);
  await admin("POST", "faults", { match: { path: "EventSAS" }, action: { do: "status", status: 429, headers: { "Retry-After": "1" } } });
  step("a fault comes through", (await refusal(client.events.getSASToken(context(), iModel))).status === 429);
}

async function story() {
  const client = new IModelBankClient(url, undefined);
  await imodelStory(client.events);
  await globalStory(client.globalEvents);
  await errorStory(client);
  process.exit(0);
}

story().catch((error) => {
  console.log(`FAILED with ${error.stack}`);
  process.exit(1);
});
