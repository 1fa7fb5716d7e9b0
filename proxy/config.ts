import { isIP } from "node:net";
import path from "node:path";
import { z } from "zod";
import { parseAllowedHosts } from "../lib/allowed-hosts.ts";
import { readVariables } from "../lib/environment.ts";
import { tracingVariables } from "../lib/tracing-config.ts";

const wholeNumber = (from: number, to?: number) => {
  const expected = `expected a whole number, ${to === undefined ? `${from} or more` : `${from} to ${to}`}`;
  return z.coerce
    .number(expected)
    .int(expected)
    .min(from, expected)
    .max(to ?? Number.MAX_SAFE_INTEGER, expected);
};
const port = (fallback: number) => wholeNumber(0, 65_535).default(fallback);
const milliseconds = (fallback: number) => wholeNumber(1).default(fallback);
const httpUrl = z.url({ protocol: /^https?$/, error: "expected an http(s) URL" });

const TRUSTED = "expected true, false, a number of hops, or addresses and subnets separated by commas";
const SUBNET_NAMES = new Set(["loopback", "linklocal", "uniquelocal"]);

/** Express's "trust proxy". */
const trustProxy = z
  .string()
  .default("false")
  .transform((value, context) => {
    if (value === "true" || value === "false") return value === "true";
    if (/^\d+$/.test(value)) return Number(value);
    const entries = value.split(",").map((entry) => entry.trim());
    if (entries.every((entry) => SUBNET_NAMES.has(entry) || isSubnet(entry))) return entries;
    context.addIssue(TRUSTED);
    return z.NEVER;
  });

/** An address, or one with the length of its network's prefix. */
function isSubnet(text: string): boolean {
  const [address = "", prefix, ...more] = text.split("/");
  const bits = { 4: 32, 6: 128 }[isIP(address)];
  return (
    bits !== undefined &&
    more.length === 0 &&
    (prefix === undefined || (/^\d+$/.test(prefix) && Number(prefix) <= bits))
  );
}

const GATEWAY_TOKEN = "expected a JWT of role gateway, as `npm run admin -- gateway-token` prints it";

/** Whether a text claims to be of role gateway; whether it is, PostgREST says. */
function isGatewayToken(text: string): boolean {
  try {
    const [, claims = "", signature] = text.split(".");
    return Boolean(signature) && JSON.parse(Buffer.from(claims, "base64url").toString()).role === "gateway";
  } catch {
    return false;
  }
}

const listOfUrls = z
  .string()
  .transform((list) => list.split(",").map((url) => url.trim()))
  .pipe(z.array(httpUrl).min(1));

/** 32 bytes, in base64 or hex. */
const encryptionKey = z.string().transform((text, context) => {
  const key = Buffer.from(text, /^[0-9a-f]{64}$/i.test(text) ? "hex" : "base64");
  if (key.length === 32) return key;
  context.addIssue("expected 32 random bytes in base64 or hex");
  return z.NEVER;
});

const allowedHosts = z
  .string()
  .default("")
  .superRefine((list, context) => {
    try {
      parseAllowedHosts(list);
    } catch (error) {
      context.addIssue((error as Error).message);
    }
  });

const variables = z.object({
  PROXY_HOST: z.string().min(1).default("0.0.0.0"),
  PROXY_PORT: port(3001),
  ADMIN_HOST: z.string().min(1).default("127.0.0.1"),
  ADMIN_PORT: port(9001),
  POSTGREST_URL: httpUrl,
  PORTKEY_URLS: listOfUrls,
  PORTKEY_ALLOWED_HOSTS: allowedHosts,
  GATEWAY_TOKEN: z.string(GATEWAY_TOKEN).refine(isGatewayToken, GATEWAY_TOKEN),
  BODY_LIMIT_BYTES: wholeNumber(1).default(33_554_432),
  REQUEST_TIMEOUT_MS: milliseconds(600_000),
  SHUTDOWN_DELAY_MS: wholeNumber(0).default(0),
  SHUTDOWN_TIMEOUT_MS: milliseconds(30_000),
  SETTLE_TIMEOUT_MS: milliseconds(2_000),
  JOURNAL_DIRECTORY: z
    .string()
    .default("journal")
    .transform((directory) => path.resolve(directory)),
  JOURNAL_FSYNC: z
    .enum(["0", "1"])
    .default("0")
    .transform((value) => value === "1"),
  SETTLE: z.enum(["database", "journal"]).default("database"),
  DATABASE_LISTEN_URL: z
    .url({ protocol: /^postgres(ql)?$/, error: "expected postgres://proxy_listener:password@host:port/database" })
    .optional(),
  LEASE_MAX_REQUESTS: wholeNumber(1, 10_000).default(256),
  REDIS_URL: z.url({ protocol: /^rediss?$/, error: "expected redis://host:port" }).optional(),
  GRANT_ENCRYPTION_KEY: encryptionKey.optional(),
  PROXY_WORKERS: wholeNumber(1, 256).default(1),
  LOG_LEVEL: z.enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"]).default("info"),
  TRUST_PROXY: trustProxy,
  ...tracingVariables,
});

const schema = variables.refine(({ REDIS_URL, GRANT_ENCRYPTION_KEY }) => !REDIS_URL || GRANT_ENCRYPTION_KEY, {
  path: ["GRANT_ENCRYPTION_KEY"],
  error: "expected 32 random bytes in base64 or hex, since leases go to REDIS_URL",
});

/** PORTKEY_URL is the older name of PORTKEY_URLS. */
export const VARIABLES = [...Object.keys(variables.shape), "PORTKEY_URL"];

export type Config = z.infer<typeof schema>;

/** Which of PROXY_WORKERS processes this is, from 1 on: the first process tells the others when it starts them. */
export const WORKER_VARIABLE = "NEUROPIA_PROXY_WORKER";

/**
 * Reads the proxy's settings. Empty variables count as unset; NAME_FILE names a file that holds NAME.
 *
 * @throws Error whose message names every wrong variable and what it should be
 */
export function readConfig(environment: NodeJS.ProcessEnv = process.env): Config {
  const { PORTKEY_URL, ...set } = readVariables(VARIABLES, environment);
  const result = schema.safeParse({ ...(PORTKEY_URL !== undefined && { PORTKEY_URLS: PORTKEY_URL }), ...set });
  if (result.success) return forWorker(result.data, Number(environment[WORKER_VARIABLE] ?? 1));
  const problems = result.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
  throw new Error(`wrong configuration of the proxy\n  ${problems.join("\n  ")}`);
}

/** Each worker has a journal of its own; the first that of a proxy without workers. */
function forWorker(config: Config, worker: number): Config {
  if (worker === 1) return config;
  return { ...config, JOURNAL_DIRECTORY: path.join(config.JOURNAL_DIRECTORY, `worker-${worker}`) };
}
