"""The official Python client (ftrack-python-api) against a hub: one line per step, exit status 1 at a failure.

    python python_story.py URL            the whole story, alone
    python python_story.py URL answer     answer `story.cross` until killed; prints `ready`
    python python_story.py URL ask        ask `story.cross` once and print the answer

The hub must know the users ann:key-a, ben:key-b and cat:key-c.
"""

import sys
import time

import ftrack_api.event.hub
import ftrack_api.exception
from ftrack_api.event.base import Event

PATIENCE = 10.0
UNICODE = "é😀"


def step(name, holds):
    print(("ok " if holds else "FAILED ") + name, flush=True)
    if not holds:
        sys.exit(1)


def connected(url, user, key):
    hub = ftrack_api.event.hub.EventHub(url, user, key)
    hub.connect()
    return hub


def until(condition, *hubs):
    """Let the hubs handle events until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            return False
        for hub in hubs:
            hub.wait(0.05)
    return True


def ask(hub, others, topic, data):
    answers = []
    hub.publish(Event(topic=topic, data=data), on_reply=lambda event: answers.append(event["data"]))
    until(lambda: answers, hub, *others)
    return answers


def story(url):
    ann, ben, cat = (connected(url, *who) for who in (("ann", "key-a"), ("ben", "key-b"), ("cat", "key-c")))
    step("connect", ann.connected and ben.connected and cat.connected)

    news, orders = [], []
    reader = ben.subscribe("topic=story.news and data.kind=news", lambda event: news.append(event["data"]["text"]))
    ben.subscribe("topic=story.ask", lambda event: {"answer": event["data"]["n"] + 1})
    ben.subscribe("topic=story.order", lambda event: orders.append("ben"), {"id": "ben-1", "kitchen": "left"})
    cat.subscribe("topic=story.order", lambda event: orders.append("cat"), {"id": "cat-1", "kitchen": "right"})
    cat.subscribe("topic=story.cat", lambda event: {"answer": "meow"})
    # A connection's packets are obeyed in order: an answer to oneself says that the subscriptions are made.
    answers = ask(ben, [], "story.ask", {"n": 0}) + ask(cat, [], "story.cat", {})
    step("subscribe", answers == [{"answer": 1}, {"answer": "meow"}])

    ann.publish(Event(topic="story.news", data={"kind": "news", "text": UNICODE}))
    step("publish", until(lambda: news == [UNICODE], ben))
    step("automatic reply", ask(ann, [ben], "story.ask", {"n": 41}) == [{"answer": 42}])

    ann.publish(Event(topic="story.order", data={}, target="kitchen=right"))
    ann.publish(Event(topic="story.order", data={}, target="id=ben-1"))
    step("targeted event", until(lambda: sorted(orders) == ["ben", "cat"], ben, cat))

    ben.unsubscribe(reader)
    ann.publish(Event(topic="story.news", data={"kind": "news", "text": "unheard"}))
    step("unsubscribe", ask(ann, [ben], "story.ask", {"n": 1}) == [{"answer": 2}] and news == [UNICODE])

    try:
        connected(url, "ann", "wrong")
        step("wrong key refused", False)
    except ftrack_api.exception.EventHubConnectionError as error:
        step("wrong key refused", "403" in str(error))
    for hub in (ann, ben, cat):
        hub.disconnect()
    step("disconnect", not ann.connected)


def main():
    url, mode = sys.argv[1], (sys.argv[2:] or ["story"])[0]
    if mode == "story":
        story(url)
    elif mode == "answer":
        hub = connected(url, "ben", "key-b")
        hub.subscribe("topic=story.cross", lambda event: {"by": "python", "heard": event["data"]["text"]})
        step("self", ask(hub, [], "story.cross", {"text": UNICODE}) != [])
        print("ready", flush=True)
        hub.wait()
    else:
        hub = connected(url, "ann", "key-a")
        answers = ask(hub, [], "story.cross", {"text": UNICODE})
        print(answers, flush=True)
        step("asked from python", [answer["heard"] for answer in answers] == [UNICODE])
        hub.disconnect()


main()
