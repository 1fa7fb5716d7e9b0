// PgBouncer in transaction mode between PostgREST and PostgreSQL. `npm run test:pgbouncer` runs all end-to-end tests so.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { POSTGREST_BEHIND_PGBOUNCER, preparePgbouncer } from "../../stack/pgbouncer.ts";
import { findFreePort } from "../../stack/ports.ts";
import { withClient, withDatabase } from "../../stack/postgres.ts";
import { findPostgrest } from "../../stack/postgrest.ts";
import { Service } from "../../stack/service.ts";
import { pgbouncer } from "../setup/pgbouncer.ts";
import type { User } from "./support/accounts.ts";
import { agreeingBooks, billOf, minus, usageOf } from "./support/billing.ts";
import { createKey, fundedUser } from "./support/calls.ts";
import { createModel } from "./support/catalogue.ts";
import { type Proxies, startProxies } from "./support/proxies.ts";

const POOL = 20;

describe.runIf(pgbouncer !== undefined)("through PgBouncer", () => {
  const directory = mkdtempSync(path.join(tmpdir(), "neuropia-pgbouncer-"));
  const services: Service[] = [];
  let proxies: Proxies;
  let pooledUrl: string;
  let url: string;
  let model: string;

  beforeAll(async () => {
    const given = inject("postgrestEnv");
    const [port, pgbouncerPort] = [await findFreePort(), await findFreePort()];
    const { spec, url: pooled } = preparePgbouncer({
      binary: pgbouncer as string,
      directory,
      port: pgbouncerPort,
      databaseUrl: inject("stack").database_url,
      password: new URL(given.PGRST_DB_URI ?? "").password,
      logFile: path.join(directory, "pgbouncer.log"),
    });
    pooledUrl = pooled;
    const postgrest = new Service({
      name: "postgrest",
      command: findPostgrest(undefined, process.env.PATH),
      args: [],
      env: {
        ...given,
        ...POSTGREST_BEHIND_PGBOUNCER,
        PGRST_DB_URI: pooled,
        // More than the pool: connections are shared.
        PGRST_DB_POOL: String(2 * POOL),
        PGRST_SERVER_PORT: String(port),
        PGRST_ADMIN_SERVER_PORT: String(await findFreePort()),
      },
      logFile: path.join(directory, "postgrest.log"),
      isReady: async (log) => log().includes("Schema cache loaded"),
      restarts: false,
    });
    for (const service of [new Service({ ...spec, env: { PATH: process.env.PATH } }), postgrest]) {
      services.unshift(service);
      await service.start();
    }
    proxies = await startProxies(1, { POSTGREST_URL: `http://127.0.0.1:${port}` });
    [url] = proxies.urls as [string];
    ({ model } = await createModel());
  });

  afterAll(async () => {
    await proxies?.stop();
    for (const service of services) await service.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  const send = async (pathname: string, headers: Record<string, string>, body?: object) => {
    const response = await fetch(url + pathname, {
      method: body ? "POST" : "GET",
      headers: { ...headers, ...(body && { "content-type": "application/json" }) },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      id: response.headers.get("x-request-id"),
      body: text === "" ? null : JSON.parse(text),
    };
  };
  const chat = (virtualKey: string, asked = model) =>
    send(
      "/v1/chat/completions",
      { "x-virtual-key": virtualKey },
      { model: asked, max_tokens: 5, messages: [{ role: "user", content: "hello" }] },
    );
  const as = ({ tokens }: User) => ({ authorization: `Bearer ${tokens.access_token}` });

  test("calls at once on one account are served and billed exactly, over fewer connections", async () => {
    const user = await fundedUser("10000");
    const { virtual_key } = await createKey(user);
    const answers = await Promise.all(Array.from({ length: 60 }, () => chat(virtual_key)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    const bills = await Promise.all(answers.slice(0, 5).map(async ({ id }) => usageOf(user, id)));
    for (const bill of bills) expect(bill.charge).toBe(billOf(bill).charge);
    const { balance, usage, charged } = await agreeingBooks(user);
    expect([usage.length, balance]).toEqual([60, minus("10000", charged)]);
    const servers = await withClient(withDatabase(pooledUrl, "pgbouncer"), (client) => client.query("show servers"));
    expect(servers.rows.length).toBeGreaterThan(0);
    expect(servers.rows.length).toBeLessThanOrEqual(POOL);
  });

  test("no request sees another one's user on the connection they share", async () => {
    const users = await Promise.all([fundedUser("1"), fundedUser("2"), fundedUser("3")]);
    const seen = await Promise.all(
      Array.from({ length: 90 }, async (_, index) => {
        const user = users[index % users.length] as User;
        const { body } = await send("/rest/user_profile?select=user_id", as(user));
        return JSON.stringify(body) === JSON.stringify([{ user_id: user.id }]);
      }),
    );
    expect(seen).not.toContain(false);
    expect(await send("/rest/user_profile?select=user_id", {})).toMatchObject({ status: 401 });
  });

  test("a change of configuration counts from the next call on", async () => {
    const user = await fundedUser("10000");
    const { id, virtual_key } = await createKey(user);
    for (let round = 0; round < 4; round += 1) {
      const answers = await Promise.all(Array.from({ length: 6 }, () => chat(virtual_key)));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
      expect(await send("/rest/rpc/disable_virtual_key", as(user), { id })).toMatchObject({ status: 200 });
      expect(await chat(virtual_key)).toMatchObject({ status: 401, body: { error: { code: "key_disabled" } } });
      expect(await send("/rest/rpc/enable_virtual_key", as(user), { id })).toMatchObject({ status: 200 });
    }
    await agreeingBooks(user);
  });

  test("refusals have their status, code and headers", async () => {
    const user = await fundedUser("10000");
    const { virtual_key } = await createKey(user, { rate_limits: { rpm: 1 } });
    expect(await chat("vk_0000000000000000000000000000000000")).toMatchObject({
      status: 401,
      body: { error: { code: "invalid_api_key" } },
    });
    expect(await chat(virtual_key, "no-such-model")).toMatchObject({
      status: 404,
      body: { error: { code: "model_not_found" } },
    });
    expect(await chat(virtual_key)).toMatchObject({ status: 200 });
    expect(await chat(virtual_key)).toMatchObject({ status: 429, body: { error: { code: "rate_limit_exceeded" } } });
    expect(
      await send("/rest/rpc/change_password", as(user), { current_password: "wrong", new_password: "x" }),
    ).toMatchObject({
      status: expect.toSatisfy((status: number) => status >= 400 && status < 500),
      body: { code: expect.any(String) },
    });
  });
});
