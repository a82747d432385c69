// Webhooks as a receiver with OpenAI's Node SDK gets them.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";

import { project } from "./project.mjs";

test("unwrap", async () => {
  const client = (await project())();
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    response.end();
    server.emit("told", Buffer.concat(chunks).toString(), request.headers);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  try {
    const url = `http://127.0.0.1:${server.address().port}/hook`;
    const endpoint = await client.webhooks.create({ name: "Orders", url, event_types: ["response.completed"] });
    const told = once(server, "told");
    const made = await client.responses.create({ model: "acme/chat", input: "Hello", background: true });
    const [text, headers] = await told;
    const event = await client.webhooks.unwrap(text, headers, endpoint.signing_secret);
    assert.deepEqual([event.object, event.type, event.data.id], ["event", "response.completed", made.id]);
    await assert.rejects(client.webhooks.unwrap(`${text} `, headers, endpoint.secret));
  } finally {
    server.close();
  }
});
