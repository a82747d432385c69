// A provider that follows scripts, with OpenAI's, with Anthropic's and with Gemini's API. The text of the user names the script: "play shell".
// It prints its port. Each request is written to the file that the first argument names.

import { appendFileSync } from "node:fs";
import { createServer } from "node:http";

const [log] = process.argv.slice(2);

/** The tool of a client that runs a command, whatever the client calls it. */
const SHELLS = ["exec_command", "Bash", "exec", "functions__exec", "shell"];

/** What the model does in each step of a script: a text, or calls of tools. A step begins after the results of the one before. */
const SCRIPTS = {
  answer: [{ text: "All done." }],
  shell: [{ shell: "echo weir-$((40+2))" }, { text: "It says weir-42." }],
  patch: [
    { call: "apply_patch", custom: "*** Begin Patch\n*** Add File: hello.txt\n+Hello from weir.\n*** End Patch\n" },
    { text: "Patched." },
  ],
  weather: [{ call: "weather", input: { city: "Rome" } }, { text: "It is warm in Rome." }],
  cut: [{ text: "This is cut", cut: true }, { text: "Whole again." }],
  slow: [{ text: "Slow.", wait: 12_000 }],
};

/** What Claude and Gemini write beside their thoughts, and want back. */
const SIGNATURE = "c2lnbmF0dXJl";

const textOf = (content) =>
  typeof content === "string" ? content : (content ?? []).map((part) => part.text ?? textOf(part.content ?? "")).join(" ");

/** The name of the script: the last that a user's message names. */
function scriptOf(messages) {
  const named = messages.filter((message) => message.role === "user").map((message) => textOf(message.content).match(/play (\w+)/)?.[1]);
  const last = named.findLastIndex((name) => name in SCRIPTS);
  const from = messages.indexOf(messages.filter((message) => message.role === "user")[last]);
  return { name: named[last] ?? "answer", after: messages.slice(from + 1) };
}

/** How often each model was asked for the script whose first answer is cut. */
const cuts = new Map();

/** The step of a script that a request asks for. */
function stepOf({ model, messages }, results) {
  const { name, after } = scriptOf(messages);
  const steps = SCRIPTS[name];
  if (name === "cut") {
    const begun = cuts.get(model) ?? 0;
    cuts.set(model, begun + 1);
    return steps[Math.min(begun, 1)];
  }
  return steps[Math.min(results(after), steps.length - 1)];
}

/** The call of a step: name and input of the tool. */
function callOf(step, tools) {
  if (step.call) return { name: step.call, input: step.custom === undefined ? step.input : { input: step.custom } };
  const name = SHELLS.find((name) => tools.includes(name));
  if (name === "Bash") return { name, input: { command: step.shell, description: "Say a number" } };
  if (name?.endsWith("exec")) {
    return { name, input: { input: `const r = await tools.exec_command({cmd: ${JSON.stringify(step.shell)}}); text(r.output);` } };
  }
  return name && { name, input: { cmd: step.shell } };
}

