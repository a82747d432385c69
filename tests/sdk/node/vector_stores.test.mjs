// Vector stores with OpenAI's Node SDK, changed in nothing but `baseURL` and `apiKey`.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";

import OpenAI, { toFile } from "openai";

import { project, rejected } from "./project.mjs";

let client;
before(async () => {
  client = (await project())();
});

describe("vector stores", () => {
  test("files are attached, searched and detached", async () => {
    const store = await client.vectorStores.create({ name: "Handbook" });
    const texts = { "cats.txt": "Cats hunt mice at night.", "taxes.txt": "The value added tax is nineteen percent." };
    for (const [name, text] of Object.entries(texts)) {
      const file = await client.vectorStores.files.uploadAndPoll(store.id, await toFile(Buffer.from(text), name));
      assert.equal(file.status, "completed");
    }
    const found = await client.vectorStores.search(store.id, { query: "When do cats hunt?" });
    assert.equal(found.data[0].filename, "cats.txt");
    assert.equal(found.data[0].content[0].text, texts["cats.txt"]);
    await client.vectorStores.files.delete(found.data[0].file_id, { vector_store_id: store.id });
    const left = await client.vectorStores.search(store.id, { query: "When do cats hunt?" });
    assert.ok(left.data.every((result) => result.filename === "taxes.txt"));
    assert.equal((await client.vectorStores.delete(store.id)).deleted, true);
    await rejected(client.vectorStores.retrieve(store.id), OpenAI.NotFoundError);
  });

  test("a store polls until its files are searched", async () => {
    const file = await client.files.create({ file: await toFile(Buffer.from("Dogs bark."), "dogs.md"), purpose: "assistants" });
    const store = await client.vectorStores.create({ name: "Dogs" });
    const attached = await client.vectorStores.files.createAndPoll(store.id, { file_id: file.id, attributes: { year: 2026 } });
    assert.deepEqual([attached.status, attached.attributes], ["completed", { year: 2026 }]);
    await rejected(client.vectorStores.search(store.id, { query: "" }), OpenAI.BadRequestError);
  });
});
