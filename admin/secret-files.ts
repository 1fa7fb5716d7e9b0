// The directory of secrets that docker-compose.yml and the systemd units hand to the services: one file each.
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { makePassword, signJwt } from "../lib/secrets.ts";

/** host:port/name of the database, as the services reach it. */
export type DatabasePlace = string;

/** Makes every secret anew and writes their files. Throws when one of them is there already: nothing is overwritten. */
export function makeSecrets(directory: string, database: DatabasePlace): string[] {
  const password = {
    postgres: makePassword(),
    authenticator: makePassword(),
    worker: makePassword(),
    proxy_listener: makePassword(),
  };
  const url = (user: keyof typeof password): string => `postgres://${user}:${password[user]}@${database}`;
  const jwtSecret = randomBytes(48).toString("base64url");
  const masterKey = randomBytes(32).toString("hex");
  const files: Record<string, string> = {
    postgres_password: password.postgres,
    database_url: url("postgres"),
    authenticator_password: password.authenticator,
    postgrest_database_url: url("authenticator"),
    worker_password: password.worker,
    worker_database_url: url("worker"),
    proxy_listener_password: password.proxy_listener,
    listener_database_url: url("proxy_listener"),
    grant_encryption_key: randomBytes(32).toString("hex"),
    master_key: masterKey,
    ...jwtFiles(jwtSecret),
    postgrest_settings: postgrestSettings(jwtSecret, masterKey),
  };
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  chmodSync(directory, 0o700);
  const existing = Object.keys(files).filter((name) => existsSync(path.join(directory, name)));
  if (existing.length > 0) throw new Error(`${directory} has secrets already: ${existing.join(", ")}`);
  for (const [name, content] of Object.entries(files)) writeSecret(directory, name, content);
  return Object.keys(files);
}

/**
 * Replaces the secret that tokens are signed with. Tokens of the old one stay good until `finishJwtRotation`, so that
 * nobody is logged out and the proxy needs no restart at this very moment.
 */
export function rotateJwtSecret(directory: string): void {
  const old = readSecret(directory, "jwt_secret");
  const jwtSecret = randomBytes(48).toString("base64url");
  const files = {
    ...jwtFiles(jwtSecret, old),
    postgrest_settings: postgrestSettings(jwtSecret, readSecret(directory, "master_key")),
  };
  for (const [name, content] of Object.entries(files)) writeSecret(directory, name, content);
}

/** Tokens of earlier secrets are refused from now on. */
export function finishJwtRotation(directory: string): void {
  writeSecret(directory, "jwt_keys", jwtKeys(readSecret(directory, "jwt_secret")));
}

/** Replaces the master key; `master_key.previous` keeps the old one, for backups from before. */
export function replaceMasterKey(directory: string, masterKey: string): void {
  writeSecret(directory, "master_key.previous", readSecret(directory, "master_key"));
  writeSecret(directory, "postgrest_settings", postgrestSettings(readSecret(directory, "jwt_secret"), masterKey));
  writeSecret(directory, "master_key", masterKey);
}

/** The proxy's token. */
export function gatewayToken(jwtSecret: string): string {
  return signJwt({ role: "gateway" }, jwtSecret);
}

/** Throws an Error that names the file when it cannot be read. */
export function readSecret(directory: string, name: string): string {
  try {
    return readFileSync(path.join(directory, name), "utf8").trim();
  } catch (error) {
    throw new Error(`${path.join(directory, name)} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

// In place: a container has the file itself mounted, and would not see another one under its name. Readable for all,
// since containers run as users of their own; the directory is closed to others.
function writeSecret(directory: string, name: string, content: string): void {
  writeFileSync(path.join(directory, name), content, { mode: 0o644 });
}

function jwtFiles(secret: string, previous?: string): Record<string, string> {
  return { jwt_secret: secret, jwt_keys: jwtKeys(secret, previous), gateway_token: gatewayToken(secret) };
}

/** A JSON Web Key Set: PostgREST accepts tokens signed with any of its keys. */
function jwtKeys(...secrets: (string | undefined)[]): string {
  const keys = secrets
    .filter((secret) => secret !== undefined)
    .map((secret) => ({ kty: "oct", alg: "HS256", k: Buffer.from(secret).toString("base64url") }));
  return JSON.stringify({ keys });
}

function postgrestSettings(jwtSecret: string, masterKey: string): string {
  return `app.settings.jwt_secret = "${jwtSecret}"\napp.settings.master_key = "${masterKey}"\n`;
}
