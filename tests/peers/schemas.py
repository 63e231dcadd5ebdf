"""Checks messages against the published AsyncAPI document, with a validator of JSON Schema that is not ours.

One message a line: {"topic", "payload", "command"?}. A message must stand on a topic that a channel describes, be
what one of the channel's messages says, and have no field that its schema does not have. What is wrong is printed,
one a line, and at the end which messages were seen.
"""

import copy
import json
import re
import sys

import jsonschema


def closed(schema):
    """The schema, with nothing allowed that it does not name: consumers ignore it, documents must not lack it."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if found.get("properties") and "additionalProperties" not in found:
        found["additionalProperties"] = False
    return found


document = json.load(open(sys.argv[1]))
components = document["components"]
validators = {}
for name, schema in components["schemas"].items():
    jsonschema.Draft7Validator.check_schema(schema)
    # Alternatives of which fields are there name no types.
    schema = closed(copy.deepcopy(schema))
    validators[name] = jsonschema.Draft7Validator(schema, format_checker=jsonschema.FormatChecker())

channels = []
for name, channel in document["channels"].items():
    levels = []
    for level in channel["address"].split("/"):
        parameter = level.strip("{}") if level.startswith("{") else None
        words = components["parameters"].get(parameter, {}).get("enum") if parameter else None
        levels.append("(?:" + "|".join(words) + ")" if words else "[^/]+" if parameter else re.escape(level))
    channels.append((re.compile("/".join(levels)), list(channel["messages"])))

seen = set()
for line in sys.stdin:
    message = json.loads(line)
    topic, payload = message["topic"], message["payload"]
    fitting = [messages for pattern, messages in channels if pattern.fullmatch(topic)]
    if not fitting:
        print(f"{topic}: no channel describes it")
        continue
    names = [name for messages in fitting for name in messages]
    if payload.get("type") in names:
        names = [payload["type"]]
    problems = {}
    for name in names:
        errors = [f"{'/'.join(map(str, e.absolute_path))} {e.message}"[:300] for e in validators[name].iter_errors(payload)]
        if not errors:
            seen.add(name)
            break
        problems[name] = errors
    else:
        print(f"{topic}: {json.dumps(problems)[:1500]}")
print("seen: " + " ".join(sorted(seen)))
