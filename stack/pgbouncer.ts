// PgBouncer between PostgREST and PostgreSQL, in transaction mode: docs/pgbouncer.md.
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { findAccount, withClient, withLogin } from "./postgres.ts";
import type { ServiceSpec } from "./service.ts";

export interface PgbouncerOptions {
  /** The program. */
  binary: string;
  /** Where its two files go. */
  directory: string;
  port: number;
  databaseUrl: string;
  /** Of `authenticator`, the only one who may connect. */
  password: string;
  logFile: string;
}

/** What PostgREST must do without: prepared statements and LISTEN, which belong to a connection. */
export const POSTGREST_BEHIND_PGBOUNCER = {
  PGRST_DB_PREPARED_STATEMENTS: "false",
  PGRST_DB_CHANNEL_ENABLED: "false",
};

/** Writes PgBouncer's files and says how to run it. `url` is the database through it, as `authenticator`. */
export function preparePgbouncer(options: PgbouncerOptions): { spec: ServiceSpec; url: string } {
  const { binary, directory, port, databaseUrl, password, logFile } = options;
  const database = new URL(databaseUrl);
  const name = database.pathname.slice(1);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const [settingsFile, usersFile] = ["pgbouncer.ini", "users.txt"].map((file) => path.join(directory, file)) as [
    string,
    string,
  ];
  const settings = `[databases]
${name} = host=${database.hostname} port=${database.port || 5432} dbname=${name}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${usersFile}
stats_users = authenticator
pool_mode = transaction
default_pool_size = 20
max_client_conn = 500
; While PostgreSQL is away, calls are refused before the proxy gives them up: none is authorised that nobody makes.
query_wait_timeout = 2
server_connect_timeout = 2
server_login_retry = 1
`;
  writeFileSync(settingsFile, settings, { mode: 0o600 });
  writeFileSync(usersFile, `"authenticator" "${password}"\n`, { mode: 0o600 });
  for (const file of [settingsFile, usersFile]) chmodSync(file, 0o600);
  const through = new URL(databaseUrl);
  [through.hostname, through.port, through.search] = ["127.0.0.1", String(port), ""];
  const url = withLogin(through.href, "authenticator", password);
  const account = process.getuid?.() === 0 ? findAccount() : undefined;
  const spec: ServiceSpec = {
    name: "pgbouncer",
    command: binary,
    // It refuses to run as root, but reads its files before it becomes another.
    args: [...(account ? ["--user", account.name] : []), settingsFile],
    env: {},
    logFile,
    isReady: () =>
      withClient(url, (client) => client.query("select")).then(
        () => true,
        () => false,
      ),
    // SIGINT would wait for clients to leave.
    stopSignal: "SIGTERM",
    restarts: true,
  };
  return { spec, url };
}
