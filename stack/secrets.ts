import { createHmac, randomBytes, randomInt } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { z } from "zod";
import { StackError } from "./errors.ts";

const secretsSchema = z.object({
  jwt_secret: z.string().min(32),
  master_key: z.string().regex(/^[0-9a-f]{64}$/),
  postgres_password: z.string().min(16),
  authenticator_password: z.string().min(16),
  worker_password: z.string().min(16),
  proxy_listener_password: z.string().min(16),
});

export type Secrets = z.infer<typeof secretsSchema>;

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
    jwt_secret: randomBytes(48).toString("base64url"),
    master_key: randomBytes(32).toString("hex"),
    postgres_password: makePassword(),
    authenticator_password: makePassword(),
    worker_password: makePassword(),
    proxy_listener_password: makePassword(),
  };
  writeFileSync(file, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600, flag: "wx" });
  return secrets;
}

const LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";

/** 24 letters and digits that are not mistaken for each other. */
export function makePassword(): string {
  return Array.from({ length: 24 }, () => LETTERS[randomInt(LETTERS.length)]).join("");
}

/** Signs a JWT with HS256. */
export function signJwt(claims: Record<string, unknown>, secret: string): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}
