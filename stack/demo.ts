// The demo accounts: a customer with money and a virtual key, and a platform admin.
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import type pg from "pg";
import { z } from "zod";
import { writePrivateJson } from "./data-directory.ts";
import { asPlatformAdmin } from "./postgres.ts";
import { makePassword } from "./secrets.ts";

/** In the default tenant's currency. */
const DEMO_BALANCE = "100";

const account = z.object({ user_id: z.string(), email: z.string(), password: z.string() });
const demoSchema = z.object({ virtual_key: z.string(), customer: account, admin: account });

export type DemoAccounts = z.infer<typeof demoSchema>;

/**
 * Makes the demo accounts in an empty database, or finds those made before; a demo key that is gone is replaced.
 * Null when the database holds only accounts that this data directory did not make.
 */
export async function ensureDemoAccounts(databaseUrl: string, dataDirectory: string): Promise<DemoAccounts | null> {
  const file = path.join(dataDirectory, "demo.json");
  const earlier = existsSync(file) ? demoSchema.parse(JSON.parse(readFileSync(file, "utf8"))) : undefined;
  return asPlatformAdmin(databaseUrl, {}, async (client) => {
    if (earlier && (await holds(client, "select from auth.login where id = $1", earlier.customer.user_id))) {
      const valid = "select from data.virtual_key where key_hash = app.hash_key($1) and is_active";
      if (await holds(client, valid, earlier.virtual_key)) return earlier;
      const renewed = { ...earlier, virtual_key: await createKey(client, earlier.customer.user_id) };
      writePrivateJson(file, renewed);
      return renewed;
    }
    if (await holds(client, "select from auth.login")) return null;

    const demo = await makeAccounts(client);
    // Before the commit: an account without its password would be of no use, a file without its account is made anew.
    writePrivateJson(file, demo);
    return demo;
  });
}

async function makeAccounts(client: pg.Client): Promise<DemoAccounts> {
  const [customer, admin] = ["customer", "admin"].map((name) => ({
    email: `${name}@demo.example`,
    password: makePassword(),
  })) as [Omit<DemoAccounts["customer"], "user_id">, Omit<DemoAccounts["admin"], "user_id">];
  const customerId = await value<string>(
    client,
    "select api.register($1, $2, 'demo customer') ->> 'user_id'",
    customer.email,
    customer.password,
  );
  const adminId = await value<string>(
    client,
    "select app.create_platform_admin($1, $2, 'demo admin')",
    admin.email,
    admin.password,
  );
  await value(client, "select api.top_up($1, $2, 'demo top-up')", customerId, DEMO_BALANCE);
  return {
    virtual_key: await createKey(client, customerId),
    customer: { user_id: customerId, ...customer },
    admin: { user_id: adminId, ...admin },
  };
}

function createKey(client: pg.Client, userId: string): Promise<string> {
  return value<string>(client, "select api.create_virtual_key('demo', user_id => $1) ->> 'virtual_key'", userId);
}

/** The single value a query answers with. */
async function value<Value>(client: pg.Client, query: string, ...parameters: string[]): Promise<Value> {
  const { rows } = await client.query<[Value]>({ text: query, values: parameters, rowMode: "array" });
  if (rows[0]?.[0] === null || rows[0] === undefined) throw new Error(`no answer: ${query}`);
  return rows[0][0];
}

async function holds(client: pg.Client, query: string, ...parameters: string[]): Promise<boolean> {
  return (await client.query(`${query} limit 1`, parameters)).rowCount === 1;
}
