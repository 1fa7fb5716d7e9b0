// Clients of a chaos run: JSON and streams, some of which leave before the end.
import { setTimeout as sleep } from "node:timers/promises";
import { Agent, request } from "undici";
import type { World } from "./world.ts";

export type Outcomes = Record<"answered" | "left" | "refused" | "failed" | "unreachable", number>;

const WORDS = "count every token once and charge what was served to whoever asked for it".split(" ");
const PAUSE_WHEN_UNREACHABLE_MS = 100;

/** Calls from `connections` clients until `signal`; resolves when the last has its answer. */
export async function runClients(
  world: World,
  {
    proxyUrl,
    connections,
    signal,
    random,
  }: { proxyUrl: string; connections: number; signal: AbortSignal; random: () => number },
): Promise<Outcomes> {
  const outcomes: Outcomes = { answered: 0, left: 0, refused: 0, failed: 0, unreachable: 0 };
  const pick = <T>(list: T[]): T => list[Math.floor(random() * list.length)] as T;
  const dispatcher = new Agent({ connections, headersTimeout: 30_000, bodyTimeout: 30_000 });

  async function call(): Promise<keyof Outcomes> {
    const leaves = random() < 0.1 ? AbortSignal.timeout(Math.floor(random() * 300)) : null;
    const words = Array.from({ length: 1 + Math.floor(random() * 30) }, () => pick(WORDS));
    try {
      const response = await request(`${proxyUrl}/v1/chat/completions`, {
        method: "POST",
        dispatcher,
        ...(leaves && { signal: leaves }),
        headers: { "content-type": "application/json", "x-virtual-key": pick(world.customers).virtualKey },
        body: JSON.stringify({
          model: pick(world.models),
          max_tokens: 100,
          stream: random() < 0.5,
          messages: [{ role: "user", content: words.join(" ") }],
        }),
      });
      const body = await response.body.text();
      if (response.statusCode < 300) return body.includes("upstream_interrupted") ? "failed" : "answered";
      return response.statusCode < 500 ? "refused" : "failed";
    } catch {
      if (leaves?.aborted) return "left";
      await sleep(PAUSE_WHEN_UNREACHABLE_MS);
      return "unreachable";
    }
  }

  await Promise.all(
    Array.from({ length: connections }, async () => {
      while (!signal.aborted) outcomes[await call()]++;
    }),
  );
  await dispatcher.destroy();
  return outcomes;
}
