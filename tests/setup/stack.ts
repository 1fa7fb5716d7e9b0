// Starts one stack for all tests of the project "stack", on free ports and in a directory of its own.
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import type { TestProject } from "vitest/node";
import { deploy } from "../../db/deploy.ts";
import { startStripeStandIn } from "../../stack/payments/stripe.ts";
import { createDatabase, withClient, withDatabase } from "../../stack/postgres.ts";
import { startStack } from "../../stack/stack.ts";
import { testConfig } from "./config.ts";
import { startMailbox } from "./mailbox.ts";
import { pgbouncerNotice } from "./pgbouncer.ts";
import { promtoolNotice } from "./promtool.ts";
import { redisNotice } from "./redis.ts";

const TEMPLATE_DATABASE = "neuropia_pgtap_template";
const PGTAP_DATABASE = "neuropia_pgtap";
const PGTAP_FILES_DATABASE = "neuropia_pgtap_files";
const STRIPE_SECRET_KEY = "sk_test_of_the_stand_in";
const HELPERS = path.resolve(import.meta.dirname, "../../db/tests/_helpers.sql");

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const directory = mkdtempSync(path.join(tmpdir(), "neuropia-test-"));
  // PostgreSQL may run as another user.
  chmodSync(directory, 0o755);
  const stripe = await startStripeStandIn(STRIPE_SECRET_KEY);
  const mailbox = await startMailbox();
  const stack = await startStack({
    config: testConfig(directory),
    postgresSettings: {
      extension_control_path: `$system:${unpackPgtap(directory)}`,
      // The tests kill processes, never the machine.
      fsync: "off",
      max_connections: "200",
    },
    serviceEnv: {
      postgrest: { PGRST_LOG_LEVEL: "info" },
      jobs: {
        SMTP_URL: mailbox.smtpUrl,
        MAIL_FROM: "Neuropia <no-reply@neuropia.test>",
        STRIPE_SECRET_KEY,
        STRIPE_API_URL: stripe.url,
        PAYMENT_RETURN_URL: "https://customer.test.example/paid",
      },
    },
    onUnexpectedEnd: (service, how) => console.error(`${service.name} ended: ${how} (log: ${service.spec.logFile})`),
  });
  const stop = async (): Promise<void> => {
    await stack.stop();
    await mailbox.stop();
    await stripe.close();
    rmSync(directory, { recursive: true, force: true });
    for (const notice of [redisNotice, pgbouncerNotice, promtoolNotice])
      if (notice !== undefined) console.log(`\n${notice}`);
  };
  try {
    const pgtap = await makePgtapDatabases(stack.info.database_url);
    const { provider_url, demo } = stack.info;
    if (provider_url === null || demo === null) throw new Error("the tests' stack has no demo provider or accounts");
    project.provide("stack", { ...stack.info, provider_url, demo });
    project.provide("pgtap", pgtap);
    project.provide("proxyEnv", stack.services.proxy?.spec.env ?? {});
    project.provide("postgrestEnv", stack.services.postgrest?.spec.env ?? {});
    // Short, so that what leases hold is released soon.
    await withClient(stack.info.database_url, (client) =>
      client.query("update data.setting set value = '1' where name = 'lease_seconds'"),
    );
    project.provide("logs", path.join(directory, "logs"));
    project.provide("mailbox", { url: mailbox.url, smtp_url: mailbox.smtpUrl });
    project.provide("stripe", { url: stripe.url });
    return stop;
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Unpacks pgTAP from the npm package and returns the directory for extension_control_path. */
function unpackPgtap(directory: string): string {
  const entryPoint = createRequire(import.meta.url).resolve("@electric-sql/pglite-pgtap");
  const target = path.join(directory, "pgtap");
  mkdirSync(target);
  chmodSync(target, 0o755);
  execFileSync("tar", ["-xzf", path.join(path.dirname(entryPoint), "pgtap.tar.gz"), "-C", target, "--no-same-owner"]);
  return path.join(target, "share/postgresql");
}

/** Equal databases: one that tests may leave rows in, one that pgTAP's files find as it was deployed, one to make more from. */
async function makePgtapDatabases(
  databaseUrl: string,
): Promise<{ database_url: string; files_database_url: string; template: string }> {
  await createDatabase(databaseUrl, TEMPLATE_DATABASE);
  const templateUrl = withDatabase(databaseUrl, TEMPLATE_DATABASE);
  await deploy({ databaseUrl: templateUrl });
  await withClient(templateUrl, async (client) => {
    await client.query("create schema tap; create extension pgtap schema tap");
    await client.query(readFileSync(HELPERS, "utf8"));
  });
  await withClient(databaseUrl, async (client) => {
    for (const name of [PGTAP_DATABASE, PGTAP_FILES_DATABASE])
      await client.query(`create database ${name} template ${TEMPLATE_DATABASE}`);
  });
  return {
    database_url: withDatabase(databaseUrl, PGTAP_DATABASE),
    files_database_url: withDatabase(databaseUrl, PGTAP_FILES_DATABASE),
    template: TEMPLATE_DATABASE,
  };
}
