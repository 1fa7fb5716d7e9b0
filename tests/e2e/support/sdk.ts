// The SDKs that customers use, pointed at the proxy.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { expect, inject } from "vitest";

/** The openai SDK with a virtual key. It does not retry: a test sees the first answer. */
export const openaiClient = (virtualKey: string): OpenAI =>
  new OpenAI({ apiKey: virtualKey, baseURL: `${inject("stack").proxy_url}/v1`, maxRetries: 0 });

export const anthropicClient = (virtualKey: string): Anthropic =>
  new Anthropic({ apiKey: virtualKey, authToken: null, baseURL: inject("stack").proxy_url, maxRetries: 0 });

/** The error of a call that must fail, which must be of exactly this class of the SDK's. */
export async function errorOf<Type extends Error>(
  call: PromiseLike<unknown>,
  type: abstract new (...args: never[]) => Type,
): Promise<Type> {
  const outcome = await Promise.resolve(call).then(
    () => "no error",
    (error: unknown) => error,
  );
  expect(outcome).toBeInstanceOf(type);
  expect((outcome as Error).constructor).toBe(type);
  return outcome as Type;
}
