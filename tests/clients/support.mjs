// What the tests of all clients use: projects of their own, processes, and what the provider was asked.

import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const origin = process.env.WEIR_ORIGIN;
export const baseURL = `${origin}/v1`;

async function admin(path, body) {
  const headers = { authorization: `Bearer ${process.env.WEIR_ADMIN_KEY}`, "content-type": "application/json" };
  const answer = await fetch(`${baseURL}/organization/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`);
  return answer.json();
}

/** A new project with a budget in dollars, and a key of it. */
export async function project(budget = 1_000) {
  const { id } = await admin("projects", { name: "clients", limits: { budget_usd_per_month: budget } });
  return { id, key: (await admin(`projects/${id}/service_accounts`, { name: "tests" })).api_key.value };
}

export const key = async () => (await project()).key;

/** The statuses of all requests that a project sent, in order: weir logs each. */
export function statuses(projectId) {
  const lines = readFileSync(process.env.WEIR_LOG, "utf8").split("\n").filter((line) => line.includes(projectId));
  return lines.map((line) => JSON.parse(line)).filter((line) => line.message === "request").map((line) => line["http.status"]);
}

/** A word for the texts of one test. Its `asked()` are the requests with the word that the provider got: tests run at the same time. */
export function mark() {
  const word = `mark-${randomUUID()}`;
  const asked = () => {
    const lines = readFileSync(process.env.PROVIDER_LOG, "utf8").split("\n").filter((line) => line.includes(word));
    return lines.map((line) => JSON.parse(line));
  };
  return { word, asked };
}

const folders = [];
process.on("exit", () => folders.forEach((path) => rmSync(path, { recursive: true, force: true })));

/** A new folder, which is removed when the tests of the file have ended. */
export function folder() {
  folders.push(mkdtempSync(join(tmpdir(), "weir-clients-")));
  return folders.at(-1);
}

/** Runs a program of `node_modules` in a folder. Returns what it wrote, and its status. */
export function run(program, args, { cwd, env }) {
  const path = join(import.meta.dirname, "node_modules", ".bin", program);
  const child = spawn(path, args, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let [out, err] = ["", ""];
  child.stdout.on("data", (text) => (out += text));
  child.stderr.on("data", (text) => (err += text));
  return new Promise((resolve) => child.on("close", (status) => resolve({ status, out, err })));
}
