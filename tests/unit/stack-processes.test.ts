import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { makeDirectory, RunRecord } from "../../stack/data-directory.ts";
import { claimPort, findFreePort } from "../../stack/ports.ts";
import { identify, isAlive } from "../../stack/processes.ts";
import { Service, type ServiceEvents, type ServiceSpec } from "../../stack/service.ts";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "neuropia-unit-"));
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

describe("service", () => {
  const services: Service[] = [];

  afterEach(async () => {
    for (const service of services.splice(0)) await service.kill("SIGKILL");
  });

  /** A service that runs `script` and is ready once it has made the file `ready`. */
  function makeService(script: string, spec: Partial<ServiceSpec> = {}, events: ServiceEvents = {}): Service {
    const service = new Service(
      {
        name: "example",
        command: process.execPath,
        args: ["--eval", `const ready = () => require("fs").writeFileSync("ready", ""); ${script}`],
        env: { PATH: process.env.PATH },
        cwd: directory,
        logFile: path.join(directory, "logs", "example.log"),
        isReady: async () => existsSync(path.join(directory, "ready")),
        prepare: async () => rmSync(path.join(directory, "ready"), { force: true }),
        restarts: true,
        ...spec,
      },
      events,
    );
    services.push(service);
    return service;
  }

  const stays = "ready(); setInterval(() => {}, 1000);";

  test("starts, logs, and stops", async () => {
    const service = makeService(`console.log("here"); ${stays}`);
    await service.start();
    expect(service.state).toBe("running");
    expect(readFileSync(service.spec.logFile, "utf8")).toBe("here\n");
    expect(statSync(service.spec.logFile).mode & 0o777).toBe(0o600);
    await service.stop();
    expect(service).toMatchObject({ state: "stopped", pid: undefined, lastEnd: "killed by SIGTERM" });
  });

  test("a start that fails says why, in one line, with the log's name", async () => {
    const service = makeService('throw new TypeError("wrong setting")');
    await expect(service.start()).rejects.toThrow(
      `example did not start (exit code 1): TypeError: wrong setting (log: ${service.spec.logFile})`,
    );
    expect(service.state).toBe("stopped");
    const missing = makeService("", { command: "/no/such/program" });
    await expect(missing.start()).rejects.toThrow(/ENOENT/);
    const mute = makeService("setInterval(() => {}, 1000)", { readyTimeoutMs: 300 });
    await expect(mute.start()).rejects.toThrow("example did not answer in time: it said nothing");
    expect(mute.pid).toBeUndefined();
  });

  test("one that ends by itself is started again, and reported", async () => {
    const onUnexpectedEnd = vi.fn();
    const service = makeService(stays, {}, { onUnexpectedEnd });
    await service.start();
    const { pid } = service;
    process.kill(pid as number, "SIGKILL");
    await vi.waitFor(() => expect(service).toMatchObject({ state: "running", pid: expect.any(Number) }), 5000);
    await vi.waitFor(() => expect(service.pid).not.toBe(pid), 5000);
    expect(onUnexpectedEnd.mock.calls).toEqual([[service, "killed by SIGKILL", 500]]);
  });

  test("one that may not restart stays down, and so does one killed through the service", async () => {
    const onUnexpectedEnd = vi.fn();
    const fragile = makeService(stays, { restarts: false }, { onUnexpectedEnd });
    await fragile.start();
    process.kill(fragile.pid as number, "SIGTERM");
    await vi.waitFor(() => expect(onUnexpectedEnd).toHaveBeenCalledWith(fragile, "killed by SIGTERM", null));

    const killed = makeService(stays, {}, { onUnexpectedEnd });
    await killed.start();
    await killed.kill("SIGKILL");
    await sleep(700);
    expect(killed.state).toBe("stopped");
    expect(onUnexpectedEnd).toHaveBeenCalledOnce();
    await killed.start();
    expect(killed.state).toBe("running");
  });

  test("one that ignores its stop signal is killed", async () => {
    const service = makeService(`process.on("SIGTERM", () => {}); ${stays}`, { stopTimeoutMs: 200 });
    await service.start();
    await service.stop();
    expect(service.lastEnd).toBe("killed by SIGKILL");
  });

  test("a start is tried again while its last words ask for it", async () => {
    const script = `
      const fs = require("fs");
      fs.appendFileSync("attempts", "x");
      if (fs.readFileSync("attempts", "utf8").length < 3) { console.error("still in use"); process.exit(1); }
      ${stays}`;
    const service = makeService(script, { retriesStartAfter: /still in use/ });
    await service.start();
    expect(readFileSync(path.join(directory, "attempts"), "utf8")).toBe("xxx");
  });

  test("stopping while it starts ends the start", async () => {
    const service = makeService("setInterval(() => {}, 1000)");
    const started = service.start();
    const failed = expect(started).rejects.toThrow("example did not start (killed by SIGTERM)");
    await vi.waitFor(() => expect(service.pid).toBeDefined());
    await service.stop();
    await failed;
  });
});

