// Claude Code with its defaults.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { folder, key, mark, origin, project, run, statuses } from "./support.mjs";

async function claude(model, prompt, apiKey) {
  const env = {
    ANTHROPIC_BASE_URL: origin,
    ANTHROPIC_API_KEY: apiKey ?? (await key()),
    CLAUDE_CONFIG_DIR: folder(),
    DISABLE_AUTOUPDATER: "1",
    IS_SANDBOX: "1",
  };
  const args = ["-p", prompt, "--model", model, "--allowedTools", "Bash", "--permission-mode", "acceptEdits"];
  return run("claude", args, { cwd: folder(), env });
}

describe("claude code", () => {
  // A provider of its own API, one of OpenAI's and one of Gemini's, and models that it does not know.
  for (const model of ["claude-opus-5-5", "claude-sonnet-5", "over-chat", "over-messages", "over-gemini"]) {
    test(`a tool loop with ${model}`, async () => {
      const { word, asked } = mark();
      const { status, out, err } = await claude(model, `play shell ${word}`);
      assert.equal(status, 0, out + err);
      assert.match(out, /It says weir-42\./);
      assert.match(JSON.stringify(asked().at(-1).body), /weir-42/);
    });
  }

  test("a spent budget is shown, and costs one request", async () => {
    const { id, key } = await project(0.000_001);
    const { out, err } = await claude("over-messages", "play answer", key);
    assert.match(out + err, /budget/i);
    assert.deepEqual(statuses(id), [429]);
  });

  for (const model of ["over-chat", "over-messages"]) {
    test(`a cut stream with ${model}`, async () => {
      const { status, out, err } = await claude(model, "play cut");
      assert.equal(status, 0, out + err);
      assert.match(out, /Whole again\./);
    });
  }
});
