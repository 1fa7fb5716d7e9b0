// How every process of ours reads its environment: empty variables, secrets in files, secrets of the demo.
import { readFileSync } from "node:fs";

/** What `.env.example` and the unit files say in place of a secret. */
const PLACEHOLDER = "change-me";
/** What the secrets that `npm start` makes begin with. */
export const DEMO_PREFIX = "demo-";

/**
 * The variables called `names` that are set. An empty variable counts as unset. Where NAME is unset and NAME_FILE names a
 * file, the value is what that file holds, without line breaks at its end: so come secrets of Docker and systemd.
 *
 * @throws Error of one line that names the variable, when both are set, when the file cannot be read, and, with
 *   NODE_ENV=production, when a value is a placeholder or a secret of the demo
 */
export function readVariables(names: string[], environment: NodeJS.ProcessEnv): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of names) {
    const value = environment[name] || fromFile(name, environment);
    if (value === undefined || value === "") continue;
    if (environment[name] && environment[`${name}_FILE`]) {
      throw new Error(`${name}: expected either ${name} or ${name}_FILE, not both`);
    }
    if (environment.NODE_ENV === "production" && isDemoSecret(value)) {
      throw new Error(`${name}: expected a secret of your own in production, not one of the demo or of an example`);
    }
    found[name] = value;
  }
  return found;
}

function fromFile(name: string, environment: NodeJS.ProcessEnv): string | undefined {
  const file = environment[`${name}_FILE`];
  if (!file) return undefined;
  try {
    return readFileSync(file, "utf8").replace(/[\r\n]+$/, "");
  } catch (error) {
    throw new Error(`${name}_FILE: expected a file that can be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

/** Whether a value is, or has in it, a secret that others know: as it is, as the password of a URL, or as what signed a JWT. */
function isDemoSecret(value: string): boolean {
  if (value.includes(PLACEHOLDER) || value.startsWith(DEMO_PREFIX)) return true;
  if (URL.canParse(value)) return new URL(value).password.startsWith(DEMO_PREFIX);
  const claims = /^[\w-]+\.([\w-]+)\.[\w-]+$/.exec(value)?.[1];
  if (claims === undefined) return false;
  try {
    return JSON.parse(Buffer.from(claims, "base64url").toString()).demo === true;
  } catch {
    return false;
  }
}
