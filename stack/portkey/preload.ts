// Loaded with --import before the Portkey gateway, which has no settings for any of this: it listens on one address,
// drains on SIGTERM, connects only to the providers' hosts, follows no redirect, and logs calls with the proxy's request id.
import http from "node:http";
import net from "node:net";
import { urlEndpoint } from "../../lib/allowed-hosts.ts";
import { config } from "./config.ts";
import { logRequest, noteAttempt } from "./log.ts";

// Longer than any load balancer or proxy in front keeps an idle connection, so that never both close at once.
const KEEP_ALIVE_TIMEOUT_MS = 75_000;
const IDLE_CHECK_MS = 50;

const servers = new Set<http.Server>();
let draining = false;

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}

const listen = http.Server.prototype.listen as (this: http.Server, ...args: unknown[]) => http.Server;
http.Server.prototype.listen = function (this: http.Server, ...args: unknown[]): http.Server {
  const [port, ...rest] = args;
  const callback = rest.find((arg) => typeof arg === "function");
  this.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS;
  // Portkey only logs uncaught errors: without this it would live on without listening.
  this.once("error", (error) => fail(`Portkey cannot listen: ${error.message}`));
  this.prependListener("request", (request, response) => {
    logRequest(request, response, config.LOG_LEVEL === "debug" || config.LOG_LEVEL === "trace");
    if (draining) response.setHeader("connection", "close");
  });
  refuseUpgrades(this);
  servers.add(this);
  return listen.call(this, { port, host: config.PORTKEY_BIND_HOST }, callback);
} as typeof http.Server.prototype.listen;

/** WebSockets (/v1/realtime) pass no meter, and Portkey leaves them open for ever when the provider does not answer. */
function refuseUpgrades(server: http.Server): void {
  server.on("upgrade", (_request, socket) => socket.end("HTTP/1.1 501 Not Implemented\r\nConnection: close\r\n\r\n"));
  const on = server.on as (this: http.Server, ...args: unknown[]) => http.Server;
  server.on = function (this: http.Server, event: string, listener: unknown): http.Server {
    return event === "upgrade" ? this : on.call(this, event, listener);
  } as typeof server.on;
}

function drain(): void {
  if (draining) return;
  draining = true;
  let open = servers.size;
  for (const server of servers) {
    server.close(() => {
      open -= 1;
      if (open === 0) process.exit(0);
    });
    // close() ends what is idle now; this ends each connection once its answer is out.
    setInterval(() => server.closeIdleConnections(), IDLE_CHECK_MS);
  }
  if (open === 0) process.exit(0);
  setTimeout(
    () => fail("Portkey: streams still open at the end of the drain time were cut"),
    config.PORTKEY_DRAIN_TIMEOUT_MS,
  );
}
process.on("SIGTERM", drain);
process.on("SIGINT", drain);

/** An answer in a provider's place, so that the next target is tried. The host goes to the log, not to the client. */
function refusal(code: string, message: string, host: string): Response {
  console.error(`${host}: ${message}`);
  const body = { error: { message, type: "gateway_error", param: null, code } };
  return new Response(JSON.stringify(body), { status: 502, headers: { "content-type": "application/json" } });
}

const NOT_ALLOWED = "The host is not in PORTKEY_ALLOWED_HOSTS";

const fetchDirectly = globalThis.fetch;
// The built-in fetch gives up after 300 s without headers or body, shorter than long completions take.
await fetchDirectly("data:,");
const defaultDispatcher = Reflect.get(globalThis, Symbol.for("undici.globalDispatcher.1")) as object;
const Agent = defaultDispatcher.constructor as new (options: object) => NonNullable<RequestInit["dispatcher"]>;
const dispatcher = new Agent({
  headersTimeout: config.PORTKEY_UPSTREAM_TIMEOUT_MS,
  bodyTimeout: config.PORTKEY_UPSTREAM_TIMEOUT_MS,
});

globalThis.fetch = async function fetchAllowed(input: string | URL | Request, init?: RequestInit): Promise<Response> {
  const url = new URL(input instanceof Request ? input.url : input);
  const [host, port] = urlEndpoint(url);
  if (!config.PORTKEY_ALLOWED_HOSTS(host, port)) return refusal("host_not_allowed", NOT_ALLOWED, url.host);
  const headers = new Headers(init?.headers ?? (input instanceof Request ? input.headers : undefined));
  const response = await noteAttempt(url, headers, () =>
    fetchDirectly(input, { ...init, redirect: "manual", dispatcher }),
  );
  if (response.status >= 300 && response.status < 400) {
    await response.body?.cancel();
    return refusal("upstream_redirect", "The provider answered with a redirect, which is not followed", url.host);
  }
  return response;
};

// What does not go through fetch (Redis, http and https agents) is held back where it connects.
type ConnectOptions = { host?: string; port?: number; path?: string | null };
const connect = net.Socket.prototype.connect as (this: net.Socket, ...args: unknown[]) => net.Socket;
net.Socket.prototype.connect = function (this: net.Socket, ...args: unknown[]): net.Socket {
  const first = (Array.isArray(args[0]) ? args[0][0] : args[0]) as ConnectOptions | number | string;
  const { host, port, path } = typeof first === "object" ? first : { port: Number(first), host: args[1] as string };
  if (!path && config.PORTKEY_ALLOWED_HOSTS(host ?? "localhost", Number(port))) {
    return connect.apply(this, args);
  }
  process.nextTick(() => this.destroy(new Error(`${NOT_ALLOWED}: ${path ?? `${host}:${port}`}`)));
  return this;
} as typeof net.Socket.prototype.connect;
