// Each process, started with every variable wrong: it ends, and names each of them and what it should be.
import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { VARIABLES as adminVariables, readDatabaseUrl } from "../../admin/config.ts";
import { VARIABLES as deployVariables } from "../../db/deploy.ts";
import { readConfig as jobsConfig, VARIABLES as jobsVariables } from "../../jobs/config.ts";
import { readConfig as proxyConfig, VARIABLES as proxyVariables } from "../../proxy/config.ts";
import { PROJECT_DIRECTORY, VARIABLES as stackVariables } from "../../stack/config.ts";

type Program = {
  command: string[];
  /** Wrong values, by variable. */
  wrong: Record<string, string>;
  /** Variables that any text is right for. */
  any?: string[];
  variables: string[];
};

const DATABASE = { DATABASE_URL: "mysql://the-password@127.0.0.1/x" };
const TRACING = {
  OTEL_EXPORTER_OTLP_ENDPOINT: "collector:4318",
  OTEL_EXPORTER_OTLP_HEADERS: "the-password",
  OTEL_TRACES_SAMPLER_ARG: "2",
};
const owner = (command: string[]): Program => ({ command, wrong: DATABASE, variables: adminVariables });

const PROGRAMS: Record<string, Program> = {
  proxy: {
    command: ["proxy/main.ts"],
    wrong: {
      PROXY_PORT: "70000",
      ADMIN_PORT: "x",
      POSTGREST_URL: "127.0.0.1:3000",
      PORTKEY_URLS: "http://127.0.0.1:8787,ftp://127.0.0.1",
      PORTKEY_ALLOWED_HOSTS: "https://api.openai.com",
      GATEWAY_TOKEN: "the-password",
      BODY_LIMIT_BYTES: "0",
      REQUEST_TIMEOUT_MS: "0",
      SHUTDOWN_DELAY_MS: "-1",
      SHUTDOWN_TIMEOUT_MS: "soon",
      SETTLE_TIMEOUT_MS: "1.5",
      JOURNAL_FSYNC: "yes",
      SETTLE: "later",
      DATABASE_LISTEN_URL: "http://the-password@127.0.0.1/x",
      LEASE_MAX_REQUESTS: "10001",
      REDIS_URL: "127.0.0.1:6379",
      GRANT_ENCRYPTION_KEY: "the-password",
      PROXY_WORKERS: "0",
      LOG_LEVEL: "loud",
      TRUST_PROXY: "10.0.0.0/64",
      ...TRACING,
    },
    any: ["PROXY_HOST", "ADMIN_HOST", "JOURNAL_DIRECTORY", "PORTKEY_URL"],
    variables: proxyVariables,
  },
  jobs: {
    command: ["jobs/main.ts"],
    wrong: {
      ...DATABASE,
      SMTP_URL: "mail.example.com:25",
      MAIL_FROM: "nobody",
      STRIPE_SECRET_KEY: "short",
      STRIPE_API_URL: "api.stripe.com",
      PAYMENT_RETURN_URL: "/paid",
      JOBS_ADMIN_PORT: "-1",
      LOG_LEVEL: "loud",
      ...TRACING,
    },
    any: ["MASTER_KEY", "JOBS_ADMIN_HOST"],
    variables: jobsVariables,
  },
  deploy: {
    command: ["db/deploy.ts"],
    wrong: {
      ...DATABASE,
      AUTHENTICATOR_PASSWORD: "short1",
      WORKER_PASSWORD: "short2",
      PROXY_LISTENER_PASSWORD: "short3",
    },
    variables: deployVariables,
  },
  seed: owner(["db/seed/catalogue.ts"]),
  "price import": owner(["db/seed/price-import.ts"]),
  admin: owner(["admin/main.ts", "create", "a@b.example", "--generate"]),
  "base backup": owner(["ops/base-backup.ts", "/nowhere"]),
  portkey: {
    command: ["--import=./stack/portkey/preload.ts", "--eval", "0"],
    wrong: {
      PORTKEY_ALLOWED_HOSTS: "https://api.openai.com",
      PORTKEY_DRAIN_TIMEOUT_MS: "-1",
      PORTKEY_UPSTREAM_TIMEOUT_MS: "0",
    },
    any: ["PORTKEY_BIND_HOST"],
    variables: [
      "PORTKEY_BIND_HOST",
      "PORTKEY_ALLOWED_HOSTS",
      "PORTKEY_DRAIN_TIMEOUT_MS",
      "PORTKEY_UPSTREAM_TIMEOUT_MS",
    ],
  },
  "demo provider": {
    command: ["stack/provider/main.ts"],
    wrong: { PROVIDER_PORT: "70000" },
    any: ["PROVIDER_HOST"],
    variables: ["PROVIDER_HOST", "PROVIDER_PORT"],
  },
  "npm start": {
    command: ["stack/main.ts"],
    wrong: {
      ...DATABASE,
      PROXY_PORT: "x",
      ADMIN_PORT: "-1",
      PGRST_PORT: "1.5",
      PORTKEY_PORT: "65536",
      PG_PORT: "70000",
      PROVIDER_PORT: "http",
    },
    variables: stackVariables,
  },
};

function start({ command }: Program, environment: NodeJS.ProcessEnv) {
  return spawnSync(process.execPath, command, {
    cwd: PROJECT_DIRECTORY,
    encoding: "utf8",
    env: { PATH: process.env.PATH, ...environment },
    timeout: 20_000,
  });
}

describe.each(Object.entries(PROGRAMS))("%s", (name, program) => {
  it("names every wrong variable and what is expected, and shows no secret", () => {
    const { status, stdout, stderr } = start(program, program.wrong);
    expect(status, stdout + stderr).toBe(1);
    for (const variable of Object.keys(program.wrong)) {
      expect(stderr).toMatch(new RegExp(`(^|; | )${variable}(\\.\\d+)?: .*expected`, "m"));
    }
    expect(stdout + stderr).not.toMatch(/the-password|short\d?| {4}at /);
  });

  it("has a wrong value here for each of its variables", () => {
    const rightInAnyCase =
      name === "npm start" ? program.variables.filter((each) => !(each in program.wrong)) : program.any;
    expect([...Object.keys(program.wrong), ...(rightInAnyCase ?? [])].sort()).toEqual([...program.variables].sort());
  });
});

const production = { NODE_ENV: "production", POSTGREST_URL: "http://a", PORTKEY_URLS: "http://b" };

it.each([
  ...["DATABASE_LISTEN_URL", "REDIS_URL", "GATEWAY_TOKEN", "GRANT_ENCRYPTION_KEY"].map(
    (name) => [name, proxyConfig] as const,
  ),
  ...["DATABASE_URL", "MASTER_KEY", "SMTP_URL", "STRIPE_SECRET_KEY"].map((name) => [name, jobsConfig] as const),
  ["DATABASE_URL", readDatabaseUrl] as const,
])("a %s of the demo is refused in production", (name, read) => {
  const demo = name.endsWith("_URL") ? "postgres://somebody:demo-known@127.0.0.1:1/x" : "demo-known";
  expect(() => read({ ...production, [name]: demo })).toThrow(`${name}: expected a secret of your own in production`);
});

it("deploy refuses passwords of the demo in production", () => {
  const deploy = PROGRAMS.deploy as Program;
  const { status, stderr } = start(deploy, { NODE_ENV: "production", WORKER_PASSWORD: "demo-known" });
  expect([status, stderr]).toEqual([1, expect.stringMatching(/^WORKER_PASSWORD: expected a secret of your own/)]);
});
