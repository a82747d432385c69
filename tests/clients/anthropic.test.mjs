// Anthropic's SDK with its defaults, over providers with its API, with OpenAI's and with Gemini's.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { key, origin, project } from "./support.mjs";

const client = async (options = {}) => new Anthropic({ baseURL: origin, apiKey: await key(), ...options });
const hello = { max_tokens: 100, messages: [{ role: "user", content: "play answer" }] };
const weather = { name: "weather", description: "The weather", input_schema: { type: "object", properties: { city: { type: "string" } } } };

for (const model of ["over-chat", "over-messages", "over-gemini"]) {
  describe(`anthropic ${model}`, () => {
    test("a message, whole and streamed", async () => {
      const anthropic = await client();
      const whole = await anthropic.messages.create({ ...hello, model });
      assert.deepEqual([whole.content[0].text, whole.stop_reason], ["All done.", "end_turn"]);
      const { input_tokens, output_tokens } = whole.usage;
      assert.deepEqual([input_tokens, output_tokens], [10, 5]);
      const streamed = await anthropic.messages.stream({ ...hello, model }).finalMessage();
      assert.deepEqual([streamed.content[0].text, streamed.usage.output_tokens], ["All done.", 5]);
    });

    test("a tool loop", async () => {
      const anthropic = await client();
      const messages = [{ role: "user", content: "play weather" }];
      const first = await anthropic.messages.stream({ model, max_tokens: 100, messages, tools: [weather] }).finalMessage();
      const call = first.content.find((block) => block.type === "tool_use");
      assert.deepEqual([first.stop_reason, call.name, call.input], ["tool_use", "weather", { city: "Rome" }]);
      messages.push(
        { role: "assistant", content: first.content },
        { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "warm" }] },
      );
      const second = await anthropic.messages.create({ model, max_tokens: 100, messages, tools: [weather] });
      assert.equal(second.content[0].text, "It is warm in Rome.");
    });
  });
}

describe("anthropic", () => {
  test("models and tokens", async () => {
    const anthropic = await client();
    const ids = [];
    for await (const model of anthropic.models.list({ limit: 1 })) ids.push(model.id);
    assert.ok(ids.includes("over-chat") && ids.includes("claude-opus-5-5"), ids.join());
    const { messages } = hello;
    assert.ok((await anthropic.messages.countTokens({ model: "over-chat", messages })).input_tokens > 3);
  });

  test("errors have their classes", async () => {
    const anthropic = await client({ maxRetries: 0 });
    const unknown = anthropic.messages.create({ ...hello, model: "nothing" });
    await assert.rejects(unknown, Anthropic.NotFoundError);
    const wrongKey = await client({ apiKey: "sk-weir-wrong", maxRetries: 0 });
    await assert.rejects(wrongKey.messages.create({ ...hello, model: "over-chat" }), Anthropic.AuthenticationError);
    const { key: spent } = await project(0.000_001);
    const poor = await client({ apiKey: spent });
    const refused = await poor.messages.create({ ...hello, model: "over-chat" }).catch((error) => error);
    assert.ok(refused instanceof Anthropic.RateLimitError, String(refused));
    assert.equal(refused.error.error.type, "billing_error");
  });
});
