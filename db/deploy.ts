// Brings a PostgreSQL 18 database up to this version: migrations, then functions, policies and views in one transaction.
// Running it again changes nothing. Environment: DATABASE_URL and, to set the login roles' passwords,
// AUTHENTICATOR_PASSWORD, WORKER_PASSWORD, PROXY_LISTENER_PASSWORD; each may be in a file that NAME_FILE names.
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { runMigrations } from "graphile-worker";
import pg from "pg";
import { z } from "zod";
import { readVariables } from "../lib/environment.ts";
import { scramVerifier } from "../lib/secrets.ts";
import { LOCK_TIMEOUT_MS, type Rules, replaceRules, splitTriggers } from "./rules.ts";

const DB_DIRECTORY = path.dirname(fileURLToPath(import.meta.url));
const PROJECT_DIRECTORY = path.dirname(DB_DIRECTORY);
const OLDEST_POSTGRES = 180_000;
const LOCK_PATIENCE_MS = 120_000;
const LOCKED = /lock timeout|statement timeout|deadlock detected/;

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

/**
 * Deploys to `databaseUrl`, whose user must be allowed to create roles and extensions, while calls go on: they wait for moments
 * at most. Throws on the first error, also when a table cannot be had for two minutes.
 */
export async function deploy({ databaseUrl, passwords = {} }: DeployOptions): Promise<void> {
  await untilUnlocked(() => migrate(databaseUrl));
  const client = new pg.Client({ connectionString: databaseUrl, application_name: "neuropia-deploy" });
  await client.connect();
  try {
    await requirePostgres18(client);
    await migrateGraphileWorker(client, databaseUrl);
    await client.query("begin");
    await client.query("select pg_advisory_xact_lock(hashtext('neuropia deploy'))");
    await setPasswords(client, passwords);
    await replaceFunctions(client);
    await replaceRules(client, await readRules(), untilUnlocked, errorOfFile);
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
  url.searchParams.set("lock_timeout", String(LOCK_TIMEOUT_MS));
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
      const { functions } = splitTriggers(await readFile(file, "utf8"));
      try {
        await client.query(`set local role ${ownerOf(file)};\n${functions}\n;reset role`);
      } catch (error) {
        throw errorOfFile(path.relative(DB_DIRECTORY, file), error);
      }
    }
  }
}

/** The triggers of functions/, which belong to the functions they call, then rls/. */
async function readRules(): Promise<Rules[]> {
  const rules: Rules[] = [];
  for (const directory of ["functions", "rls"]) {
    for (const file of await sqlFiles(directory)) {
      const text = await readFile(file, "utf8");
      const statements = directory === "rls" ? text : splitTriggers(text).triggers;
      if (statements !== "") rules.push({ file: path.relative(DB_DIRECTORY, file), owner: ownerOf(file), statements });
    }
  }
  return rules;
}

/** Tries again while somebody else has a table. */
async function untilUnlocked(work: () => Promise<void>): Promise<void> {
  for (const deadline = Date.now() + LOCK_PATIENCE_MS; ; ) {
    try {
      return await work();
    } catch (error) {
      if (Date.now() > deadline || !LOCKED.test((error as Error).message)) throw error;
      // Those who have waited for us go first.
      await sleep(100 + Math.random() * 300);
    }
  }
}

/** Who owns what a file makes: auth_owner for functions/auth and rls/auth, app_owner for everything else. */
const ownerOf = (file: string): string => (file.includes(`${path.sep}auth${path.sep}`) ? "auth_owner" : "app_owner");

function errorOfFile(file: string, error: unknown): Error {
  const { message, hint, where } = error as pg.DatabaseError;
  return new Error([`db/${file}: ${message}`, hint, where].filter(Boolean).join("\n"));
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
