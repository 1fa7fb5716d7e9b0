// What benchmarks call with: models that the demo provider serves, and keys that are never refused.
import type pg from "pg";
import { asPlatformAdmin } from "../stack/postgres.ts";
import type { BenchStack } from "./stack.ts";

export const BENCH_RATE = { input_rate: "2", output_rate: "8", currency: "CNY" };
export const ENDPOINT = "chat/completions";
const BALANCE = "1000000";
const PROMPT = "How is a call billed, and where can a customer see what it was charged?";

/** Kinds of answers. */
export const KINDS = ["json", "stream"] as const;
export type Kind = (typeof KINDS)[number];

export interface BenchModel {
  /** Public name, and name of its provider. */
  name: string;
  /** Steers the demo provider: see stack/provider/behaviour.ts. */
  upstreamModel: string;
}

export interface BenchKey {
  id: string;
  userId: string;
  virtualKey: string;
}

/** The body of a call. */
export function requestBody(model: string, kind: Kind): string {
  const stream = kind === "stream" ? { stream: true, stream_options: { include_usage: true } } : {};
  return JSON.stringify({ model, messages: [{ role: "user", content: PROMPT }], max_tokens: 200, ...stream });
}

/** What a whole answer ends with. */
export const endOfAnswer = (kind: Kind): string => (kind === "stream" ? "[DONE]" : "}");

/** Does `work` as a platform admin, in one transaction of the owner. `databaseUrl` is the stack's unless given. */
export function asAdmin<Result>(
  stack: BenchStack,
  work: (client: pg.Client) => Promise<Result>,
  databaseUrl = stack.info.database_url,
): Promise<Result> {
  return asPlatformAdmin(databaseUrl, { "app.settings.master_key": stack.secrets.master_key }, work);
}

/** Makes a model with one target, a provider of its own that leads to the demo provider. */
export async function createModel(client: pg.Client, providerUrl: string, model: BenchModel): Promise<void> {
  const { name, upstreamModel } = model;
  const { input_rate, output_rate, currency } = BENCH_RATE;
  await client.query("select api.set_provider($1, 'openai', $2, base_url => $3)", [
    name,
    [ENDPOINT],
    `${providerUrl}/openai/v1`,
  ]);
  await client.query("select api.set_provider_key($1, 'bench', $2)", [name, `sk-${name}`]);
  await client.query("select api.add_provider_rate($1, $2, $3, $4, $5)", [
    name,
    upstreamModel,
    input_rate,
    output_rate,
    currency,
  ]);
  await client.query("select api.set_model($1, $2)", [name, [ENDPOINT]]);
  await client.query("select api.set_model_targets($1, $2)", [
    name,
    JSON.stringify([{ provider: name, upstream_model: upstreamModel }]),
  ]);
}

/** Makes customers with money, each with a key without limits. */
export async function createKeys(client: pg.Client, count: number): Promise<BenchKey[]> {
  const keys: BenchKey[] = [];
  for (let number = 1; number <= count; number += 1) {
    const { rows } = await client.query<BenchKey>({
      text: `with made as (
          select (api.register($1, $2, $3) ->> 'user_id')::uuid as user_id
        ), paid as (
          select user_id, api.top_up(user_id, $4, $1) from made
        )
        select user_id as "userId", key ->> 'id' as id, key ->> 'virtual_key' as "virtualKey"
        from paid, lateral api.create_virtual_key('bench', user_id => user_id) as key`,
      values: [`bench-${number}@bench.example`, `a password, ${number}`, `bench ${number}`, BALANCE],
    });
    keys.push(rows[0] as BenchKey);
  }
  return keys;
}
