import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { z } from "zod";
import { DEMO_PREFIX } from "../lib/environment.ts";
import { makePassword, signJwt } from "../lib/secrets.ts";
import { StackError } from "./errors.ts";

const secretsSchema = z.object({
  jwt_secret: z.string().min(32),
  master_key: z.string().regex(new RegExp(`^(${DEMO_PREFIX})?[0-9a-f]{64}$`)),
  postgres_password: z.string().min(16),
  authenticator_password: z.string().min(16),
  worker_password: z.string().min(16),
  proxy_listener_password: z.string().min(16),
});

export { makePassword, signJwt };

export type Secrets = z.infer<typeof secretsSchema>;

/** Marks a secret as one that production refuses: these lie in a file beside the data. */
const demo = (secret: string): string => DEMO_PREFIX + secret;

/** Reads the secrets of a data directory, making them on the first call. The file is readable by its owner only. */
export function loadSecrets(dataDirectory: string): Secrets {
  const file = path.join(dataDirectory, "secrets.json");
  if (existsSync(file)) {
    try {
      return secretsSchema.parse(JSON.parse(readFileSync(file, "utf8")));
    } catch {
      throw new StackError(
        `${file} is damaged: restore it, or remove ${dataDirectory} to begin anew (this loses its data).`,
      );
    }
  }
  const secrets: Secrets = {
    jwt_secret: demo(randomBytes(48).toString("base64url")),
    master_key: demo(randomBytes(32).toString("hex")),
    postgres_password: demo(makePassword()),
    authenticator_password: demo(makePassword()),
    worker_password: demo(makePassword()),
    proxy_listener_password: demo(makePassword()),
  };
  writeFileSync(file, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600, flag: "wx" });
  return secrets;
}
