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
  /** `-cachewrite1h-<n>`: n of these are kept for an hour (Anthropic only). */
  cacheWrite1hTokens: number;
  /** `-audioin-<n>`, `-imagein-<n>`: n of the input tokens of a chat are sound, or images. */
  audioInputTokens: number;
  imageInputTokens: number;
  /** `-audioout-<n>`: n of the output tokens of a chat are sound. */
  audioOutputTokens: number;
  /** `-seconds-<n>`: a transcription reports this duration instead of tokens. */
  seconds: number | undefined;
  /** `-reasoning-<n>`: n hidden reasoning tokens on top of the visible output. */
  reasoningTokens: number;
  /** `-out-<n>`: natural length of the reply in tokens. */
  naturalLength: number | undefined;
}

const LAST_SUFFIX =
  /-(?:(hang|die|nousage|redirect)|(fail|slow|cached|cachewrite|cachewrite1h|audioin|imagein|audioout|seconds|reasoning|out)-(\d{1,9}))$/;

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
    cacheWrite1hTokens: given.get("cachewrite1h") ?? 0,
    audioInputTokens: given.get("audioin") ?? 0,
    imageInputTokens: given.get("imagein") ?? 0,
    audioOutputTokens: given.get("audioout") ?? 0,
    seconds: given.get("seconds"),
    reasoningTokens: given.get("reasoning") ?? 0,
    naturalLength: given.get("out"),
  };
}
