// What a chaos run plays with: customers, keys, models that behave and models that do not.
import { randomUUID } from "node:crypto";
import type pg from "pg";

export type Customer = { userId: string; virtualKey: string; email: string; password: string };

export type World = { customers: Customer[]; models: string[] };

/** Upstream models of the demo provider, tried in order: see stack/provider/behaviour.ts. */
const ROUTES: Record<string, string[]> = {
  steady: ["steady-out-20"],
  slow: ["slow-15-out-25"],
  "falls-back": ["first-fail-500", "second-out-15"],
  limited: ["limited-fail-429", "unlimited-slow-5-out-10"],
  dying: ["dying-slow-5-out-30-die"],
  hanging: ["hanging-hang", "answering-out-10"],
  silent: ["silent-out-12-nousage"],
  failing: ["failing-fail-503"],
};

/** Hanging providers are given up after this, so that the next one is tried within a run. */
const HANG_TIMEOUT_MS = 1_500;

/** Makes the world as the owner of the database. Prices differ by target, so that a wrong one shows. */
export async function makeWorld(
  client: pg.ClientBase,
  {
    providerUrl,
    customers,
    balance,
    routes = ROUTES,
    timeoutMs = HANG_TIMEOUT_MS,
  }: {
    providerUrl: string;
    customers: number;
    balance: string;
    /** Models for sale, and the upstream models of each. */
    routes?: Record<string, string[]>;
    /** How long an upstream may take to begin its answer. */
    timeoutMs?: number;
  },
): Promise<World> {
  const run = randomUUID().slice(0, 8);
  const one = async <T>(sql: string, values: unknown[] = []): Promise<T> => {
    const { rows } = await client.query({ text: sql, values, rowMode: "array" });
    return (rows as unknown as T[][])[0]?.[0] as T;
  };
  await client.query(`set request.jwt.claims = '{"role": "platform_admin"}'`);

  const provider = `chaos-${run}`;
  await client.query("select api.set_provider($1, 'openai', '{chat/completions}', base_url => $2)", [
    provider,
    `${providerUrl}/openai/v1`,
  ]);
  await client.query("select api.set_provider_key($1, 'chaos', $2)", [provider, `sk-${provider}`]);
  const models: string[] = [];
  let price = 100;
  for (const [name, upstreamModels] of Object.entries(routes)) {
    const model = `${name}-${run}`;
    await client.query("select api.set_model($1, '{chat/completions}', max_output_tokens => 200)", [model]);
    for (const upstreamModel of upstreamModels) {
      price += 7;
      await client.query("select api.add_provider_rate($1, $2, $3, $4, 'CNY')", [
        provider,
        upstreamModel,
        String(price),
        String(price * 2),
      ]);
    }
    const targets = upstreamModels.map((upstream_model, index) => ({ provider, upstream_model, position: index + 1 }));
    await client.query("select api.set_model_targets($1, $2)", [model, JSON.stringify(targets)]);
    await client.query("select api.set_portkey_config($1, model => $2)", [
      JSON.stringify({ request_timeout: timeoutMs }),
      model,
    ]);
    models.push(model);
  }

  const made: Customer[] = [];
  for (let number = 0; number < customers; number++) {
    const name = `chaos-${run}-${number}`;
    const [email, password] = [`${name}@chaos.example`, randomUUID()];
    const userId = await one<string>("select app.create_user($1, $2, $3)", [email, password, name]);
    await client.query("select api.top_up($1, $2, $3)", [userId, balance, `opening balance of ${name}`]);
    const key = await one<{ virtual_key: string }>("select api.create_virtual_key($1, user_id => $2)", [name, userId]);
    made.push({ userId, virtualKey: key.virtual_key, email, password });
  }
  return { customers: made, models };
}
