// The guides, word for word: each block of JavaScript runs with weir's address and a key in place of the examples'.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { key, origin } from "./support.mjs";

const guides = join(import.meta.dirname, "../../docs/guides");

function evaluate(code) {
  const child = spawn(process.execPath, ["--input-type=module", "--eval", code], { cwd: import.meta.dirname, stdio: ["ignore", "pipe", "pipe"] });
  let [out, err] = ["", ""];
  child.stdout.on("data", (text) => (out += text));
  child.stderr.on("data", (text) => (err += text));
  return new Promise((resolve) => child.on("close", (status) => resolve({ status, out, err })));
}

for (const name of readdirSync(guides)) {
  const blocks = [...readFileSync(join(guides, name), "utf8").matchAll(/^```js\n(.*?)^```/gms)].map(([, code]) => code);
  for (const [index, code] of blocks.entries()) {
    test(`${name}, block ${index + 1}`, async () => {
      const ours = code.replaceAll("https://weir.example.com", origin).replaceAll("sk-weir-...", await key());
      const { status, out, err } = await evaluate(ours);
      assert.equal(status, 0, err);
      assert.equal(out.trim(), "All done.");
    });
  }
}
