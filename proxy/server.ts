import { randomUUIDv7 } from "node:crypto";
import http from "node:http";
import type { AddressInfo, Socket } from "node:net";

/** Time for a request's headers, and for the whole of it with its body: 32 MB at 2.2 Mbit/s. */
const HEADERS_TIMEOUT_MS = 20_000;
const REQUEST_TIMEOUT_MS = 120_000;
/** Longer than the usual load balancer keeps an idle connection, so that it never meets one we have just closed. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;

/** An HTTP server that gives slow clients up, and answers even broken requests in our own form. */
export function createServer(handler: http.RequestListener): http.Server {
  const server = http.createServer(
    {
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      connectionsCheckingInterval: 5_000,
    },
    handler,
  );
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => refuse(error, socket));
  return server;
}

const REFUSALS: Record<string, [status: number, code: string, message: string]> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, "request_timeout", "The request took too long to arrive."],
  HPE_HEADER_OVERFLOW: [431, "headers_too_large", "The request headers are too large."],
};

function refuse(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
  const [status, code, message] = REFUSALS[error.code ?? ""] ?? [400, "invalid_http", "The request is not valid HTTP."];
  const body = JSON.stringify({ error: { message, type: "invalid_request_error", param: null, code } });
  socket.end(
    [
      `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}`,
      "content-type: application/json",
      `content-length: ${Buffer.byteLength(body)}`,
      `x-request-id: ${randomUUIDv7()}`,
      "connection: close\r\n\r\n",
    ].join("\r\n") + body,
  );
}

/** @throws Error in one line that says what to do, when the port cannot be had */
export function listen(server: http.Server, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const reason =
        error.code === "EADDRINUSE" ? "the port is in use: stop its owner or choose another" : error.message;
      reject(new Error(`cannot listen on ${host}:${port}: ${reason}`));
    });
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });
}

/** Stops accepting, lets what is under way end, and cuts it at the deadline. */
export function close(server: http.Server, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    const sweep = setInterval(() => server.closeIdleConnections(), 100);
    const cut = setTimeout(() => server.closeAllConnections(), timeoutMs);
    server.close(() => {
      clearInterval(sweep);
      clearTimeout(cut);
      resolve();
    });
  });
}
