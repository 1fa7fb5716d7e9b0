// The operator's commands. Those that change accounts or keys connect to DATABASE_URL as the database's owner.
import { randomBytes } from "node:crypto";
import { parseArgs } from "node:util";
import { makePassword } from "../lib/secrets.ts";
import { readDatabaseUrl } from "./config.ts";
import { createPlatformAdmin, reencryptSecrets, reloadPostgrest, resetPassword } from "./database.ts";
import { readPassword } from "./password.ts";
import {
  finishJwtRotation,
  gatewayToken,
  makeSecrets,
  readSecret,
  replaceMasterKey,
  rotateJwtSecret,
} from "./secret-files.ts";

const USAGE = `usage: npm run admin -- <command>

  create <email> [--username <name>] [--generate]   makes a platform admin
  reset-password <email> [--generate]               gives a login another password and ends its sessions
  make-secrets <directory> [--database <place>]     makes all secrets; place: host:port/name, postgres:5432/neuropia if not given
  gateway-token <directory>                         prints a token for the proxy
  rotate-jwt-secret <directory> [--finish]          another secret for tokens; --finish: the old one's are refused
  rotate-master-key <directory>                     another master key; encrypts all that is stored under it anew

A password is asked for, or read from standard input; with --generate it is made, and shown once.
DATABASE_URL or DATABASE_URL_FILE names the database, as its owner.`;

try {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      username: { type: "string" },
      generate: { type: "boolean", default: false },
      database: { type: "string", default: "postgres:5432/neuropia" },
      finish: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const [command, subject, ...others] = positionals;
  if (values.help) {
    console.log(USAGE);
  } else if (command === undefined || subject === undefined || others.length > 0) {
    throw new Error(USAGE);
  } else if (command === "create") {
    const password = await passwordFor(values.generate);
    const username = values.username ?? subject.replace(/@.*/s, "");
    const id = await createPlatformAdmin(readDatabaseUrl(), subject, password, username);
    console.log(`platform admin ${subject} (${id})`);
    showGenerated(values.generate, password);
  } else if (command === "reset-password") {
    const password = await passwordFor(values.generate);
    await resetPassword(readDatabaseUrl(), subject, password);
    console.log(`${subject} has another password; all sessions have ended`);
    showGenerated(values.generate, password);
  } else if (command === "make-secrets") {
    const names = makeSecrets(subject, values.database);
    console.log(`${subject}: ${names.join(", ")}`);
    console.log("Keep a copy of master_key apart from the database's backups: without it they are of no use.");
  } else if (command === "gateway-token") {
    console.log(gatewayToken(readSecret(subject, "jwt_secret")));
  } else if (command === "rotate-jwt-secret") {
    const databaseUrl = readDatabaseUrl();
    if (values.finish) finishJwtRotation(subject);
    else rotateJwtSecret(subject);
    await reloadPostgrest(databaseUrl);
    console.log(
      values.finish
        ? "Tokens of earlier secrets are refused from now on."
        : "New tokens are signed with another secret. Restart the proxies, which have another gateway_token, then run this with --finish.",
    );
  } else if (command === "rotate-master-key") {
    const to = randomBytes(32).toString("hex");
    const done = await reencryptSecrets(readDatabaseUrl(), { from: readSecret(subject, "master_key"), to }, () =>
      replaceMasterKey(subject, to),
    );
    for (const { table, column, rows } of done) console.log(`${table}.${column}: ${rows}`);
    console.log("Restart jobs, which has read the old master_key.");
  } else {
    throw new Error(USAGE);
  }
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}

function passwordFor(generate: boolean): string | Promise<string> {
  return generate ? makePassword() : readPassword(process.stdin, process.stdout);
}

function showGenerated(generated: boolean, password: string): void {
  if (generated) console.log(`password: ${password}`);
}