function chat(body) {
  const tools = (body.tools ?? []).map((tool) => tool.function?.name ?? tool.custom?.name);
  const step = stepOf(body, (after) => after.filter((message) => message.role === "tool").length);
  const call = (step.call || step.shell) && callOf(step, tools);
  const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 };
  const head = { id: "chatcmpl-1", created: 1, model: body.model };
  const finish = call ? "tool_calls" : "stop";
  const tool_calls = call && [
    { index: 0, id: `call_${body.messages.length}`, type: "function", function: { name: call.name, arguments: JSON.stringify(call.input) } },
  ];
  const content = call ? null : (step.text ?? "No shell.");
  if (!body.stream) {
    const message = { role: "assistant", content, ...(call && { tool_calls }) };
    return { step, whole: { ...head, object: "chat.completion", choices: [{ index: 0, message, finish_reason: finish }], usage } };
  }
  const chunk = (delta, finish_reason = null) => ({
    ...head, object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason }],
  });
  const words = content?.match(/\S+\s*/g) ?? [];
  const chunks = [
    chunk({ role: "assistant", content: "" }),
    ...(call ? [chunk({ tool_calls })] : words.map((word) => chunk({ content: word }))),
    chunk({}, finish),
    { ...head, object: "chat.completion.chunk", choices: [], usage },
  ];
  const frames = chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`);
  return { step, frames: [...frames, "data: [DONE]\n\n"] };
}

function messages(body) {
  const tools = (body.tools ?? []).map((tool) => tool.name);
  const results = (after) =>
    after.filter((message) => Array.isArray(message.content) && message.content.some((block) => block.type === "tool_result")).length;
  const step = stepOf(body, results);
  const call = (step.call || step.shell) && callOf(step, tools);
  const usage = { input_tokens: 10, cache_creation_input_tokens: 0, cache_read_input_tokens: 0, output_tokens: 5 };
  const block = call
    ? { type: "tool_use", id: `toolu_${body.messages.length}`, name: call.name, input: call.input }
    : { type: "text", text: step.text ?? "No shell." };
  const stop_reason = call ? "tool_use" : "end_turn";
  const message = { id: "msg_1", type: "message", role: "assistant", model: body.model, stop_sequence: null };
  // A model thinks before it calls a tool, and signs its thoughts.
  const thoughts = call ? [{ type: "thinking", thinking: "A tool knows.", signature: SIGNATURE }] : [];
  if (!body.stream) return { step, whole: { ...message, content: [...thoughts, block], stop_reason, usage } };
  const delta = call
    ? { type: "input_json_delta", partial_json: JSON.stringify(call.input) }
    : { type: "text_delta", text: block.text };
  const events = [
    { type: "message_start", message: { ...message, content: [], stop_reason: null, usage: { ...usage, output_tokens: 1 } } },
    ...thoughts.flatMap(({ thinking, signature }) => [
      { type: "content_block_start", index: 0, content_block: { type: "thinking", thinking: "", signature: "" } },
      { type: "content_block_delta", index: 0, delta: { type: "thinking_delta", thinking } },
      { type: "content_block_delta", index: 0, delta: { type: "signature_delta", signature } },
      { type: "content_block_stop", index: 0 },
    ]),
    { type: "content_block_start", index: thoughts.length, content_block: call ? { ...block, input: {} } : { type: "text", text: "" } },
    { type: "content_block_delta", index: thoughts.length, delta },
    { type: "content_block_stop", index: thoughts.length },
    { type: "message_delta", delta: { stop_reason, stop_sequence: null }, usage: { output_tokens: 5 } },
    { type: "message_stop" },
  ];
  return { step, frames: events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`) };
}

const answers = (content) => content.parts.some((part) => part.functionResponse);

/** Whether a call of the current turn comes back without a signature, which Gemini 3 and later refuse. */
function lacksSignature(contents) {
  const asked = contents.findLastIndex((content) => content.role === "user" && !answers(content));
  const calls = contents.slice(asked).map((content) => content.parts.find((part) => part.functionCall));
  return calls.some((call) => call && !call.thoughtSignature);
}

function gemini(body, url) {
  if (lacksSignature(body.contents)) {
    const message = "Function call is missing a thought_signature in functionCall parts.";
    return { step: {}, status: 400, whole: { error: { code: 400, message, status: "INVALID_ARGUMENT" } } };
  }
  const tools = (body.tools ?? []).flatMap((tool) => tool.functionDeclarations.map((declared) => declared.name));
  const messages = body.contents.map(({ role, parts }) => ({ role, content: parts, answers: answers({ parts }) }));
  const step = stepOf({ model: url, messages }, (after) => after.filter((message) => message.answers).length);
  const call = (step.call || step.shell) && callOf(step, tools);
  const parts = call
    ? [{ functionCall: { name: call.name, args: call.input }, thoughtSignature: SIGNATURE }]
    : (step.text ?? "No shell.").match(/\S+\s*/g).map((text) => ({ text }));
  const usageMetadata = { promptTokenCount: 10, candidatesTokenCount: 3, thoughtsTokenCount: 2, totalTokenCount: 15 };
  const reply = (parts, end) => ({
    candidates: [{ content: { role: "model", parts }, index: 0, ...end }], usageMetadata, modelVersion: "gemini-model", responseId: "1",
  });
  const end = { finishReason: "STOP" };
  if (!url.includes("alt=sse")) return { step, whole: reply(parts, end) };
  const frames = [...parts.map((part) => reply([part])), reply([{ text: "" }], end)];
  return { step, frames: frames.map((frame) => `data: ${JSON.stringify(frame)}\r\n\r\n`) };
}

/** The answer in the API that the path belongs to. */
function answerTo(url, body) {
  if (url.includes("enerateContent")) return gemini(body, url);
  return url.includes("/messages") ? messages(body) : chat(body);
}

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const server = createServer(async (request, response) => {
  let text = "";
  for await (const piece of request) text += piece;
  const body = JSON.parse(text || "{}");
  appendFileSync(log, `${JSON.stringify({ path: request.url, headers: request.headers, body })}\n`);
  const { step, whole, frames, status = 200 } = answerTo(request.url, body);
  if (whole) {
    if (step.wait) await wait(step.wait);
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(whole));
    return;
  }
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.flushHeaders();
  if (step.wait) await wait(step.wait);
  const sent = step.cut ? frames.slice(0, -2) : frames;
  for (const frame of sent) response.write(frame);
  if (step.cut) setTimeout(() => response.destroy(), 50);
  else response.end();
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
