// A stack of a test's own, whose parts it may stop and kill.
import { randomUUID } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "vitest";
import { asPlatformAdmin, withClient } from "../../../stack/postgres.ts";
import type { LogEntry } from "../../../stack/provider/server.ts";
import type { Service } from "../../../stack/service.ts";
import { type ServiceName, type Stack, startStack } from "../../../stack/stack.ts";
import { testConfig } from "../../setup/config.ts";

export type Customer = { userId: string; virtualKey: string };

export type RecordedCall = {
  request_id: string;
  status: string;
  input_tokens: number;
  output_tokens: number;
  estimated: boolean;
  error_code: string | null;
  charge: string;
};

/** The price of the models made here; the markup is the usual one. */
const RATE = { input_rate: 1_000, output_rate: 2_000 };

/** Everything of the platform, each call authorised by the database itself: leases have tests of their own. */
export class OwnStack {
  readonly stack: Stack;
  readonly directory: string;

  private constructor(stack: Stack, directory: string) {
    this.stack = stack;
    this.directory = directory;
  }

  static async start(postgresSettings: Record<string, string> = {}): Promise<OwnStack> {
    const directory = mkdtempSync(path.join(tmpdir(), "neuropia-own-"));
    chmodSync(directory, 0o755);
    const config = testConfig(directory);
    const serviceEnv = { proxy: { LEASE_MAX_REQUESTS: "1" } };
    try {
      const stack = await startStack({
        config,
        serviceEnv,
        postgresSettings: { fsync: "off", max_connections: "100", ...postgresSettings },
      });
      return new OwnStack(stack, directory);
    } catch (error) {
      rmSync(directory, { recursive: true, force: true });
      throw error;
    }
  }

  async stop(): Promise<void> {
    await this.stack.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }

  service(name: ServiceName): Service {
    const service = this.stack.services[name];
    if (service === undefined) throw new Error(`the stack runs no ${name}`);
    return service;
  }

  async query<Row extends object>(text: string, values: unknown[] = []): Promise<Row[]> {
    const { rows } = await withClient(this.stack.info.database_url, (client) => client.query<Row>({ text, values }));
    return rows;
  }

  /** A customer with money and a key. */
  async createCustomer(balance = "1000", rateLimits: object = {}): Promise<Customer> {
    return asPlatformAdmin(this.stack.info.database_url, {}, async (client) => {
      const email = `${randomUUID()}@test.example`;
      const { rows } = await client.query("select api.register($1, 'a password for tests', 'somebody') as account", [
        email,
      ]);
      const userId = rows[0].account.user_id as string;
      await client.query("select api.top_up($1, $2, $3)", [userId, balance, randomUUID()]);
      const made = await client.query(
        "select api.create_virtual_key('test', user_id => $1, rate_limits => $2) as key",
        [userId, rateLimits],
      );
      return { userId, virtualKey: made.rows[0].key.virtual_key as string };
    });
  }

  /** A model that the demo provider serves as the suffixes say: see stack/provider/behaviour.ts. */
  async createModel(suffixes = "", rate: object = RATE): Promise<string> {
    const model = `m-${randomUUID().slice(0, 8)}${suffixes}`;
    await asPlatformAdmin(this.stack.info.database_url, {}, async (client) => {
      await client.query("select api.set_model($1, '{chat/completions}')", [model]);
      const names = Object.keys(rate);
      await client.query(
        `select api.add_provider_rate('openai', $1, currency => 'CNY', ${names.map((name, i) => `${name} => $${i + 2}`)})`,
        [model, ...Object.values(rate)],
      );
      const targets = [{ provider: "openai", upstream_model: model }];
      await client.query("select api.set_model_targets($1, $2)", [model, JSON.stringify(targets)]);
    });
    return model;
  }

  /** What the demo provider was asked for a model. */
  async providerLog(model: string): Promise<LogEntry[]> {
    return (await (await fetch(`${this.stack.info.provider_url}/_log?model=${model}`)).json()) as LogEntry[];
  }

  chat(customer: Customer, model: string, request: object = {}, url = this.stack.info.proxy_url): Promise<Response> {
    return fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { "x-virtual-key": customer.virtualKey, "content-type": "application/json" },
      body: JSON.stringify({ model, messages: [{ role: "user", content: "one two three" }], ...request }),
    });
  }

  /** The calls of a customer, oldest first. */
  callsOf({ userId }: Customer): Promise<RecordedCall[]> {
    return this.query<RecordedCall>(
      `select request_id, status, input_tokens::integer, output_tokens::integer, estimated, error_code, charge::text
       from data.usage_log where user_id = $1 order by request_id`,
      [userId],
    );
  }

  /** The value of one of the proxy's metrics, or of the jobs'. */
  async metric(name: string, url = this.stack.info.admin_url): Promise<number> {
    const page = await (await fetch(`${url}/metrics`)).text();
    return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(page)?.[1]);
  }

  /** The customer's balance, entries, calls and holds agree. */
  async expectBooksToAgree({ userId }: Customer): Promise<void> {
    expect(await this.query("select * from app.reconcile() where user_id = $1", [userId])).toEqual([]);
    const held =
      "select id, amount from data.request_grant where payer_id = $1 and (amount > 0 or settled_requests < requests)";
    expect(await this.query(held, [userId])).toEqual([]);
  }
}
