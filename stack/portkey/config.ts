import { z } from "zod";
import { parseAllowedHosts } from "../../lib/allowed-hosts.ts";
import { parseEnv } from "../env.ts";

const schema = z.object({
  PORTKEY_BIND_HOST: z.string().min(1).default("127.0.0.1"),
  PORTKEY_ALLOWED_HOSTS: z
    .string()
    .default("")
    .transform((list, context) => {
      try {
        return parseAllowedHosts(list);
      } catch (error) {
        context.addIssue((error as Error).message);
        return z.NEVER;
      }
    }),
  PORTKEY_DRAIN_TIMEOUT_MS: z.coerce.number().int().min(0).default(30_000),
  PORTKEY_UPSTREAM_TIMEOUT_MS: z.coerce.number().int().min(1).default(600_000),
  LOG_LEVEL: z.enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"]).default("info"),
});

export const VARIABLES = Object.keys(schema.shape);

export const config = parseEnv(schema, process.env);
