"""Speaks to an Open311 endpoint as programs of others do, and prints what they made of it.

georeport reads: services, definitions and requests, as JSON and as XML. three writes: a report by form, one
with a photo, and the way from a token to a number. three is from the days of Python 2: the one name that
it misses is given to it. Whatever either of them cannot read ends this with an error.
"""

import io
import itertools
import json
import sys

itertools.ifilter = filter

from georeport import GeoReport  # noqa: E402
from three import Three  # noqa: E402

endpoint, lat, lon = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00 a photo of a bin"

city = Three(endpoint)
reader = GeoReport(endpoint)
in_xml = GeoReport(endpoint, output_format="xml")

services = reader.get_service_list()
assert [s["service_code"] for s in services] == [s["service_code"] for s in in_xml.get_service_list()]
for service in services:
    assert service["type"] in ("realtime", "batch", "blackbox"), service
    assert isinstance(service["metadata"], bool), service
    assert service["service_name"] and service["description"], service
overflow = next(s for s in services if s["metadata"])
definition = reader.get_service_definition(overflow["service_code"])
assert definition["service_code"] == overflow["service_code"]
assert definition["attributes"][0]["datatype"] == "string", definition
attributes = in_xml.get_service_definition(overflow["service_code"])["attributes"]
assert attributes["attribute"]["code"] == definition["attributes"][0]["code"]
assert city.discovery()["endpoints"][0]["url"].startswith("http")

where = {"lat": lat, "long": lon}
person = {"name": "San Zhang", "phone": "13800001111", "email": "san@example.org"}
by_form = city.post(overflow["service_code"], description="full <again> & again", **where, **person)
with_photo = city.post(overflow["service_code"], description="look", media=io.BytesIO(JPEG), **where)
numbers = [answer[0]["service_request_id"] for answer in (by_form, with_photo)]
assert city.token(numbers[0])[0]["service_request_id"] == numbers[0]

for number in numbers:
    shown, as_xml = reader.get_service_request(number), in_xml.get_service_request(number)
    assert shown["service_request_id"] == number
    assert shown["status"] in ("open", "closed") and shown["status_notes"]
    # XML knows texts only.
    assert {key: str(value) for key, value in shown.items()} == dict(as_xml), (shown, as_xml)
first = reader.get_service_request(numbers[0])
assert first["description"] == "full <again> & again", first
listed = reader.get_service_requests(status="open")
assert {r["service_request_id"] for r in listed} >= set(numbers), listed
assert len(in_xml.get_service_requests(service_request_id=",".join(numbers))) == 2
refused = city.post("no-such-service", **where)
assert refused[0]["code"] == 404 and refused[0]["description"], refused

print(json.dumps({"numbers": numbers, "services": len(services), "notes": first["status_notes"]}))
