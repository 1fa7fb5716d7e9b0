import { z } from "zod";
import { readVariables } from "../lib/environment.ts";
import { tracingVariables } from "../lib/tracing-config.ts";

const schema = z
  .object({
    DATABASE_URL: z.url({
      protocol: /^postgres(ql)?$/,
      error: "expected the URL of the database, postgres://worker:password@host:port/name",
    }),
    MASTER_KEY: z.string().optional(),
    SMTP_URL: z
      .url({
        protocol: /^smtps?$/,
        error: "expected the URL of a mail server, smtp://user:password@host:port or smtps://…",
      })
      .optional(),
    MAIL_FROM: z
      .string()
      .regex(
        /^([^<>\r\n]*<)?[^\s<>@,;]+@[^\s<>@,;]+>?$/,
        "expected the sender of mails, name@example.com or Name <name@example.com>",
      )
      .optional(),
    STRIPE_SECRET_KEY: z.string().min(8, "expected a secret key of Stripe, sk_… or rk_…").optional(),
    STRIPE_API_URL: z
      .url({ protocol: /^https?$/, error: "expected the URL of Stripe's API" })
      .default("https://api.stripe.com"),
    PAYMENT_RETURN_URL: z
      .url({ protocol: /^https?$/, error: "expected the URL that customers come back to after paying" })
      .optional(),
    JOBS_ADMIN_HOST: z.string().min(1).default("127.0.0.1"),
    JOBS_ADMIN_PORT: z.coerce
      .number("expected a port number, 0 to 65535")
      .int("expected a port number, 0 to 65535")
      .min(0, "expected a port number, 0 to 65535")
      .max(65_535, "expected a port number, 0 to 65535")
      .default(9002),
    ...tracingVariables,
    LOG_LEVEL: z.enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"]).default("info"),
  })
  .refine((config) => config.SMTP_URL === undefined || config.MAIL_FROM !== undefined, {
    path: ["MAIL_FROM"],
    message: "expected the sender of mails, since SMTP_URL is set",
  })
  .refine((config) => config.STRIPE_SECRET_KEY === undefined || config.PAYMENT_RETURN_URL !== undefined, {
    path: ["PAYMENT_RETURN_URL"],
    message: "expected the URL that customers come back to after paying, since STRIPE_SECRET_KEY is set",
  });

export const VARIABLES = Object.keys(schema.shape);

export type Config = z.infer<typeof schema>;

/**
 * Reads the worker's settings. Empty variables count as unset; NAME_FILE names a file that holds NAME.
 *
 * @throws Error whose message is one line that names every wrong variable and what it should be, never its value
 */
export function readConfig(environment: NodeJS.ProcessEnv = process.env): Config {
  const result = schema.safeParse(readVariables(VARIABLES, environment));
  if (result.success) return result.data;
  throw new Error(result.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; "));
}
