// Making secrets and signing tokens.
import { createHmac, randomInt } from "node:crypto";

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
