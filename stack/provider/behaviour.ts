/** How the demo provider treats one call, read off the upstream model's name. */
export interface Behaviour {
  /** `-fail-<status>`: answer with this HTTP status. */
  failStatus: number | undefined;
  /** `-hang`: accept the call, never answer. */
  hang: boolean;
  /** `-slow-<ms>`: wait before the first byte and between chunks. */
  slowMs: number;
  /** `-die`: cut the connection in the middle of the answer. */
  die: boolean;
  /** `-nousage`: leave the usage out of the answer. */
  noUsage: boolean;
  /** `-redirect`: answer 307 to another host. */
  redirect: boolean;
  /** `-cached-<n>`: n input tokens were read from the prompt cache. */
  cachedTokens: number;
  /** `-cachewrite-<n>`: n input tokens were written to the prompt cache (Anthropic only). */
  cacheWriteTokens: number;
  /** `-reasoning-<n>`: n hidden reasoning tokens on top of the visible output. */
  reasoningTokens: number;
  /** `-out-<n>`: natural length of the reply in tokens. */
  naturalLength: number | undefined;
}

const LAST_SUFFIX = /-(?:(hang|die|nousage|redirect)|(fail|slow|cached|cachewrite|reasoning|out)-(\d{1,9}))$/;

/** Suffixes may be combined, in any order, at the end of the name: `qwen-turbo-slow-20-die`. */
export function parseBehaviour(model: string): Behaviour {
  const given = new Map<string, number>();
  let rest = model;
  for (let match = LAST_SUFFIX.exec(rest); match; match = LAST_SUFFIX.exec(rest)) {
    given.set(match[1] ?? (match[2] as string), Number(match[3] ?? 1));
    rest = rest.slice(0, match.index);
  }
  return {
    failStatus: given.get("fail"),
    hang: given.has("hang"),
    slowMs: given.get("slow") ?? 0,
    die: given.has("die"),
    noUsage: given.has("nousage"),
    redirect: given.has("redirect"),
    cachedTokens: given.get("cached") ?? 0,
    cacheWriteTokens: given.get("cachewrite") ?? 0,
    reasoningTokens: given.get("reasoning") ?? 0,
    naturalLength: given.get("out"),
  };
}
