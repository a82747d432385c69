// OpenAI's Node SDK against weir, changed in nothing but `baseURL` and `apiKey`.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { before, describe, test } from "node:test";

import OpenAI, { toFile } from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

import { all, baseURL, project, rejected } from "./project.mjs";

const messages = [{ role: "user", content: "Hello, weir" }];
const hello = { model: "acme/chat", messages };
const keyed = () => ({ headers: { "Idempotency-Key": randomUUID() } });

/** Counts the calls; loses the first `lost` answers after the server gave them. */
function counting(lost = 0) {
  const counter = async (...call) => {
    counter.calls += 1;
    const response = await fetch(...call);
    if (counter.calls > lost) return response;
    await response.text();
    throw new TypeError("the answer was lost");
  };
  counter.calls = 0;
  return counter;
}

let client;
before(async () => {
  client = (await project())();
});

describe("chat", () => {
  const textOf = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");

  test("whole", async () => {
    const answer = await client.chat.completions.create(hello);
    assert.match(answer.choices[0].message.content, /Hello, weir/);
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  });

  test("streamed", async () => {
    const whole = await client.chat.completions.create(hello);
    const chunks = await all(await client.chat.completions.create({ ...hello, stream: true }));
    assert.equal(textOf(chunks), whole.choices[0].message.content);
    assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
    assert.ok(chunks.every((chunk) => chunk.usage == null));
  });

  test("streamed with usage and cost", async () => {
    const ask = { ...hello, stream: true, stream_options: { include_usage: true } };
    const chunks = await all(await client.chat.completions.create(ask));
    const last = chunks.pop();
    assert.deepEqual(last.choices, []);
    assert.ok(chunks.every((chunk) => chunk.usage == null));
    const expected = (last.usage.prompt_tokens + last.usage.completion_tokens * 4) / 1e6;
    assert.ok(Math.abs(last.usage.cost - expected) <= 1e-6, `${last.usage.cost}, expected ${expected}`);
  });

  test("the stream helper", async () => {
    const final = await client.chat.completions.stream(hello).finalChatCompletion();
    assert.match(final.choices[0].message.content, /Hello, weir/);
  });

  test("tools", async () => {
    const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
    const tools = [{ type: "function", function: { name: "weather", parameters } }];
    const asked = await client.chat.completions.create({ ...hello, tools, tool_choice: "required" });
    const { message } = asked.choices[0];
    assert.equal(message.tool_calls[0].function.name, "weather");
    assert.ok("city" in JSON.parse(message.tool_calls[0].function.arguments));
    const result = { role: "tool", tool_call_id: message.tool_calls[0].id, content: "rain" };
    const told = await client.chat.completions.create({ ...hello, messages: [...messages, message, result], tools });
    assert.match(told.choices[0].message.content, /rain/);
  });

  test("structured output", async () => {
    const City = z.object({ name: z.string(), inhabitants: z.number() });
    const ask = { ...hello, response_format: zodResponseFormat(City, "city") };
    const answer = await client.chat.completions.parse(ask);
    assert.ok(City.safeParse(answer.choices[0].message.parsed).success);
  });
});

