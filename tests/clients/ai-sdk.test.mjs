// The AI SDK with its defaults: responses are stored, and each turn names what the model said before by its id.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { baseURL, key, mark } from "./support.mjs";

const weather = tool({
  description: "The weather of a city",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `warm in ${city}`,
});

const clients = {
  responses: async (model) => createOpenAI({ baseURL, apiKey: await key() })(model),
  chat: async (model) => createOpenAI({ baseURL, apiKey: await key() }).chat(model),
  messages: async (model) => createAnthropic({ baseURL, apiKey: await key() })(model),
};

for (const [api, client] of Object.entries(clients)) {
  for (const model of ["over-chat", "over-messages", "over-gemini"]) {
    describe(`${api} ${model}`, () => {
      test("three turns", async () => {
        const { word, asked } = mark();
        const languageModel = await client(model);
        const messages = [];
        for (const text of [`play answer ${word}`, "play answer again", "and play answer once more"]) {
          messages.push({ role: "user", content: text });
          const { text: said, response } = await generateText({ model: languageModel, messages, maxRetries: 0 });
          assert.equal(said, "All done.");
          messages.push(...response.messages);
        }
        const { messages: sent, contents } = asked().at(-1).body;
        const roles = (sent ?? contents).map(({ role }) => role.replace("model", "assistant")).filter((role) => role !== "system");
        assert.deepEqual(roles, ["user", "assistant", "user", "assistant", "user"]);
      });

      if (api === "responses") {
        test("an uploaded file is named by its id", async () => {
          const { word, asked } = mark();
          const apiKey = await key();
          const form = new FormData();
          form.set("purpose", "user_data");
          form.set("file", new Blob(["%PDF-1.4\n\u00ff"]), "report.pdf");
          const sent = await fetch(`${baseURL}/files`, { method: "POST", headers: { authorization: `Bearer ${apiKey}` }, body: form });
          const { id } = await sent.json();
          const openai = createOpenAI({ baseURL, apiKey });
          const file = { type: "file", mediaType: "application/pdf", data: id };
          const messages = [{ role: "user", content: [file, { type: "text", text: `play answer ${word}` }] }];
          const { text } = await generateText({ model: openai(model), messages, maxRetries: 0 });
          assert.equal(text, "All done.");
          const [request] = asked();
          assert.ok(JSON.stringify(request.body).includes("JVBERi0xLjQ"), "the provider gets the content");
          assert.ok(!JSON.stringify(request.body).includes(id), "and not the id");
        });
      }

      test("a tool loop, streamed, then another turn", async () => {
        const { word, asked } = mark();
        const languageModel = await client(model);
        const messages = [{ role: "user", content: `play weather ${word}` }];
        const stream = streamText({ model: languageModel, messages, tools: { weather }, stopWhen: stepCountIs(4), maxRetries: 0 });
        const parts = [];
        for await (const part of stream.fullStream) parts.push(part);
        assert.deepEqual(parts.filter((part) => part.type === "error"), []);
        assert.equal(parts.find((part) => part.type === "tool-result").output, "warm in Rome");
        assert.equal(await stream.text, "It is warm in Rome.");
        // The AI SDK keeps no reasoning of chat completions.
        if (model !== "over-chat" && api !== "chat") {
          assert.ok(JSON.stringify(asked()[1].body).includes('"c2lnbmF0dXJl"'), "the signature comes back to its model");
        }
        messages.push(...(await stream.response).messages, { role: "user", content: "play answer" });
        const { text } = await generateText({ model: languageModel, messages, tools: { weather }, maxRetries: 0 });
        assert.equal(text, "All done.");
      });
    });
  }
}
