import type { Logger } from "pino";
import type { Endpoint } from "./endpoints.ts";
import { ApiError, gatewayUnavailable } from "./errors.ts";
import { Portkey } from "./portkey.ts";
import type { Upstream } from "./upstream.ts";

const CHECK_MS = 1_000;
const CHECK_TIMEOUT_MS = 2_000;
/** No byte of the call was sent: another gateway can have it. */
const NOT_CONNECTED = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT",
]);

type Member = { portkey: Portkey; url: string; isAlive: boolean };

/** Several Portkeys, in turn; those that do not answer are left out until they do. */
export class PortkeyPool {
  readonly #members: Member[];
  readonly #log: Logger;
  readonly #checks: NodeJS.Timeout | undefined;
  #next = 0;

  constructor(urls: string[], log: Logger) {
    this.#members = urls.map((url) => ({ portkey: new Portkey(url), url, isAlive: true }));
    this.#log = log;
    // A single one is tried with each call anyway.
    if (urls.length > 1) this.#checks = setInterval(() => void this.#checkAll(), CHECK_MS).unref();
  }

  /**
   * Forwards one call; to another one if the first cannot be connected to.
   *
   * @throws ApiError 502 `gateway_unavailable`; the signal's reason when it is aborted
   */
  async forward(
    endpoint: Endpoint,
    headers: Record<string, string>,
    body: Buffer,
    signal: AbortSignal,
  ): Promise<Upstream> {
    let failure: unknown;
    for (const member of this.#inTurn()) {
      try {
        return await member.portkey.forward(endpoint, headers, body, signal);
      } catch (error) {
        if (!isNotConnected(error)) throw error;
        this.#mark(member, false);
        failure = error;
      }
    }
    throw failure ?? gatewayUnavailable();
  }

  /** Whether at least one answers. */
  async isAlive(timeoutMs: number): Promise<boolean> {
    const alive = await Promise.all(this.#members.map(({ portkey }) => portkey.isAlive(timeoutMs)));
    return alive.includes(true);
  }

  /** How many are left out because they did not answer. */
  get leftOut(): number {
    return this.#members.filter(({ isAlive }) => !isAlive).length;
  }

  async close(): Promise<void> {
    clearInterval(this.#checks);
    await Promise.all(this.#members.map(({ portkey }) => portkey.close()));
  }

  /** The next one first; those that failed last, for when all have. */
  #inTurn(): Member[] {
    const start = this.#next++ % this.#members.length;
    const turn = [...this.#members.slice(start), ...this.#members.slice(0, start)];
    return turn.length === 1
      ? turn
      : [...turn.filter(({ isAlive }) => isAlive), ...turn.filter(({ isAlive }) => !isAlive)];
  }

  async #checkAll(): Promise<void> {
    await Promise.all(
      this.#members.map(async (member) => this.#mark(member, await member.portkey.isAlive(CHECK_TIMEOUT_MS))),
    );
  }

  #mark(member: Member, isAlive: boolean): void {
    if (member.isAlive === isAlive) return;
    member.isAlive = isAlive;
    if (isAlive) this.#log.info({ portkey: member.url }, "a Portkey is back");
    else this.#log.warn({ portkey: member.url }, "a Portkey does not answer: left out");
  }
}

function isNotConnected(error: unknown): boolean {
  if (!(error instanceof ApiError) || error.code !== "gateway_unavailable") return false;
  const { code, errors } = (error.cause ?? {}) as { code?: unknown; errors?: { code?: unknown }[] };
  return [code, ...(errors ?? []).map((each) => each.code)].some((each) => NOT_CONNECTED.has(String(each)));
}
