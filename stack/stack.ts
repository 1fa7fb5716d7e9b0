import path from "node:path";
import { deploy } from "../db/deploy.ts";
import { seedCatalogue } from "../db/seed/catalogue.ts";
import { type PortName, PROJECT_DIRECTORY, type StackConfig } from "./config.ts";
import { RunRecord, writePrivateJson } from "./data-directory.ts";
import { type DemoAccounts, ensureDemoAccounts } from "./demo.ts";
import { POSTGREST_BEHIND_PGBOUNCER, preparePgbouncer } from "./pgbouncer.ts";
import { portkeyArgs } from "./portkey/command.ts";
import { claimPort, findFreePort } from "./ports.ts";
import { checkDatabase, clusterUrl, createDatabase, preparePostgres, withClient, withLogin } from "./postgres.ts";
import { findPostgrest } from "./postgrest.ts";
import { routeProviders } from "./providers.ts";
import { loadSecrets, type Secrets, signJwt } from "./secrets.ts";
import { Service, type ServiceEvents, type ServiceSpec } from "./service.ts";

export const DATABASE = "neuropia";
const READY_REQUEST_TIMEOUT_MS = 2_000;
const STOP_ORDER = ["proxy", "jobs", "portkey", "provider", "postgrest", "pgbouncer", "postgres"] as const;

export type ServiceName = (typeof STOP_ORDER)[number];

/** What `stack.json` holds. */
export interface StackInfo {
  proxy_url: string;
  rest_url: string;
  portkey_url: string;
  /** As the owner: may do everything. */
  database_url: string;
  /** Null when real provider keys are used. */
  provider_url: string | null;
  /** The proxy's metrics. */
  admin_url: string;
  /** The jobs' metrics, and the database's. */
  jobs_admin_url: string;
  demo: DemoAccounts | null;
  pids: Partial<Record<ServiceName, number>>;
}

export interface StackOptions extends ServiceEvents {
  config: StackConfig;
  /** Called as each step begins and, with its duration, when it is done. */
  onProgress?: (step: string, durationMs?: number) => void;
  /** Settings of the embedded PostgreSQL. */
  postgresSettings?: Record<string, string>;
  /** Further environment variables, by service. */
  serviceEnv?: Partial<Record<ServiceName, NodeJS.ProcessEnv>>;
  /** Gives up starting: what runs by then is stopped and the start throws. */
  signal?: AbortSignal;
}

/** Everything running: the addresses, the processes, and how to stop them. */
export interface Stack {
  info: StackInfo;
  /** By name; `postgres`, `pgbouncer` and `provider` only where the stack runs them. */
  services: Partial<Record<ServiceName, Service>>;
  /** Stops every service, those that use others first. */
  stop: () => Promise<void>;
}