describe("the other endpoints", () => {
  test("embeddings", async () => {
    const ask = { model: "embedding", input: ["rain in spring", "a red bicycle"], dimensions: 8 };
    const decoded = await client.embeddings.create(ask); // The SDK asks for base64 and decodes it.
    const floats = await client.embeddings.create({ ...ask, encoding_format: "float" });
    assert.deepEqual(decoded.data.map((item) => item.index), [0, 1]);
    for (const [index, item] of floats.data.entries()) {
      item.embedding.forEach((value, at) => assert.ok(Math.abs(value - decoded.data[index].embedding[at]) < 1e-6));
    }
  });

  test("images", async () => {
    const answer = await client.images.generate({ model: "image", prompt: "a weir", n: 2 });
    assert.equal(answer.data.length, 2);
    assert.ok(answer.data.every((image) => Buffer.from(image.b64_json, "base64").subarray(1, 4).toString() === "PNG"));
  });

  test("speech", async () => {
    const spoken = await client.audio.speech.create({ model: "speech", input: "Hello", voice: "alloy", response_format: "wav" });
    assert.equal(spoken.headers.get("content-type"), "audio/wav");
    assert.equal(Buffer.from(await spoken.arrayBuffer()).subarray(0, 4).toString(), "RIFF");
  });

  test("image edits", async () => {
    const png = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==", "base64");
    const image = [await toFile(png, "river.png", { type: "image/png" }), await toFile(png, "stones.png", { type: "image/png" })];
    const answer = await client.images.edit({ model: "image", prompt: "a weir", n: 2, image });
    assert.equal(answer.data.length, 2);
    assert.ok(answer.usage.input_tokens_details.image_tokens > 0);
  });

  test("transcriptions", async () => {
    const file = () => toFile(Buffer.alloc(9_000, "sound"), "speech.mp3", { type: "audio/mpeg" });
    const heard = await client.audio.transcriptions.create({ model: "transcription", file: await file() });
    assert.deepEqual(heard.usage, { type: "duration", seconds: 3 });
    const text = await client.audio.transcriptions.create({ model: "transcription", file: await file(), response_format: "text" });
    assert.equal(text.trim(), heard.text);
    const verbose = await client.audio.transcriptions.create({
      model: "transcription", file: await file(), response_format: "verbose_json", timestamp_granularities: ["segment", "word"],
      chunking_strategy: { type: "server_vad", prefix_padding_ms: 300 },
    });
    assert.equal(verbose.segments[0].text, heard.text);
    const events = [];
    for await (const event of await client.audio.transcriptions.create({ model: "transcription", file: await file(), stream: true })) events.push(event);
    assert.equal(events.at(-1).type, "transcript.text.done");
    assert.equal((await client.audio.translations.create({ model: "transcription", file: await file() })).text, heard.text);
    await assert.rejects(
      client.audio.transcriptions.create({ model: "transcription", file: await toFile(Buffer.alloc(0), "speech.mp3") }),
      (error) => error.status === 400 && error.param === "file",
    );
  });

  test("models", async () => {
    const names = (await all(client.models.list())).map((model) => model.id);
    assert.ok(["acme/chat", "chat", "embedding"].every((name) => names.includes(name)));
    assert.equal((await client.models.retrieve("acme/chat")).id, "acme/chat");
  });

  test("moderations", async () => {
    const answer = await client.moderations.create({ input: "Hello" });
    assert.equal(answer.results[0].flagged, false);
  });

  test("legacy completions", async () => {
    const ask = { model: "acme/chat", prompt: "Once upon a time" };
    const answer = await client.completions.create(ask);
    assert.match(answer.choices[0].text, /Once upon a time/);
    const chunks = await all(await client.completions.create({ ...ask, stream: true }));
    assert.equal(chunks.map((chunk) => chunk.choices[0].text).join(""), answer.choices[0].text);
  });
});

