// Frameworks with their defaults: OpenAI's Agents SDK and LangChain.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ChatAnthropic } from "@langchain/anthropic";
import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { tool as langchainTool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { Agent, OpenAIProvider, Runner, tool } from "@openai/agents";
import { z } from "zod";
import { baseURL, key, origin } from "./support.mjs";

const parameters = z.object({ city: z.string() });

for (const model of ["over-chat", "over-messages", "over-gemini"]) {
  describe(`agents ${model}`, () => {
    const weather = tool({ name: "weather", description: "The weather", parameters, execute: ({ city }) => `warm in ${city}` });

    for (const useResponses of [true, false]) {
      test(`a tool loop and another turn over ${useResponses ? "responses" : "chat"}`, async () => {
        const modelProvider = new OpenAIProvider({ baseURL, apiKey: await key(), useResponses });
        const runner = new Runner({ modelProvider, tracingDisabled: true });
        const agent = new Agent({ name: "Weather", instructions: "Be brief.", model, tools: [weather] });
        const first = await runner.run(agent, "play weather");
        assert.equal(first.finalOutput, "It is warm in Rome.");
        const second = await runner.run(agent, [...first.history, { role: "user", content: "play answer" }]);
        assert.equal(second.finalOutput, "All done.");
      });
    }
  });

  describe(`langchain ${model}`, () => {
    const weather = langchainTool(({ city }) => `warm in ${city}`, { name: "weather", description: "The weather", schema: parameters });
    const chats = {
      chat: async () => new ChatOpenAI({ model, apiKey: await key(), configuration: { baseURL } }),
      responses: async () => new ChatOpenAI({ model, apiKey: await key(), configuration: { baseURL }, useResponsesApi: true }),
      messages: async () => new ChatAnthropic({ model, apiKey: await key(), anthropicApiUrl: origin }),
    };

    for (const [api, chat] of Object.entries(chats)) {
      test(`a tool loop over ${api}`, async () => {
        const bound = (await chat()).bindTools([weather]);
        const messages = [new HumanMessage("play weather")];
        const first = await bound.invoke(messages);
        const [call] = first.tool_calls;
        assert.deepEqual([call.name, call.args], ["weather", { city: "Rome" }]);
        messages.push(first, new ToolMessage({ tool_call_id: call.id, content: await weather.invoke(call.args) }));
        let said = "";
        for await (const chunk of await bound.stream(messages)) said += chunk.text;
        assert.equal(said, "It is warm in Rome.");
      });
    }
  });
}