/**
 * Starts the platform on this machine and resolves when a call can be made. Throws a StackError that says what to do
 * when something is in the way; whatever was started by then is stopped.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const builder = new StackBuilder(options);
  const giveUp = (): void => void builder.stop();
  options.signal?.addEventListener("abort", giveUp);
  try {
    return await builder.start();
  } catch (error) {
    await builder.stop();
    options.signal?.throwIfAborted();
    throw error;
  } finally {
    options.signal?.removeEventListener("abort", giveUp);
  }
}

class StackBuilder {
  readonly #options: StackOptions;
  readonly #config: StackConfig;
  readonly #services: Partial<Record<ServiceName, Service>> = {};
  #record: RunRecord | undefined;
  #info: StackInfo | undefined;

  constructor(options: StackOptions) {
    this.#options = options;
    this.#config = options.config;
  }

  async start(): Promise<Stack> {
    const { dataDirectory, proxyHost } = this.#config;
    this.#record = await RunRecord.claim(dataDirectory);
    const secrets = loadSecrets(dataDirectory);
    const ports = await this.#claimPorts();
    const postgrest = findPostgrest(this.#config.postgrestBinary, this.#config.inheritedEnv.PATH);

    const databaseUrl = await this.#startDatabase(ports.PG_PORT, secrets);
    await this.#step("database schema", () =>
      deploy({
        databaseUrl,
        passwords: {
          authenticator: secrets.authenticator_password,
          worker: secrets.worker_password,
          proxy_listener: secrets.proxy_listener_password,
        },
      }),
    );
    await this.#step("starter catalogue", () => this.#seedCatalogue(databaseUrl));
    const providerUrl = this.#isDemo ? `http://127.0.0.1:${ports.PROVIDER_PORT}` : null;
    const providerHosts = await this.#step("provider keys", () =>
      routeProviders({
        databaseUrl,
        dataDirectory,
        masterKey: secrets.master_key,
        providerKeys: this.#config.providerKeys,
        demoUrl: providerUrl,
      }),
    );
    const demo = await this.#step("demo accounts", () => ensureDemoAccounts(databaseUrl, dataDirectory));

    const pooled = await this.#startPgbouncer(databaseUrl, secrets);
    const restUrl = `http://127.0.0.1:${ports.PGRST_PORT}`;
    const portkeyUrl = `http://127.0.0.1:${ports.PORTKEY_PORT}`;
    const adminUrl = `http://127.0.0.1:${ports.ADMIN_PORT}`;
    // A wildcard address is one to listen on, not one to call.
    const proxyUrl = `http://${/^(0\.0\.0\.0|::)$/.test(proxyHost) ? "127.0.0.1" : proxyHost}:${ports.PROXY_PORT}`;
    const allowedHosts = [providerHosts, this.#config.extraAllowedHosts].filter(Boolean).join(",");
    const behindProxy: Promise<void>[] = [
      this.#startService("postgrest", {
        command: postgrest,
        args: [],
        env: {
          PGRST_DB_URI: pooled ?? withLogin(databaseUrl, "authenticator", secrets.authenticator_password),
          ...(pooled !== undefined && POSTGREST_BEHIND_PGBOUNCER),
          PGRST_DB_SCHEMAS: "api",
          PGRST_DB_ANON_ROLE: "anon",
          PGRST_DB_PRE_REQUEST: "app.check_request",
          PGRST_DB_POOL: "20",
          PGRST_DB_MAX_ROWS: "1000",
          PGRST_JWT_SECRET: secrets.jwt_secret,
          PGRST_APP_SETTINGS_JWT_SECRET: secrets.jwt_secret,
          PGRST_APP_SETTINGS_MASTER_KEY: secrets.master_key,
          PGRST_OPENAPI_MODE: "follow-privileges",
          PGRST_SERVER_HOST: "127.0.0.1",
          PGRST_SERVER_PORT: String(ports.PGRST_PORT),
          PGRST_ADMIN_SERVER_PORT: String(ports.PGRST_ADMIN_PORT),
        },
        isReady: () => answers(`http://127.0.0.1:${ports.PGRST_ADMIN_PORT}/ready`),
      }),
      this.#startService("portkey", {
        command: process.execPath,
        args: portkeyArgs(ports.PORTKEY_PORT),
        env: {
          NODE_ENV: "production",
          PORTKEY_BIND_HOST: "127.0.0.1",
          PORTKEY_ALLOWED_HOSTS: allowedHosts,
          TRUSTED_CUSTOM_HOSTS: trustedHosts(allowedHosts),
        },
        isReady: () => answers(portkeyUrl),
      }),
      this.#startService("jobs", {
        command: process.execPath,
        args: ["jobs/main.ts"],
        env: {
          DATABASE_URL: withLogin(databaseUrl, "worker", secrets.worker_password),
          MASTER_KEY: secrets.master_key,
          JOBS_ADMIN_HOST: "127.0.0.1",
          JOBS_ADMIN_PORT: String(ports.JOBS_ADMIN_PORT),
        },
        // It is ready when it works, not when it listens.
        isReady: async (log) => log().includes('"msg":"ready"'),
      }),
    ];
    if (providerUrl !== null) {
      behindProxy.push(
        this.#startService("provider", {
          command: process.execPath,
          args: ["stack/provider/main.ts"],
          env: { PROVIDER_HOST: "127.0.0.1", PROVIDER_PORT: String(ports.PROVIDER_PORT) },
          isReady: () => answers(`${providerUrl}/health`),
        }),
      );
    }
    await allDone(behindProxy);
    await this.#startService("proxy", {
      command: process.execPath,
      args: ["proxy/main.ts"],
      env: {
        PROXY_HOST: proxyHost,
        PROXY_PORT: String(ports.PROXY_PORT),
        ADMIN_HOST: "127.0.0.1",
        ADMIN_PORT: String(ports.ADMIN_PORT),
        POSTGREST_URL: restUrl,
        PORTKEY_URLS: portkeyUrl,
        PORTKEY_ALLOWED_HOSTS: allowedHosts,
        JOURNAL_DIRECTORY: path.join(this.#config.dataDirectory, "journal"),
        DATABASE_LISTEN_URL: withLogin(databaseUrl, "proxy_listener", secrets.proxy_listener_password),
        GATEWAY_TOKEN: signJwt({ role: "gateway", demo: true }, secrets.jwt_secret),
      },
      isReady: () => answers(`${proxyUrl}/health`),
    });

    this.#info = {
      proxy_url: proxyUrl,
      rest_url: restUrl,
      portkey_url: portkeyUrl,
      database_url: databaseUrl,
      provider_url: providerUrl,
      admin_url: adminUrl,
      jobs_admin_url: `http://127.0.0.1:${ports.JOBS_ADMIN_PORT}`,
      demo,
      pids: {},
    };
    this.#writeInfo(this.#info);
    return { info: this.#info, services: this.#services, stop: () => this.stop() };
  }

  async stop(): Promise<void> {
    for (const name of STOP_ORDER) await this.#services[name]?.stop();
    this.#record?.release();
  }

  get #isDemo(): boolean {
    return Object.keys(this.#config.providerKeys).length === 0;
  }

  #writeInfo(info: StackInfo): void {
    info.pids = Object.fromEntries(Object.values(this.#services).map((service) => [service.name, service.pid]));
    writePrivateJson(path.join(this.#config.dataDirectory, "stack.json"), info);
  }

  async #claimPorts(): Promise<Record<PortName | "PGRST_ADMIN_PORT", number>> {
    const { ports, proxyHost, databaseUrl } = this.#config;
    const claimed: Partial<Record<PortName, number>> = {};
    for (const [name, port] of Object.entries(ports) as [PortName, number][]) {
      const used = !(name === "PG_PORT" && databaseUrl !== undefined) && !(name === "PROVIDER_PORT" && !this.#isDemo);
      claimed[name] = used ? await claimPort(name, port, name === "PROXY_PORT" ? proxyHost : "127.0.0.1") : port;
    }
    return { ...(claimed as Record<PortName, number>), PGRST_ADMIN_PORT: await findFreePort() };
  }

  async #startDatabase(port: number, secrets: Secrets): Promise<string> {
    const { databaseUrl, dataDirectory, dataDirectoryGiven, inheritedEnv } = this.#config;
    if (databaseUrl !== undefined) {
      await this.#step("database", () => checkDatabase(databaseUrl));
      return databaseUrl;
    }
    const spec = await this.#step("PostgreSQL files", () =>
      preparePostgres({
        dataDirectory,
        dataDirectoryGiven,
        port,
        password: secrets.postgres_password,
        logFile: this.#logFile("postgres"),
        env: inheritedEnv,
        settings: this.#options.postgresSettings ?? {},
      }),
    );
    await this.#startService("postgres", spec);
    await createDatabase(clusterUrl(port, secrets.postgres_password, "postgres"), DATABASE);
    return clusterUrl(port, secrets.postgres_password, DATABASE);
  }

  /** The database through PgBouncer, as `authenticator`; undefined where there is none between. */
  async #startPgbouncer(databaseUrl: string, secrets: Secrets): Promise<string | undefined> {
    const { pgbouncerBinary: binary, dataDirectory } = this.#config;
    if (binary === undefined) return undefined;
    const { spec, url } = preparePgbouncer({
      binary,
      directory: path.join(dataDirectory, "pgbouncer"),
      port: await findFreePort(),
      databaseUrl,
      password: secrets.authenticator_password,
      logFile: this.#logFile("pgbouncer"),
    });
    await this.#startService("pgbouncer", spec);
    return url;
  }

  async #startService(
    name: ServiceName,
    spec: Pick<ServiceSpec, "command" | "args" | "env" | "isReady"> & Partial<ServiceSpec>,
  ): Promise<void> {
    const service = new Service(
      {
        cwd: PROJECT_DIRECTORY,
        logFile: this.#logFile(name),
        restarts: true,
        ...spec,
        name,
        env: { ...this.#config.inheritedEnv, ...spec.env, ...this.#options.serviceEnv?.[name] },
      },
      {
        ...this.#options,
        onRunning: (running) => {
          this.#record?.note(name, running.pid);
          if (this.#info) this.#writeInfo(this.#info);
          this.#options.onRunning?.(running);
        },
      },
    );
    this.#services[name] = service;
    await this.#step(name, () => service.start());
  }

  /** Loads the starter catalogue into an empty database. */
  async #seedCatalogue(databaseUrl: string): Promise<void> {
    const { rowCount } = await withClient(databaseUrl, (client) => client.query("select from data.provider limit 1"));
    if (rowCount === 0) await withClient(databaseUrl, seedCatalogue);
  }

  #logFile(name: ServiceName): string {
    return path.join(this.#config.dataDirectory, "logs", `${name}.log`);
  }

  async #step<Result>(step: string, work: () => Promise<Result>): Promise<Result> {
    this.#options.signal?.throwIfAborted();
    const startMs = Date.now();
    this.#options.onProgress?.(step);
    const result = await work();
    this.#options.onProgress?.(step, Date.now() - startMs);
    return result;
  }
}

/** Waits until all have ended, then throws the first error: nothing is left half started. */
async function allDone(work: Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(READY_REQUEST_TIMEOUT_MS) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

/** The hosts Portkey itself must trust: it takes names only, and refuses private addresses that are not among them. */
function trustedHosts(allowedHosts: string): string {
  return [...new Set(allowedHosts.split(",").map((entry) => entry.replace(/:.*$/, "")))].join(",");
}
