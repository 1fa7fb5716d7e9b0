// npm start as a person meets it, and the stack as later tests use it: started, stopped, killed, found again.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test, vi } from "vitest";
import { deploy } from "../../db/deploy.ts";
import { seedCatalogue } from "../../db/seed/catalogue.ts";
import { PROJECT_DIRECTORY } from "../../stack/config.ts";
import { makeDirectory } from "../../stack/data-directory.ts";
import { findFreePort } from "../../stack/ports.ts";
import {
  asPlatformAdmin,
  clusterUrl,
  createDatabase,
  preparePostgres,
  withClient,
  withDatabase,
} from "../../stack/postgres.ts";
import { identify, isAlive, type ProcessId } from "../../stack/processes.ts";
import { routeProviders } from "../../stack/providers.ts";
import { makePassword } from "../../stack/secrets.ts";
import { Service } from "../../stack/service.ts";
import { type Stack, type StackInfo, startStack } from "../../stack/stack.ts";
import { testConfig } from "../setup/config.ts";

const START_LIMIT_MS = 60_000;

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "neuropia-stack-"));
  chmodSync(directory, 0o755);
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

interface Started {
  main: ChildProcess;
  output: () => string;
  info: StackInfo;
}

function run(env: NodeJS.ProcessEnv = {}): { main: ChildProcess; output: () => string } {
  const freePorts = Object.keys(testConfig(directory).ports).map((name) => [name, "0"]);
  const main = spawn(process.execPath, ["stack/main.ts"], {
    cwd: PROJECT_DIRECTORY,
    env: { PATH: process.env.PATH, NEUROPIA_DATA: directory, ...Object.fromEntries(freePorts), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [main.stdout, main.stderr]) {
    stream?.on("data", (chunk) => {
      output += chunk;
    });
  }
  return { main, output: () => output };
}

async function start(): Promise<Started> {
  const { main, output } = run();
  await vi.waitFor(
    () => {
      if (main.exitCode !== null) throw new Error(output());
      expect(output()).toContain("Ctrl-C stops everything.");
    },
    { timeout: START_LIMIT_MS, interval: 50 },
  );
  return { main, output, info: JSON.parse(readFileSync(path.join(directory, "stack.json"), "utf8")) };
}

function servicesOf(info: StackInfo): ProcessId[] {
  return Object.values(info.pids).map((pid) => identify(pid) as ProcessId);
}

/** Makes the call that the printed curl line makes. */
function callAsPrinted(output: string): Promise<Response> {
  const [, url, key, body] =
    /curl (\S+) -H 'x-virtual-key: (\S+)' -H 'content-type: application\/json' \\\n +-d '(.*)'/.exec(output) ?? [];
  return fetch(url as string, {
    method: "POST",
    headers: { "x-virtual-key": key as string, "content-type": "application/json" },
    body: body as string,
  });
}

async function usageCount(info: StackInfo): Promise<number> {
  const { rows } = await withClient(info.database_url, (client) =>
    client.query("select count(*)::int as calls from data.usage_log"),
  );
  return rows[0].calls;
}

describe("npm start", () => {
  test("from nothing to a call, stopped, started again with its data, killed without leaving anything", async () => {
    const first = await start();
    expect(Object.keys(first.info.pids).sort()).toEqual([
      "jobs",
      "portkey",
      "postgres",
      "postgrest",
      "provider",
      "proxy",
    ]);
    for (const name of ["stack.json", "secrets.json", "demo.json", "logs/proxy.log"]) {
      expect(statSync(path.join(directory, name)).mode & 0o777, name).toBe(0o600);
    }
    const answer = await callAsPrinted(first.output());
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ usage: { prompt_tokens: 1 } });
    const again = run();
    expect(await once(again.main, "exit")).toEqual([1, null]);
    expect(again.output()).toContain(`A stack already runs on ${directory} (process ${first.main.pid})`);

    const services = servicesOf(first.info);
    first.main.kill("SIGTERM");
    expect(await once(first.main, "exit")).toEqual([0, null]);
    expect(services.filter(isAlive)).toEqual([]);

    const second = await start();
    expect(second.info.demo).toEqual(first.info.demo);
    expect(await usageCount(second.info)).toBe(1);
    expect((await callAsPrinted(second.output())).status).toBe(200);

    const orphans = servicesOf(second.info);
    second.main.kill("SIGKILL");
    await vi.waitFor(() => expect(orphans.filter(isAlive)).toEqual([]), { timeout: 10_000, interval: 50 });

    const third = await start();
    expect(await usageCount(third.info)).toBe(2);
    third.main.kill("SIGINT");
    expect(await once(third.main, "exit")).toEqual([0, null]);
  }, 180_000);

  test("when PostgreSQL dies the rest is stopped too, with an error", async () => {
    const { main, info, output } = await start();
    const services = servicesOf(info);
    process.kill(info.pids.postgres as number, "SIGKILL");
    expect(await once(main, "exit")).toEqual([1, null]);
    expect(output()).toContain("postgres ended unexpectedly (killed by SIGKILL), stopping everything.");
    expect(services.filter(isAlive)).toEqual([]);
  }, 120_000);

  test("Ctrl-C while it starts stops what has started", async () => {
    const { main, output } = run();
    await vi.waitFor(() => expect(output()).toContain("database schema"), { timeout: START_LIMIT_MS, interval: 20 });
    const { services } = JSON.parse(readFileSync(path.join(directory, "run.json"), "utf8"));
    main.kill("SIGINT");
    expect(await once(main, "exit")).toEqual([1, null]);
    expect(output().trimEnd().split("\n").at(-1)).toBe("Stopped while starting.");
    expect(Object.values(services as Record<string, ProcessId>).filter(isAlive)).toEqual([]);
  }, 90_000);

  test("what is in the way is one line that says what to do", async () => {
    const busy = createServer().listen(0, "127.0.0.1");
    await once(busy, "listening");
    const { port } = busy.address() as { port: number };
    const cases: [NodeJS.ProcessEnv, string][] = [
      [
        { PORTKEY_PORT: String(port) },
        `Port ${port} is in use: stop what uses it, or set PORTKEY_PORT to another port`,
      ],
      [{ POSTGREST_BIN: "/no/such/file" }, "POSTGREST_BIN is /no/such/file, which is no program"],
      [{ NEUROPIA_DATA: "/proc/neuropia" }, "The directory /proc/neuropia cannot be made (ENOENT): set NEUROPIA_DATA"],
      [{ PROXY_PORT: "http" }, "PROXY_PORT: expected a port number"],
      [
        { DATABASE_URL: `postgres://u:hidden@127.0.0.1:1/none` },
        "DATABASE_URL leads to no usable database at 127.0.0.1:1/none",
      ],
    ];
    for (const [env, message] of cases) {
      const { main, output } = run(env);
      expect(await once(main, "exit")).toEqual([1, null]);
      const said = output()
        .split("\n")
        .filter((line) => line && !line.startsWith("Starting Neuropia"));
      expect(said).toHaveLength(1);
      expect(said[0]).toContain(message);
      expect(said[0]).not.toContain("hidden");
    }
    busy.close();
  }, 60_000);
});

