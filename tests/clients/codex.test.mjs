// Codex with its defaults: a turn is a stream of `/v1/responses` that nobody stores.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { baseURL, folder, key, mark, project, run, statuses } from "./support.mjs";

const provider = `model_providers.weir={name="weir",base_url="${baseURL}",env_key="WEIR_KEY",wire_api="responses"}`;

async function codex(model, args, { apiKey, home = folder(), cwd = folder() } = {}) {
  const free = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"];
  const all = ["exec", ...free, "-c", "model_provider=weir", "-c", provider, "-m", model, ...args];
  return { cwd, home, ...(await run("codex", all, { cwd, env: { CODEX_HOME: home, WEIR_KEY: apiKey ?? (await key()) } })) };
}

describe("codex", () => {
  // An unknown model, one with custom tools, one whose tools are all in namespaces of an input item; and providers of Anthropic's and of Gemini's API.
  for (const model of ["over-chat", "gpt-5.5", "gpt-5.6-sol", "over-messages", "over-gemini"]) {
    test(`a shell loop with ${model}`, async () => {
      const { status, out, err } = await codex(model, ["play shell"]);
      assert.equal(status, 0, err);
      assert.match(out, /It says weir-42\./, err);
      assert.match(err, /weir-42/);
    });
  }

  test("apply_patch is a custom tool", async () => {
    const { status, cwd, err } = await codex("gpt-5.5", ["play patch"]);
    assert.equal(status, 0, err);
    assert.ok(existsSync(join(cwd, "hello.txt")), err);
    assert.equal(readFileSync(join(cwd, "hello.txt"), "utf8"), "Hello from weir.\n");
  });

  test("two turns", async () => {
    const { word, asked } = mark();
    const { home, cwd, err } = await codex("over-chat", [`play answer ${word}`]);
    const second = await codex("over-chat", ["resume", "--last", "play shell"], { home, cwd });
    assert.equal(second.status, 0, err + second.err);
    assert.match(second.out, /It says weir-42\./, second.err);
    const said = JSON.stringify(asked()[1].body.messages);
    assert.match(said, /play answer.*All done\..*play shell/);
  });

  test("a spent budget costs one request and is told", async () => {
    const { id, key } = await project(0.000_001);
    const { status, err } = await codex("over-chat", ["play answer"], { apiKey: key });
    assert.notEqual(status, 0);
    assert.match(err, /[Qq]uota exceeded|budget/, err);
    assert.deepEqual(statuses(id), [429]);
  });

  test("a provider that thinks for long does not end the turn", async () => {
    const { status, out, err } = await codex("over-chat", ["-c", "model_providers.weir.stream_idle_timeout_ms=11000", "play slow"]);
    assert.equal(status, 0, err);
    assert.match(out, /Slow\./);
  });
});
