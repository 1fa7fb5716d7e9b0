import { z } from "zod";
import { readVariables } from "../lib/environment.ts";

const port = (fallback: number) => z.coerce.number().int().min(0).max(65_535).default(fallback);
const milliseconds = (fallback: number) => z.coerce.number().int().min(1).default(fallback);
const httpUrl = z.url({ protocol: /^https?$/, error: "expected an http(s) URL" });

/** Express's "trust proxy": a number of hops, true/false, or a list of addresses and subnets. */
const trustProxy = z
  .string()
  .default("false")
  .transform((value) => {
    if (value === "true" || value === "false") return value === "true";
    return /^\d+$/.test(value) ? Number(value) : value.split(",").map((address) => address.trim());
  });

const schema = z.object({
  PROXY_HOST: z.string().min(1).default("0.0.0.0"),
  PROXY_PORT: port(3001),
  ADMIN_HOST: z.string().min(1).default("127.0.0.1"),
  ADMIN_PORT: port(9001),
  POSTGREST_URL: httpUrl,
  PORTKEY_URL: httpUrl,
  GATEWAY_TOKEN: z.string({ error: "expected a JWT of role gateway" }).min(1, "expected a JWT of role gateway"),
  BODY_LIMIT_BYTES: z.coerce.number().int().min(1).default(33_554_432),
  REQUEST_TIMEOUT_MS: milliseconds(600_000),
  SHUTDOWN_TIMEOUT_MS: milliseconds(30_000),
  LOG_LEVEL: z.enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"]).default("info"),
  TRUST_PROXY: trustProxy,
});

export const VARIABLES = Object.keys(schema.shape);

export type Config = z.infer<typeof schema>;

/**
 * Reads the proxy's settings. Empty variables count as unset; NAME_FILE names a file that holds NAME.
 *
 * @throws Error whose message names every wrong variable and what it should be
 */
export function readConfig(environment: NodeJS.ProcessEnv = process.env): Config {
  const result = schema.safeParse(readVariables(VARIABLES, environment));
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
  throw new Error(`wrong configuration of the proxy\n  ${problems.join("\n  ")}`);
}
