// Brings a PostgreSQL 18 database up to this version: migrations, then functions, policies and views in one transaction.
// Running it again changes nothing. Environment: DATABASE_URL and, to set the login roles' passwords,
// AUTHENTICATOR_PASSWORD, WORKER_PASSWORD, PROXY_LISTENER_PASSWORD; each may be in a file that NAME_FILE names.
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { runMigrations } from "graphile-worker";
import pg from "pg";
import { z } from "zod";
import { readVariables } from "../lib/environment.ts";
import { scramVerifier } from "../lib/secrets.ts";

const DB_DIRECTORY = path.dirname(fileURLToPath(import.meta.url));
const PROJECT_DIRECTORY = path.dirname(DB_DIRECTORY);
const OLDEST_POSTGRES = 180_000;

const passwordSchema = z
  .string()
  .regex(/^[ -~]{8,}$/, "expected 8 characters or more of printable ASCII")
  .optional();
const environmentSchema = z.object({
  DATABASE_URL: z.url({
    protocol: /^postgres(ql)?$/,
    error: "expected the URL of the database as its owner, postgres://user:password@host:port/name",
  }),
  AUTHENTICATOR_PASSWORD: passwordSchema,
  WORKER_PASSWORD: passwordSchema,
  PROXY_LISTENER_PASSWORD: passwordSchema,
});

export const VARIABLES = Object.keys(environmentSchema.shape);

export type DeployOptions = {
  databaseUrl: string;
  /** Passwords to set, by login role. */
  passwords?: Partial<Record<"authenticator" | "worker" | "proxy_listener", string>>;
};

/** Deploys to `databaseUrl`, whose user must be allowed to create roles and extensions. Throws on the first error. */
export async function deploy({ databaseUrl, passwords = {} }: DeployOptions): Promise<void> {
  await migrate(databaseUrl);
  const client = new pg.Client({ connectionString: databaseUrl, application_name: "neuropia-deploy" });
  await client.connect();
  try {
    await requirePostgres18(client);
    await migrateGraphileWorker(client, databaseUrl);
    await client.query("begin");
    await client.query("select pg_advisory_xact_lock(hashtext('neuropia deploy'))");
    await setPasswords(client, passwords);
    await replaceFunctions(client);
    await replaceAccessRules(client);
    await client.query("select app.create_usage_partitions()");
    await client.query("notify pgrst, 'reload config'");
    await client.query("notify pgrst, 'reload schema'");
    await client.query("commit");
  } finally {
    await client.end();
  }
}

async function migrate(databaseUrl: string): Promise<void> {
  const url = new URL(databaseUrl);
  // dbmate's driver asks for TLS unless told otherwise, node-postgres does not.
  if (!url.searchParams.has("sslmode")) url.searchParams.set("sslmode", "disable");
  const dbmate = path.join(path.dirname(createRequire(import.meta.url).resolve("dbmate/package.json")), "dist/cli.js");
  try {
    await promisify(execFile)(process.execPath, [dbmate, "--env-file", "dbmate.toml", "up"], {
      cwd: PROJECT_DIRECTORY,
      env: { ...process.env, DATABASE_URL: url.href },
    });
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    throw new Error(`migration failed: ${stderr?.trim() || message}`);
  }
}

async function requirePostgres18(client: pg.Client): Promise<void> {
  const { rows } = await client.query("select current_setting('server_version_num')::int as version");
  if (rows[0].version < OLDEST_POSTGRES) throw new Error(`PostgreSQL 18 is needed, this is ${rows[0].version}`);
}

/** graphile-worker's tables belong to the role `worker`, which may create a schema only while they are being made. */
async function migrateGraphileWorker(client: pg.Client, databaseUrl: string): Promise<void> {
  const { rows } = await client.query("select format('%I', current_database()) as name");
  await client.query(`grant create on database ${rows[0].name} to worker`);
  const url = new URL(databaseUrl);
  url.searchParams.set("options", "-c role=worker");
  try {
    await runMigrations({ connectionString: url.href });
  } finally {
    await client.query(`revoke create on database ${rows[0].name} from worker`);
  }
}

