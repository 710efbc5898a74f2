// One signed request, as any JavaScript program would make it: aws4 over Node's own http module.
// Standard input: {"endpoint", "method", "path", "query": {}, "headers": {}, "body"}; credentials are in the environment.
// Standard output: {"status", "headers", "body"}.

"use strict";

const http = require("http");
const aws4 = require("aws4");

const asked = JSON.parse(require("fs").readFileSync(0, "utf8"));
const { hostname, port, host } = new URL(asked.endpoint);
const query = Object.entries(asked.query)
  .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
  .join("&");

const request = aws4.sign(
  {
    method: asked.method,
    hostname,
    port,
    path: query ? `${asked.path}?${query}` : asked.path,
    headers: { Host: host, ...asked.headers },
    body: asked.body || undefined,
    service: "execute-api",
    region: process.env.AWS_REGION,
  },
  {
    accessKeyId: process.env.AWS_ACCESS_KEY_ID,
    secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY,
    sessionToken: process.env.AWS_SESSION_TOKEN,
  },
);

http
  .request(request, (answer) => {
    const parts = [];
    answer.on("data", (part) => parts.push(part));
    answer.on("end", () => {
      const body = Buffer.concat(parts).toString("utf8");
      process.stdout.write(JSON.stringify({ status: answer.statusCode, headers: answer.headers, body }));
    });
  })
  .end(request.body);
