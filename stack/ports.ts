import net from "node:net";
import { errorCode, StackError } from "./errors.ts";

// Below the range the kernel takes for outgoing connections, so that a port stays free between finding and using it,
// and while its service is restarted.
const FIRST_FREE_PORT = 20_000;
const LAST_FREE_PORT = 31_999;

/** Rejects with the system's error when nothing can listen on `host`:`port`. */
function tryListen(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once("error", reject);
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve()));
  });
}

const given = new Set<number>();

/** A port nothing listens on, never the same one twice. */
export async function findFreePort(host = "127.0.0.1"): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const port = FIRST_FREE_PORT + Math.floor(Math.random() * (LAST_FREE_PORT - FIRST_FREE_PORT + 1));
    if (given.has(port)) continue;
    try {
      await tryListen(host, port);
      given.add(port);
      return port;
    } catch (error) {
      if (errorCode(error) !== "EADDRINUSE") throw error;
    }
  }
  throw new StackError(`No free port was found between ${FIRST_FREE_PORT} and ${LAST_FREE_PORT} on ${host}.`);
}

/** The port itself when it is free, another one when it is 0. Throws a StackError that names `variable` when it is busy. */
export async function claimPort(variable: string, port: number, host = "127.0.0.1"): Promise<number> {
  if (port === 0) return findFreePort(host);
  try {
    await tryListen(host, port);
    return port;
  } catch (error) {
    const code = errorCode(error);
    const reason = code === "EADDRINUSE" ? "is in use" : `cannot be listened on (${code})`;
    throw new StackError(
      `Port ${port} ${reason}: stop what uses it, or set ${variable} to another port (0 = any free one).`,
    );
  }
}
