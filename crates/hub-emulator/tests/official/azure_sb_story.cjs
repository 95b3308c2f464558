// Microsoft's REST client of Service Bus (azure-sb 0.11.2) against a hub's queues: one line per step, exit status 1
// at a failure.
//
//   node azure_sb_story.cjs URL
//
// Run it in a folder in which azure-sb was installed. It signs its requests with a key of its own.

const { createRequire } = require("node:module");
const { randomUUID } = require("node:crypto");
const { promisify } = require("node:util");

const azure = createRequire(`${process.cwd()}/`)("azure-sb");
const url = process.argv[2];

function step(name, holds) {
  console.log(`${holds ? "ok" : "FAILED"} ${name}`);
  if (!holds) process.exit(1);
}

async function post(path, body, headers = {}) {
  const answer = await fetch(`${url}/${path}`, { method: "POST", body: JSON.stringify(body), headers });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

async function story() {
  const iModel = randomUUID();
  const properties = { EventTypes: ["VersionEvent"] };
  const instance = { schemaName: "iModelScope", className: "EventSubscription", properties };
  const path = `sv1.1/Repositories/iModel--${iModel}/iModelScope/EventSubscription/`;
  const created = await post(path, { instance }, { authorization: "Bearer x" });
  const subscription = created.changedInstance.instanceAfterChange.instanceId;
  const publish = () => post(`admin/imodels/${iModel}/events`, { type: "VersionEvent" });

  const service = azure.createServiceBusService(`Endpoint=${url}/;SharedAccessKeyName=k;SharedAccessKey=c2VjcmV0`);
  const call = (name) => promisify(service[name].bind(service));
  const receive = (isPeekLock, timeoutIntervalInS = 5) =>
    call("receiveSubscriptionMessage")(`bus/${iModel}`, subscription, { isPeekLock, timeoutIntervalInS });
  const json = (message) => JSON.parse(message.body.slice(message.body.indexOf("{")));

  const nothing = await receive(false, 1).catch((error) => error);
  step("receive nothing", nothing === "No messages to receive");
  await publish();
  const first = await receive(false);
  step("receive and delete", first.contentType === "VersionEvent" && json(first).VersionName.startsWith("Version "));
  step("broker properties", first.brokerProperties.SequenceNumber === 1 && first.brokerProperties.DeliveryCount === 1);
  await publish();
  const locked = await receive(true);
  step("peek and lock", locked.brokerProperties.LockToken.length === 36 && locked.location.includes("/messages/2/"));
  await call("renewLockForMessage")(locked);
  step("renew the lock", true);
  await call("unlockMessage")(locked);
  step("unlock", true);
  const again = await receive(true);
  step("DeliveryCount is 2", again.brokerProperties.DeliveryCount === 2 && again.brokerProperties.MessageId === locked.brokerProperties.MessageId);
  await call("deleteMessage")(again);
  step("complete", true);
  const refused = await call("deleteMessage")(again).catch((error) => error);
  step("complete a second time: 404", refused.statusCode === 404 && String(refused.message).includes("lock"));
  process.exit(0);
}

story().catch((error) => {
  console.log(`FAILED with ${error.stack}`);
  process.exit(1);
});
