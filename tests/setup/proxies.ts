// More proxies beside a stack's own.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { PROJECT_DIRECTORY } from "../../stack/config.ts";
import { findFreePort } from "../../stack/ports.ts";
import { Service } from "../../stack/service.ts";

export type Proxies = {
  urls: string[];
  adminUrls: string[];
  logFiles: string[];
  services: Service[];
  stop: () => Promise<void>;
};

/**
 * Starts proxies with the environment `base`, such as that of a stack's own, each with a journal of its own. They are
 * ready, and listen for changes, when this resolves.
 */
export async function startProxies(count: number, env: NodeJS.ProcessEnv, base: NodeJS.ProcessEnv): Promise<Proxies> {
  const directory = mkdtempSync(path.join(tmpdir(), "neuropia-proxies-"));
  const services: Service[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(services.map((service) => service.stop()));
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const started = await Promise.all(
      Array.from({ length: count }, async (_, index) => {
        const [port, adminPort] = [await findFreePort(), await findFreePort()];
        const url = `http://127.0.0.1:${port}`;
        const service = new Service({
          name: `proxy ${index}`,
          command: process.execPath,
          args: ["proxy/main.ts"],
          cwd: PROJECT_DIRECTORY,
          env: {
            ...base,
            PROXY_HOST: "127.0.0.1",
            PROXY_PORT: String(port),
            ADMIN_PORT: String(adminPort),
            JOURNAL_DIRECTORY: path.join(directory, `journal-${index}`),
            ...env,
          },
          logFile: path.join(directory, `proxy-${index}.log`),
          isReady: async (log) => log().includes("listening for changes") && (await isHealthy(url)),
          restarts: false,
        });
        services.push(service);
        await service.start();
        return { url, adminUrl: `http://127.0.0.1:${adminPort}` };
      }),
    );
    services.sort((a, b) => a.name.localeCompare(b.name));
    const [urls, adminUrls] = [started.map(({ url }) => url), started.map(({ adminUrl }) => adminUrl)];
    return { urls, adminUrls, logFiles: services.map(({ spec }) => spec.logFile), services, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Whether a proxy takes calls and all it needs is there. */
export async function isHealthy(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/health`);
    await response.text();
    return response.ok;
  } catch {
    return false;
  }
}