describe("ports", () => {
  test("a busy port is an error that names its variable", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    await expect(claimPort("PGRST_PORT", port)).rejects.toThrow(
      `Port ${port} is in use: stop what uses it, or set PGRST_PORT to another port (0 = any free one).`,
    );
    server.close();
    await once(server, "close");
    expect(await claimPort("PGRST_PORT", port)).toBe(port);
  });

  test("0 is any free port, each time another one", async () => {
    const ports = await Promise.all([claimPort("X", 0), claimPort("X", 0), findFreePort()]);
    expect(new Set(ports).size).toBe(3);
  });
});

describe("data directory", () => {
  test("a second stack is refused while the first one runs", async () => {
    const other = spawn(process.execPath, ["--eval", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
    const stack = identify(other.pid as number);
    writeFileSync(path.join(directory, "run.json"), JSON.stringify({ stack, services: {} }));
    await expect(RunRecord.claim(directory)).rejects.toThrow(
      `A stack already runs on ${directory} (process ${other.pid}): stop it, or set NEUROPIA_DATA to another directory.`,
    );
    other.kill("SIGKILL");
    await once(other, "exit");
    (await RunRecord.claim(directory)).release();
  });

  test("services that a killed stack left behind are ended, others are not", async () => {
    const leftover = spawn(process.execPath, ["--eval", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
    const stranger = spawn(process.execPath, ["--eval", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
    const ended = once(leftover, "exit");
    const id = identify(leftover.pid as number);
    const record = {
      stack: { pid: 999_999_999, started: "1" },
      // The same number as another process's, from before it started.
      services: { proxy: id, jobs: { pid: stranger.pid, started: "1" } },
    };
    writeFileSync(path.join(directory, "run.json"), JSON.stringify(record));
    (await RunRecord.claim(directory)).release();
    await ended;
    expect(stranger.exitCode).toBeNull();
    expect(isAlive(identify(stranger.pid as number) ?? { pid: 0, started: "" })).toBe(true);
    stranger.kill("SIGKILL");
  });

  test("the watchdog ends the services when the stack's process is killed", async () => {
    const service = spawn(process.execPath, ["--eval", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
    const ended = once(service, "exit");
    const dataDirectory = path.resolve(import.meta.dirname, "../../stack/data-directory.ts");
    const stack = spawn(
      process.execPath,
      [
        "--input-type=module",
        "--eval",
        `import { RunRecord } from ${JSON.stringify(dataDirectory)};
         const record = await RunRecord.claim(${JSON.stringify(directory)});
         record.note("proxy", ${service.pid});
         console.log("noted");
         setInterval(() => {}, 1000);`,
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    await once(stack.stdout as NodeJS.ReadableStream, "data");
    stack.kill("SIGKILL");
    expect(await ended).toEqual([null, "SIGINT"]);
  });

  test("what cannot be made is an error that says what to do", () => {
    const file = path.join(directory, "file");
    writeFileSync(file, "");
    expect(() => makeDirectory(path.join(file, "below"))).toThrow(/cannot be made \(ENOTDIR\): set NEUROPIA_DATA/);
    expect(() => makeDirectory("/proc/below/it")).toThrow(/cannot be made \(ENOENT\): set NEUROPIA_DATA/);
  });

  test("a new directory may be entered by all, whatever the umask", () => {
    const earlier = process.umask(0o077);
    try {
      makeDirectory(path.join(directory, "a/b"));
    } finally {
      process.umask(earlier);
    }
    expect(statSync(path.join(directory, "a")).mode & 0o777).toBe(0o755);
    expect(statSync(path.join(directory, "a/b")).mode & 0o777).toBe(0o755);
    chmodSync(directory, 0o700);
    makeDirectory(directory);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
  });
});