describe("startStack", () => {
  test("single services can be killed and started again, PostgreSQL too", async () => {
    const config = testConfig(directory);
    const stack: Stack = await startStack({ config, postgresSettings: { fsync: "off" } });
    try {
      const call = (): Promise<number> =>
        fetch(`${stack.info.proxy_url}/v1/chat/completions`, {
          method: "POST",
          headers: { "x-virtual-key": stack.info.demo?.virtual_key ?? "", "content-type": "application/json" },
          body: JSON.stringify({ model: "qwen-turbo", messages: [{ role: "user", content: "hello" }] }),
        }).then((response) => response.status);
      expect(await call()).toBe(200);

      const { portkey, postgres, postgrest } = stack.services;
      await portkey?.kill("SIGKILL");
      expect(await call()).toBeGreaterThanOrEqual(500);
      await portkey?.start();
      expect(await call()).toBe(200);

      await postgres?.kill("SIGKILL");
      await postgres?.start();
      await vi.waitFor(async () => expect(await call()).toBe(200), { timeout: 20_000, interval: 200 });

      const before = postgrest?.pid;
      await postgrest?.restart();
      expect(postgrest?.pid).not.toBe(before);
      expect(JSON.parse(readFileSync(path.join(directory, "stack.json"), "utf8")).pids.postgrest).toBe(postgrest?.pid);
      await vi.waitFor(async () => expect(await call()).toBe(200), { timeout: 20_000, interval: 200 });
    } finally {
      await stack.stop();
    }
  }, 120_000);

  test("a given DATABASE_URL is used, and no PostgreSQL is started", async () => {
    // A cluster of its own: roles and their passwords are the cluster's, not the database's.
    const clusterDirectory = path.join(directory, "elsewhere");
    makeDirectory(clusterDirectory);
    const password = makePassword();
    const port = await findFreePort();
    const server = new Service(
      await preparePostgres({
        dataDirectory: clusterDirectory,
        dataDirectoryGiven: true,
        port,
        password,
        logFile: path.join(clusterDirectory, "postgres.log"),
        env: process.env,
        settings: { fsync: "off" },
      }),
    );
    await server.start();
    try {
      const databaseUrl = clusterUrl(port, password, "given");
      await createDatabase(clusterUrl(port, password, "postgres"), "given");
      const stack = await startStack({ config: { ...testConfig(directory), databaseUrl } });
      expect(stack.info.database_url).toBe(databaseUrl);
      expect(stack.services.postgres).toBeUndefined();
      expect((await fetch(`${stack.info.proxy_url}/health`)).status).toBe(200);
      await stack.stop();
      expect(server.state).toBe("running");
    } finally {
      await server.stop();
    }
  }, 90_000);
});

