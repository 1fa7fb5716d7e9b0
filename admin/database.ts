// What only somebody with the database itself may do: the first admin, a forgotten password, another master key.
import pg from "pg";

/** Makes a platform admin and returns its id. Throws the database's error: invalid_email, email_taken, weak_password. */
export function createPlatformAdmin(databaseUrl: string, email: string, password: string, username: string) {
  return asPlatformAdmin(databaseUrl, async (client) => {
    const { rows } = await client.query<{ id: string }>("select app.create_platform_admin($1, $2, $3) as id", [
      email,
      password,
      username,
    ]);
    return rows[0]?.id;
  });
}

/** Gives a login another password and ends all its sessions. Throws when there is no such login. */
export function resetPassword(databaseUrl: string, email: string, password: string): Promise<void> {
  return asPlatformAdmin(databaseUrl, async (client) => {
    const { rows } = await client.query<{ id: string }>(
      "select id from auth.login where lower(email::text) = lower($1)",
      [email],
    );
    const id = rows[0]?.id;
    if (id === undefined) throw new Error(`no login has the address ${email}`);
    await client.query("select app.set_password($1, $2)", [id, password]);
    await client.query("select app.revoke_sessions($1, 'password reset by an operator')", [id]);
  });
}

export type Reencrypted = { table: string; column: string; rows: number }[];

/**
 * Encrypts everything that is encrypted under another master key, in one transaction. Found by their names: the bytea
 * columns encrypted_… of the schema data. `beforeCommit` runs when all is encrypted; what it throws undoes everything.
 * PostgREST is told to read its settings again; until it has, app.encrypt_secret refuses the old key. Throws when anything
 * does not decrypt with the old key.
 */
export function reencryptSecrets(
  databaseUrl: string,
  keys: { from: string; to: string },
  beforeCommit: () => void,
): Promise<Reencrypted> {
  return transaction(databaseUrl, async (client) => {
    const { rows: columns } = await client.query<{ table: string; column: string }>(
      `select format('%I.%I', n.nspname, c.relname) as table, a.attname as column
       from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
       where n.nspname in ('data', 'auth') and c.relkind in ('r', 'p') and a.attname like 'encrypted\\_%'
         and a.atttypid = 'bytea'::regtype and not a.attisdropped
       order by 1, a.attnum`,
    );
    const becomeOwner = (table: string) =>
      client.query(`set local role ${table.startsWith("auth.") ? "auth_owner" : "app_owner"}`);
    for (const { table } of columns) {
      await becomeOwner(table);
      await client.query(`lock table ${table} in share row exclusive mode`);
    }
    await setMasterKey(client, keys.from);
    // So that there is a proof of the key to replace.
    await client.query("set local role app_owner");
    await client.query("select app.encrypt_secret('')");
    const done: Reencrypted = [];
    for (const { table, column } of columns) {
      const name = pg.escapeIdentifier(column);
      await becomeOwner(table);
      await setMasterKey(client, keys.from);
      const { rows } = await client.query<{ row: string; secret: string }>(
        `select ctid::text as row, app.decrypt_secret(${name}) as secret from ${table} where ${name} is not null`,
      );
      await setMasterKey(client, keys.to);
      // By ctid: an update moves its row, but each row is touched once, and nobody else writes meanwhile.
      for (const { row, secret } of rows) {
        await client.query(`update ${table} set ${name} = app.encrypt_with_master_key($1) where ctid = $2::tid`, [
          secret,
          row,
        ]);
      }
      await client.query("reset role");
      done.push({ table, column, rows: rows.length });
    }
    beforeCommit();
    await client.query("notify pgrst, 'reload config'");
    return done;
  });
}

/** Has PostgREST read its settings again, keys included. */
export function reloadPostgrest(databaseUrl: string): Promise<void> {
  return transaction(databaseUrl, async (client) => {
    await client.query("notify pgrst, 'reload config'");
  });
}

async function setMasterKey(client: pg.Client, key: string): Promise<void> {
  await client.query("select set_config('app.settings.master_key', $1, true)", [key]);
}

function asPlatformAdmin<Result>(databaseUrl: string, work: (client: pg.Client) => Promise<Result>): Promise<Result> {
  return transaction(databaseUrl, async (client) => {
    await client.query("select set_config('request.jwt.claims', $1, true)", [
      JSON.stringify({ role: "platform_admin" }),
    ]);
    return work(client);
  });
}

async function transaction<Result>(databaseUrl: string, work: (client: pg.Client) => Promise<Result>): Promise<Result> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: "neuropia-admin" });
  await client.connect();
  try {
    await client.query("begin");
    const result = await work(client);
    await client.query("commit");
    return result;
  } finally {
    // Before its commit, the end of the connection undoes the transaction.
    await client.end();
  }
}
