// Responses and conversations with OpenAI's Node SDK, changed in nothing but `baseURL` and `apiKey`.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

import { all, project, rejected } from "./project.mjs";

const model = "acme/chat";
const hello = { model, input: "Hello, weir" };
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = [{ type: "function", name: "weather", parameters, strict: false }];
const numbers = (events) => events.map((event) => event.sequence_number);
/** What the server sent, without what the SDK adds. */
const sent = ({ output_text, _request_id, ...rest }) => JSON.parse(JSON.stringify(rest));

async function untilEnded(response) {
  for (let n = 0; n < 200 && ["queued", "in_progress"].includes(response.status); n += 1) {
    await sleep(100);
    response = await client.responses.retrieve(response.id);
  }
  return response;
}

let client;
before(async () => {
  client = (await project())();
});

describe("responses", () => {
  test("whole", async () => {
    const made = await client.responses.create({ ...hello, metadata: { order: "17" } });
    assert.equal(made.status, "completed");
    assert.match(made.output_text, /Hello, weir/);
    assert.deepEqual(made.metadata, { order: "17" });
    assert.equal(made.usage.total_tokens, made.usage.input_tokens + made.usage.output_tokens);
  });

  test("streamed", async () => {
    const events = await all(await client.responses.create({ ...hello, stream: true }));
    assert.deepEqual(numbers(events), [...events.keys()]);
    const text = events.map((event) => (event.type === "response.output_text.delta" ? event.delta : "")).join("");
    const last = events.at(-1);
    assert.equal(last.type, "response.completed");
    assert.equal(last.response.output[0].content[0].text, text);
    assert.deepEqual(sent(await client.responses.retrieve(last.response.id)), sent(last.response));
  });

  test("the stream helper", async () => {
    const stream = client.responses.stream(hello);
    const deltas = [];
    stream.on("response.output_text.delta", (event) => deltas.push(event.delta));
    const final = await stream.finalResponse();
    assert.equal(deltas.join(""), final.output_text);
  });

  test("structured output", async () => {
    const City = z.object({ name: z.string(), inhabitants: z.number() });
    const made = await client.responses.parse({ ...hello, text: { format: zodTextFormat(City, "city") } });
    assert.ok(City.safeParse(made.output_parsed).success);
  });

  test("tools", async () => {
    const asked = await client.responses.create({ ...hello, tools, tool_choice: "required" });
    const [call] = asked.output;
    assert.equal(call.name, "weather");
    assert.ok("city" in JSON.parse(call.arguments));
    const output = [{ type: "function_call_output", call_id: call.call_id, output: "rain" }];
    const told = await client.responses.create({ model, tools, input: output, previous_response_id: asked.id });
    assert.match(told.output_text, /rain/);
  });

  test("chaining", async () => {
    const first = await client.responses.create(hello);
    const second = await client.responses.create({ ...hello, previous_response_id: first.id });
    assert.equal(second.previous_response_id, first.id);
    assert.ok(second.usage.input_tokens > first.usage.input_tokens);
    const lost = client.responses.create({ ...hello, previous_response_id: "resp_none" });
    assert.equal((await rejected(lost, OpenAI.BadRequestError)).code, "previous_response_not_found");
  });

  test("input items", async () => {
    const input = ["one", "two", "three"].map((content) => ({ role: "user", content }));
    const made = await client.responses.create({ model, input });
    const items = await all(client.responses.inputItems.list(made.id, { limit: 2 }));
    assert.deepEqual(items.map((item) => item.content[0].text), ["three", "two", "one"]);
  });

  test("retrieve and delete", async () => {
    const made = await client.responses.create(hello);
    assert.deepEqual(sent(await client.responses.retrieve(made.id)), sent(made));
    const stranger = (await project())();
    await rejected(stranger.responses.retrieve(made.id), OpenAI.NotFoundError);
    await client.responses.delete(made.id);
    assert.equal((await rejected(client.responses.retrieve(made.id), OpenAI.NotFoundError)).code, "not_found");
  });

  test("input tokens", async () => {
    const counted = await client.responses.inputTokens.count(hello);
    assert.equal(counted.object, "response.input_tokens");
    assert.ok(counted.input_tokens > 0);
  });

  test("a stream again", async () => {
    const events = await all(await client.responses.create({ ...hello, stream: true }));
    const { id } = events[0].response;
    assert.deepEqual(await all(await client.responses.retrieve(id, { stream: true })), events);
    const rest = await all(await client.responses.retrieve(id, { stream: true, starting_after: 3 }));
    assert.deepEqual(rest, events.slice(4));
  });

  test("errors", async () => {
    const unknown = client.responses.create({ ...hello, model: "nothing" });
    assert.equal((await rejected(unknown, OpenAI.NotFoundError)).code, "model_not_found");
    for (const stream of [false, true]) {
      const search = client.responses.create({ ...hello, tools: [{ type: "file_search" }], stream });
      assert.equal((await rejected(search, OpenAI.BadRequestError)).param, "tools[0].type");
      const broken = client.responses.create({ ...hello, model: "broken", stream }, { maxRetries: 0 });
      assert.equal((await rejected(broken, OpenAI.InternalServerError)).code, "provider_unavailable");
    }
  });

  for (const stream of [false, true]) {
    test(`replay, ${stream ? "streamed" : "whole"}`, async () => {
      const key = { headers: { "Idempotency-Key": randomUUID() } };
      const read = async () => {
        const response = await client.responses.create({ ...hello, stream }, key).asResponse();
        return { text: await response.text(), replayed: response.headers.get("idempotent-replayed") };
      };
      const [first, again] = [await read(), await read()];
      assert.deepEqual([first.replayed, again.replayed], [null, "true"]);
      assert.equal(again.text, first.text);
    });
  }
});

