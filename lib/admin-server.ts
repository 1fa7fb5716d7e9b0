// The port that operators alone reach: GET /metrics.
import http from "node:http";
import type { AddressInfo } from "node:net";

/** What is served: a registry of prom-client, or several of them. */
export type MetricsPage = { contentType: string; metrics(): Promise<string> };

export type AdminServer = { port: number; close(): Promise<void> };

/**
 * Serves metrics. 404 for everything else, 500 when the page cannot be made.
 *
 * @throws Error in one line that says what to do, when the port cannot be had
 */
export async function startAdminServer(page: MetricsPage, port: number, host: string): Promise<AdminServer> {
  const server = http.createServer((req, res) => void serve(page, req, res));
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const reason =
        error.code === "EADDRINUSE" ? "the port is in use: stop its owner or choose another" : error.message;
      reject(new Error(`cannot listen on ${host}:${port}: ${reason}`));
    });
    server.listen(port, host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function serve(page: MetricsPage, req: http.IncomingMessage, res: http.ServerResponse): Promise<void> {
  if (req.method !== "GET" || req.url !== "/metrics") {
    res.writeHead(404).end();
    return;
  }
  try {
    const text = await page.metrics();
    res.writeHead(200, { "content-type": page.contentType }).end(text);
  } catch {
    res.writeHead(500).end();
  }
}
