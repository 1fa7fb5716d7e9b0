// Making secrets and signing tokens.
import { createHash, createHmac, pbkdf2Sync, randomBytes, randomInt } from "node:crypto";

const LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";

/** 24 letters and digits that are not mistaken for each other. */
export function makePassword(): string {
  return Array.from({ length: 24 }, () => LETTERS[randomInt(LETTERS.length)]).join("");
}

const SCRAM_ITERATIONS = 4096;

/**
 * What PostgreSQL stores of a password (SCRAM-SHA-256): given in its place, the password is in no statement and so in no log.
 *
 * @param password printable ASCII
 */
export function scramVerifier(password: string): string {
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, SCRAM_ITERATIONS, 32, "sha256");
  const keyed = (name: string): Buffer => createHmac("sha256", salted).update(name).digest();
  const stored = createHash("sha256").update(keyed("Client Key")).digest("base64");
  return `SCRAM-SHA-256$${SCRAM_ITERATIONS}:${salt.toString("base64")}$${stored}:${keyed("Server Key").toString("base64")}`;
}

/** Signs a JWT with HS256. */
export function signJwt(claims: Record<string, unknown>, secret: string): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}
