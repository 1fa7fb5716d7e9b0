// Several proxy processes on one port.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect, it } from "vitest";
import { signJwt } from "../../lib/secrets.ts";
import { PROJECT_DIRECTORY } from "../../stack/config.ts";
import { findFreePort } from "../../stack/ports.ts";

it("PROXY_WORKERS share a port, each with its journal; one that dies is replaced; metrics are those of all", async () => {
  const directory = mkdtempSync(path.join(tmpdir(), "neuropia-workers-"));
  const backend = http.createServer((_req, res) =>
    res.writeHead(200, { "content-type": "application/json" }).end('{"events":[],"dropped_keys":[]}'),
  );
  await once(backend.listen(0, "127.0.0.1"), "listening");
  const backendUrl = `http://127.0.0.1:${(backend.address() as AddressInfo).port}`;
  const [port, adminPort] = [await findFreePort(), await findFreePort()];
  const proxy = spawn(process.execPath, ["proxy/main.ts"], {
    cwd: PROJECT_DIRECTORY,
    env: {
      PATH: process.env.PATH,
      PROXY_HOST: "127.0.0.1",
      PROXY_PORT: String(port),
      ADMIN_PORT: String(adminPort),
      POSTGREST_URL: backendUrl,
      PORTKEY_URLS: backendUrl,
      GATEWAY_TOKEN: signJwt({ role: "gateway" }, "of PostgREST, which is a stand-in"),
      JOURNAL_DIRECTORY: path.join(directory, "journal"),
      PROXY_WORKERS: "2",
      SHUTDOWN_TIMEOUT_MS: "500",
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let log = "";
  proxy.stdout.on("data", (chunk: Buffer) => {
    log += chunk;
  });
  const until = async (isSo: () => boolean) => {
    for (let attempt = 0; attempt < 200 && !isSo(); attempt += 1) await delay(50);
    expect(isSo(), log).toBe(true);
  };
  const pids = () => [...log.matchAll(/"pid":(\d+).*"port":\d+/g)].map((match) => Number(match[1]));
  try {
    await until(() => log.includes('"workers":2'));
    expect(new Set(pids()).size).toBe(2);
    expect(readdirSync(path.join(directory, "journal"))).toContain("worker-2");

    for (let call = 0; call < 10; call += 1) {
      const response = await fetch(`http://127.0.0.1:${port}/health`, { headers: { connection: "close" } });
      expect(response.status).toBe(200);
      await response.text();
    }
    const metrics = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
    expect(metrics).toMatch(/neuropia_http_requests_total\{route="\/health",status="200"\} 10/);
    // What all of them see is there once, not as often as it is seen.
    for (const dependency of ["postgrest", "portkey", "journal"])
      expect(metrics).toContain(`neuropia_dependency_up{dependency="${dependency}"} 1\n`);

    process.kill(pids()[0] as number, "SIGKILL");
    await until(() => pids().length === 3);
    expect((await fetch(`http://127.0.0.1:${port}/health`)).status).toBe(200);

    const ended = once(proxy, "exit");
    proxy.kill("SIGTERM");
    expect(await ended).toEqual([0, null]);
    for (const pid of pids()) expect(() => process.kill(pid, 0)).toThrow();
  } finally {
    proxy.kill("SIGKILL");
    backend.closeAllConnections();
    backend.close();
    rmSync(directory, { recursive: true, force: true });
  }
});
