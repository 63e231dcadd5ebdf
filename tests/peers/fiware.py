"""Checks entities against the property tables of the Smart Data Models, as their own package carries them.

One entity a line, as key values or normalised NGSI-LD. The package's tables say which properties a model has,
of which type, with which values, and which of them are required. What is wrong is printed, one a line.
"""

import gzip
import importlib.util
import json
import pathlib
import sys

PACKAGE = pathlib.Path(importlib.util.find_spec("pysmartdatamodels").submodule_search_locations[0])
ASSETS = PACKAGE / "model-assets"
TYPES = {
    "string": str, "number": (int, float), "boolean": bool, "array": list, "object": dict, "integer": int,
}
# What every entity of NGSI-LD has.
OF_ALL = {"id", "type", "@context"}


def tables(model):
    with gzip.open(ASSETS / "smartdatamodels.json.gz") as file:
        rows = [row for row in json.load(file) if row.get("dataModel") == model]
    with open(ASSETS / "datamodels_metadata.json") as file:
        required = next(m["required"] for m in json.load(file) if m.get("dataModel") == model)
    assert rows and required, model
    return {row["property"]: row for row in reversed(rows)}, required


def plain(value):
    """The value of a property, whichever of the two forms it has."""
    if isinstance(value, dict) and value.get("type") in ("Property", "GeoProperty", "Relationship"):
        return value["object"] if value["type"] == "Relationship" else value["value"]
    return value


def faults(entity):
    rows, required = tables(entity["type"])
    for name in required:
        if name not in entity:
            yield f"{entity['type']}: {name} is required"
    for name, value in entity.items():
        if name in OF_ALL:
            continue
        row = rows.get(name)
        if row is None:
            yield f"{entity['type']}: there is no {name}"
            continue
        kind = value.get("type") if isinstance(value, dict) else None
        if kind in ("Property", "GeoProperty", "Relationship") and kind != row["typeNGSI"]:
            yield f"{name} is a {row['typeNGSI']}, not a {kind}"
        value = plain(value)
        if not isinstance(value, TYPES[row["type"]]):
            yield f"{name} is of type {row['type']}: {value!r}"
        if row.get("enum") and value not in row["enum"]:
            yield f"{name} has no value {value!r}"


for line in sys.stdin:
    for fault in faults(json.loads(line)):
        print(fault)
