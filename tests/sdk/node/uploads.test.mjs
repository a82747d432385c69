// Uploads in parts with OpenAI's Node SDK, changed in nothing but `baseURL` and `apiKey`.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { before, describe, test } from "node:test";

import OpenAI, { toFile } from "openai";

import { project, rejected } from "./project.mjs";

let client;
before(async () => {
  client = (await project())();
});

describe("uploads", () => {
  test("a file of 20 MB goes up in parts, several at once", async () => {
    const content = Buffer.alloc(20 * 1024 * 1024, "so much to send ");
    const size = 4 * 1024 * 1024;
    const upload = await client.uploads.create({
      filename: "large.txt",
      purpose: "user_data",
      bytes: content.length,
      mime_type: "text/plain",
    });
    const parts = [];
    for (let at = 0; at < content.length; at += size) {
      const data = await toFile(content.subarray(at, at + size), "part");
      parts.push(client.uploads.parts.create(upload.id, { data }));
    }
    const part_ids = (await Promise.all(parts)).map((part) => part.id);
    const md5 = createHash("md5").update(content).digest("hex");
    const done = await client.uploads.complete(upload.id, { part_ids, md5 });
    assert.equal(done.status, "completed");
    assert.deepEqual(Buffer.from(await (await client.files.content(done.file.id)).arrayBuffer()), content);
    await client.files.delete(done.file.id);
  });

  test("an upload with a part missing is refused and goes on", async () => {
    const details = { filename: "a.txt", purpose: "user_data", bytes: 5, mime_type: "text/plain" };
    const upload = await client.uploads.create(details);
    await rejected(client.uploads.complete(upload.id, { part_ids: [] }), OpenAI.BadRequestError);
    const part = await client.uploads.parts.create(upload.id, { data: await toFile(Buffer.from("Hello"), "part") });
    assert.equal((await client.uploads.complete(upload.id, { part_ids: [part.id] })).file.bytes, 5);
    await rejected(client.uploads.cancel(upload.id), OpenAI.BadRequestError);
  });
});
