// Batches with OpenAI's Node SDK, changed in nothing but `baseURL` and `apiKey`.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";

import OpenAI, { toFile } from "openai";

import { project, rejected } from "./project.mjs";

let client;
before(async () => {
  client = (await project())();
});

const line = (custom_id, url, body) => JSON.stringify({ custom_id, method: "POST", url, body });

async function run(endpoint, lines) {
  const file = await client.files.create({ file: await toFile(Buffer.from(lines.join("\n")), "in.jsonl"), purpose: "batch" });
  let batch = await client.batches.create({ input_file_id: file.id, endpoint, completion_window: "24h" });
  while (!["completed", "failed", "expired", "cancelled"].includes(batch.status)) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    batch = await client.batches.retrieve(batch.id);
  }
  return batch;
}

async function rows(...fileIds) {
  const texts = await Promise.all(fileIds.filter(Boolean).map(async (id) => (await client.files.content(id)).text()));
  return texts.flatMap((text) => text.trimEnd().split("\n").map((row) => JSON.parse(row)));
}

describe("batches", () => {
  test("a thousand lines have one result each", async () => {
    const ids = Array.from({ length: 1_000 }, (_, n) => `line-${n}`);
    const messages = [{ role: "user", content: "Hello" }];
    const body = { model: "shaky", messages, max_tokens: 20 };
    const batch = await run("/v1/chat/completions", ids.map((id) => line(id, "/v1/chat/completions", body)));
    assert.equal(batch.status, "completed");
    assert.equal(batch.request_counts.total, 1_000);
    const found = (await rows(batch.output_file_id, batch.error_file_id)).map((row) => row.custom_id);
    assert.deepEqual(found.sort(), ids.sort());
  });

  test("responses and embeddings run too", async () => {
    const responses = await run("/v1/responses", [line("a", "/v1/responses", { model: "acme/chat", input: "Hello" })]);
    const [response] = await rows(responses.output_file_id);
    assert.equal(response.response.body.status, "completed");
    const embeddings = await run("/v1/embeddings", [line("a", "/v1/embeddings", { model: "embedding", input: "Hello" })]);
    const [embedding] = await rows(embeddings.output_file_id);
    assert.equal(embedding.response.body.data[0].object, "embedding");
  });

  test("a batch that is not there is not found", async () => {
    await rejected(client.batches.retrieve("batch_none"), OpenAI.NotFoundError);
  });
});