describe("in the background", () => {
  const slow = { ...hello, model: "slow", background: true };

  test("polled", async () => {
    const queued = await client.responses.create(slow);
    assert.equal(queued.status, "queued");
    const made = await untilEnded(queued);
    assert.equal(made.status, "completed");
    assert.match(made.output_text, /Hello, weir/);
  });

  test("a stream is resumed where it was dropped", async () => {
    const begun = [];
    for await (const event of await client.responses.create({ ...slow, stream: true })) {
      begun.push(event);
      if (begun.length === 10) break;
    }
    const { id } = begun[0].response;
    const after = { stream: true, starting_after: begun.at(-1).sequence_number };
    const events = [...begun, ...(await all(await client.responses.retrieve(id, after)))];
    assert.deepEqual(numbers(events), [...events.keys()]);
    assert.equal(events.at(-1).type, "response.completed");
    assert.deepEqual(await all(await client.responses.retrieve(id, { stream: true })), events);
  });

  test("cancelled", async () => {
    const queued = await client.responses.create({ ...slow, input: "word ".repeat(200) });
    assert.equal((await client.responses.cancel(queued.id)).status, "cancelled");
    assert.equal((await client.responses.retrieve(queued.id)).status, "cancelled");
  });
});

describe("conversations", () => {
  const message = (content) => ({ type: "message", role: "user", content });
  const textsOf = async ({ id }) => {
    const items = await all(client.conversations.items.list(id, { order: "asc", limit: 2 }));
    return items.map((item) => item.content[0].text);
  };

  test("made, changed and deleted", async () => {
    const made = await client.conversations.create({ metadata: { topic: "demo" }, items: [message("Be brief.")] });
    assert.deepEqual(sent(await client.conversations.retrieve(made.id)), sent(made));
    const changed = await client.conversations.update(made.id, { metadata: { topic: "other" } });
    assert.deepEqual(changed.metadata, { topic: "other" });
    assert.equal((await client.conversations.delete(made.id)).object, "conversation.deleted");
    await rejected(client.conversations.retrieve(made.id), OpenAI.NotFoundError);
  });

  test("items", async () => {
    const conversation = await client.conversations.create();
    const items = ["one", "two", "three"].map(message);
    const added = await client.conversations.items.create(conversation.id, { items });
    assert.deepEqual(await textsOf(conversation), ["one", "two", "three"]);
    const of = { conversation_id: conversation.id };
    assert.deepEqual(sent(await client.conversations.items.retrieve(added.data[1].id, of)), sent(added.data[1]));
    assert.equal((await client.conversations.items.delete(added.data[1].id, of)).id, conversation.id);
    assert.deepEqual(await textsOf(conversation), ["one", "three"]);
  });

  test("responses add their turns", async () => {
    const conversation = await client.conversations.create();
    const one = await client.responses.create({ ...hello, input: "One", conversation: conversation.id });
    const ask = { ...hello, input: "Two", conversation: conversation.id, stream: true };
    const two = (await all(await client.responses.create(ask))).at(-1).response;
    assert.deepEqual(await textsOf(conversation), ["One", one.output_text, "Two", two.output[0].content[0].text]);
  });
});
