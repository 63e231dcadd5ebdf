"""Signs commands with PyJWT, as somebody would who has never seen our program: KEY, then one JSON a line."""

import json
import sys

import jwt

key = sys.argv[1]
for line in sys.stdin:
    print(jwt.encode(json.loads(line), key, algorithm="HS256"))