describe("errors", () => {
  test("401", async () => {
    const stranger = new OpenAI({ baseURL, apiKey: "sk-weir-nobody-nothing" });
    const error = await rejected(stranger.chat.completions.create(hello), OpenAI.AuthenticationError);
    assert.equal(error.code, "invalid_api_key");
    assert.ok(error.requestID);
  });

  test("404", async () => {
    const error = await rejected(client.chat.completions.create({ ...hello, model: "nothing" }), OpenAI.NotFoundError);
    assert.deepEqual([error.code, error.param], ["model_not_found", "model"]);
    assert.equal((await rejected(client.get("/nothing"), OpenAI.NotFoundError)).code, "unknown_url");
  });

  test("400 names the parameter", async () => {
    for (const stream of [false, true]) {
      const ask = { model: "acme/chat", messages: [], stream };
      const error = await rejected(client.chat.completions.create(ask), OpenAI.BadRequestError);
      assert.equal(error.param, "messages");
      assert.equal(error.type, "invalid_request_error");
    }
  });

  test("429 on the rate limit", async () => {
    const limited = (await project({ requests: 1 }))({ maxRetries: 0 });
    await limited.chat.completions.create(hello);
    const error = await rejected(limited.chat.completions.create(hello), OpenAI.RateLimitError);
    assert.equal(error.code, "rate_limit_exceeded");
    assert.equal(error.headers.get("x-ratelimit-remaining-requests"), "0");
    assert.ok(Number(error.headers.get("retry-after")) > 0);
  });

  test("429 on the budget is not retried", async () => {
    const counter = counting();
    const poor = (await project({ cents: 1 }))({ fetch: counter, maxRetries: 5 });
    const error = await rejected(poor.chat.completions.create({ ...hello, model: "dear" }), OpenAI.RateLimitError);
    assert.equal(error.code, "budget_exceeded");
    assert.equal(counter.calls, 1);
    await poor.chat.completions.create(hello); // What the budget covers is still served.
  });

  test("422 when a key is used again for another request", async () => {
    const counter = counting();
    const careful = (await project())({ fetch: counter, maxRetries: 5 });
    const key = keyed();
    await careful.chat.completions.create(hello, key);
    const again = careful.chat.completions.create({ ...hello, n: 2 }, key);
    const error = await rejected(again, OpenAI.UnprocessableEntityError);
    assert.equal(error.code, "idempotency_key_reused");
    assert.equal(counter.calls, 2);
  });

  test("5xx of a provider", async () => {
    const ask = { ...hello, model: "broken" };
    const error = await rejected(client.chat.completions.create(ask, { maxRetries: 0 }), OpenAI.InternalServerError);
    assert.deepEqual([error.status, error.code], [503, "provider_unavailable"]);
  });
});

describe("safe to repeat", () => {
  const read = async (from, ask, options) => {
    const response = await from.chat.completions.create(ask, options).asResponse();
    return { text: await response.text(), replayed: response.headers.get("idempotent-replayed") };
  };

  for (const stream of [false, true]) {
    const kind = stream ? "streamed" : "whole";

    test(`replay, ${kind}`, async () => {
      const key = keyed();
      const first = await read(client, { ...hello, stream }, key);
      const again = await read(client, { ...hello, stream }, key);
      assert.deepEqual([first.replayed, again.replayed], [null, "true"]);
      assert.equal(again.text, first.text);
    });

    test(`twenty callers with one key, ${kind}`, async () => {
      const crowd = (await project())({ maxRetries: 0 });
      const key = keyed();
      const ask = { model: "slow", messages, stream };
      const answers = await Promise.all(Array.from({ length: 20 }, () => read(crowd, ask, key)));
      assert.equal(new Set(answers.map((answer) => answer.text)).size, 1);
      assert.equal(answers.filter((answer) => answer.replayed === "true").length, 19);
    });

    // The server answers, the answer is lost, the SDK tries again with `x-stainless-retry-count: 1`.
    test(`a retry of the SDK is the same request, ${kind}`, async () => {
      const counter = counting(1);
      const careful = (await project({ policy: { dedupe_retries: true } }))({ fetch: counter });
      const answer = await read(careful, { ...hello, stream });
      assert.deepEqual([counter.calls, answer.replayed], [2, "true"]);
      assert.match(answer.text, /Hello/);
    });
  }
});

test("headers", async () => {
  const limited = (await project({ requests: 1000 }))();
  const { data, response, request_id } = await limited.chat.completions.create(hello).withResponse();
  assert.match(request_id, /^req_/);
  assert.equal(data._request_id, response.headers.get("x-request-id"));
  assert.equal(response.headers.get("x-ratelimit-limit-requests"), "1000");
  assert.equal(response.headers.get("x-ratelimit-remaining-requests"), "999");
  assert.match(response.headers.get("x-ratelimit-reset-requests"), /s$/);
});
