// Everybody who uses the platform at once: callers, customers looking at their account, operators changing things, money coming in.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { World } from "../chaos/world.ts";
import type { Answer, Balancer } from "../setup/balancer.ts";
import type { Tally } from "./tally.ts";

const WORDS = "mixed load at four fifths of what the machine can do for ten minutes and nothing fails".split(" ");
/** A revoked key is refused by every proxy within this. */
const REVOCATION_MS = 1_000;
const TOKEN_LIFE_MS = 10 * 60_000;

const pick = <T>(list: readonly T[]): T => list[Math.floor(Math.random() * list.length)] as T;

export type Login = { email: string; password: string };

/** All that clients do, through the balancer. Each throws an Error when the answer is not the one expected. */
export class Clients {
  readonly #world: World;
  readonly #balancer: Balancer;
  readonly #operator: Login;
  readonly #tokens = new Map<string, { token: string; sinceMs: number }>();
  /** What top-ups that were answered came to, in hundredths. */
  toppedUp = 0;
  #changes = 0;

  constructor(world: World, balancer: Balancer, operator: Login) {
    this.#world = world;
    this.#balancer = balancer;
    this.#operator = operator;
  }

  /** One AI call, with the answer whole. */
  async call(stream: boolean): Promise<void> {
    const answer = await this.#chat(pick(this.#world.customers).virtualKey, pick(this.#world.models), stream);
    const isWhole = answer.text.trimEnd().endsWith(stream ? "data: [DONE]" : "}");
    if (answer.status !== 200 || !isWhole || answer.text.includes('"error"')) throw unexpected("call", answer);
  }

  /** What a customer does in the web front end. */
  async manage(): Promise<void> {
    const customer = pick(this.#world.customers);
    const kind = Math.random();
    if (kind < 0.05) {
      this.#tokens.delete(customer.email);
      await this.#tokenOf(customer);
    } else if (kind < 0.2) {
      await this.#keyLife(customer);
    } else {
      await this.#get(
        customer,
        pick([
          "usage_log?limit=20&order=created_at.desc",
          "user_profile",
          "ledger_entry?limit=20&order=created_at.desc",
          "rpc/me",
        ]),
      );
    }
  }

  /** A change that calls under way must not suffer from, and later ones obey. */
  async configure(): Promise<void> {
    const model = pick(this.#world.models);
    const number = this.#changes++;
    if (number % 3 === 0) {
      await this.#rpc(this.#operator, "set_markup_rule", { percent: String(10 + (number % 40)), model });
    } else if (number % 3 === 1) {
      const config_json = { request_timeout: 30_000 + number };
      await this.#rpc(this.#operator, "set_portkey_config", { config_json, model });
    } else {
      const { userId } = pick(this.#world.customers);
      await this.#rpc(this.#operator, "set_credit_limit", { user_id: userId, credit_limit: String(number % 5) });
    }
  }

  async topUp(): Promise<void> {
    const hundredths = 1 + Math.floor(Math.random() * 1000);
    const { userId } = pick(this.#world.customers);
    const amount = `${Math.floor(hundredths / 100)}.${String(hundredths % 100).padStart(2, "0")}`;
    await this.#rpc(this.#operator, "top_up", { user_id: userId, amount, reference: `soak ${randomUUID()}` });
    this.toppedUp += hundredths;
  }

  /** A key is made, used, revoked, refused and deleted. */
  async #keyLife(customer: Login): Promise<void> {
    const key = JSON.parse((await this.#rpc(customer, "create_virtual_key", { name: "soak" })).text);
    const model = pick(this.#world.models);
    const first = await this.#chat(key.virtual_key, model, false);
    if (first.status !== 200) throw unexpected("call with a new key", first);
    await this.#rpc(customer, "disable_virtual_key", { id: key.id });
    await sleep(REVOCATION_MS);
    const refused = await this.#chat(key.virtual_key, model, false);
    if (refused.status !== 401) throw unexpected("call with a revoked key", refused);
    await this.#rpc(customer, "delete_virtual_key", { id: key.id });
  }

  #chat(virtualKey: string, model: string, stream: boolean): Promise<Answer> {
    const words = Array.from({ length: 1 + Math.floor(Math.random() * 30) }, () => pick(WORDS));
    const body = { model, stream, max_tokens: 100, messages: [{ role: "user", content: words.join(" ") }] };
    return this.#balancer.send("/v1/chat/completions", {
      method: "POST",
      headers: { "x-virtual-key": virtualKey },
      body,
    });
  }

  async #get(login: Login, path: string): Promise<void> {
    const headers = { authorization: `Bearer ${await this.#tokenOf(login)}` };
    const answer = await this.#balancer.send(`/rest/${path}`, { method: "GET", headers });
    if (answer.status !== 200) throw unexpected(path, answer);
  }

  async #rpc(login: Login, name: string, body: object): Promise<Answer> {
    const headers = { authorization: `Bearer ${await this.#tokenOf(login)}` };
    const answer = await this.#balancer.send(`/rest/rpc/${name}`, { method: "POST", headers, body });
    if (answer.status >= 300) throw unexpected(name, answer);
    return answer;
  }

  async #tokenOf({ email, password }: Login): Promise<string> {
    const known = this.#tokens.get(email);
    if (known && Date.now() - known.sinceMs < TOKEN_LIFE_MS) return known.token;
    const body = { email, password };
    const answer = await this.#balancer.send("/rest/rpc/login", { method: "POST", headers: {}, body });
    if (answer.status !== 200) throw unexpected("login", answer);
    const token = JSON.parse(answer.text).access_token as string;
    this.#tokens.set(email, { token, sinceMs: Date.now() });
    return token;
  }
}

const unexpected = (what: string, { status, text }: Answer): Error =>
  new Error(`${what}: ${status} ${text.slice(-300)}`);

/** Does `work` so many times a second, begun evenly, until `signal`; at most `inFlight` at a time. Resolves when the last is done. */
export async function pace(
  perSecond: number,
  inFlight: number,
  signal: AbortSignal,
  work: () => Promise<void>,
): Promise<void> {
  const running = new Set<Promise<void>>();
  for (let nextMs = performance.now(); !signal.aborted; nextMs += 1_000 / perSecond) {
    const waitMs = nextMs - performance.now();
    if (waitMs > 1) await sleep(waitMs, undefined, { signal }).catch(() => undefined);
    while (running.size >= inFlight) await Promise.race(running);
    if (signal.aborted) break;
    const one: Promise<void> = work().finally(() => running.delete(one));
    running.add(one);
  }
  await Promise.all(running);
}

/** Calls as fast as `connections` clients can for so many seconds, and returns how many a second were answered. */
export async function measureCapacity(
  clients: Clients,
  tally: Tally,
  connections: number,
  seconds: number,
): Promise<number> {
  const warmUpMs = Math.min(2_000, seconds * 250);
  const endMs = performance.now() + seconds * 1_000;
  let counted = 0;
  let fromMs = 0;
  await Promise.all(
    Array.from({ length: connections }, async (_, connection) => {
      for (let number = connection; performance.now() < endMs; number += 1) {
        await tally.count(number % 2 === 0 ? "JSON" : "stream", () => clients.call(number % 2 === 1));
        if (performance.now() > endMs - seconds * 1_000 + warmUpMs) {
          fromMs ||= performance.now();
          counted += 1;
        }
      }
    }),
  );
  return (counted * 1_000) / (performance.now() - fromMs);
}
