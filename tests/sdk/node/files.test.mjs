// Files with OpenAI's Node SDK, changed in nothing but `baseURL` and `apiKey`.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";

import OpenAI, { toFile } from "openai";

import { project, rejected } from "./project.mjs";

let client;
before(async () => {
  client = (await project())();
});

describe("files", () => {
  test("a file is read and deleted", async () => {
    const content = Buffer.from(Array.from({ length: 20_000 }, (_, n) => n % 256));
    const made = await client.files.create({ file: await toFile(content, "bytes.bin"), purpose: "user_data" });
    assert.equal(made.bytes, content.length);
    assert.equal(made.filename, "bytes.bin");
    assert.deepEqual(Buffer.from(await (await client.files.content(made.id)).arrayBuffer()), content);
    assert.equal((await client.files.delete(made.id)).deleted, true);
    await rejected(client.files.retrieve(made.id), OpenAI.NotFoundError);
  });

  test("a response and a chat name an uploaded image", async () => {
    const image = await toFile(Buffer.from("89504e470d0a1a0a", "hex"), "photo.png");
    const { id } = await client.files.create({ file: image, purpose: "vision" });
    const parts = [{ type: "input_image", file_id: id, detail: "low" }, { type: "input_text", text: "What is it?" }];
    const response = await client.responses.create({ model: "acme/chat", input: [{ role: "user", content: parts }] });
    assert.equal(response.status, "completed");
    const content = [{ type: "file", file: { file_id: id } }, { type: "text", text: "What is it?" }];
    const chat = await client.chat.completions.create({ model: "acme/chat", messages: [{ role: "user", content }] });
    assert.ok(chat.choices[0].message.content);
    await client.files.delete(id);
    const gone = client.responses.create({ model: "acme/chat", input: [{ role: "user", content: parts }] });
    await rejected(gone, OpenAI.BadRequestError);
  });

  test("files of batches expire, and lists have pages", async () => {
    const made = [];
    for (const custom_id of ["a", "b", "c"]) {
      const file = await toFile(Buffer.from(JSON.stringify({ custom_id })), "requests.jsonl");
      made.push(await client.files.create({ file, purpose: "batch", expires_after: { anchor: "created_at", seconds: 3600 } }));
    }
    assert.equal(made[0].expires_at, made[0].created_at + 3600);
    const listed = [];
    for await (const file of client.files.list({ purpose: "batch", limit: 2, order: "asc" })) listed.push(file.id);
    assert.deepEqual(listed, made.map((file) => file.id));
  });
});
