"""Requests that no server may accept, by what is wrong with them: data for the listener's tests and the server's.

Each must be answered 400, once, and the connection closed. ``BAD_HEADS`` are refused before anybody is asked for
credentials; ``BAD_CHUNKS`` only once the request was admitted.
"""

from __future__ import annotations

from support.raw_http import request

POST = "POST /echo HTTP/1.1"
_H = "Host: localhost"

BAD_FRAMING: dict[str, bytes] = {
    "length and chunked": request(POST, "Content-Length: 3", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "chunked and length": request(POST, "Transfer-Encoding: chunked", "Content-Length: 3", body=b"0\r\n\r\n"),
    "two lengths": request(POST, "Content-Length: 3", "Content-Length: 4", body=b"abcd"),
    "the same length twice": request(POST, "Content-Length: 3", "Content-Length: 3", body=b"abc"),
    "a signed length": request(POST, "Content-Length: +1", body=b"a"),
    "a negative length": request(POST, "Content-Length: -1"),
    "an empty length": request(POST, "Content-Length: "),
    "a list of lengths": request(POST, "Content-Length: 1,1", body=b"a"),
    "a hexadecimal length": request(POST, "Content-Length: 0x10", body=b"a" * 16),
    "a length with a space inside": request(POST, "Content-Length: 1 0", body=b"a"),
    "a length with an underscore": request(POST, "Content-Length: 1_0", body=b"a" * 10),
    "a length in other digits": request(POST, "Content-Length: \xb2", body=b"aa"),
    "a length past 64 bits": request(POST, "Content-Length: 18446744073709551617", body=b"a"),
    "chunked in HTTP/1.0": request("POST /echo HTTP/1.0", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "an unknown coding": request(POST, "Transfer-Encoding: gzip", body=b"0\r\n\r\n"),
    "two codings": request(POST, "Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "chunked twice in one field": request(POST, "Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "chunked in two fields": request(
        POST, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"
    ),
    "chunked in capitals": request(POST, "Transfer-Encoding: Chunked", body=b"0\r\n\r\n"),
    "chunked with a parameter": request(POST, "Transfer-Encoding: chunked;q=1", body=b"0\r\n\r\n"),
    "the identity coding": request(POST, "Transfer-Encoding: identity", body=b"0\r\n\r\n"),
    "an empty coding": request(POST, "Transfer-Encoding: ", body=b"0\r\n\r\n"),
}

BAD_HEADERS: dict[str, bytes] = {
    "obs-fold": request(POST, "X-A: b\r\n c"),
    "obs-fold by a tab": request(POST, "X-A: b\r\n\tc"),
    "obs-fold behind the request line": request(POST, " X-A: b"),
    "NUL in a value": request(POST, "X-A: b\0c"),
    "NUL in a name": request(POST, "X-\0A: b"),
    "a control in a value": request(POST, "X-A: b\x01c"),
    "DEL in a value": request(POST, "X-A: b\x7fc"),
    "bare LF behind a header": request(POST, "X-A: b\nX-C: d"),
    "bare LF behind the request line": request(POST).replace(b"\r\n", b"\n", 1),
    "bare LF everywhere": request(POST).replace(b"\r\n", b"\n"),
    "bare LF as the blank line": request(POST)[:-2] + b"\n",
    "bare CR in a value": request(POST, "X-A: b\rX-C: d"),
    "bare CR behind the request line": request(POST).replace(b"\r\n", b"\r", 1),
    "no Host": request(POST, host=None),
    "no Host in HTTP/1.0": request("POST /echo HTTP/1.0", host=None),
    "two Hosts": request(POST, "Host: other"),
    "the same Host twice": request(POST, _H),
    "a space before the colon": request(POST, "X-A : b"),
    "a tab before the colon": request(POST, "X-A\t: b"),
    "a space in a name": request(POST, "X A: b"),
    "a bracket in a name": request(POST, "X(A): b"),
    "a non-ASCII name": request(POST, "X-\xc3\xa4: b"),
    "an empty name": request(POST, ": b"),
    "no colon": request(POST, "X-A"),
    "a blank line first": b"\r\n" + request(POST),
}

BAD_REQUEST_LINES: dict[str, bytes] = {
    "absolute-form": request("GET http://localhost/echo HTTP/1.1"),
    "authority-form": request("CONNECT localhost:80 HTTP/1.1"),
    "asterisk-form": request("OPTIONS * HTTP/1.1"),
    "a fragment": request("GET /echo#part HTTP/1.1"),
    "a fragment in the query": request("GET /echo?a=b#part HTTP/1.1"),
    "an empty target": request("GET  HTTP/1.1"),
    "a relative target": request("GET echo HTTP/1.1"),
    "a query without a path": request("GET ?a=b HTTP/1.1"),
    "two spaces": request("GET  /echo HTTP/1.1"),
    "a tab for a space": request("GET\t/echo HTTP/1.1"),
    "a space at the end": request("GET /echo HTTP/1.1 "),
    "a space in front": request(" GET /echo HTTP/1.1"),
    "a space in the target": request("GET /echo a HTTP/1.1"),
    "a control in the target": request("GET /ec\x01ho HTTP/1.1"),
    "NUL in the target": request("GET /ec\0ho HTTP/1.1"),
    "DEL in the query": request("GET /echo?a=\x7f HTTP/1.1"),
    "non-ASCII in the path": request("GET /\xc3\xa9 HTTP/1.1"),
    "non-ASCII in the query": request("GET /echo?q=\xc3\xa9 HTTP/1.1"),
    "a lower-case method": request("get /echo HTTP/1.1"),
    "a mixed-case method": request("Get /echo HTTP/1.1"),
    "an unknown method": request("FETCH /echo HTTP/1.1"),
    "an empty method": request(" /echo HTTP/1.1"),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /echo\r\n\r\n",
    "HTTP/1.2": request("GET /echo HTTP/1.2"),
    "HTTP/2.0": request("GET /echo HTTP/2.0"),
    "HTTP/1.01": request("GET /echo HTTP/1.01"),
    "http in small letters": request("GET /echo http/1.1"),
    "another protocol": request("GET /echo RTSP/1.0"),
    "no version": request("GET /echo"),
    "TLS to a plain port": bytes.fromhex("16030100f4010000f00303") + b"\r\n\r\n",
    "an empty line only": b"\r\n\r\n",
}

BAD_PATHS: dict[str, bytes] = {
    path: request(f"GET {path} HTTP/1.1")
    for path in (
        "//", "//echo", "/echo//", "/a//b", "/.", "/..", "/./echo", "/../echo", "/a/./b", "/a/../echo", "/a/..",
        "/..?a", "/a%2fb", "/a%2Fb", "/a\\b", "/a%5cb", "/a%5Cb", "/a%00b", "/%", "/%4", "/%zz", "/a%", "/<a>", "/{a}",
        '/"', "/^", "/`", "/a|b", "/[a]",
    )
}  # fmt: skip

BAD_CHUNKS: dict[str, bytes] = {
    name: request(POST, "Transfer-Encoding: chunked", body=body)
    for name, body in {
        "an extension": b"3;a=b\r\nabc\r\n0\r\n\r\n",
        "an extension at the end": b"3\r\nabc\r\n0;a\r\n\r\n",
        "a trailer": b"3\r\nabc\r\n0\r\nX-A: b\r\n\r\n",
        "no size": b"\r\nabc\r\n0\r\n\r\n",
        "a size that is no number": b"x\r\nabc\r\n0\r\n\r\n",
        "a signed size": b"+3\r\nabc\r\n0\r\n\r\n",
        "a negative size": b"-3\r\nabc\r\n0\r\n\r\n",
        "a size with 0x": b"0x3\r\nabc\r\n0\r\n\r\n",
        "a size with an underscore": b"0_3\r\nabc\r\n0\r\n\r\n",
        "a size of nine digits": b"000000003\r\nabc\r\n0\r\n\r\n",
        "a size of 64 bits and one": b"10000000000000003\r\nabc\r\n0\r\n\r\n",
        "a space before the size": b" 3\r\nabc\r\n0\r\n\r\n",
        "a space behind the size": b"3 \r\nabc\r\n0\r\n\r\n",
        "a size ended by LF": b"3\nabc\r\n0\r\n\r\n",
        "a size ended by CR": b"3\rabc\r\n0\r\n\r\n",
        "a chunk longer than its size": b"3\r\nabcd\r\n0\r\n\r\n",
        "a chunk shorter than its size": b"4\r\nabc\r\n0\r\n\r\n",
        "a chunk ended by LF": b"3\r\nabc\n0\r\n\r\n",
        "an end without its blank line": b"3\r\nabc\r\n0\r\nGET / HTTP/1.1\r\n\r\n",
        "an end by LF": b"3\r\nabc\r\n0\n\n",
    }.items()
}

BAD_HEADS: dict[str, bytes] = BAD_FRAMING | BAD_HEADERS | BAD_REQUEST_LINES | BAD_PATHS
