// Calls through the proxy: management by path or function, and AI calls with a virtual key.
import { randomUUID } from "node:crypto";
import { inject } from "vitest";
import { platformAdmin, registerUser, type User } from "./accounts.ts";

export type HttpAnswer<Body = Record<string, unknown>> = { status: number; headers: Headers; body: Body };

type CallOptions = { user?: User; body?: unknown; headers?: Record<string, string>; method?: string };

/** A call through the proxy, as `user` when given. `body` becomes JSON; the answer's JSON is parsed, an empty body is null. */
export async function call<Body = Record<string, unknown>>(
  path: string,
  { user, body, headers, method }: CallOptions = {},
): Promise<HttpAnswer<Body>> {
  const response = await fetch(inject("stack").proxy_url + path, {
    method: method ?? (body === undefined ? "GET" : "POST"),
    headers: {
      ...(body !== undefined && { "content-type": "application/json" }),
      ...(user && { authorization: `Bearer ${user.tokens.access_token}` }),
      ...headers,
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: (text === "" ? null : JSON.parse(text)) as Body };
}

/** The result of a function of the management API that must succeed. */
export async function rpc<Result = Record<string, unknown>>(user: User, name: string, args: object): Promise<Result> {
  const { status, body } = await call<Result>(`/rest/rpc/${name}`, { user, body: args });
  if (status >= 300) throw new Error(`${name}: ${status} ${JSON.stringify(body)}`);
  return body;
}

/** "status code" of a function of the management API that must refuse. */
export async function rpcRefusal(user: User, name: string, args: object): Promise<string> {
  const { status, body } = await call(`/rest/rpc/${name}`, { user, body: args });
  return `${status} ${body?.code ?? "no error"}`;
}

let adminSession: Promise<User> | undefined;

/** The platform admin; one login serves a test file. */
export function admin(): Promise<User> {
  adminSession ??= platformAdmin();
  return adminSession;
}

/** Books money on a user's account. */
export async function topUp(user: User, amount: string): Promise<void> {
  await rpc(await admin(), "top_up", { user_id: user.id, amount, reference: randomUUID() });
}

/** A new customer with this much money, in CNY. */
export async function fundedUser(balance = "100"): Promise<User> {
  const user = await registerUser();
  await topUp(user, balance);
  return user;
}

export type CreatedKey = { id: string; virtual_key: string; key_prefix: string };

/** Makes a virtual key of the user, or with `user_id` of another one's. */
export function createKey(user: User, settings: Record<string, unknown> = {}): Promise<CreatedKey> {
  return rpc<CreatedKey>(user, "create_virtual_key", { name: "test", ...settings });
}

export type ChatBody = {
  choices: { message: { content: string } }[];
  usage: Record<string, number>;
  error?: { code: string };
};

/** One chat call with a virtual key. */
export function chat(
  virtualKey: string,
  model: string,
  request: Record<string, unknown> = {},
): Promise<HttpAnswer<ChatBody>> {
  return call<ChatBody>("/v1/chat/completions", {
    headers: { "x-virtual-key": virtualKey },
    body: { model, messages: [{ role: "user", content: "hello" }], max_tokens: 5, ...request },
  });
}

/** "200", or "status code" of the refusal, of one chat call. */
export async function chatOutcome(virtualKey: string, model: string): Promise<string> {
  const { status, body } = await chat(virtualKey, model);
  return status === 200 ? "200" : `${status} ${body.error?.code}`;
}
