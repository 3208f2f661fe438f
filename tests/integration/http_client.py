"""HTTP for the tests: requests on kept connections, server-sent events, checks against a schema."""

import http.client
import json
import re
import socket
import urllib.parse


class Answer:
    """Status, headers (names in lower case), body, and the body as JSON."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def type(self):
        return self.headers.get("content-type", "").split(";")[0]

    def __repr__(self):
        return "%d %s" % (self.status, self.body.decode(errors="replace"))


class Http:
    """One kept connection to a server."""

    def __init__(self, server, port=None):
        self.connection = http.client.HTTPConnection("127.0.0.1", port or server.port, timeout=30)

    def __call__(self, method, path, body=None, headers=None):
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        self.connection.request(method, path, body, headers)
        return Answer(self.connection.getresponse())

    def begin(self, text):
        """Send the beginning of a request; returns what sends the rest, and gives the answer."""
        self.connection.connect()
        self.connection.sock.sendall(text)

        def finish(rest):
            self.connection.sock.sendall(rest)
            response = http.client.HTTPResponse(self.connection.sock)
            response.begin()
            return Answer(response)

        return finish

    def get(self, path, **headers):
        return self("GET", path, None, headers)

    def post(self, path, **members):
        return self("POST", path, members)

    def put(self, path, **members):
        return self("PUT", path, members)

    def delete(self, path, **query):
        return self("DELETE", path + "?" + urllib.parse.urlencode(query))

    def close(self):
        self.connection.close()


class Stream:
    """A stream of server-sent events."""

    def __init__(self, server, query="", last_id=None, limit_s=20, path="/v1/events"):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=limit_s)
        header = "" if last_id is None else "Last-Event-ID: %s\r\n" % last_id
        self.socket.sendall(
            ("GET %s%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n" % (path, query, header)).encode()
        )
        self.buffer = b""
        self.head = self._until(b"\r\n\r\n").decode()
        self.status = int(self.head.split()[1])
        self.last_id = None

    def _until(self, mark):
        while mark not in self.buffer:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError("the stream has ended")
            self.buffer += data
        part, self.buffer = self.buffer.split(mark, 1)
        return part

    def block(self):
        """The next block, of whatever kind: {field: value}; "" is the comment."""
        fields = {}
        for line in self._until(b"\n\n").decode().split("\n"):
            name, _, value = line.partition(":")
            fields[name] = value[1:] if value.startswith(" ") else value
        self.last_id = fields.get("id", self.last_id)
        return fields

    def event(self):
        """The next event: kind and data."""
        while True:
            fields = self.block()
            if "event" in fields:
                return fields["event"], json.loads(fields["data"])

    def close(self):
        self.socket.close()


def exchange(server, data, limit_s=10):
    """Send bytes, read until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=limit_s) as connection:
        connection.sendall(data)
        return read_all(connection)


def read_all(connection):
    out = b""
    try:
        while True:
            data = connection.recv(65536)
            if not data:
                return out
            out += data
    except ConnectionResetError:
        return out


TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
}

KNOWN = {
    "type", "enum", "const", "properties", "required", "additionalProperties", "items",
    "minItems", "maxItems", "minimum", "maximum", "minLength", "maxLength", "pattern",
    "oneOf", "$ref", "description",
}


def faults(document, schema, value, place="$"):
    """What is wrong with `value`: a list of texts.  A keyword that is not known is a fault too."""
    if "$ref" in schema:
        node = document
        for part in schema["$ref"].split("/")[1:]:
            node = node[part]
        return faults(document, node, value, place)
    found = ["%s: unknown keyword %s" % (place, key) for key in schema if key not in KNOWN]
    if "oneOf" in schema:
        fits = [s for s in schema["oneOf"] if not faults(document, s, value, place)]
        if len(fits) != 1:
            found.append("%s: %r fits %d of oneOf" % (place, value, len(fits)))
    types = schema.get("type")
    if types is not None:
        types = [types] if isinstance(types, str) else types
        if not any(TYPES[name](value) for name in types):
            return found + ["%s: %r is no %s" % (place, value, "/".join(types))]
    if "enum" in schema and value not in schema["enum"]:
        found.append("%s: %r is not one of %r" % (place, value, schema["enum"]))
    if "const" in schema and value != schema["const"]:
        found.append("%s: %r is not %r" % (place, value, schema["const"]))
    if isinstance(value, int) and not isinstance(value, bool):
        if value < schema.get("minimum", value) or value > schema.get("maximum", value):
            found.append("%s: %r is out of range" % (place, value))
    if isinstance(value, str):
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
            found.append("%s: %r has a wrong length" % (place, value))
        if "pattern" in schema and not re.search(schema["pattern"], value):
            found.append("%s: %r does not match" % (place, value))
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            found.append("%s: %d items" % (place, len(value)))
        for index, item in enumerate(value):
            if "items" in schema:
                found += faults(document, schema["items"], item, "%s[%d]" % (place, index))
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        missing = [key for key in schema.get("required", ()) if key not in value]
        found += ["%s: %s is missing" % (place, key) for key in missing]
        for key, item in value.items():
            if key in properties:
                found += faults(document, properties[key], item, "%s.%s" % (place, key))
            elif schema.get("additionalProperties", True) is False:
                found.append("%s: %s is not documented" % (place, key))
    return found
