// Connections to the database that has pgTAP and the helpers of db/tests/_helpers.sql.
import pg from "pg";
import { inject } from "vitest";
import { withClient, withDatabase } from "../../../stack/postgres.ts";

const MASTER_KEY = "a master key for tests";

/** A connection as the owner. Its statements may use the tests.* helpers. The caller ends it. */
export async function connectAsOwner(databaseUrl = inject("pgtap").database_url): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query("select set_config('app.settings.master_key', $1, false)", [MASTER_KEY]);
  return client;
}

/** Makes a database for a test that wants no rows of others, and returns its URL. It goes with the stack. */
export async function createOwnDatabase(name: string): Promise<string> {
  const { database_url, template } = inject("pgtap");
  await withClient(database_url, (client) =>
    client.query(`create database ${pg.escapeIdentifier(name)} template ${pg.escapeIdentifier(template)}`),
  );
  return withDatabase(database_url, name);
}

/** `count` connections that act as the proxy does, each call a transaction of its own. */
export async function connectAsGateways(count: number): Promise<pg.Client[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const client = await connectAsOwner();
      await client.query(`set role gateway; set request.jwt.claims = '{"role":"gateway"}'`);
      return client;
    }),
  );
}

/** The one value of the one row that a query gives. */
export async function queryValue<T>(client: pg.ClientBase, sql: string, parameters: unknown[] = []): Promise<T> {
  const { rows } = await client.query({ text: sql, values: parameters, rowMode: "array" });
  const [row] = rows as unknown as T[][];
  if (!row || rows.length !== 1) throw new Error(`${rows.length} rows where one was expected: ${sql}`);
  return row[0] as T;
}

/** The registry's code of a database error. */
export function errorCode(error: unknown): string {
  const { code, message } = error as pg.DatabaseError;
  return code === "PGRST" ? JSON.parse(message).code : (code ?? message);
}
