import path from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { parseEnv, portSchema } from "./env.ts";

export const PROJECT_DIRECTORY = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
export const DEFAULT_DATA_DIRECTORY = path.join(PROJECT_DIRECTORY, ".neuropia");

/** The environment variable of each port, and the port used without it. PG_PORT keeps clear of a PostgreSQL on 5432. */
export const DEFAULT_PORTS = {
  PROXY_PORT: 3001,
  ADMIN_PORT: 9001,
  JOBS_ADMIN_PORT: 9002,
  PGRST_PORT: 3000,
  PORTKEY_PORT: 8787,
  PG_PORT: 25432,
  PROVIDER_PORT: 8790,
} as const;

export type PortName = keyof typeof DEFAULT_PORTS;

/** Any free port for each: for stacks that tests and benchmarks start beside others. */
export const FREE_PORTS = Object.fromEntries(Object.keys(DEFAULT_PORTS).map((name) => [name, 0])) as Record<
  PortName,
  number
>;

/** The providers whose real keys may come from the environment, and the variable each comes from. */
export const PROVIDER_KEY_VARIABLES = {
  dashscope: "DASHSCOPE_API_KEY",
  openai: "OPENAI_API_KEY",
  anthropic: "ANTHROPIC_API_KEY",
} as const;

export type ProviderName = keyof typeof PROVIDER_KEY_VARIABLES;

const port = (name: PortName) => portSchema.default(DEFAULT_PORTS[name]);

const environment = z.object({
  NEUROPIA_DATA: z.string().optional(),
  DATABASE_URL: z
    .url({ protocol: /^postgres(ql)?$/, error: "expected postgres://user:password@host:port/database" })
    .optional(),
  POSTGREST_BIN: z.string().optional(),
  PGBOUNCER_BIN: z.string().optional(),
  PROXY_HOST: z.string().default("127.0.0.1"),
  PROXY_PORT: port("PROXY_PORT"),
  ADMIN_PORT: port("ADMIN_PORT"),
  JOBS_ADMIN_PORT: port("JOBS_ADMIN_PORT"),
  PGRST_PORT: port("PGRST_PORT"),
  PORTKEY_PORT: port("PORTKEY_PORT"),
  PG_PORT: port("PG_PORT"),
  PROVIDER_PORT: port("PROVIDER_PORT"),
  PORTKEY_ALLOWED_HOSTS: z.string().default(""),
  DASHSCOPE_API_KEY: z.string().optional(),
  OPENAI_API_KEY: z.string().optional(),
  ANTHROPIC_API_KEY: z.string().optional(),
});

export const VARIABLES = Object.keys(environment.shape);

export interface StackConfig {
  /** Absolute. */
  dataDirectory: string;
  /** Whether somebody chose the data directory: then it is used as it is or refused. */
  dataDirectoryGiven: boolean;
  databaseUrl: string | undefined;
  postgrestBinary: string | undefined;
  /** When set, PostgREST connects through it. */
  pgbouncerBinary: string | undefined;
  proxyHost: string;
  ports: Record<PortName, number>;
  /** Hosts the gateway may connect to beside those of the configured providers. */
  extraAllowedHosts: string;
  /** Real provider keys; none = demo mode. */
  providerKeys: Partial<Record<ProviderName, string>>;
  /** What the services inherit: the environment without secrets of others and without what would change how Node or libpq work. */
  inheritedEnv: NodeJS.ProcessEnv;
}

const NOT_INHERITED = /_API_KEY$|^DATABASE_URL$|^PG[A-Z]+$|^PGRST_|^NODE_OPTIONS$|^NODE_ENV$|^VITEST|^npm_/;

/** Reads the stack's configuration from the environment. */
export function readConfig(env: NodeJS.ProcessEnv = process.env): StackConfig {
  const given = parseEnv(environment, env);
  const providerKeys: StackConfig["providerKeys"] = {};
  for (const [provider, variable] of Object.entries(PROVIDER_KEY_VARIABLES)) {
    const secret = given[variable];
    if (secret !== undefined) providerKeys[provider as ProviderName] = secret;
  }
  const ports = Object.fromEntries(Object.keys(DEFAULT_PORTS).map((name) => [name, given[name as PortName]]));
  return {
    dataDirectory: path.resolve(given.NEUROPIA_DATA ?? DEFAULT_DATA_DIRECTORY),
    dataDirectoryGiven: given.NEUROPIA_DATA !== undefined,
    databaseUrl: given.DATABASE_URL,
    postgrestBinary: given.POSTGREST_BIN,
    pgbouncerBinary: given.PGBOUNCER_BIN,
    proxyHost: given.PROXY_HOST,
    ports: ports as Record<PortName, number>,
    extraAllowedHosts: given.PORTKEY_ALLOWED_HOSTS,
    providerKeys,
    inheritedEnv: Object.fromEntries(Object.entries(env).filter(([name]) => !NOT_INHERITED.test(name))),
  };
}
