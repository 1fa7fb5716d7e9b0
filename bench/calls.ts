// The two calls of the gateway, straight to the database as PostgREST makes them: prepared, each a transaction of its own.
import { randomBytes } from "node:crypto";
import pg from "pg";
import { ENDPOINT } from "./accounts.ts";

/** A connection on which every call is the gateway's. The caller ends it. */
export async function connectAsGateway(databaseUrl: string, masterKey: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query("select set_config('app.settings.master_key', $1, false)", [masterKey]);
  await client.query(`set role gateway; set jit = off; set request.jwt.claims = '{"role":"gateway"}'`);
  return client;
}

/** Authorises one call and returns its grant's id. */
export async function authorize(client: pg.Client, virtualKey: string, model: string): Promise<string> {
  const { rows } = await client.query<{ grant: { grant_id: string } }>({
    name: "authorize",
    text: `select api.authorize_request(virtual_key => $1, model => $2, endpoint => '${ENDPOINT}', input_tokens => 200,
      max_output_tokens => 500, requests => 1, client_ip => '127.0.0.1') as grant`,
    values: [virtualKey, model],
  });
  return (rows[0] as { grant: { grant_id: string } }).grant.grant_id;
}

/** A call as the proxy reports it. */
export function usageEvent(grantId: string): object {
  return {
    request_id: uuidv7(),
    grant_id: grantId,
    target_index: 0,
    status: "ok",
    http_status: 200,
    input_tokens: 200,
    cached_input_tokens: 0,
    cache_write_tokens: 0,
    output_tokens: 100,
    reasoning_tokens: 0,
    estimated: false,
    streamed: false,
    latency_ms: 900,
    time_to_first_token_ms: 900,
    error_code: null,
    model_served: "bench",
  };
}

export async function recordUsage(client: pg.Client, events: object[]): Promise<void> {
  await client.query({ name: "record", text: "select api.record_usage($1)", values: [JSON.stringify(events)] });
}

function uuidv7(): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = 0x70 | ((bytes[6] as number) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] as number) & 0x3f);
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** Time in milliseconds that `work` takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}
