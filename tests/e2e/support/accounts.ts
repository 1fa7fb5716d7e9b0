// Users of a test's own, through the management API as any client would make them.
import { randomUUID } from "node:crypto";
import { PostgrestClient } from "@supabase/postgrest-js";
import pg from "pg";
import { expect, inject } from "vitest";

export const PASSWORD = "a password for tests";

export interface Tokens {
  access_token: string;
  refresh_token: string;
  token_type: string;
  expires_in: number;
}

export interface User {
  id: string;
  email: string;
  password: string;
  tokens: Tokens;
  /** The management API as this user. */
  api: PostgrestClient;
}

/** Calls an RPC of the management API through the proxy, anonymously unless an access token is given. */
export async function callRpc(
  name: string,
  args: object,
  { accessToken, headers }: { accessToken?: string; headers?: Record<string, string> } = {},
): Promise<Response> {
  return fetch(`${inject("stack").proxy_url}/rest/rpc/${name}`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(accessToken !== undefined && { authorization: `Bearer ${accessToken}` }),
      ...headers,
    },
    body: JSON.stringify(args),
  });
}

export async function rpcJson<T>(name: string, args: object, accessToken?: string): Promise<T> {
  const response = await callRpc(name, args, accessToken === undefined ? {} : { accessToken });
  const text = await response.text();
  expect(response.status, `${name}: ${text}`).toBe(200);
  return JSON.parse(text) as T;
}

export function apiAs(accessToken: string): PostgrestClient {
  return new PostgrestClient(`${inject("stack").proxy_url}/rest`, {
    headers: { authorization: `Bearer ${accessToken}` },
  });
}

export const freshEmail = (name = "user"): string => `${name}.${randomUUID()}@test.example`;

export const logIn = (email: string, password = PASSWORD): Promise<Tokens> =>
  rpcJson<Tokens>("login", { email, password });

/** Registers a customer of the default tenant and logs in. */
export async function registerUser(name = "user"): Promise<User> {
  const email = freshEmail(name);
  const { user_id } = await rpcJson<{ user_id: string }>("register", { email, password: PASSWORD, username: name });
  return loggedIn(user_id, email);
}

export async function loggedIn(id: string, email: string, password = PASSWORD): Promise<User> {
  const tokens = await logIn(email, password);
  return { id, email, password, tokens, api: apiAs(tokens.access_token) };
}

/** The demo platform admin, in a session of the test's own. */
export async function platformAdmin(): Promise<User> {
  const { email, password } = inject("stack").demo.admin;
  const tokens = await logIn(email, password);
  const { user_id } = await rpcJson<{ user_id: string }>("me", {}, tokens.access_token);
  return { id: user_id, email, password, tokens, api: apiAs(tokens.access_token) };
}

/** A tenant with its admin, and as many customers as are named. */
export async function createTenant(
  admin: User,
  customers: string[],
): Promise<{ tenantId: string; boss: User; customers: User[] }> {
  const tenant = await unwrap<{ id: string }>(
    admin.api.rpc("create_tenant", { name: "A tenant of a test", slug: `t-${randomUUID()}`, currency: "CNY" }),
  );
  const member = async (username: string, role: string): Promise<User> => {
    const email = freshEmail(username);
    const { user_id } = await unwrap<{ user_id: string }>(
      admin.api.rpc("create_member", { email, username, password: PASSWORD, role, tenant_id: tenant.id }),
    );
    return loggedIn(user_id, email);
  };
  const boss = await member("boss", "tenant_admin");
  const members: User[] = [];
  for (const name of customers) members.push(await member(name, "customer"));
  return { tenantId: tenant.id, boss, customers: members };
}

/** The data of a postgrest-js answer that must be a success. */
export async function unwrap<T>(answer: PromiseLike<{ data: unknown; error: unknown }>): Promise<T> {
  const { data, error } = await answer;
  expect(error).toBeNull();
  return data as T;
}

/** "status code" of a postgrest-js answer that must be an error. */
export async function refusal(
  answer: PromiseLike<{ error: { code: string } | null; status: number }>,
): Promise<string> {
  const { error, status } = await answer;
  return `${status} ${error?.code ?? "no error"}`;
}

/** Runs statements as the owner of the database: to look behind the API, or to move time. */
export async function asOwner<T>(callback: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: inject("stack").database_url });
  await client.connect();
  try {
    return await callback(client);
  } finally {
    await client.end();
  }
}

/** Waits until `probe` gives something other than undefined. */
export async function eventually<T>(probe: () => Promise<T | undefined>, timeoutMs = 15_000): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`nothing after ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
