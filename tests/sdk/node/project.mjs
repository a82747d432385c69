// Projects for the tests, made with OpenAI's admin client as an operator would.

import OpenAI from "openai";

export const baseURL = process.env.WEIR_BASE_URL;
const organization = new OpenAI({ baseURL, apiKey: null, adminAPIKey: process.env.WEIR_ADMIN_KEY }).admin.organization;

/** Makes a project with a key; returns a function that makes clients of it. */
export async function project({ requests, cents, policy } = {}) {
  const { projects } = organization;
  const { id } = await projects.create({ name: "sdk", ...(policy && { policy }) });
  if (requests !== undefined) {
    const limits = await projects.rateLimits.listRateLimits(id);
    await projects.rateLimits.updateRateLimit(limits.data[0].id, { project_id: id, max_requests_per_1_minute: requests });
  }
  if (cents !== undefined) {
    await projects.spendLimit.update(id, { currency: "USD", interval: "month", threshold_amount: cents });
  }
  const account = await projects.serviceAccounts.create(id, { name: "tests" });
  return (options = {}) => new OpenAI({ baseURL, apiKey: account.api_key.value, ...options });
}

/** The error that a promise is rejected with, of this kind. */
export async function rejected(promise, kind) {
  try {
    await promise;
  } catch (error) {
    if (error instanceof kind) return error;
    throw error;
  }
  throw new Error(`expected ${kind.name}`);
}

export async function all(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}