describe("provider keys", () => {
  const database = "neuropia_routing";
  const masterKey = "m".repeat(64);
  let databaseUrl: string;

  beforeAll(async () => {
    await createDatabase(inject("stack").database_url, database);
    databaseUrl = withDatabase(inject("stack").database_url, database);
    await deploy({ databaseUrl });
    await withClient(databaseUrl, seedCatalogue);
  }, 60_000);

  afterAll(async () => {
    await withClient(inject("stack").database_url, (client) => client.query(`drop database ${database} with (force)`));
  });

  async function state(): Promise<Record<string, { base_url: string | null; keys: string[] }>> {
    const { rows } = await withClient(databaseUrl, (client) =>
      client.query(
        `select p.name, p.base_url, array(select label from data.provider_key k where k.provider = p.name order by label) as keys
         from data.provider p`,
      ),
    );
    return Object.fromEntries(rows.map(({ name, ...rest }) => [name, rest]));
  }

  test("demo mode leads all to the demo provider; real keys lead back, and only to those providers that have one", async () => {
    const route = (providerKeys: object, demoUrl: string | null): Promise<string> =>
      routeProviders({ databaseUrl, dataDirectory: directory, masterKey, providerKeys, demoUrl });
    const catalogue = await state();

    await route({}, "http://127.0.0.1:1000");
    const hosts = await route({}, "http://127.0.0.1:2000");
    expect(hosts).toBe("127.0.0.1:2000");
    expect(await state()).toEqual({
      dashscope: { base_url: "http://127.0.0.1:2000/dashscope/v1", keys: ["demo"] },
      openai: { base_url: "http://127.0.0.1:2000/openai/v1", keys: ["demo"] },
      anthropic: { base_url: "http://127.0.0.1:2000/anthropic/v1", keys: ["demo"] },
    });

    const realHosts = await route({ openai: "sk-real" }, null);
    expect(realHosts).toContain("api.openai.com:443");
    expect(realHosts).not.toContain("127.0.0.1");
    expect(await state()).toEqual({ ...catalogue, openai: { ...catalogue.openai, keys: ["environment"] } });

    await route({}, "http://127.0.0.1:3000");
    expect((await state()).openai).toEqual({ base_url: "http://127.0.0.1:3000/openai/v1", keys: ["demo"] });
  });

  test("a provider with a key of somebody's own is left alone", async () => {
    await asPlatformAdmin(databaseUrl, { "app.settings.master_key": masterKey }, (client) =>
      client.query("select api.set_provider_key('openai', 'mine', 'sk-mine')"),
    );
    const { openai } = await state();
    await routeProviders({
      databaseUrl,
      dataDirectory: directory,
      masterKey,
      providerKeys: {},
      demoUrl: "http://127.0.0.1:4000",
    });
    expect((await state()).openai).toEqual(openai);
  });
});