async function setPasswords(client: pg.Client, passwords: NonNullable<DeployOptions["passwords"]>): Promise<void> {
  for (const [role, password] of Object.entries(passwords)) {
    const verifier = pg.escapeLiteral(scramVerifier(password));
    await client.query(`alter role ${pg.escapeIdentifier(role)} password ${verifier}`);
  }
}

/** Loads every function twice: first without looking into bodies, so that files need no order, then with all checks. */
async function replaceFunctions(client: pg.Client): Promise<void> {
  const files = await sqlFiles("functions");
  for (const checkBodies of ["off", "on"]) {
    await client.query(`set local check_function_bodies = ${checkBodies}; set local plpgsql.extra_errors = 'all'`);
    for (const file of files) {
      await runFile(client, file);
    }
  }
}

/** Policies and grants are what the files say and nothing else: all that exist are taken away first. */
async function replaceAccessRules(client: pg.Client): Promise<void> {
  await client.query(`
    do $$
    declare
      v_statement text;
    begin
      for v_statement in
        select format('drop policy %I on %I.%I', policyname, schemaname, tablename)
        from pg_policies where schemaname in ('data', 'auth')
        union all
        select format('revoke all on all tables in schema %s from public, anon, customer, tenant_admin, platform_admin, gateway, worker', name)
        from unnest(array['api', 'data', 'auth']) as name
        union all
        -- "revoke on all tables" leaves column grants alone.
        select format('revoke select (%I), insert (%I), update (%I), references (%I) on %I.%I from %I',
          a.attname, a.attname, a.attname, a.attname, n.nspname, c.relname, g.grantee::regrole)
        from pg_attribute a
        join pg_class c on c.oid = a.attrelid
        join pg_namespace n on n.oid = c.relnamespace
        cross join lateral (select distinct (aclexplode(a.attacl)).grantee) g
        where n.nspname in ('api', 'data', 'auth') and g.grantee <> 0 and g.grantee <> c.relowner
      loop
        execute v_statement;
      end loop;
    end
    $$`);
  for (const file of await sqlFiles("rls")) await runFile(client, file);
}

/** Runs a file as the owner of what it makes: auth_owner for functions/auth and rls/auth, app_owner for everything else. */
async function runFile(client: pg.Client, file: string): Promise<void> {
  const owner = file.includes(`${path.sep}auth${path.sep}`) ? "auth_owner" : "app_owner";
  try {
    await client.query(`set local role ${owner}`);
    await client.query(await readFile(file, "utf8"));
    await client.query("reset role");
  } catch (error) {
    const { message, hint, where } = error as pg.DatabaseError;
    throw new Error([`${path.relative(PROJECT_DIRECTORY, file)}: ${message}`, hint, where].filter(Boolean).join("\n"));
  }
}

async function sqlFiles(directory: string): Promise<string[]> {
  const root = path.join(DB_DIRECTORY, directory);
  const names = await readdir(root, { recursive: true });
  return names
    .filter((name) => name.endsWith(".sql"))
    .sort()
    .map((name) => path.join(root, name));
}

/** Ends the process with one line per wrong variable that says what is expected. */
function readEnvironment(): z.infer<typeof environmentSchema> {
  try {
    const parsed = environmentSchema.safeParse(readVariables(VARIABLES, process.env));
    if (parsed.success) return parsed.data;
    for (const issue of parsed.error.issues) console.error(`${issue.path.join(".")}: ${issue.message}`);
  } catch (error) {
    console.error((error as Error).message);
  }
  process.exit(1);
}

if (import.meta.main) {
  const environment = readEnvironment();
  const passwords = {
    ...(environment.AUTHENTICATOR_PASSWORD && { authenticator: environment.AUTHENTICATOR_PASSWORD }),
    ...(environment.WORKER_PASSWORD && { worker: environment.WORKER_PASSWORD }),
    ...(environment.PROXY_LISTENER_PASSWORD && { proxy_listener: environment.PROXY_LISTENER_PASSWORD }),
  };
  try {
    await deploy({ databaseUrl: environment.DATABASE_URL, passwords });
    console.log("database deployed");
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  }
}
